//! Hand-made journals: for each claim one that holds and one that breaks.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::journal::{
    AgentEvent, Answer, CertificateEvent, CertificateFacts, Door, Entry, Event, FaultEvent,
    Identity, KubernetesCall, LandscapeEvent, ObjectChange, ObjectRef, Peer, RecorderEvent,
    Request, Revision, SecretValue, StepEvent, StepResult, TokenEvent,
};
use crate::scenario::{self, Scenario};

mod claims;
mod rules;
mod steps;

/// A journal that is written by hand.
pub(super) struct Story {
    pub entries: Vec<Arc<Entry>>,
    now: Duration,
    version: u32,
    request: u64,
    step: usize,
    content: Value,
    uid: u32,
}

pub(super) fn start() -> Timestamp {
    "2026-04-11T12:00:00Z".parse().expect("a time")
}

pub(super) fn terms() -> Terms {
    Terms::new(start(), 1.0, ("kyma-system", "client"), ("istio-system", "ca"))
}

/// Certificate n lives 40 s from n minutes before the start on, unless the test says otherwise.
pub(super) fn facts(number: u32) -> CertificateFacts {
    let not_before = start() - Duration::from_secs(1);
    CertificateFacts {
        fingerprint: format!("f{number}"),
        public_key: format!("k{number}"),
        not_before: not_before + Duration::from_secs(u64::from(number - 1) * 28),
        not_after: not_before + Duration::from_secs(u64::from(number - 1) * 28 + 40),
    }
}

impl Story {
    pub(super) fn new() -> Self {
        let content = json!({
            "metadata": {"name": "compass-connection"},
            "spec": {"managementInfo": {"connectorUrl": "https://c", "directorUrl": "https://d"}},
            "status": {"connectionState": "Connected", "connectionStatus": {"certificateStatus": {}}},
        });
        Self {
            entries: Vec::new(),
            now: Duration::ZERO,
            version: 100,
            request: 0,
            step: 0,
            content,
            uid: 1,
        }
    }

