//! Tasks that end with their owner, for libraries that spawn on their own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::JoinSet;

/// The owner of tasks; dropping it aborts them.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
}

impl Tasks {
    /// What a library may spawn with. It does not keep the tasks alive, as they may hold it.
    pub(super) fn spawner(&self) -> Spawner {
        Spawner { set: Arc::downgrade(&self.set) }
    }
}

/// Spawns tasks that belong to a [`Tasks`].
#[derive(Debug, Clone)]
pub(super) struct Spawner {
    set: Weak<Mutex<JoinSet<()>>>,
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Without an owner there is nobody left to whom the task could matter.
        if let Some(set) = self.set.upgrade() {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            while set.try_join_next().is_some() {}
            set.spawn(future);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Executor;

    use super::*;

    #[tokio::test]
    async fn tasks_end_with_their_owner() {
        let tasks = Tasks::default();
        let (held, gone) = tokio::sync::oneshot::channel::<()>();
        let spawner = tasks.spawner();
        spawner.execute(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(tasks);
        assert!(gone.await.is_err(), "the task is dropped, and with it the sender");
        spawner.execute(async { panic!("nobody runs this") });
    }
}
