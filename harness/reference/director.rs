//! What the agent asks of the Director, page by page, and what it tells it.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::compass_client::{Call, CallError, CompassClient, Trace};

const TENANT: HeaderName = HeaderName::from_static("tenant");
/// A page of 200 applications with all they have is a few megabytes.
const LONGEST_ANSWER: usize = 64 << 20;
/// What the Director gives when it is not asked for a size.
const PAGE_SIZE: usize = 200;

/// Why the Director's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectorError {
    #[error("Failed to fetch Applications and Labels")]
    Call(#[source] CallError),
    #[error(
        "Failed fetch Applications or Labels for Runtime from Director: received nil response."
    )]
    Nil,
    #[error("the pages of Applications do not follow each other: `{0}` comes twice")]
    Repeated(String),
    #[error("the pages of Applications hold {got} of {promised}, so the answer is partial")]
    Partial { got: usize, promised: usize },
    #[error("Failed to set {key} Runtime label to value {value}")]
    Label {
        key: String,
        value: String,
        #[source]
        source: CallError,
    },
}

/// Who asks, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Director<'a> {
    pub(super) client: &'a CompassClient,
    pub(super) url: &'a str,
    /// SYNC-11: both as they are in the configuration Secret at this moment.
    pub(super) tenant: &'a str,
    pub(super) runtime_id: &'a str,
}

/// Everything that a round needs to know.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) labels: Map<String, Value>,
    pub(super) applications: Vec<Application>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Application {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) auths: Option<Vec<Auth>>,
    pub(super) bundles: Option<Page<Bundle>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Auth {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) instance_auth_request_input_schema: Option<String>,
    pub(super) api_definitions: Option<Page<ApiDefinition>>,
    pub(super) event_definitions: Option<Page<EventDefinition>>,
    pub(super) default_instance_auth: Option<InstanceAuth>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApiDefinition {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "targetURL")]
    pub(super) target_url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventDefinition {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceAuth {
    pub(super) credential: Option<Credential>,
    pub(super) additional_headers: Option<BTreeMap<String, Vec<String>>>,
    pub(super) additional_query_params: Option<BTreeMap<String, Vec<String>>>,
    pub(super) request_auth: Option<RequestAuth>,
}

/// Both kinds of credentials in one: which it is shows in the fields that are there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credential {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestAuth {
    pub(super) csrf: Option<Csrf>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Csrf {
    #[serde(rename = "tokenEndpointURL")]
    pub(super) token_endpoint_url: String,
}

impl std::fmt::Debug for InstanceAuth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SEC-04: neither passwords nor headers are printed by anybody.
        out.write_str("InstanceAuth")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    data: Option<Vec<T>>,
    page_info: Option<PageInfo>,
    total_count: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    #[serde(default)]
    end_cursor: Option<String>,
    #[serde(default)]
    has_next_page: bool,
}

impl<T> Page<T> {
    /// The elements of this page.
    pub(super) fn elements(&self) -> &[T] {
        self.data.as_deref().unwrap_or_default()
    }

    /// Whether the Director has more than this page.
    pub(super) fn is_cut(&self) -> bool {
        self.page_info.as_ref().is_some_and(|info| info.has_next_page)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    runtime: Option<Runtime>,
    applications_for_runtime: Option<Page<Application>>,
}

#[derive(Deserialize)]
struct Runtime {
    labels: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelAnswer {
    set_runtime_label: Option<serde::de::IgnoredAny>,
}

impl Director<'_> {
    /// All applications and the runtime's labels; whole or not at all (SYNC-05).
    pub(super) async fn fetch(&self, trace: &mut Trace) -> Result<Fetched, DirectorError> {
        let runtime_id = quoted(self.runtime_id);
        let first = format!(
            "query {{\n  runtime(id: {runtime_id}) {{ labels }}\n  \
             applicationsForRuntime(runtimeID: {runtime_id}) {{{}}}\n}}",
            page(APPLICATION)
        );
        let answer: Answer = self.call(trace, &first).await.map_err(DirectorError::Call)?;
        let runtime = answer.runtime.ok_or(DirectorError::Nil)?;
        let mut collected = Collected::default();
        let mut next = collected.add(answer.applications_for_runtime)?;
        // SYNC-15: what is past the first page is there all the same.
        while let Some(cursor) = next {
            let query = format!(
                "query {{\n  applicationsForRuntime(runtimeID: {runtime_id}, first: {PAGE_SIZE}, \
                 after: {}) {{{}}}\n}}",
                quoted(&cursor),
                page(APPLICATION)
            );
            let answer: Answer = self.call(trace, &query).await.map_err(DirectorError::Call)?;
            next = collected.add(answer.applications_for_runtime)?;
        }
        Ok(Fetched { labels: runtime.labels.unwrap_or_default(), applications: collected.whole()? })
    }

