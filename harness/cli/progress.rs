//! Progress on stderr: a line a running scenario with its step, redrawn where somebody watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Terminal;

/// Progress of all scenarios of a call.
#[derive(Debug)]
pub(super) struct Progress {
    bars: MultiProgress,
    state: Mutex<State>,
    of: usize,
}

#[derive(Debug, Default)]
struct State {
    finished: usize,
    /// What runs, and how often the same id does (with `--repeat`).
    running: BTreeMap<String, usize>,
}

/// The line of one running scenario; gone when this is dropped.
#[derive(Debug)]
pub(super) struct Line<'p> {
    progress: &'p Progress,
    id: String,
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(terminal: &Terminal, of: usize) -> Self {
        let target = if terminal.is_watched() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self { bars: MultiProgress::with_draw_target(target), state: Mutex::default(), of }
    }

    /// A scenario begins.
    pub(super) fn begin(&self, id: &str) -> Line<'_> {
        *self.state().running.entry(id.into()).or_default() += 1;
        let bar = self.bars.add(ProgressBar::new_spinner());
        // The template is a constant that is known to parse; without it the line is plain.
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {prefix} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(id.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        Line { progress: self, id: id.into(), bar }
    }

    /// One more is over.
    pub(super) fn finished(&self) {
        self.state().finished += 1;
    }

    /// Prints above the lines without tearing them.
    pub(super) fn above(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    /// Says that the program is alive, where nobody sees the lines.
    pub(super) fn heartbeat(&self, terminal: &Terminal) {
        if terminal.is_watched() {
            return;
        }
        let state = self.state();
        let running: Vec<_> = state.running.keys().map(String::as_str).collect();
        let running = running.join(", ");
        terminal.note(format!("{}/{} finished, still running: {running}", state.finished, self.of));
    }

    /// Takes the lines away.
    pub(super) fn clear(&self) {
        // A terminal that went away has no lines to clear.
        let _ = self.bars.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line<'_> {
    /// The scenario has come to this step.
    pub(super) fn step(&self, step: &str) {
        self.bar.set_message(step.to_owned());
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        let mut state = self.progress.state();
        if let Some(count) = state.running.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(&self.id);
            }
        }
    }
}
