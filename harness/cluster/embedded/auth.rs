//! Who asks: bearer tokens, client certificates, anonymous, impersonation.

use http::HeaderMap;
use serde_json::Value;

use super::api::Api;
use super::request::User;
use super::status::Status;
use super::tokens;

pub(super) const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

impl User {
    pub(super) fn admin() -> Self {
        Self {
            name: "admin".into(),
            uid: "admin".into(),
            groups: groups(&["system:masters"]),
            extra: Vec::new(),
        }
    }

    pub(super) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".into(),
            groups: vec![UNAUTHENTICATED.into()],
            ..Self::default()
        }
    }

    pub(super) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|one| one == group)
    }

    /// A user as a client certificate names it: CN is the name, O are the groups.
    pub(super) fn from_certificate(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = parsed.subject();
        let name =
            subject.iter_common_name().next().and_then(|name| name.as_str().ok())?.to_owned();
        let organizations: Vec<&str> =
            subject.iter_organization().filter_map(|o| o.as_str().ok()).collect();
        Some(Self { name, groups: groups(&organizations), ..Self::default() })
    }
}

fn groups(own: &[&str]) -> Vec<String> {
    own.iter().chain([&AUTHENTICATED]).map(|group| (*group).to_owned()).collect()
}

/// Finds the user of a request.
pub(super) fn authenticate(
    api: &Api,
    headers: &HeaderMap,
    certificate: Option<&User>,
) -> Result<User, Status> {
    let header =
        headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = header
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "))
        .map(|_| header[7..].trim());
    let user = match (bearer, certificate) {
        (Some(token), _) if !token.is_empty() => {
            of_token(api, token).ok_or_else(Status::unauthorized)?
        }
        (_, Some(user)) => user.clone(),
        _ => User::anonymous(),
    };
    impersonate(api, user, headers)
}

/// The user that a bearer token stands for.
pub(super) fn of_token(api: &Api, token: &str) -> Option<User> {
    if constant_time_equal(token.as_bytes(), api.admin_token().as_bytes()) {
        return Some(User::admin());
    }
    let claims = tokens::verify(api, token)?;
    Some(of_claims(&claims))
}

/// The user that a service account token names.
pub(super) fn of_claims(claims: &Value) -> User {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let own = &claims["kubernetes.io"];
    let namespace = text(&own["namespace"]);
    let name =
        format!("system:serviceaccount:{namespace}:{}", text(&own["serviceaccount"]["name"]));
    let mut extra = vec![(
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("JTI={}", text(&claims["jti"]))],
    )];
    if let Some(pod) = own["pod"]["name"].as_str() {
        extra.push(("authentication.kubernetes.io/pod-name".into(), vec![pod.to_owned()]));
        extra.push(("authentication.kubernetes.io/pod-uid".into(), vec![text(&own["pod"]["uid"])]));
    }
    let account = format!("system:serviceaccounts:{namespace}");
    User {
        name,
        uid: text(&own["serviceaccount"]["uid"]),
        groups: groups(&["system:serviceaccounts", &account]),
        extra,
    }
}

fn impersonate(api: &Api, user: User, headers: &HeaderMap) -> Result<User, Status> {
    let all = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let (name, uid, asked) =
        (all("impersonate-user"), all("impersonate-uid"), all("impersonate-group"));
    let Some(name) = name.first().filter(|name| !name.is_empty()) else {
        if asked.is_empty() && uid.is_empty() {
            return Ok(user);
        }
        let list: Vec<String> = asked.iter().map(|group| format!("{group:?}")).collect();
        return Err(Status::bad_request(format!(
            "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:[]string{{{}}}, Extra:map[string][]string(nil)}} without impersonating a user name",
            uid.first().map_or("", String::as_str),
            list.join(", ")
        )));
    };
    super::rbac::may_impersonate(api, &user, name, &asked)?;
    let mut groups = asked;
    if groups.is_empty()
        && let Some(rest) = name.strip_prefix("system:serviceaccount:")
        && let Some((namespace, _)) = rest.split_once(':')
    {
        groups =
            vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    let own = if name == "system:anonymous" { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        groups.push(own.into());
    }
    let uid = uid.into_iter().next().unwrap_or_default();
    Ok(User { name: name.clone(), uid, groups, extra: Vec::new() })
}

fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
