//! The bytes of one connection, and what the faults below TLS do to them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::fault::{Ending, Hold};

/// How long a client that got a FIN is listened to, so that its last bytes cause no RST.
const PARTING: Duration = Duration::from_secs(1);

/// How much is read from a client that has to wait.
const AHEAD: usize = 64 * 1024;

/// The control of one connection, shared by all that may want to end or to halt it.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whether `state` says anything at all: the way of bytes is lean without faults.
    touched: AtomicBool,
    state: Mutex<State>,
    over: CancellationToken,
    sent: AtomicU64,
    sending: Notify,
}

#[derive(Debug, Default)]
struct State {
    ending: Option<Ending>,
    halt: Option<Hold>,
    on_read: Option<Then>,
    after_bytes: Option<(u64, Then)>,
    /// The socket of a connection that ends with FIN.
    parting: Option<TcpStream>,
}

/// What happens when a line has come to a certain point.
#[derive(Debug, Clone)]
pub(super) enum Then {
    /// It ends.
    End(Ending),
    /// It rests.
    Rest(Hold),
}

impl Line {
    /// Ends the connection; the first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        self.touch(|state| {
            state.ending.get_or_insert(ending);
        });
        self.over.cancel();
    }

    /// Waits for the end of the connection by [`end`](Self::end).
    pub(super) async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// Lets nothing pass in either direction until the hold is over.
    pub(super) fn halt(&self, hold: Hold) {
        self.touch(|state| state.halt = Some(hold));
    }

    /// Acts when the next byte is to be read.
    pub(super) fn on_read(&self, then: Then) {
        self.touch(|state| state.on_read = Some(then));
    }

    /// Acts when so many bytes were sent from now on.
    pub(super) fn after_bytes(&self, bytes: u64, then: Then) {
        self.touch(|state| state.after_bytes = Some((bytes, then)));
    }

    /// How many bytes were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Waits until more than so many bytes were sent.
    pub(super) async fn sent_more_than(&self, mark: u64) {
        loop {
            let sending = self.sending.notified();
            if self.sent() > mark {
                return;
            }
            sending.await;
        }
    }

    /// Ends what is left of a connection that ended with FIN, once its wire is dropped.
    pub(super) async fn part(&self) {
        let parting = self.state().parting.take();
        let Some(mut stream) = parting else { return };
        let drain = async {
            let mut nowhere = [0; 1024];
            let _ = stream.shutdown().await;
            while matches!(stream.read(&mut nowhere).await, Ok(1..)) {}
        };
        let _ = tokio::time::timeout(PARTING, drain).await;
    }

    fn touch(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.touched.store(true, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket of a connection under the control of its [`Line`].
pub(super) struct Wire {
    stream: Option<TcpStream>,
    line: Arc<Line>,
    resting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    /// What was read while the line rested.
    ahead: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream: Some(stream), line, resting: None, ahead: BytesMut::new() }
    }

    /// Waits until the client has closed its side. What it sends meanwhile is kept for later.
    pub(super) async fn left(&mut self) {
        poll_fn(|cx| self.listen(cx)).await;
    }

    /// Reads ahead to where the client has closed its side: the end is out of sight as long as
    /// anything before it was not read, and a TLS client says farewell before it leaves.
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        while self.ahead.len() < AHEAD {
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.ahead.extend_from_slice(buffer.filled())
                }
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Stands in the way of bytes while the line rests, and errs once it has ended.
    fn pass(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<io::Result<()>> {
        if !self.line.touched.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let then = {
            let mut state = self.line.state();
            if state.ending.is_some() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if let Some(hold) = state.halt.take() {
                self.resting = Some(Box::pin(hold.over()));
            }
            if reading { state.on_read.take() } else { None }
        };
        if let Some(then) = then {
            self.follow(then)?;
        }
        self.rest(cx)
    }

    fn follow(&mut self, then: Then) -> io::Result<()> {
        match then {
            Then::End(ending) => {
                self.line.end(ending);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Then::Rest(hold) => {
                self.resting = Some(Box::pin(hold.over()));
                Ok(())
            }
        }
    }

    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(resting) = &mut self.resting {
            if resting.as_mut().poll(cx).is_pending() {
                // A client that has had enough must be noticed while nothing is read from it.
                ready!(self.listen(cx));
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.resting = None;
        }
        Poll::Ready(Ok(()))
    }

    /// How many of so many bytes may be sent now.
    fn allowance(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        ready!(self.pass(cx, false))?;
        let then = {
            let mut state = self.line.state();
            match &state.after_bytes {
                None => return Poll::Ready(Ok(length)),
                Some((0, _)) => state.after_bytes.take().map(|(_, then)| then),
                Some((left, _)) => {
                    let left = usize::try_from(*left).unwrap_or(usize::MAX);
                    return Poll::Ready(Ok(length.min(left)));
                }
            }
        };
        if let Some(then) = then {
            self.follow(then)?;
        }
        ready!(self.rest(cx))?;
        Poll::Ready(Ok(length))
    }

    fn note_sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.line.sent.fetch_add(bytes, Ordering::AcqRel);
        self.line.sending.notify_waiters();
        if self.line.touched.load(Ordering::Acquire)
            && let Some((left, _)) = &mut self.line.state().after_bytes
        {
            *left = left.saturating_sub(bytes);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.pass(cx, true))?;
        if !self.ahead.is_empty() {
            let bytes = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Pin::new(stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = if self.line.touched.load(Ordering::Acquire) {
            ready!(self.allowance(cx, bytes.len()))?
        } else {
            bytes.len()
        };
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let sent = ready!(Pin::new(stream).poll_write(cx, &bytes[..allowed]))?;
        self.note_sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pass(cx, false))?;
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Pin::new(stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let mut state = self.line.state();
        match state.ending {
            Some(Ending::Reset) => {
                // Without the option the kernel sends FIN: an ending too, if not the one asked for.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
            Some(Ending::Close) => state.parting = Some(stream),
            None => {}
        }
    }
}
