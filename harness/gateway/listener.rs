//! One listener: its port, which it never gives away, its connections, and its being closed by a fault.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::connection;
use super::doors::Door;
use super::line::Line;
use crate::fault::{Ending, Listens};

/// As many connections may wait to be accepted; the kernel has its own limit beside this.
const BACKLOG: i32 = 1024;
/// How long to leave the kernel alone when it has no file descriptor for us.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// A listener that can be closed and opened again on the same port.
#[derive(Debug)]
pub(super) struct Listener {
    door: Arc<Door>,
    local: SocketAddr,
    /// Bound and never listening: it keeps the port when nobody listens.
    _keeper: Socket,
    socket: Mutex<Option<Arc<Socket>>>,
    changed: Notify,
    lines: Mutex<BTreeMap<u64, Weak<Line>>>,
}

impl Listener {
    /// Listens from now on.
    pub(super) fn bind(door: Arc<Door>, listen: SocketAddr) -> io::Result<Arc<Self>> {
        let keeper = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
        // A restart on a fixed port must not wait for connections of the last run.
        keeper.set_reuse_address(true)?;
        // Bound before the port is shared, so that another process on the same port is noticed.
        keeper.bind(&listen.into())?;
        keeper.set_reuse_port(true)?;
        let local = keeper.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        let socket = Arc::new(listening(local)?);
        // From here on it shares the port with our own sockets only.
        keeper.set_reuse_address(false)?;
        let listener = Arc::new(Self {
            door,
            local,
            _keeper: keeper,
            socket: Mutex::new(Some(socket)),
            changed: Notify::new(),
            lines: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&listener);
        listener.door.faults.attach(weak);
        // A fault may be armed already.
        listener.reconsider();
        Ok(listener)
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Accepts connections until the gateway stops, then waits for them to end.
    pub(super) async fn run(self: Arc<Self>) {
        let mut connections = JoinSet::new();
        while !self.door.stopping.is_cancelled() {
            let current = self.socket().clone();
            let accepting = current.as_ref().and_then(|socket| self.accepting(socket));
            self.accept(current.as_ref(), accepting, &mut connections).await;
        }
        *self.socket() = None;
        while connections.join_next().await.is_some() {}
    }

    /// Accepts from this socket as long as it is the right one.
    async fn accept(
        &self,
        current: Option<&Arc<Socket>>,
        accepting: Option<TcpListener>,
        connections: &mut JoinSet<()>,
    ) {
        loop {
            let next = async {
                match &accepting {
                    Some(accepting) => accepting.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.door.stopping.cancelled() => return,
                () = self.changed.notified() => return,
                Some(_) = connections.join_next() => {}
                accepted = next => match accepted {
                    Ok((stream, _)) => self.welcome(current, stream, connections),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(_) if !self.is_current(current) => return,
                    Err(error) => {
                        tracing::warn!(address = self.door.address, %error, "cannot accept");
                        // The one error that repeats itself at once; a pause lets others close.
                        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                    }
                },
            }
        }
    }

    fn welcome(
        &self,
        current: Option<&Arc<Socket>>,
        stream: TcpStream,
        connections: &mut JoinSet<()>,
    ) {
        // A frame of a watch must not wait for the next one (Nagle); failing costs only time.
        let _ = stream.set_nodelay(true);
        let number = self.door.numbers.next_connection();
        let line = Arc::new(Line::default());
        {
            let mut lines = self.lines();
            if lines.len() >= 2 * (connections.len() + 8) {
                lines.retain(|_, line| line.strong_count() > 0);
            }
            lines.insert(number, Arc::downgrade(&line));
        }
        // Either the closing saw the line just registered, or the closing is seen here.
        if !self.is_current(current) {
            line.end(Ending::Reset);
        }
        connections.spawn(connection::serve(Arc::clone(&self.door), number, stream, line));
    }

    /// The same socket for tokio; made inside the runtime, whoever opened it outside.
    fn accepting(&self, socket: &Socket) -> Option<TcpListener> {
        let accepting = socket.try_clone().and_then(|socket| TcpListener::from_std(socket.into()));
        if let Err(error) = &accepting {
            tracing::error!(address = self.door.address, %error, "cannot accept connections");
        }
        accepting.ok()
    }

    fn is_current(&self, current: Option<&Arc<Socket>>) -> bool {
        match (&*self.socket(), current) {
            (Some(socket), Some(current)) => Arc::ptr_eq(socket, current),
            _ => false,
        }
    }

    fn socket(&self) -> MutexGuard<'_, Option<Arc<Socket>>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listens for Listener {
    fn reconsider(&self) {
        let refuses = self.door.faults.refuses(self.door.listener_facts());
        let mut socket = self.socket();
        match (refuses, socket.take()) {
            (true, Some(open)) => {
                // The accept loop holds the socket too; this ends the listening for both, now.
                let _ = open.shutdown(Shutdown::Both);
                drop(socket);
                for line in std::mem::take(&mut *self.lines()).into_values() {
                    if let Some(line) = line.upgrade() {
                        line.end(Ending::Close);
                    }
                }
                self.door.faults.closed(self.door.listener_facts());
            }
            (false, None) if !self.door.stopping.is_cancelled() => match listening(self.local) {
                Ok(open) => *socket = Some(Arc::new(open)),
                Err(error) => {
                    tracing::error!(address = self.door.address, %error, "cannot listen again");
                }
            },
            (_, unchanged) => {
                *socket = unchanged;
                return;
            }
        }
        self.changed.notify_one();
    }
}

fn listening(local: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether an error of accept is about a connection that is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