    /// Sets the clock of the journal.
    pub(super) fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Duration::from_millis(millis);
        self
    }

    pub(super) fn push(&mut self, event: impl Into<Event>) -> &mut Self {
        let seq = self.entries.len() as u64;
        let at = u64::try_from(self.now.as_micros()).expect("a short story");
        self.entries.push(Arc::new(Entry { seq, at, event: event.into() }));
        self.now += Duration::from_millis(1);
        self
    }

    pub(super) fn began(&mut self) -> &mut Self {
        let index = self.step;
        self.push(StepEvent::Began { index, name: format!("step {index}") })
    }

    pub(super) fn done(&mut self) -> &mut Self {
        let index = self.step;
        self.step += 1;
        self.push(StepEvent::Ended { index, result: StepResult::Done })
    }

    pub(super) fn failed(&mut self) -> &mut Self {
        let index = self.step;
        self.step += 1;
        self.push(StepEvent::Ended { index, result: StepResult::Failed })
    }

    /// An action that the engine does at once.
    pub(super) fn act(&mut self) -> &mut Self {
        self.began().done()
    }

    /// The clock time of the story, whole seconds, as an agent writes it.
    pub(super) fn clock(&self) -> String {
        let now = start() + self.now;
        Timestamp::from_second(now.as_second()).expect("in range").to_string()
    }

    /// A revision of the CompassConnection with these changes (JSON merge patch).
    pub(super) fn connection(&mut self, patch: Value) -> &mut Self {
        json_patch::merge(&mut self.content, &patch);
        self.version += 1;
        let revision = self.revision(ObjectChange::Modified);
        self.push(revision)
    }

    /// The agent writes the CompassConnection: request, revision, answer.
    pub(super) fn written(&mut self, patch: Value) -> &mut Self {
        self.request += 1;
        let id = self.request;
        let call = KubernetesCall {
            verb: "update".into(),
            group: "compass.kyma-project.io".into(),
            resource: "compassconnections".into(),
            subresource: None,
            namespace: None,
            name: Some("compass-connection".into()),
        };
        self.push(Request {
            door: Door::Kubernetes,
            peer: Peer::Kubernetes,
            kubernetes: Some(call),
            ..request(id, Identity::None)
        });
        self.connection(patch);
        let resource_version = Some(self.version.to_string());
        self.push(Answer {
            request: id,
            status: Some(200),
            errors: Vec::new(),
            fault: None,
            resource_version,
        })
    }

    fn revision(&self, change: ObjectChange) -> Revision {
        Revision {
            object: ObjectRef {
                kind: "CompassConnection".into(),
                namespace: None,
                name: "compass-connection".into(),
            },
            change,
            resource_version: self.version.to_string(),
            uid: self.uid.to_string(),
            content: self.content.clone(),
            secret: std::collections::BTreeMap::new(),
        }
    }

    /// The CompassConnection is deleted by other hands.
    pub(super) fn deleted(&mut self) -> &mut Self {
        self.version += 1;
        let revision = self.revision(ObjectChange::Deleted);
        self.uid += 1;
        self.content = Self::new().content;
        self.push(revision)
    }

    /// The state alone.
    pub(super) fn state(&mut self, state: &str) -> &mut Self {
        let error = match state {
            "ConnectionFailed" | "ConnectionMaintenanceFailed" => json!({
                "connectionStatus": {"error": "no way"}
            }),
            "Synchronized" => {
                json!({"synchronizationStatus": {"error": null}, "connectionStatus": {"error": null}})
            }
            "Connected" => json!({"connectionStatus": {"error": null}}),
            _ => json!({"synchronizationStatus": {"error": "no way"}}),
        };
        let mut status = json!({"connectionState": state});
        json_patch::merge(&mut status, &error);
        self.connection(json!({ "status": status }))
    }

    /// A round that ends well: a fetch, and the CompassConnection that tells it.
    pub(super) fn synchronized(&mut self) -> &mut Self {
        self.fetch();
        let now = self.clock();
        self.written(json!({"status": {
            "connectionState": "Synchronized",
            "synchronizationStatus": {
                "lastAttempt": now, "lastSuccessfulFetch": now, "lastSuccessfulApplication": now,
                "error": null,
            },
        }}))
    }

    /// The Director is asked for applications and answers.
    pub(super) fn fetch(&mut self) -> &mut Self {
        self.asked(Peer::Director, "applicationsForRuntime", Identity::Certificate { number: 1 })
    }

    /// A request that is answered well.
    pub(super) fn asked(&mut self, peer: Peer, operation: &str, identity: Identity) -> &mut Self {
        self.request += 1;
        let id = self.request;
        let token = matches!(identity, Identity::Token { .. } | Identity::RefusedToken { .. });
        self.push(Request {
            door: if token { Door::Token } else { Door::Certificate },
            peer,
            operations: vec![operation.into()],
            ..request(id, identity)
        });
        self.push(Answer {
            request: id,
            status: Some(200),
            errors: Vec::new(),
            fault: None,
            resource_version: None,
        })
    }

    pub(super) fn issued(&mut self, number: u32, to: Identity) -> &mut Self {
        self.issued_as(number, to, facts(number))
    }

    pub(super) fn issued_as(
        &mut self,
        number: u32,
        to: Identity,
        facts: CertificateFacts,
    ) -> &mut Self {
        let (key_algorithm, key_bits, subject) = ("RSA".into(), 2048, Vec::new());
        self.push(CertificateEvent::Issued { number, facts, to, key_algorithm, key_bits, subject })
    }

    /// The client-certificate Secret now holds this certificate and the key of that one.
    pub(super) fn stored(&mut self, number: u32, key: u32) -> &mut Self {
        self.version += 1;
        let value = |certificates: Vec<CertificateFacts>, private_key_of: Option<String>| {
            SecretValue { digest: format!("{number}{key}"), certificates, private_key_of }
        };
        let secret = [
            ("crt".to_owned(), value(vec![facts(number)], None)),
            ("key".to_owned(), value(Vec::new(), Some(facts(key).public_key))),
        ];
        let object = terms().client_certificate;
        let revision = self.object(object, ObjectChange::Modified, json!({}));
        self.push(Revision { secret: secret.into(), ..revision })
    }

    pub(super) fn object(
        &self,
        object: ObjectRef,
        change: ObjectChange,
        content: Value,
    ) -> Revision {
        Revision {
            object,
            change,
            resource_version: self.version.to_string(),
            uid: "9".into(),
            content,
            secret: std::collections::BTreeMap::new(),
        }
    }

    pub(super) fn application(&mut self, name: &str, change: ObjectChange) -> &mut Self {
        self.version += 1;
        let object = ObjectRef { kind: "Application".into(), namespace: None, name: name.into() };
        let content = json!({"spec": {"compassMetadata": {"applicationId": name}}});
        let revision = self.object(object, change, content);
        self.push(revision)
    }

    pub(super) fn fired(&mut self, id: &str) -> &mut Self {
        self.push(FaultEvent::Fired { id: id.into(), request: None, connection: None })
    }

    pub(super) fn armed(&mut self, id: &str) -> &mut Self {
        self.push(FaultEvent::Armed {
            id: id.into(),
            fault: "tcp.refuse".into(),
            at: "director".into(),
        })
    }

    /// Pairing as it goes on a sunny day: token 1, certificate 1, `Connected`.
    pub(super) fn paired(&mut self) -> &mut Self {
        let token = Identity::Token { number: 1 };
        self.push(TokenEvent::Issued { number: 1, client_id: "c".into(), by: "operator".into() })
            .asked(Peer::Connector, "configuration", token.clone())
            .push(TokenEvent::Used { number: 1 })
            .issued(1, token)
            .stored(1, 1);
        let now = self.clock();
        let certificate = reported_at(1, &now);
        self.written(json!({"status": {
            "connectionState": "Connected",
            "connectionStatus": {
                "established": now, "lastSync": now, "lastSuccess": now, "renewed": null,
                "error": null, "certificateStatus": certificate,
            },
        }}))
    }

    pub(super) fn judged(&self, scenario: &Scenario) -> Verdict {
        judge(Arc::new(scenario.clone()), terms(), &self.entries)
    }
}

