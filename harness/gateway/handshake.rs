//! One TLS handshake: the faults in it, its outcome, and the record of both.

use std::io;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

use super::doors::Door;
use super::line::{Line, Then, Wire};
use super::tls;
use crate::fault::{Ending, Firing, HandshakeAct, HandshakeEnd, Stage};
use crate::journal::{ClientCertificate, Handshake, HandshakeOutcome};

/// A TLS connection that is up.
pub(super) struct Established {
    pub(super) stream: TlsStream<Wire>,
    pub(super) certificate: Option<ClientCertificate>,
}

/// Speaks TLS on a new connection; none when that led to nothing.
pub(super) async fn shake(
    door: &Door,
    connection: u64,
    wire: Wire,
    line: &Line,
) -> Option<Established> {
    let mut note = Note::new(door, connection);
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), wire);
    let start = match acceptor.await {
        Ok(start) => start,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            note.failed("the client left before it said hello".into());
            return None;
        }
        Err(error) => {
            note.failed(tls::reason(&error));
            return None;
        }
    };
    let firing = door.faults.on_handshake(door.connection_facts(connection));
    let start = match &firing {
        Some(firing) => after_hello(&mut note, start, firing, line).await?,
        None => start,
    };
    let server_name = start.client_hello().server_name().map(str::to_owned);
    let stream = match start.into_stream(Arc::clone(&door.tls)).await {
        Ok(stream) => stream,
        Err(error) => {
            note.failed(match &firing {
                Some(firing) if firing.act.then == HandshakeEnd::Cut => cut_by(&firing.id),
                _ => tls::reason(&error),
            });
            return None;
        }
    };
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().and_then(tls::client_certificate);
    note.outcome(HandshakeOutcome::Completed {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1_2".into(),
            Some(ProtocolVersion::TLSv1_3) => "TLSv1_3".into(),
            other => format!("{other:?}"),
        },
        alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        server_name,
        certificate: certificate.clone(),
    });
    if let Some(firing) = firing
        && firing.act.after == Stage::Finished
    {
        match firing.act.then {
            HandshakeEnd::Stall(hold) => line.halt(firing.hold().lasting(hold)),
            HandshakeEnd::Cut | HandshakeEnd::Alert(_) => {
                line.end(Ending::Close);
                return None;
            }
        }
    }
    Some(Established { stream, certificate })
}

/// Lets a fault act when the client has said hello, or prepares it for later.
async fn after_hello(
    note: &mut Note<'_>,
    mut start: StartHandshake<Wire>,
    firing: &Firing<HandshakeAct>,
    line: &Line,
) -> Option<StartHandshake<Wire>> {
    match (firing.act.after, firing.act.then) {
        (_, HandshakeEnd::Alert(alert)) => {
            // An alert in the clear, as RFC 8446 has it before there are keys (sections 5.1 and 6).
            let record = [21, 3, 3, 0, 2, 2, alert];
            let _ = start.io.write_all(&record).await;
            let _ = start.io.flush().await;
            note.failed(format!("fault `{}` sent alert {alert}", firing.id));
            line.end(Ending::Close);
            None
        }
        (Stage::ClientHello, HandshakeEnd::Cut) => {
            note.failed(cut_by(&firing.id));
            line.end(Ending::Close);
            None
        }
        (Stage::ClientHello, HandshakeEnd::Stall(hold)) => {
            tokio::select! {
                () = firing.hold().lasting(hold).over() => Some(start),
                () = start.io.left() => {
                    note.failed(format!("the client left while fault `{}` stalled it", firing.id));
                    None
                }
            }
        }
        // The server's certificate goes out in one flight, and then rustls reads.
        (Stage::Certificate, HandshakeEnd::Cut) => {
            line.on_read(Then::End(Ending::Close));
            Some(start)
        }
        (Stage::Certificate, HandshakeEnd::Stall(hold)) => {
            line.on_read(Then::Rest(firing.hold().lasting(hold)));
            Some(start)
        }
        (Stage::Finished, _) => Some(start),
    }
}

fn cut_by(id: &str) -> String {
    format!("fault `{id}` cut the handshake")
}

/// Sees to it that every handshake leaves exactly one entry, also when its task is dropped.
struct Note<'a> {
    door: &'a Door,
    connection: u64,
    open: bool,
}

impl<'a> Note<'a> {
    fn new(door: &'a Door, connection: u64) -> Self {
        Self { door, connection, open: true }
    }

    fn failed(&mut self, reason: String) {
        self.outcome(HandshakeOutcome::Failed { reason });
    }

    fn outcome(&mut self, outcome: HandshakeOutcome) {
        self.open = false;
        record(self.door, self.connection, outcome);
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if self.open {
            let reason = "the connection ended in the middle of the handshake".into();
            self.outcome(HandshakeOutcome::Failed { reason });
        }
    }
}

/// Records how the handshake of a connection went.
pub(super) fn record(door: &Door, connection: u64, outcome: HandshakeOutcome) {
    door.journal.record(Handshake {
        connection,
        door: door.door,
        address: door.address.clone(),
        outcome,
    });
}
