//! The simulators' time: system time plus an offset, or frozen.
//!
//! One clock is shared by everything that belongs to one simulated system, its `Date` header included. It says nothing
//! about waiting: delays that a client feels are real.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Duration, Utc};

/// A virtual clock. Clones share one state.
#[derive(Clone, Debug)]
pub struct Clock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    offset: Duration,
    frozen: Option<DateTime<Utc>>,
}

impl Clock {
    /// Starts as the system's own time.
    #[must_use]
    pub fn system() -> Self {
        Self { state: Arc::new(Mutex::new(State { offset: Duration::zero(), frozen: None })) }
    }

    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let state = self.state();
        state.frozen.unwrap_or_else(|| shifted(Utc::now(), state.offset))
    }

    /// Moves on (or back) by `by`, whether frozen or running.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        if let Some(frozen) = state.frozen {
            state.frozen = Some(shifted(frozen, by));
        } else {
            state.offset = state.offset.checked_add(&by).unwrap_or(state.offset);
        }
    }

    /// Sets the distance to the system's time. A frozen clock stays where it is.
    pub fn set_offset(&self, offset: Duration) {
        self.state().offset = offset;
    }

    /// Stands still at `at` until [`Clock::unfreeze`].
    pub fn freeze(&self, at: DateTime<Utc>) {
        self.state().frozen = Some(at);
    }

    /// Back to system time plus offset.
    pub fn unfreeze(&self) {
        self.state().frozen = None;
    }

    /// Offset in seconds and the frozen instant, for the control route.
    #[must_use]
    pub fn settings(&self) -> (i64, Option<DateTime<Utc>>) {
        let state = self.state();
        (state.offset.num_seconds(), state.frozen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Past the end of the calendar the clock stays where it is.
fn shifted(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a literal instant")
    }

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let clock = Clock::system();
        clock.freeze(at("2026-01-02T03:04:05Z"));
        assert_eq!(clock.now(), at("2026-01-02T03:04:05Z"));
        clock.advance(Duration::seconds(55));
        assert_eq!(clock.now(), at("2026-01-02T03:05:00Z"));
        clock.set_offset(Duration::hours(1));
        assert_eq!(clock.now(), at("2026-01-02T03:05:00Z"));
    }

    #[test]
    fn a_running_clock_keeps_its_offset_and_clones_share_it() {
        let clock = Clock::system();
        let other = clock.clone();
        clock.set_offset(Duration::hours(2));
        clock.advance(Duration::hours(1));
        let ahead = other.now() - Utc::now();
        assert!(ahead > Duration::minutes(179) && ahead < Duration::minutes(181), "{ahead}");
        other.freeze(at("2020-01-01T00:00:00Z"));
        other.unfreeze();
        assert!(clock.now() > Utc::now() + Duration::minutes(179));
    }

    #[test]
    fn the_end_of_the_calendar_does_not_panic() {
        let clock = Clock::system();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        let _ = clock.now();
    }
}
