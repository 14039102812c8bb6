//! The org's clock, as its replies tell it. The local clock never decides what has been read.

use crate::connectors::{Fault, FaultKind};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Replies are a little out of order; a proxy that rewrites `Date` is further off than this.
const JITTER_S: i64 = 2;
/// So many older values in a row are no stray reply: the clock really was set back.
const TURNED_BACK: u8 = 5;

#[derive(Debug, Default)]
pub struct Clock(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    newest: Option<(DateTime<Utc>, Instant)>,
    behind: u8,
}

impl Clock {
    /// Takes note of the `Date` of a reply.
    pub fn observe(&self, date: Option<DateTime<Utc>>) {
        let Some(date) = date else { return };
        let mut state = self.lock();
        if let Some((newest, _)) = state.newest
            && date < newest
        {
            if newest - date <= TimeDelta::seconds(JITTER_S) {
                return;
            }
            state.behind += 1;
            if state.behind < TURNED_BACK {
                return;
            }
        }
        *state = State { newest: Some((date, Instant::now())), behind: 0 };
    }

    /// The time of the newest reply: the server's time now is this or later.
    pub fn newest(&self) -> Result<DateTime<Utc>, Fault> {
        let newest = self.lock().newest;
        newest.map(|(date, _)| date).ok_or_else(|| {
            Fault::new(
                FaultKind::Answer,
                "no-server-clock",
                "the org's replies carry no Date header, so nothing can be said about how far was read",
            )
        })
    }

    /// Our best guess of the server's time, for what expires there; the local clock before the first reply.
    #[must_use]
    pub fn guess(&self) -> DateTime<Utc> {
        let newest = self.lock().newest;
        newest.map_or_else(Utc::now, |(date, at)| date + TimeDelta::from_std(at.elapsed()).unwrap_or_default())
    }

    /// Whether the org has been heard at all.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.lock().newest.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn it_follows_the_server_and_ignores_a_stray_step_back() {
        let at = |s: i64| DateTime::from_timestamp(1_800_000_000 + s, 0).unwrap();
        let clock = Clock::default();
        assert_eq!(clock.newest().unwrap_err().code, "no-server-clock");
        for (date, want) in [(0, 0), (10, 10), (9, 10), (-3600, 10), (11, 11)] {
            clock.observe(Some(at(date)));
            assert_eq!(clock.newest().unwrap(), at(want), "after {date}");
        }
        clock.observe(None);
        for _ in 0..TURNED_BACK {
            clock.observe(Some(at(-3600)));
        }
        assert_eq!(clock.newest().unwrap(), at(-3600), "a clock that stays back was set back");
    }
}
