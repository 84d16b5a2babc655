//! One request and its answer: described, recorded, met by faults, admitted, forwarded, answered.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as Arriving;

use super::answer::{self, AnswerBody};
use super::doors::Door;
use super::forward::remove_hop_by_hop;
use super::kubernetes;
use super::line::{Line, Then};
use super::passing::Passing;
use super::{Admission, Incoming, Subject};
use crate::fault::{AnswerAct, AnswerFacts, Ending, Firing, Hold, RequestAct};
use crate::journal::{Answer, ClientCertificate, Door as Place, Journal, Request as Asked};

/// What the exchanges on one connection share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) door: Arc<Door>,
    pub(super) connection: u64,
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) line: Arc<Line>,
}

/// How a request body came in.
enum Arrived {
    Whole(Bytes),
    /// Of so many bytes, or of more.
    TooLarge(u64),
    Broken,
}

impl Exchange {
    /// Answers one request, or ends its connection and never returns.
    pub(super) async fn answer(&self, request: Request<Arriving>) -> Response<AnswerBody> {
        let (parts, arriving) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let arrived = self.read(arriving).await;
        let (body, bytes) = match &arrived {
            Arrived::Whole(body) => (body.clone(), body.len() as u64),
            Arrived::TooLarge(bytes) => (Bytes::new(), *bytes),
            Arrived::Broken => (Bytes::new(), 0),
        };
        let incoming =
            Incoming { certificate: self.certificate.as_ref(), parts: &parts, body: &body };
        let subject = self.door.reception.describe(incoming);
        let asked = self.asked(&parts, &subject, bytes);
        self.door.journal.record(asked.clone());
        let mut note = Note::new(&self.door.journal, asked.id);
        match arrived {
            Arrived::Whole(_) => {}
            Arrived::Broken => {
                note.text = "the request ended in the middle of its body";
                return self.cut(Ending::Close).await;
            }
            Arrived::TooLarge(_) => {
                let answer = match self.door.door {
                    Place::Kubernetes => kubernetes::too_large(),
                    Place::Token | Place::Certificate => answer::too_large(),
                };
                return self.whole(&subject, note, answer, head);
            }
        }
        if let Some(firing) = self.door.faults.on_request(&asked) {
            note.fault = Some(firing.id.clone());
            let hold = firing.hold();
            match firing.act {
                RequestAct::Answer(answer) => {
                    return self.whole(&subject, note, answer, head);
                }
                RequestAct::End(ending) => {
                    note.text = "the connection was ended";
                    return self.cut(ending).await;
                }
                RequestAct::Stall(duration) => {
                    let hold = hold.lasting(duration);
                    self.line.halt(hold.clone());
                    self.wait(hold).await;
                }
                RequestAct::EndAfter(bytes, ending) => {
                    self.line.after_bytes(bytes, Then::End(ending));
                }
                RequestAct::StallAfter(bytes, duration) => {
                    self.line.after_bytes(bytes, Then::Rest(hold.lasting(duration)));
                }
            }
        }
        let incoming =
            Incoming { certificate: self.certificate.as_ref(), parts: &parts, body: &body };
        match self.door.reception.admit(incoming, &subject) {
            Admission::Answer(answer) => self.whole(&subject, note, answer, head),
            Admission::Reply(answer) => {
                let (head, body) = answer.into_parts();
                self.meet(subject, asked, note, head, body).await
            }
            Admission::Forward { to, remove, set } => {
                match self.door.forward.send(&parts, body, to, &remove, set).await {
                    Ok(answer) => self.pass_on(subject, asked, note, answer).await,
                    Err(error) => bad_gateway(note, &error),
                }
            }
        }
    }

