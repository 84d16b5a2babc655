//! Brings the cluster's Applications and their Secrets to what the Director says.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};

use super::naming;
use super::objects::{self, CutError, Desired, DesiredSecret};
use crate::reference::chain::chain;
use crate::reference::cluster::{Cluster, ClusterError, calling};
use crate::reference::director::Fetched;
use crate::reference::environment::Environment;

/// Calls at a time; enough for thousands of Applications in seconds (K8S-06).
const AT_A_TIME: usize = 8;
/// How often an Application is tried against other writers.
const CONFLICTS: u32 = 5;
/// Failed applications that are named; a status is no log.
const NAMED: usize = 5;

/// Why the cluster is not as the Director says.
#[derive(Debug, thiserror::Error)]
pub(in crate::reference) enum ApplyError {
    #[error("Failed to get application list: Failed to list applications")]
    List(#[source] ClusterError),
    #[error("The compass application name is duplicated {0}")]
    Duplicate(String),
    #[error("Failed to apply {failed} of {all} applications: {texts}")]
    Some { failed: usize, all: usize, texts: String },
}

/// Why one application is not as the Director says.
#[derive(Debug, thiserror::Error)]
enum OneError {
    #[error("an Application of this name is not managed by the agent")]
    Foreign,
    #[error("its answer is not whole")]
    Cut(#[source] CutError),
    #[error("its Secret `{0}` would be the one of another application, too")]
    Shared(String),
    #[error("the Secret `{0}` is not managed by the agent")]
    ForeignSecret(String),
    #[error("the Application cannot be written")]
    Application(#[source] ClusterError),
    #[error("the Secret `{name}` cannot be written")]
    Secret {
        name: String,
        #[source]
        source: ClusterError,
    },
    #[error("the Application cannot be removed")]
    Remove(#[source] ClusterError),
}

impl ApplyError {
    /// Whether nothing at all was changed.
    pub(in crate::reference) fn is_total(&self) -> bool {
        !matches!(self, Self::Some { .. })
    }
}

struct Applier<'a> {
    environment: &'a Environment,
    applications: Api<DynamicObject>,
    secrets: Api<Secret>,
}

type Outcome = (String, Result<(), OneError>);

/// Applies all of it; a failure of one application does not keep the others (APP-07, SYNC-17).
pub(in crate::reference) async fn apply(
    cluster: &Cluster,
    environment: &Environment,
    fetched: &Fetched,
) -> Result<(), ApplyError> {
    let applier = Applier {
        environment,
        applications: Api::all_with(cluster.client().clone(), &objects::applications()),
        // SEC-06: Secrets are written in this namespace only.
        secrets: cluster.secrets(&environment.integration_namespace),
    };
    let everything = ListParams::default();
    let list = calling(|| applier.applications.list(&everything).boxed())
        .await
        .map_err(ApplyError::List)?;
    let mut existing: BTreeMap<String, DynamicObject> =
        list.items.into_iter().map(|object| (object.name_any(), object)).collect();
    let (desired, mut outcomes) = describe(environment, fetched)?;
    let mut creates = Vec::new();
    let mut updates = Vec::new();
    for desired in desired {
        match existing.remove(&desired.name) {
            None => creates.push(desired),
            Some(object) if objects::is_managed(&object) => updates.push((desired, object)),
            // APP-06
            Some(_) => outcomes.push((desired.name, Err(OneError::Foreign))),
        }
    }
    // What failed to be described is still wanted, so it is not removed (SYNC-05).
    for (name, _) in &outcomes {
        existing.remove(name);
    }
    // SYNC-16: what the Director does not name goes, if it is the agent's.
    let removes: Vec<_> = existing.into_values().filter(objects::is_managed).collect();
    let all = outcomes.len() + creates.len() + updates.len() + removes.len();
    // Creates before deletes before updates, so that a renamed application is never missing.
    let work = creates.iter().map(|desired| applier.create(desired).boxed()).collect();
    outcomes.extend(together(work).await);
    let work = removes.iter().map(|object| applier.remove(object).boxed()).collect();
    outcomes.extend(together(work).await);
    let updates = updates.into_iter();
    let work = updates.map(|(desired, object)| applier.update(desired, object).boxed()).collect();
    outcomes.extend(together(work).await);
    report(outcomes, all)
}

/// What is wanted, and what cannot be said of it. Nothing is changed when two names are the same.
fn describe(
    environment: &Environment,
    fetched: &Fetched,
) -> Result<(Vec<Desired>, Vec<Outcome>), ApplyError> {
    let normalise = naming::normalises(fetched.labels.get("isNormalized"));
    let mut names = BTreeSet::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::new();
    let mut failures = Vec::new();
    for application in &fetched.applications {
        let name = naming::application(&application.name, normalise);
        // SYNC-08: which of the two would win must not be left to chance.
        if !names.insert(name.clone()) {
            return Err(ApplyError::Duplicate(name));
        }
        let desired = match Desired::new(application, &name, &environment.central_gateway_url) {
            Ok(desired) => desired,
            Err(error) => {
                failures.push((name, Err(OneError::Cut(error))));
                continue;
            }
        };
        // APP-08: names that are the same after cutting do not collide silently.
        let shared = desired.secrets.keys().find(|secret| owners.contains_key(*secret)).cloned();
        match shared {
            Some(secret) => failures.push((name, Err(OneError::Shared(secret)))),
            None => {
                owners.extend(desired.secrets.keys().map(|secret| (secret.clone(), name.clone())));
                all.push(desired);
            }
        }
    }
    Ok((all, failures))
}

/// Some at a time. The futures are boxed for the reason that `calling` has.
async fn together(work: Vec<BoxFuture<'_, Outcome>>) -> Vec<Outcome> {
    stream::iter(work).buffer_unordered(AT_A_TIME).collect().await
}

fn report(outcomes: Vec<Outcome>, all: usize) -> Result<(), ApplyError> {
    let mut failures: Vec<(String, OneError)> = outcomes
        .into_iter()
        .filter_map(|(name, outcome)| outcome.err().map(|error| (name, error)))
        .collect();
    // They come in the order in which the calls ended, which must not show.
    failures.sort_by(|one, other| one.0.cmp(&other.0));
    for (application, error) in &failures {
        tracing::warn!(application, error = chain(error), "an application was not applied");
    }
    let texts: Vec<_> = failures
        .iter()
        .take(NAMED)
        .map(|(name, error)| format!("{name}: {}", chain(error)))
        .collect();
    let failed = failures.len();
    let more = if failed > NAMED { "; …" } else { "" };
    let texts = format!("{}{more}", texts.join("; "));
    if failed == 0 { Ok(()) } else { Err(ApplyError::Some { failed, all, texts }) }
}

impl Applier<'_> {
    async fn create(&self, desired: &Desired) -> Outcome {
        (desired.name.clone(), self.try_create(desired).await)
    }

    async fn try_create(&self, desired: &Desired) -> Result<(), OneError> {
        let parameters = PostParams::default();
        let object = desired.create(self.environment.skip_apps_tls_verify);
        let created = calling(|| self.applications.create(&parameters, &object).boxed())
            .await
            .map_err(OneError::Application)?;
        // The Secrets come second: they name the uid of the Application as their owner.
        self.keep_secrets(desired, &created).await
    }

    async fn remove(&self, object: &DynamicObject) -> Outcome {
        let name = object.name_any();
        let result = async {
            // Secrets first: as long as the Application is there, a failure is repaired later.
            for secret in objects::named_secrets(object) {
                self.remove_secret(&secret).await?;
            }
            let parameters = DeleteParams::default();
            let gone = calling(|| self.applications.delete(&name, &parameters).boxed()).await;
            missing_is_fine(gone.map(|_| ())).map_err(OneError::Remove)
        };
        let result = result.await;
        (name, result)
    }

    async fn update(&self, desired: Desired, object: DynamicObject) -> Outcome {
        let result = self.try_update(&desired, object).await;
        (desired.name, result)
    }

    async fn try_update(
        &self,
        desired: &Desired,
        mut object: DynamicObject,
    ) -> Result<(), OneError> {
        // APP-05: what the new description does not name any more goes at the end.
        let named = objects::named_secrets(&object);
        let parameters = PostParams::default();
        self.keep_secrets(desired, &object).await?;
        for _ in 0..CONFLICTS {
            let before = object.clone();
            desired.update(&mut object);
            // APP-09: no write without a difference.
            if object == before {
                return self.remove_secrets(named, desired).await;
            }
            let written =
                calling(|| self.applications.replace(&desired.name, &parameters, &object).boxed());
            match written.await {
                Ok(_) => return self.remove_secrets(named, desired).await,
                Err(error) if error.is_code(409) => {}
                Err(error) => return Err(OneError::Application(error)),
            }
            object = calling(|| self.applications.get(&desired.name).boxed())
                .await
                .map_err(OneError::Application)?;
        }
        Err(OneError::Application(ClusterError::Contended))
    }

    async fn remove_secrets(&self, names: Vec<String>, desired: &Desired) -> Result<(), OneError> {
        for name in names.iter().filter(|name| !desired.secrets.contains_key(*name)) {
            self.remove_secret(name).await?;
        }
        Ok(())
    }

    async fn remove_secret(&self, name: &str) -> Result<(), OneError> {
        let parameters = DeleteParams::default();
        let gone = calling(|| self.secrets.delete(name, &parameters).boxed()).await;
        missing_is_fine(gone.map(|_| ()))
            .map_err(|source| OneError::Secret { name: name.into(), source })
    }

    async fn keep_secrets(&self, desired: &Desired, owner: &DynamicObject) -> Result<(), OneError> {
        for (name, secret) in &desired.secrets {
            self.keep_secret(name, secret, &desired.name, owner).await?;
        }
        Ok(())
    }

    async fn keep_secret(
        &self,
        name: &str,
        desired: &DesiredSecret,
        application: &str,
        owner: &DynamicObject,
    ) -> Result<(), OneError> {
        let failed = |source| OneError::Secret { name: name.into(), source };
        let parameters = PostParams::default();
        for _ in 0..CONFLICTS {
            let found = calling(|| self.secrets.get_opt(name).boxed()).await.map_err(failed)?;
            let exists = found.is_some();
            let before = found.unwrap_or_default();
            let foreign = before.labels().get("app").is_none_or(|app| app != application);
            if exists && foreign {
                return Err(OneError::ForeignSecret(name.into()));
            }
            let mut secret = before.clone();
            fill(&mut secret, name, desired, application, owner);
            // APP-09
            if exists && secret == before {
                return Ok(());
            }
            let written = if exists {
                calling(|| self.secrets.replace(name, &parameters, &secret).boxed()).await
            } else {
                calling(|| self.secrets.create(&parameters, &secret).boxed()).await
            };
            match written {
                Err(error) if error.is_code(409) || exists && error.is_code(404) => {}
                result => return result.map(|_| ()).map_err(failed),
            }
        }
        Err(failed(ClusterError::Contended))
    }
}

/// APP-03: found by its labels, owned by the Application.
fn fill(
    secret: &mut Secret,
    name: &str,
    desired: &DesiredSecret,
    application: &str,
    owner: &DynamicObject,
) {
    secret.metadata.name = Some(name.into());
    let labels = secret.labels_mut();
    labels.insert("app".into(), application.into());
    labels.insert("bundleId".into(), desired.bundle_id.clone());
    secret.data = Some(desired.content.clone());
    secret.metadata.owner_references = Some(vec![OwnerReference {
        api_version: objects::API_VERSION.into(),
        kind: "Application".into(),
        name: application.into(),
        uid: owner.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
}

fn missing_is_fine(result: Result<(), ClusterError>) -> Result<(), ClusterError> {
    match result {
        Err(error) if error.is_code(404) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fetched(applications: &[serde_json::Value]) -> Fetched {
        let applications = applications
            .iter()
            .map(|application| serde_json::from_value(application.clone()).expect("good"));
        Fetched { labels: serde_json::Map::new(), applications: applications.collect() }
    }

    fn with_credentials(name: &str, bundle: &str) -> serde_json::Value {
        json!({"id": name, "name": name, "bundles": {"data": [{
            "id": bundle, "name": "b",
            "apiDefinitions": {"data": [{"id": "a", "name": "a", "targetURL": "https://a"}]},
            "defaultInstanceAuth": {"credential": {"username": "u", "password": "p"}},
        }]}})
    }

    #[test]
    fn two_applications_of_one_name_stop_everything() {
        let environment = Environment::read(|_| None).expect("defaults");
        let both = [json!({"id": "1", "name": "a.b"}), json!({"id": "2", "name": "A-B"})];
        let error = describe(&environment, &fetched(&both)).expect_err("the same name");
        assert!(error.is_total());
        assert_eq!(error.to_string(), "The compass application name is duplicated mp-a-b");
    }

    #[test]
    fn secret_names_that_are_the_same_after_cutting_are_noticed() {
        let environment = Environment::read(|_| None).expect("defaults");
        let long = "a-very-long-application-name";
        let applications = [
            with_credentials(&format!("{long}-one"), "b"),
            with_credentials(&format!("{long}-two"), "b"),
            with_credentials(&format!("{long}-three"), "c"),
        ];
        let (all, failures) = describe(&environment, &fetched(&applications)).expect("no doubles");
        assert_eq!(all.len(), 2);
        assert_eq!(failures[0].0, format!("mp-{long}-two"));
        assert!(matches!(failures[0].1, Err(OneError::Shared(_))));
    }

    #[test]
    fn failures_are_counted_and_the_first_are_named_in_order() {
        let outcomes = (0..8).rev().map(|n| (format!("app-{n}"), Err(OneError::Foreign)));
        let error = report(outcomes.collect(), 20).expect_err("failures").to_string();
        assert!(error.starts_with("Failed to apply 8 of 20 applications: app-0: "), "{error}");
        assert!(error.ends_with("; …") && !error.contains("app-5"), "{error}");
    }
}
