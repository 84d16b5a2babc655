//! The way to the server behind a door: pooled HTTP/1.1, plain or over TLS.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioTimer;

use super::tasks::Tasks;
use super::tls::upstream_config;
use super::{DoorPlan, ListenError};

/// A client of the servers behind one listener, with its connections.
#[derive(Debug)]
pub(super) struct Forward {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The connections run in here.
    _tasks: Tasks,
}

impl Forward {
    pub(super) fn new(plan: &DoorPlan) -> Result<Self, ListenError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(upstream_config(plan)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let tasks = Tasks::default();
        let client =
            Client::builder(tasks.spawner()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { client, _tasks: tasks })
    }

    /// Sends the client's request on and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        parts: &Parts,
        body: Bytes,
        to: Uri,
        remove: &[HeaderName],
        set: HeaderMap,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = to;
        let headers = request.headers_mut();
        *headers = parts.headers.clone();
        remove_hop_by_hop(headers);
        // The body is whole here, so its length is known and nobody waits for a go-ahead.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::EXPECT);
        // HTTP/2 names the host in its pseudo-header only.
        if !headers.contains_key(header::HOST)
            && let Some(authority) = parts.uri.authority()
            && let Ok(host) = HeaderValue::try_from(authority.as_str())
        {
            headers.insert(header::HOST, host);
        }
        for name in remove {
            headers.remove(name);
        }
        let mut name = None;
        for (next, value) in set {
            // A map yields the name of a header with its first value only.
            match (next, &name) {
                (Some(first), _) => {
                    headers.insert(first.clone(), value);
                    name = Some(first);
                }
                (None, Some(name)) => {
                    headers.append(name.clone(), value);
                }
                (None, None) => {}
            }
        }
        self.client.request(request).await
    }
}

/// Takes out what concerns one connection only (RFC 9110, section 7.6.1).
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_hop_are_taken_out() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close, X-Mine"));
        headers.insert("x-mine", HeaderValue::from_static("1"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), [header::AUTHORIZATION]);
    }
}
