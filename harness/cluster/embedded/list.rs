//! Lists: selections, versions, pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::api::Api;
use super::delete::Item;
use super::request::{Call, Target};
use super::selector::{Fields, Labels};
use super::status::{Cause, Status};
use super::store::Stored;
use super::write;

/// How long a read waits for a version that is not there yet.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What a list or watch asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) labels: Labels,
    pub(super) fields: Fields,
    limit: usize,
    token: Option<Token>,
    version: Version,
}

/// Which version a list is to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Version {
    /// The most recent one.
    #[default]
    Latest,
    /// Any; a limit does not count.
    Any,
    NotOlderThan(u64),
    Exact(u64),
}

/// A continue token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    revision: Option<u64>,
    start: String,
}

impl Token {
    fn write(&self) -> String {
        let revision =
            self.revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(i64::MAX));
        let text = json!({ "v": "meta.k8s.io/v1", "rv": revision, "start": self.start });
        URL_SAFE_NO_PAD.encode(text.to_string())
    }

    fn read(text: &str) -> Result<Self, Status> {
        let fail = |why: &str| Status::bad_request(format!("invalid continue token: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| fail("continue key is not valid: illegal base64 data"))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| fail("continue key is not valid: no JSON"))?;
        let start = value["start"].as_str().filter(|start| !start.is_empty());
        let (Some(start), Some(revision), true) =
            (start, value["rv"].as_i64(), value["v"] == "meta.k8s.io/v1")
        else {
            return Err(fail(
                "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        };
        Ok(Self { revision: u64::try_from(revision).ok(), start: start.to_owned() })
    }
}

impl Selection {
    /// Whether an object is selected.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Reads the selectors of a request.
    pub(super) fn selectors(call: &Call, target: &Target) -> Result<Self, Status> {
        let labels = Labels::parse(call.query.get("labelSelector").unwrap_or_default())
            .map_err(Status::bad_request)?;
        let fields = call.query.get("fieldSelector").unwrap_or_default();
        let fields = Fields::parse(fields, &target.resource).map_err(Status::bad_request)?;
        Ok(Self { labels, fields, ..Self::default() })
    }

    /// Reads everything that a list may say.
    pub(super) fn read(call: &Call, target: &Target) -> Result<Self, Status> {
        let mut selection = Self::selectors(call, target)?;
        call.query.number("timeoutSeconds")?;
        // None or less than none: everything.
        selection.limit = usize::try_from(call.query.number("limit")?.unwrap_or(0)).unwrap_or(0);
        let version = call.query.get("resourceVersion").unwrap_or_default();
        let matching = call.query.get("resourceVersionMatch").unwrap_or_default();
        let token = call.query.get("continue").filter(|token| !token.is_empty());
        check_options(call, version, matching, token.is_some())?;
        let number = match version {
            "" | "0" => 0,
            text => text.parse().map_err(|_| {
                Status::bad_request(format!(
                    "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
                ))
            })?,
        };
        if let Some(token) = token {
            if !matches!(version, "" | "0") {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            selection.token = Some(Token::read(token)?);
        }
        selection.version = match (version, matching) {
            ("", _) => Version::Latest,
            ("0", _) => Version::Any,
            (_, "Exact") => Version::Exact(number),
            (_, "NotOlderThan") => Version::NotOlderThan(number),
            _ if selection.limit > 0 => Version::Exact(number),
            _ => Version::NotOlderThan(number),
        };
        if selection.version == Version::Any {
            selection.limit = 0;
        }
        Ok(selection)
    }
}

/// Checks what may be said about versions together.
fn check_options(
    call: &Call,
    version: &str,
    matching: &str,
    continued: bool,
) -> Result<(), Status> {
    let mut causes = Vec::new();
    let forbid = |field: &str, text: &str| Cause::forbidden(field, text);
    if call.query.get("sendInitialEvents").is_some_and(|value| !value.is_empty()) {
        causes.push(forbid("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !matching.is_empty() {
        if continued {
            causes.push(forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        } else if version.is_empty() {
            causes.push(forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        match matching {
            "Exact" if version == "0" => {
                let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                causes.push(forbid("resourceVersionMatch", text));
            }
            "Exact" | "NotOlderThan" => {}
            other => {
                let supported = ["Exact", "NotOlderThan", ""].map(str::to_owned);
                causes.push(Cause::unsupported("resourceVersionMatch", &json!(other), &supported));
            }
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_options("ListOptions", &causes)) }
}

/// One page of a list.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) revision: u64,
    pub(super) token: Option<String>,
    pub(super) remaining: Option<usize>,
}

/// Waits for the version that a list asks for, and lists.
pub(super) async fn list(api: &Api, call: &Call, target: &Target) -> Result<Page, Status> {
    let selection = Selection::read(call, target)?;
    if let Version::NotOlderThan(revision) | Version::Exact(revision) = selection.version {
        wait_for(api, revision).await?;
    }
    page(api, target, &selection)
}

/// Waits until a version is there; a 504 when it does not come.
pub(super) async fn wait_for(api: &Api, revision: u64) -> Result<(), Status> {
    let mut revisions = api.store().revisions();
    let reached =
        tokio::time::timeout(PATIENCE, revisions.wait_for(|current| *current >= revision)).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Status::too_new(revision, api.store().read().revision)),
    }
}

/// The page that a selection asks for.
pub(super) fn page(api: &Api, target: &Target, selection: &Selection) -> Result<Page, Status> {
    let collection = &target.resource.collection;
    let prefix =
        if target.namespace.is_empty() { String::new() } else { format!("{}/", target.namespace) };
    let start = selection.token.as_ref().map(|token| token.start.clone());
    let state = api.store().read();
    let exact = match (&selection.token, selection.version) {
        (Some(token), _) => token.revision,
        (None, Version::Exact(revision)) => Some(revision),
        _ => None,
    };
    let revision = exact.unwrap_or(state.revision);
    let candidates: Vec<Item> = match exact.filter(|revision| *revision < state.revision) {
        Some(exact) => {
            let past = state.at(collection, exact).map_err(|_| expired(selection))?;
            range(&past, &prefix, start.as_deref())
        }
        None => match selection
            .fields
            .name()
            .filter(|_| start.is_none() && !prefix.is_empty() || !target.resource.namespaced)
        {
            // One name: no need to look at the others.
            Some(name) => {
                let key: Arc<str> = format!("{prefix}{name}").into();
                state.get(collection, &key).map(|stored| Item { key, stored }).into_iter().collect()
            }
            None if selection.limit > 0 && selection.is_everything() => {
                // The rest of the page is only counted.
                let mut all = state.range(collection, &prefix, start.as_deref());
                let items: Vec<Item> = all.by_ref().take(selection.limit).map(item).collect();
                return Ok(finish(items, all.count(), true, revision));
            }
            None => state.range(collection, &prefix, start.as_deref()).map(item).collect(),
        },
    };
    // Selecting takes longer than copying references; writers need not wait for it.
    drop(state);
    Ok(cut(target, selection, candidates, revision))
}

fn range(
    objects: &BTreeMap<Arc<str>, Arc<Stored>>,
    prefix: &str,
    start: Option<&str>,
) -> Vec<Item> {
    let from = start.filter(|start| *start > prefix).unwrap_or(prefix);
    objects
        .range::<str, _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(item)
        .collect()
}

fn item((key, stored): (&Arc<str>, &Arc<Stored>)) -> Item {
    Item { key: Arc::clone(key), stored: Arc::clone(stored) }
}

/// A page, with a token when there is a rest.
fn finish(items: Vec<Item>, rest: usize, everything: bool, revision: u64) -> Page {
    let last = items.last().filter(|_| rest > 0);
    let token = last
        .map(|last| Token { revision: Some(revision), start: format!("{}\0", last.key) }.write());
    // How many of the rest a selection matches is not told.
    let remaining = (rest > 0 && everything).then_some(rest);
    Page { items, revision, token, remaining }
}

/// Selects, and cuts to the limit.
fn cut(target: &Target, selection: &Selection, candidates: Vec<Item>, revision: u64) -> Page {
    let everything = selection.is_everything();
    let total = candidates.len();
    let mut items = Vec::new();
    let mut seen = 0;
    for item in candidates {
        if selection.limit > 0 && items.len() == selection.limit {
            if everything || selection.matches(&write::load(&target.resource, &item.stored)) {
                break;
            }
            seen += 1;
            continue;
        }
        seen += 1;
        if everything || selection.matches(&write::load(&target.resource, &item.stored)) {
            items.push(item);
        }
    }
    finish(items, total - seen, everything, revision)
}

/// The 410 of a version that is forgotten, with a token for an inconsistent rest where a list was being continued.
fn expired(selection: &Selection) -> Status {
    match &selection.token {
        Some(token) => {
            let text = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
            let mut status = Status::expired(text);
            status.continue_token =
                Some(Token { revision: None, start: token.start.clone() }.write().into());
            status
        }
        None => Status::expired("The resourceVersion for the provided list is too old."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = Token { revision: Some(7), start: "ns/a\0".into() };
        assert_eq!(Token::read(&token.write()).expect("our own"), token);
        assert_eq!(Token::read("garbage").expect_err("garbage").code, 400);
    }
}
