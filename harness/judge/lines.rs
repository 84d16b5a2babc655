//! Entries of the journal as lines of text.

use crate::journal::{
    AgentEvent, CertificateEvent, Entry, Event, FaultEvent, HandshakeOutcome, Identity,
    LandscapeEvent, ObjectChange, RecorderEvent, Request, Revision, StepEvent, StepResult,
    TokenEvent,
};

/// An entry as one line: its time, and what happened.
#[must_use]
pub fn line(entry: &Entry) -> String {
    format!("{:>9.3}s  {}", entry.elapsed().as_secs_f64(), event(&entry.event))
}

fn event(event: &Event) -> String {
    match event {
        Event::Step(StepEvent::Began { index, name }) => format!("step {}: {name}", index + 1),
        Event::Step(StepEvent::Ended { index, result }) => match result {
            StepResult::Done => format!("step {} is done", index + 1),
            StepResult::Failed => format!("step {} failed", index + 1),
            StepResult::Impossible(reason) => {
                format!("step {} cannot be done: {reason}", index + 1)
            }
        },
        Event::Action(action) => action.text.clone(),
        Event::Handshake(handshake) => match &handshake.outcome {
            HandshakeOutcome::Completed { .. } => format!("handshake at {}", handshake.address),
            HandshakeOutcome::Failed { reason } => {
                format!("handshake at {} failed: {reason}", handshake.address)
            }
        },
        Event::Request(request) => asked(request),
        Event::Answer(answer) => {
            let status = answer.status.map_or_else(|| "no answer".into(), |code| code.to_string());
            let fault = answer.fault.as_ref().map(|id| format!(" by fault {id}"));
            let errors = answer.errors.first().map(|text| format!(": {text}"));
            let (fault, errors) = (fault.unwrap_or_default(), errors.unwrap_or_default());
            format!("answered {status}{fault}{errors}")
        }
        Event::Fault(FaultEvent::Armed { id, fault, at }) => {
            format!("fault {id} armed: {fault} at {at}")
        }
        Event::Fault(FaultEvent::Fired { id, .. }) => format!("fault {id} fired"),
        Event::Fault(FaultEvent::Healed { id }) => format!("fault {id} lifted"),
        Event::Token(TokenEvent::Issued { number, by, .. }) => {
            format!("token {number} issued by {by}")
        }
        Event::Token(TokenEvent::Used { number }) => format!("token {number} used"),
        Event::Certificate(CertificateEvent::Issued { number, to, .. }) => {
            format!("certificate {number} issued{}", identity(to))
        }
        Event::Certificate(CertificateEvent::Revoked { number }) => {
            format!("certificate {number} revoked")
        }
        Event::Landscape(LandscapeEvent::Applications { names }) => {
            format!("the Director now lists {} applications", names.len())
        }
        Event::Landscape(LandscapeEvent::RuntimeLabel { key, .. }) => {
            format!("the runtime's label {key} is set")
        }
        Event::Revision(revision) => revised(revision),
        Event::Recorder(RecorderEvent::Watching { .. }) => "the recorder watches".into(),
        Event::Recorder(RecorderEvent::Lost { reason }) => {
            format!("the recorder lost track: {reason}")
        }
        Event::Agent(AgentEvent::Started { number, .. }) => format!("agent start {number}"),
        Event::Agent(AgentEvent::Told { signal }) => format!("agent told {signal}"),
        Event::Agent(AgentEvent::Exited { code, signal, planned }) => {
            let how = match (code, signal) {
                (Some(code), _) => format!("with code {code}"),
                (None, Some(signal)) => format!("by signal {signal}"),
                (None, None) => "in an unknown way".into(),
            };
            let who = if *planned { "as asked" } else { "by itself" };
            format!("agent ended {how}, {who}")
        }
    }
}

fn asked(request: &Request) -> String {
    let what = match &request.kubernetes {
        Some(call) => {
            let name = call.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{} {}{name}", call.verb, call.resource)
        }
        None if request.operations.is_empty() => format!("{} {}", request.method, request.path),
        None => request.operations.join(", "),
    };
    format!("{} asked: {what}{}", request.address, identity(&request.identity))
}

fn identity(identity: &Identity) -> String {
    match identity {
        Identity::None => String::new(),
        Identity::Token { number } => format!(" with token {number}"),
        Identity::RefusedToken { reason, .. } => {
            format!(" with a token that is refused ({reason})")
        }
        Identity::Certificate { number } => format!(" with certificate {number}"),
        Identity::Administrator => " as an administrator".into(),
        Identity::Bearer { client_id: Some(id) } => format!(" with a bearer token of `{id}`"),
        Identity::Bearer { client_id: None } => " with a bearer token that is not good".into(),
        Identity::RefusedCertificate { reason, .. } => {
            format!(" with a certificate that is refused ({reason})")
        }
    }
}

fn revised(revision: &Revision) -> String {
    let change = match revision.change {
        ObjectChange::Added => "created",
        ObjectChange::Modified => "changed",
        ObjectChange::Deleted => "deleted",
    };
    let object = &revision.object;
    let status = |field: &str| {
        let text = revision.content.pointer(field).and_then(serde_json::Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let state = status("/status/connectionState").map(|state| format!(": {state}"));
    let errors = ["/status/connectionStatus/error", "/status/synchronizationStatus/error"];
    let error = errors.into_iter().find_map(status).map(|error| format!(" ({error})"));
    let (state, error) = (state.unwrap_or_default(), error.unwrap_or_default());
    format!("{} {} {change}{state}{error}", object.kind, object.name)
}