/// `certificateStatus` for a certificate, in whole seconds.
pub(super) fn reported(number: u32) -> Value {
    let second = |time: Timestamp| Timestamp::from_second(time.as_second()).expect("in range");
    let facts = facts(number);
    json!({
        "acquired": second(facts.not_before),
        "notBefore": second(facts.not_before),
        "notAfter": second(facts.not_after),
    })
}

/// The same, acquired at this time.
pub(super) fn reported_at(number: u32, now: &str) -> Value {
    let mut certificate = reported(number);
    certificate["acquired"] = json!(now);
    certificate
}

fn request(id: u64, identity: Identity) -> Request {
    Request {
        id,
        connection: 1,
        door: Door::Certificate,
        address: "compass".into(),
        peer: Peer::Nobody,
        method: "POST".into(),
        path: "/".into(),
        operations: Vec::new(),
        kubernetes: None,
        identity,
        request_id: Some("r".into()),
        tenant: None,
        user_agent: None,
        body_bytes: 0,
    }
}

/// A scenario with these promises and steps, each a list of YAML lines; the faults `down` and `up`
/// may be blamed.
pub(super) fn scenario(always: &str, steps: &str) -> Scenario {
    scenario_that_proves("[CONN-01]", always, steps, "")
}

pub(super) fn scenario_that_proves(
    proves: &str,
    always: &str,
    steps: &str,
    afterwards: &str,
) -> Scenario {
    let lines =
        |text: &str| text.trim().lines().map(|line| format!("    {}\n", line)).collect::<String>();
    let list = |name: &str, text: &str| match text.trim() {
        "" => String::new(),
        text => format!("  {name}:\n{}", lines(text)),
    };
    let text = format!(
        "apiVersion: compass.test/v1alpha1\nkind: Scenario\nmetadata:\n  id: CC-TEST-001\n  \
         title: t\n  requirement: r\n  proves: {proves}\nspec:\n  timeLimit: 1m\n  given:\n    \
         director: {{ runtime: {{ labels: {{ isNormalized: \"true\" }} }} }}\n{}{}{}",
        list("always", always),
        list("steps", steps),
        list("afterwards", afterwards),
    );
    match scenario::parse("test.yaml", &text) {
        Ok(scenario) => scenario,
        Err(errors) => panic!("{}", errors.iter().map(|e| e.render(false)).collect::<String>()),
    }
}

/// The words of what was observed in the only finding.
pub(super) fn only_finding(verdict: &Verdict) -> &Finding {
    assert_eq!(verdict.judgement, Judgement::Failed, "{:#?}", verdict.findings);
    assert_eq!(verdict.findings.len(), 1, "{:#?}", verdict.findings);
    &verdict.findings[0]
}

pub(super) fn passed(verdict: &Verdict) {
    assert_eq!(verdict.judgement, Judgement::Passed, "{:#?}", verdict.findings);
}