    /// Reads a request body whole, up to what the door takes.
    async fn read(&self, arriving: Arriving) -> Arrived {
        let limit = body_limit(self.door.door);
        // Known before anything was read, and then nothing is.
        if let Some(declared) = arriving.size_hint().exact().filter(|bytes| *bytes > limit as u64) {
            return Arrived::TooLarge(declared);
        }
        if arriving.is_end_stream() {
            return Arrived::Whole(Bytes::new());
        }
        match Limited::new(arriving, limit).collect().await {
            Ok(body) => Arrived::Whole(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Arrived::TooLarge(limit as u64),
            Err(_) => Arrived::Broken,
        }
    }

    fn asked(&self, parts: &Parts, subject: &Subject, body_bytes: u64) -> Asked {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Asked {
            id: self.door.numbers.next_request(),
            connection: self.connection,
            door: self.door.door,
            address: self.door.address.clone(),
            peer: subject.peer,
            method: parts.method.as_str().to_owned(),
            path: shown_path(&parts.uri),
            operations: subject.operations.clone(),
            kubernetes: subject.kubernetes.clone(),
            identity: subject.identity.clone(),
            request_id: header("x-request-id"),
            tenant: header("tenant"),
            user_agent: header("user-agent"),
            body_bytes,
        }
    }

    /// Gives an answer that is not the server's.
    fn whole(
        &self,
        subject: &Subject,
        note: Note<'_>,
        answer: Response<Bytes>,
        head: bool,
    ) -> Response<AnswerBody> {
        let status = answer.status().as_u16();
        note.answered(status, self.door.reception.errors(subject, status, answer.body()), None);
        answer::whole(answer, head)
    }

    /// Waits as a fault wants it, but not beyond the end of the gateway.
    async fn wait(&self, hold: Hold) {
        tokio::select! {
            () = hold.over() => {}
            () = self.door.stopping.cancelled() => {
                self.cut(Ending::Close).await;
            }
        }
    }

    /// Ends the connection; nothing is answered any more.
    async fn cut(&self, ending: Ending) -> Response<AnswerBody> {
        self.line.end(ending);
        std::future::pending().await
    }

    /// Gives the answer of the server behind, whole or as it comes.
    async fn pass_on(
        &self,
        subject: Subject,
        asked: Asked,
        note: Note<'_>,
        answer: Response<Arriving>,
    ) -> Response<AnswerBody> {
        let (mut head, arriving) = answer.into_parts();
        remove_hop_by_hop(&mut head.headers);
        if self.door.door == Place::Kubernetes
            && head.status.is_success()
            && comes_in_pieces(&asked, &arriving)
        {
            return self.pass_through(asked, note, head, arriving).await;
        }
        let body = match Limited::new(arriving, answer::LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return bad_gateway(note, &*error),
        };
        self.meet(subject, asked, note, head, body).await
    }

    /// Lets the faults see a whole answer of the server, and gives it as they want it.
    async fn meet(
        &self,
        subject: Subject,
        asked: Asked,
        note: Note<'_>,
        head: http::response::Parts,
        body: Bytes,
    ) -> Response<AnswerBody> {
        let facts =
            AnswerFacts { status: head.status.as_u16(), headers: &head.headers, body: Some(&body) };
        let firing = self.door.faults.on_answer(&asked, facts);
        self.finish(subject, asked, note, Response::from_parts(head, body), firing).await
    }

    /// Gives an answer as it comes; what the journal knows of it is its head.
    async fn pass_through(
        &self,
        asked: Asked,
        mut note: Note<'_>,
        head: http::response::Parts,
        arriving: Arriving,
    ) -> Response<AnswerBody> {
        let status = head.status.as_u16();
        let facts = AnswerFacts { status, headers: &head.headers, body: None };
        let firing = self.door.faults.on_answer(&asked, facts);
        let mut passing = Passing::new(&self.door, asked, &head, arriving);
        if let Some(firing) = firing {
            note.fault = Some(firing.id.clone());
            // Nothing but being late is possible without the body.
            if let AnswerAct::Slow { delay, headers_first, .. } = firing.act {
                let hold = firing.hold().lasting(Some(delay));
                if headers_first {
                    passing.begin_after(hold);
                } else {
                    self.wait(hold).await;
                }
            }
        }
        note.answered(status, Vec::new(), None);
        Response::from_parts(head, passing.into_body())
    }

    /// Gives a whole answer as a fault wants it.
    async fn finish(
        &self,
        subject: Subject,
        asked: Asked,
        mut note: Note<'_>,
        answer: Response<Bytes>,
        firing: Option<Firing<AnswerAct>>,
    ) -> Response<AnswerBody> {
        let told = |note: Note<'_>, answer: &Response<Bytes>| {
            let status = answer.status().as_u16();
            let errors = self.door.reception.errors(&subject, status, answer.body());
            let version = asked.kubernetes.as_ref().filter(|call| kubernetes::is_write(call));
            let version = version.and_then(|_| kubernetes::resource_version(answer.body()));
            note.answered(status, errors, version);
        };
        let Some(firing) = firing else {
            told(note, &answer);
            return answer::whole(answer, asked.method == "HEAD");
        };
        note.fault = Some(firing.id.clone());
        let hold = firing.hold();
        match firing.act {
            AnswerAct::Replace(replaced) => {
                told(note, &replaced);
                answer::whole(replaced, asked.method == "HEAD")
            }
            AnswerAct::Slow { delay, headers_first: true, drip } => {
                told(note, &answer);
                answer::late(answer, hold.lasting(Some(delay)), drip)
            }
            AnswerAct::Slow { delay, headers_first: false, drip } => {
                self.wait(hold.lasting(Some(delay))).await;
                told(note, &answer);
                answer::late(answer, hold.lasting(Some(Duration::ZERO)), drip)
            }
            AnswerAct::CutBody { after, declared } => {
                told(note, &answer);
                answer::cut(answer, after, declared, Arc::clone(&self.line))
            }
        }
    }
}

