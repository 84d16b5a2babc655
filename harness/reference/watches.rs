//! Follows the CompassConnection and the Secrets of the connection by watch.

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::chain::chain;
use super::cluster::{Cluster, version};
use super::environment::{Environment, ObjectName};
use super::resource::{self, NAME};
use super::secrets::Versions;

/// What the watches have seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// Whether the API server has listed CompassConnections once: the kind exists.
    pub(super) listed: bool,
    /// Version at which the CompassConnection went away last; zero for never.
    pub(super) gone: u64,
    /// Versions at which somebody set a flag that was not set before; zero for never.
    pub(super) resync_set: u64,
    pub(super) refresh_set: u64,
    /// Newest versions of the Secrets, their deletion included.
    pub(super) secrets: Versions,
    connection: u64,
    flags: resource::Flags,
}

impl Observed {
    fn connection_is(&mut self, object: &DynamicObject) {
        let flags = resource::flags(object);
        let at = version(object);
        // K8S-05: each time that a flag appears is a request of its own.
        if flags.resync && !self.flags.resync {
            self.resync_set = at;
        }
        if flags.refresh && !self.flags.refresh {
            self.refresh_set = at;
        }
        self.flags = flags;
        self.connection = at;
    }

    /// It went away, at a version that is not known when that was while the watch was down.
    fn connection_is_gone(&mut self, at: Option<u64>) {
        self.flags = resource::Flags::default();
        if self.connection > 0 {
            self.gone = at.unwrap_or_default().max(self.connection + 1);
        }
        self.connection = 0;
    }
}

/// Where the version of a Secret is kept.
type Place = fn(&mut Versions) -> &mut u64;

/// The watches; they end with this value.
#[derive(Debug)]
pub(super) struct Watches {
    pub(super) observed: watch::Receiver<Observed>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Watches {
    pub(super) fn start(cluster: &Cluster, environment: &Environment) -> Self {
        let (sender, observed) = watch::channel(Observed::default());
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(follow_connection(
            stream(cluster.connections(), NAME),
            sender.clone(),
        )))];
        let places: [(&ObjectName, Place); 3] = [
            (&environment.configuration_secret, |versions| &mut versions.configuration),
            (&environment.client_secret, |versions| &mut versions.client),
            (&environment.ca_secret, |versions| &mut versions.ca),
        ];
        for (name, place) in places {
            let events = stream(cluster.secrets(&name.namespace), &name.name);
            let following = follow_secret(events, sender.clone(), place);
            tasks.push(AbortOnDropHandle::new(tokio::spawn(following)));
        }
        Self { observed, _tasks: tasks }
    }
}

/// K8S-03: the watcher resumes after a cut, lists anew after 410, and never gives up.
fn stream<K>(api: Api<K>, name: &str) -> impl Stream<Item = watcher::Result<Event<K>>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watch_objects(api, config).default_backoff()
}

async fn follow_connection(
    events: impl Stream<Item = watcher::Result<Event<DynamicObject>>>,
    observed: watch::Sender<Observed>,
) {
    let mut listed = false;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(object)) => {
                listed = true;
                observed.send_modify(|observed| observed.connection_is(&object));
            }
            Ok(Event::InitDone) => observed.send_modify(|observed| {
                observed.listed = true;
                if !listed {
                    observed.connection_is_gone(None);
                }
            }),
            Ok(Event::Apply(object)) => {
                observed.send_modify(|observed| observed.connection_is(&object));
            }
            Ok(Event::Delete(object)) => {
                observed.send_modify(|observed| {
                    observed.connection_is_gone(Some(version(&object)));
                });
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the watch of CompassConnections broke");
            }
        }
    }
}

async fn follow_secret(
    events: impl Stream<Item = watcher::Result<Event<k8s_openapi::api::core::v1::Secret>>>,
    observed: watch::Sender<Observed>,
    place: Place,
) {
    let mut listed = false;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(secret) | Event::Apply(secret) | Event::Delete(secret)) => {
                listed = true;
                let at = version(&secret);
                observed.send_modify(|observed| *place(&mut observed.secrets) = at);
            }
            // It went while the watch was down, so its last version says less than there is to say.
            Ok(Event::InitDone) if !listed => {
                observed.send_if_modified(|observed| {
                    let seen = place(&mut observed.secrets);
                    let gone = *seen > 0;
                    *seen += u64::from(gone);
                    gone
                });
            }
            Ok(Event::InitDone) => {}
            // Rights to watch Secrets may be missing (K8S-08): each round reads them anyway.
            Err(error) => tracing::debug!(error = chain(&error), "the watch of a Secret broke"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connection(version: u64, resync: bool) -> DynamicObject {
        let mut object = resource::blank();
        object.metadata.resource_version = Some(version.to_string());
        object.data = json!({"spec": {"resyncNow": resync}});
        object
    }

    #[test]
    fn a_flag_counts_when_it_appears_and_again_when_it_appears_again() {
        let mut observed = Observed::default();
        for (version, set, counted) in
            [(1, false, 0), (2, true, 2), (3, true, 2), (4, false, 2), (5, true, 5)]
        {
            observed.connection_is(&connection(version, set));
            assert_eq!(observed.resync_set, counted, "version {version}");
        }
        observed.connection_is_gone(None);
        assert_eq!(observed.gone, 6);
        observed.connection_is(&connection(9, true));
        assert_eq!(observed.resync_set, 9);
    }

    #[tokio::test]
    async fn a_secret_that_vanished_while_the_watch_was_down_counts_as_changed() {
        let mut secret = k8s_openapi::api::core::v1::Secret::default();
        secret.metadata.resource_version = Some("7".into());
        let events =
            [Event::Init, Event::InitDone, Event::Apply(secret), Event::Init, Event::InitDone];
        let (sender, observed) = watch::channel(Observed::default());
        let events = futures::stream::iter(events.map(Ok));
        follow_secret(events, sender, |versions| &mut versions.ca).await;
        assert_eq!(observed.borrow().secrets.ca, 8);
    }
}
