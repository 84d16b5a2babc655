//! The stretches of a round that a stop waits for: a token is being spent, a key being stored.

use tokio::sync::watch;

/// Counts the stretches under way; clones share the count.
#[derive(Debug, Clone)]
pub(super) struct Critical(watch::Sender<usize>);

/// One stretch; it is over when this is dropped.
#[derive(Debug)]
#[must_use = "the stretch is over as soon as this is dropped"]
pub(super) struct Stretch(watch::Sender<usize>);

impl Critical {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn enter(&self) -> Stretch {
        self.0.send_modify(|count| *count += 1);
        Stretch(self.0.clone())
    }

    /// Resolves as soon as no stretch is under way.
    pub(super) async fn over(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
