//! Input objects: what is taken from them, and how the Director words what is wrong with one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::DirectorError;
use super::labels::wrong_key;
use crate::compass::application::{
    Api, BasicCredential, Bundle, CertificateOAuthCredential, Credential, Credentials, Csrf,
    EventDefinition, OAuthCredential, Secret, Spec, Version,
};
use crate::compass::graphql::Field;
use crate::compass::landscape::{ExtraRecord, NewBundle};

/// An input object of which validation has seen that it has the form of its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'f>(Option<&'f Map<String, Value>>);

impl<'f> Input<'f> {
    /// The input object in an argument.
    pub(super) fn of(field: &'f Field, argument: &str) -> Self {
        Self(field.arguments.get(argument).and_then(Value::as_object))
    }

    fn value(&self, key: &str) -> Option<&'f Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    /// A text; none when it is absent or null.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.value(key)?.as_str().map(str::to_owned)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.value(key)?.as_bool()
    }

    fn object(&self, key: &str) -> Option<Self> {
        Some(Self(Some(self.value(key)?.as_object()?)))
    }

    /// The objects of a list.
    pub(super) fn objects(&self, key: &str) -> impl Iterator<Item = Self> {
        let items = self.value(key).and_then(Value::as_array).into_iter().flatten();
        items.map(|item| Self(item.as_object()))
    }

    /// Labels.
    pub(super) fn labels(&self) -> BTreeMap<String, Value> {
        let labels = self.value("labels").and_then(Value::as_object);
        labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Webhooks or documents as they are given.
    pub(super) fn extras(&self, key: &str) -> Vec<ExtraRecord> {
        self.objects(key).filter_map(|one| Some(ExtraRecord::new(one.0?.clone()))).collect()
    }

    /// The values of a header or query parameter: one may stand without its list.
    fn texts(&self, key: &str) -> BTreeMap<String, Vec<String>> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let texts = |value: &Value| match value {
            Value::Array(items) => items.iter().map(text).collect(),
            one => vec![text(one)],
        };
        let all = self.value(key).and_then(Value::as_object).into_iter().flatten();
        all.map(|(key, value)| (key.clone(), texts(value))).collect()
    }
}

/// What is wrong with an input, by field.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<(String, String)>);

impl Wrong {
    /// The limits of a text.
    pub(super) fn text(&mut self, field: &str, text: Option<&str>, longest: usize) {
        if text.is_some_and(|text| text.chars().count() > longest) {
            self.add(field, format!("the length must be no more than {longest}"));
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, field: &str, text: Option<&str>, longest: usize) {
        match text {
            None | Some("") => self.add(field, "cannot be blank"),
            text => self.text(field, text, longest),
        }
    }

    /// Labels that may be given at registration.
    pub(super) fn labels(&mut self, labels: &BTreeMap<String, Value>) {
        for key in labels.keys() {
            if let Some(reason) = wrong_key(key) {
                self.add("labels", format!("{key}: {reason}"));
            }
        }
    }

    pub(super) fn add(&mut self, field: &str, reason: impl Into<String>) {
        self.0.push((field.into(), reason.into()));
    }

    /// Nothing is wrong, or an error that names all that is.
    pub(super) fn none_in(self, input: &str) -> Result<(), DirectorError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let wrong = Vec::from_iter(self.0.iter().map(|(field, why)| (&**field, &**why)));
        Err(DirectorError::invalid_input(input, &wrong))
    }

    /// The mistakes in an item of a list, in ozzo-validation's nested form.
    fn within(&mut self, field: &str, index: usize, item: Self) {
        let mut inner = Vec::from_iter(item.0.iter().map(|(field, why)| format!("{field}: {why}")));
        inner.sort();
        if !inner.is_empty() {
            self.add(field, format!("{index}: ({}.).", inner.join("; ")));
        }
    }
}