/// From here on a list goes through in pieces.
const LARGE: u64 = 1024 * 1024;

/// 2 MiB for Compass, as its edge has it. kube-apiserver takes 3 MiB and says so itself.
fn body_limit(door: Place) -> usize {
    match door {
        Place::Token | Place::Certificate => 2 * 1024 * 1024,
        Place::Kubernetes => 4 * 1024 * 1024,
    }
}

/// Whether an answer has no end that one could wait for, or is more than one wants to hold.
fn comes_in_pieces(asked: &Asked, arriving: &Arriving) -> bool {
    let Some(call) = &asked.kubernetes else { return true };
    let endless = call.verb == "watch" || call.subresource.as_deref() == Some("log");
    let known = arriving.size_hint().exact().is_some_and(|length| length <= LARGE);
    endless || !(known || kubernetes::is_write(call))
}

/// Path and query for the journal. The Connector takes a one-time token in the query too.
fn shown_path(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let shown: Vec<&str> = query
        .split('&')
        .map(|pair| if pair.starts_with("token=") { "token=[hidden]" } else { pair })
        .collect();
    format!("{}?{}", uri.path(), shown.join("&"))
}

/// Compass's gateway answers 502 without a body when it cannot reach the server.
fn bad_gateway(note: Note<'_>, error: &(dyn Error + 'static)) -> Response<AnswerBody> {
    let mut text = String::from("the server behind cannot be asked");
    let mut cause = Some(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    note.answered(StatusCode::BAD_GATEWAY.as_u16(), vec![text], None);
    let mut answer = Response::new(answer::full(Bytes::new()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}

/// Sees to it that every request has exactly one answer in the journal, also when it is dropped.
struct Note<'a> {
    journal: &'a Journal,
    request: u64,
    fault: Option<String>,
    text: &'static str,
    open: bool,
}

impl<'a> Note<'a> {
    fn new(journal: &'a Journal, request: u64) -> Self {
        let text = "the exchange ended before there was an answer";
        Self { journal, request, fault: None, text, open: true }
    }

    fn answered(mut self, status: u16, errors: Vec<String>, resource_version: Option<String>) {
        self.record(Some(status), errors, resource_version);
    }

    fn record(&mut self, status: Option<u16>, errors: Vec<String>, version: Option<String>) {
        self.open = false;
        self.journal.record(Answer {
            request: self.request,
            status,
            errors,
            fault: self.fault.take(),
            resource_version: version,
        });
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if self.open {
            self.record(None, vec![self.text.to_owned()], None);
        }
    }
}
