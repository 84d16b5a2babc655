//! The one place that time-outs come from: how much slower than a quiet machine this one is now.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

/// Upper bound of a measured factor; a machine that is slower than this cannot judge.
const SLOWEST: f64 = 10.0;
/// Time on a core that one measurement takes: some time slices, or a loaded machine would look quiet.
const WORK: Duration = Duration::from_millis(10);
/// Bytes that are hashed between two looks at the clock.
const BLOCK: usize = 64 * 1024;

/// By how much every bound in time is stretched; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct SpeedFactor(f64);

/// How the speed factor is chosen: `auto`, or a number from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum SpeedFactorChoice {
    /// Measure the machine now.
    #[default]
    Auto,
    /// Take this.
    Fixed(SpeedFactor),
}

/// The text is neither `auto` nor a number from 1 to 100.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speed factor\n[it is `auto` or a number from 1 to 100]")]
pub struct SpeedFactorError(String);

impl SpeedFactor {
    /// Bounds as they stand in the scenario.
    pub const ONE: Self = Self(1.0);

    /// Keeps every core busy for some milliseconds and compares the time that passes with the time
    /// on the core: the rest went to others.
    ///
    /// The slowest core counts: a step of a scenario waits for the slowest of its processes.
    #[must_use]
    pub fn measure() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slowest = std::thread::scope(|scope| {
            #[expect(clippy::needless_collect, reason = "all must work before one is waited for")]
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(waited_for_work)).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).max()
        });
        let factor = slowest.unwrap_or(WORK).as_secs_f64() / WORK.as_secs_f64();
        Self(factor.clamp(1.0, SLOWEST))
    }

    /// The bound as it counts on this machine.
    #[must_use]
    pub fn stretch(self, bound: Duration) -> Duration {
        bound.mul_f64(self.0)
    }

    /// The plain number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// How long this thread waits for [`WORK`] to be done.
fn waited_for_work() -> Duration {
    let block = vec![0_u8; BLOCK];
    let (started, before) = (Instant::now(), on_core());
    loop {
        let _ = Sha256::digest(&block);
        let (waited, worked) = (started.elapsed(), on_core().saturating_sub(before));
        if worked >= WORK || waited >= WORK.mul_f64(SLOWEST) {
            return waited;
        }
    }
}

/// The time that this thread has had a core for.
fn on_core() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

impl SpeedFactorChoice {
    /// The factor for a run that begins now.
    #[must_use]
    pub fn settle(self) -> SpeedFactor {
        match self {
            Self::Auto => SpeedFactor::measure(),
            Self::Fixed(factor) => factor,
        }
    }
}

impl fmt::Display for SpeedFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

impl FromStr for SpeedFactorChoice {
    type Err = SpeedFactorError;

    fn from_str(text: &str) -> Result<Self, SpeedFactorError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(factor) if (1.0..=100.0).contains(&factor) => Ok(Self::Fixed(SpeedFactor(factor))),
            _ => Err(SpeedFactorError(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_factor_never_shortens_a_bound() {
        let factor = SpeedFactor::measure();
        assert!(factor.stretch(Duration::from_secs(1)) >= Duration::from_secs(1), "{factor}");
    }

    #[test]
    fn a_fixed_factor_stretches_by_itself() {
        let choice: SpeedFactorChoice = "2.5".parse().expect("a number");
        assert_eq!(choice.settle().stretch(Duration::from_secs(2)), Duration::from_secs(5));
    }

    #[test]
    fn a_factor_below_one_is_refused() {
        let refused = "0.5".parse::<SpeedFactorChoice>();
        assert_eq!(refused, Err(SpeedFactorError("0.5".into())));
    }
}