/// A bundle from a `BundleCreateInput`.
pub(super) fn bundle(input: Input<'_>, wrong: &mut Wrong) -> NewBundle {
    let name = input.text("name");
    let description = input.text("description");
    wrong.required("name", name.as_deref(), 100);
    wrong.text("description", description.as_deref(), 2000);
    let mut written = Bundle {
        description,
        instance_auth_request_input_schema: input.text("instanceAuthRequestInputSchema"),
        ..Bundle::named(name.unwrap_or_default())
    };
    for (index, one) in input.objects("apiDefinitions").enumerate() {
        let api = Api {
            name: one.text("name").unwrap_or_default(),
            url: one.text("targetURL").unwrap_or_default(),
            description: one.text("description"),
            group: one.text("group"),
            version: one.object("version").map(version),
            spec: one.object("spec").map(spec),
        };
        let mut within = Wrong::default();
        within.required("name", Some(&*api.name), 100);
        within.text("description", api.description.as_deref(), 2000);
        within.required("targetURL", Some(&*api.url), 256);
        if !api.url.is_empty() && reqwest::Url::parse(&api.url).is_err() {
            within.add("targetURL", "must be a valid URL");
        }
        within.text("group", api.group.as_deref(), 100);
        wrong.within("apiDefinitions", index, within);
        written.apis.push(api);
    }
    for (index, one) in input.objects("eventDefinitions").enumerate() {
        let event = EventDefinition {
            name: one.text("name").unwrap_or_default(),
            description: one.text("description"),
            group: one.text("group"),
            version: one.object("version").map(version),
            spec: one.object("spec").map(spec),
        };
        let mut within = Wrong::default();
        within.required("name", Some(&*event.name), 100);
        within.text("description", event.description.as_deref(), 2000);
        within.text("group", event.group.as_deref(), 100);
        wrong.within("eventDefinitions", index, within);
        written.events.push(event);
    }
    if let Some(auth) = input.object("defaultInstanceAuth") {
        written.headers = auth.texts("additionalHeaders");
        written.query_parameters = auth.texts("additionalQueryParams");
        written.credentials = credentials(auth);
    }
    let ids = input.value("correlationIDs").and_then(Value::as_array).into_iter().flatten();
    let correlation_ids = ids.filter_map(|id| id.as_str().map(str::to_owned)).collect();
    NewBundle { written, documents: input.extras("documents"), correlation_ids }
}

fn credentials(auth: Input<'_>) -> Option<Credentials> {
    let text = |input: &Input<'_>, key: &str| input.text(key).unwrap_or_default();
    let secret = |input: &Input<'_>, key: &str| Secret::from(&*text(input, key));
    let credential = auth.object("credential").and_then(|given| {
        if let Some(basic) = given.object("basic") {
            let (username, password) = (text(&basic, "username"), secret(&basic, "password"));
            return Some(Credential::Basic(BasicCredential { username, password }));
        }
        if let Some(oauth) = given.object("oauth") {
            return Some(Credential::OAuth(OAuthCredential {
                client_id: text(&oauth, "clientId"),
                client_secret: secret(&oauth, "clientSecret"),
                url: text(&oauth, "url"),
            }));
        }
        let oauth = given.object("certificateOAuth")?;
        Some(Credential::CertificateOAuth(CertificateOAuthCredential {
            client_id: text(&oauth, "clientId"),
            certificate: text(&oauth, "certificate"),
            url: text(&oauth, "url"),
        }))
    });
    let csrf = auth.object("requestAuth").and_then(|auth| auth.object("csrf"));
    let csrf = csrf.map(|csrf| Csrf { token_endpoint_url: text(&csrf, "tokenEndpointURL") });
    (credential.is_some() || csrf.is_some()).then_some(Credentials { credential, csrf })
}

fn version(input: Input<'_>) -> Version {
    Version {
        value: input.text("value").unwrap_or_default(),
        deprecated: input.flag("deprecated"),
        deprecated_since: input.text("deprecatedSince"),
        for_removal: input.flag("forRemoval"),
    }
}

fn spec(input: Input<'_>) -> Spec {
    Spec {
        data: input.text("data"),
        kind: input.text("type").unwrap_or_default(),
        format: input.text("format").unwrap_or_default(),
    }
}
