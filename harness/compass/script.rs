//! What somebody wants a server to answer instead of its real behaviour: mocks of `wiremock`.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

/// Numbers the requests that are shown to the mocks.
const PASSAGE: HeaderName = HeaderName::from_static("harness-passage");

/// The mocks of one server, asked only from the moment that somebody could have mounted one.
///
/// The real behaviour is no mock: wiremock keeps every request that a mock has matched for as long
/// as the mock is mounted, and one that matches everything would keep them all.
pub(super) struct Script {
    server: MockServer,
    in_use: AtomicBool,
    passages: AtomicU64,
    passed_over: PassedOver,
    client: reqwest::Client,
}

impl fmt::Debug for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Script").field("in_use", &self.in_use).finish_non_exhaustive()
    }
}

impl Script {
    pub(super) async fn start() -> Self {
        // Requests are in the journal; wiremock would keep them a second time.
        let server = MockServer::builder().disable_request_recording().start().await;
        let passed_over = PassedOver::default();
        Mock::given(passed_over.clone())
            .respond_with(ResponseTemplate::new(404))
            .with_priority(u8::MAX)
            .named("the real behaviour")
            .mount(&server)
            .await;
        let client = reqwest::Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap_or_default();
        let (in_use, passages) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { server, in_use, passages, passed_over, client }
    }

    /// The server to mount mocks on.
    pub(super) fn server(&self) -> &MockServer {
        self.in_use.store(true, Ordering::Release);
        &self.server
    }

    /// Whether there may be mocks.
    pub(super) fn in_use(&self) -> bool {
        self.in_use.load(Ordering::Acquire)
    }

    /// Checks what was expected of the mocks, as wiremock does.
    pub(super) async fn verify(&self) {
        self.server.verify().await;
    }

    /// What a mock answers, if there is one for this request.
    pub(super) async fn ask(
        &self,
        parts: &http::request::Parts,
        path_and_query: &str,
        body: Bytes,
    ) -> Option<Response<Bytes>> {
        let passage = self.passages.fetch_add(1, Ordering::Relaxed);
        let mut headers = parts.headers.clone();
        headers.insert(PASSAGE, HeaderValue::from(passage));
        let url = format!("{}{path_and_query}", self.server.uri());
        let request = self.client.request(parts.method.clone(), url).headers(headers).body(body);
        let answer = request.send().await;
        let passed_over = self.passed_over.take(passage);
        let Ok(answer) = answer else {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            return Some(response);
        };
        // A mock of the lowest priority, mounted by somebody else, may have answered after all.
        if passed_over && answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        response.headers_mut().clone_from(answer.headers());
        *response.body_mut() = answer.bytes().await.unwrap_or_default();
        Some(response)
    }
}

/// Matches nothing, and remembers which requests came so far: no mock wanted them.
#[derive(Clone, Default)]
struct PassedOver(Arc<Mutex<HashSet<u64>>>);

impl PassedOver {
    fn take(&self, passage: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&passage)
    }
}

impl Match for PassedOver {
    fn matches(&self, request: &Request) -> bool {
        let passage =
            request.headers.get(PASSAGE).and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(passage) = passage {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(passage);
        }
        false
    }
}