    /// Sets one label of the runtime.
    pub(super) async fn set_label(
        &self,
        trace: &mut Trace,
        key: &str,
        value: &str,
    ) -> Result<(), DirectorError> {
        let query = format!(
            "mutation {{\n  setRuntimeLabel(runtimeID: {}, key: {}, value: {}) {{ key value }}\n}}",
            quoted(self.runtime_id),
            quoted(key),
            quoted(value)
        );
        let answer = self.call(trace, &query).await.and_then(|answer: LabelAnswer| {
            answer.set_runtime_label.map(|_| ()).ok_or(CallError::Nil)
        });
        answer.map_err(|source| DirectorError::Label {
            key: key.into(),
            value: value.into(),
            source,
        })
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        trace: &mut Trace,
        query: &str,
    ) -> Result<T, CallError> {
        let header = Some((TENANT, self.tenant, false));
        let call = Call { url: self.url, header, query, limit: LONGEST_ANSWER };
        self.client.call(trace, call).await
    }
}

/// The pages so far.
#[derive(Debug, Default)]
struct Collected {
    applications: Vec<Application>,
    ids: BTreeSet<String>,
    cursors: BTreeSet<String>,
    promised: Option<usize>,
}

impl Collected {
    /// Adds a page and says where the next one begins.
    fn add(&mut self, page: Option<Page<Application>>) -> Result<Option<String>, DirectorError> {
        let page = page.ok_or(DirectorError::Nil)?;
        let applications = page.data.ok_or(DirectorError::Nil)?;
        for application in applications {
            // Offsets shift when the Director's list changes between two pages.
            if !self.ids.insert(application.id.clone()) {
                return Err(DirectorError::Repeated(application.id));
            }
            self.applications.push(application);
        }
        self.promised = page.total_count.or(self.promised);
        let Some(info) = page.page_info.filter(|info| info.has_next_page) else { return Ok(None) };
        // A cursor that leads nowhere new would be asked for ever.
        let cursor = info.end_cursor.filter(|cursor| self.cursors.insert(cursor.clone()));
        cursor.filter(|cursor| !cursor.is_empty()).map(Some).ok_or(DirectorError::Partial {
            got: self.applications.len(),
            promised: self.promised.unwrap_or_default(),
        })
    }

    /// SYNC-05: an application that was not delivered must not be taken for a removed one.
    fn whole(self) -> Result<Vec<Application>, DirectorError> {
        let got = self.applications.len();
        match self.promised {
            Some(promised) if promised != got => Err(DirectorError::Partial { got, promised }),
            _ => Ok(self.applications),
        }
    }
}

/// A GraphQL string literal; JSON's escapes are a part of GraphQL's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn page(selection: &str) -> String {
    format!(" data {{ {selection} }} pageInfo {{ startCursor endCursor hasNextPage }} totalCount ")
}

const APPLICATION: &str = "id name providerName description labels auths { id } bundles {
 data { id name description instanceAuthRequestInputSchema
  apiDefinitions {
   data { id name description targetURL group version { value deprecated deprecatedSince forRemoval } }
   pageInfo { startCursor endCursor hasNextPage } totalCount
  }
  eventDefinitions {
   data { id name description group version { value deprecated deprecatedSince forRemoval } }
   pageInfo { startCursor endCursor hasNextPage } totalCount
  }
  defaultInstanceAuth {
   credential {
    ... on BasicCredentialData { username password }
    ... on OAuthCredentialData { clientId clientSecret url }
   }
   additionalHeaders additionalQueryParams
   requestAuth { csrf { tokenEndpointURL } }
  }
 }
 pageInfo { startCursor endCursor hasNextPage } totalCount
}";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page_of(ids: &[&str], next: Option<&str>, total: usize) -> Option<Page<Application>> {
        let data: Vec<_> = ids.iter().map(|id| json!({"id": id, "name": id})).collect();
        let info = json!({"startCursor": "", "endCursor": next, "hasNextPage": next.is_some()});
        let page = json!({"data": data, "pageInfo": info, "totalCount": total});
        serde_json::from_value(page).expect("a page")
    }

    #[test]
    fn pages_are_collected_to_the_last() {
        let mut collected = Collected::default();
        let next = collected.add(page_of(&["a", "b"], Some("2"), 3)).expect("a page");
        assert_eq!(next.as_deref(), Some("2"));
        assert_eq!(collected.add(page_of(&["c"], None, 3)).expect("a page"), None);
        assert_eq!(collected.whole().expect("whole").len(), 3);
    }

    #[test]
    fn pages_that_lie_are_an_error() {
        let mut collected = Collected::default();
        collected.add(page_of(&["a"], Some("1"), 3)).expect("a page");
        assert!(matches!(
            collected.add(page_of(&["a"], None, 3)),
            Err(DirectorError::Repeated(id)) if id == "a"
        ));
        let mut collected = Collected::default();
        collected.add(page_of(&["a"], Some("1"), 3)).expect("a page");
        assert!(collected.add(page_of(&["b"], Some("1"), 3)).is_err(), "the cursor stands still");
        let mut collected = Collected::default();
        assert!(collected.add(page_of(&["a"], Some(""), 3)).is_err(), "no cursor");
        let mut collected = Collected::default();
        collected.add(page_of(&["a"], None, 3)).expect("a page");
        assert!(matches!(collected.whole(), Err(DirectorError::Partial { got: 1, promised: 3 })));
    }

    #[test]
    fn an_empty_list_is_a_whole_answer_and_no_list_is_none() {
        let mut collected = Collected::default();
        collected.add(page_of(&[], None, 0)).expect("a page");
        assert!(collected.whole().expect("whole").is_empty());
        assert!(matches!(Collected::default().add(None), Err(DirectorError::Nil)));
        let null: Option<Page<Application>> =
            serde_json::from_value(json!({"data": null})).expect("a page");
        assert!(matches!(Collected::default().add(null), Err(DirectorError::Nil)));
    }

    #[test]
    fn null_elements_and_wrong_types_do_not_decode() {
        for application in [
            json!(null),
            json!({"name": "no id"}),
            json!({"id": "a", "name": 1}),
            json!({"id": "a", "name": "a", "bundles": {"data": [null]}}),
            json!({"id": "a", "name": "a", "auths": [{}]}),
        ] {
            let page = json!({"applicationsForRuntime": {"data": [application]}});
            assert!(serde_json::from_value::<Answer>(page.clone()).is_err(), "{page}");
        }
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\n""#);
    }
}
