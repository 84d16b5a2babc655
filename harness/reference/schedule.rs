//! When the next round is due, and when a certificate is to be renewed: pure.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::environment::Environment;

/// The shortest spacing and period; what is configured below would be a hot loop.
const SHORTEST: Duration = Duration::from_secs(1);

/// The three numbers that time is ruled by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timing {
    /// `P`; none when only edits start a round.
    pub(super) period: Option<Duration>,
    /// `M`.
    pub(super) spacing: Duration,
    /// Share of a certificate's life.
    pub(super) threshold: f64,
}

impl Timing {
    pub(super) fn new(environment: &Environment) -> Self {
        let spacing = environment.minimal_sync_time.max(SHORTEST);
        let period = environment.sync_period;
        Self {
            period: (!period.is_zero()).then(|| period.max(spacing)),
            spacing,
            threshold: environment.renewal_threshold,
        }
    }

    /// How much life a certificate of this validity has left when it is to be renewed.
    ///
    /// CERT-01: less than threshold x validity, or less than 2 x `M`, whichever comes first.
    fn renew_below(&self, not_before: Timestamp, not_after: Timestamp) -> Duration {
        let validity = Duration::try_from(not_after.duration_since(not_before)).unwrap_or_default();
        let share = validity.as_secs_f64() * self.threshold.max(0.0);
        let share = Duration::try_from_secs_f64(share).unwrap_or(Duration::MAX);
        share.max(self.spacing.saturating_mul(2))
    }

    /// Whether a certificate is to be renewed now; never earlier (CERT-02).
    pub(super) fn renewal_due(
        &self,
        not_before: Timestamp,
        not_after: Timestamp,
        now: Timestamp,
    ) -> bool {
        // Negative when it has expired, or when our clock is ahead of the server's (CERT-19).
        let left = Duration::try_from(not_after.duration_since(now)).unwrap_or_default();
        left < self.renew_below(not_before, not_after)
    }

    /// How long from now until a certificate is to be renewed; zero when it is.
    pub(super) fn until_renewal(
        &self,
        not_before: Timestamp,
        not_after: Timestamp,
        now: Timestamp,
    ) -> Duration {
        let left = Duration::try_from(not_after.duration_since(now)).unwrap_or_default();
        let wait = left.saturating_sub(self.renew_below(not_before, not_after));
        // "Less than" is strict, and the wake-up must not come a hair too early for it.
        if wait.is_zero() { wait } else { wait + Duration::from_millis(1) }
    }
}

/// What asks for a round, and when the last one was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    /// When Compass was last asked for anything.
    pub(super) last_attempt: Option<Instant>,
    /// When the period is over.
    pub(super) regular: Option<Instant>,
    /// When the certificate is to be renewed.
    pub(super) renewal: Option<Instant>,
    /// Something changed that a round should look at, as soon as `M` allows.
    pub(super) soon: bool,
    /// A person edited the CompassConnection: one round at once, even inside `M`.
    pub(super) at_once: bool,
}

impl Schedule {
    /// When the next round is due; none as long as nothing happens.
    pub(super) fn due(&self, now: Instant, timing: &Timing) -> Option<Instant> {
        // SYNC-03: an edit is honoured inside `M`, and CONN-11 allows one extra attempt for it.
        if self.at_once {
            return Some(now);
        }
        // CONN-11, CERT-16, SYNC-02: nothing else comes closer than `M` to the attempt before.
        let open = self.last_attempt.map_or(now, |last| last + timing.spacing);
        let soon = self.soon.then_some(now);
        [soon, self.regular, self.renewal].into_iter().flatten().min().map(|at| at.max(open))
    }

    /// Takes note that a round begins: what asked for it is answered.
    pub(super) fn begin(&mut self, now: Instant, timing: &Timing) {
        self.at_once = false;
        self.soon = false;
        self.renewal = None;
        // SYNC-02: the period counts from start to start, so a slow round does not stretch it.
        self.regular = timing.period.map(|period| now + period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(period: u64, spacing: u64) -> Timing {
        Timing {
            period: Some(Duration::from_secs(period)),
            spacing: Duration::from_secs(spacing),
            threshold: 0.3,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_certificate_is_renewed_below_its_share_and_not_before() {
        let timing = timing(20, 1);
        assert!(!timing.renewal_due(at(0), at(100), at(70)), "exactly the share is left");
        assert!(timing.renewal_due(at(0), at(100), at(71)));
        assert!(timing.renewal_due(at(0), at(100), at(101)), "expired");
    }

    #[test]
    fn twice_the_spacing_counts_when_it_is_longer_than_the_share() {
        let timing = timing(20, 10);
        assert!(!timing.renewal_due(at(0), at(40), at(20)));
        assert!(timing.renewal_due(at(0), at(40), at(21)));
        assert!(timing.renewal_due(at(0), at(15), at(0)), "a life shorter than 2 x M");
    }

    #[test]
    fn a_clock_that_is_wrong_by_minutes_breaks_nothing() {
        let timing = timing(20, 1);
        assert!(!timing.renewal_due(at(300), at(400), at(0)), "not valid yet");
        assert!(timing.renewal_due(at(0), at(100), at(400)), "long over");
        assert!(timing.renewal_due(at(100), at(100), at(99)), "no validity at all");
        assert_eq!(timing.until_renewal(at(0), at(100), at(400)), Duration::ZERO);
    }

    #[test]
    fn the_wake_up_for_a_renewal_finds_it_due() {
        let timing = timing(1000, 1);
        let now: Timestamp = "2026-01-01T00:00:00.250Z".parse().expect("a time");
        let not_after = now + Duration::from_secs(100);
        let wait = timing.until_renewal(now, not_after, now);
        assert_eq!(wait, Duration::from_millis(70_001));
        assert!(timing.renewal_due(now, not_after, now + wait));
    }

    #[tokio::test]
    async fn an_edit_comes_at_once_and_everything_else_waits_for_the_spacing() {
        let timing = timing(20, 5);
        let now = Instant::now();
        let mut schedule = Schedule { last_attempt: Some(now), ..Schedule::default() };
        assert_eq!(schedule.due(now, &timing), None);
        schedule.renewal = Some(now);
        schedule.soon = true;
        assert_eq!(schedule.due(now, &timing), Some(now + Duration::from_secs(5)));
        schedule.at_once = true;
        assert_eq!(schedule.due(now, &timing), Some(now));
        schedule.begin(now, &timing);
        schedule.last_attempt = Some(now);
        assert_eq!(schedule.due(now, &timing), Some(now + Duration::from_secs(20)));
    }

    #[test]
    fn settings_below_a_second_are_no_hot_loop() {
        let environment = Environment::read(|name| match name {
            "APP_CONTROLLER_SYNC_PERIOD" => Some("1ms".into()),
            "APP_MINIMAL_COMPASS_SYNC_TIME" => Some("0".into()),
            _ => None,
        });
        let timing = Timing::new(&environment.expect("valid"));
        assert_eq!((timing.period, timing.spacing), (Some(SHORTEST), SHORTEST));
    }
}
