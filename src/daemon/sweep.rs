//! When an interval run sweeps the kinds that can only be read whole. Pure but for the two facts kept in the store.

use crate::config::SweepEvery;
use crate::engine::{Options, Report, RunKind};
use crate::store::{Store, stamp};
use chrono::{DateTime, Duration, Utc};

/// Sweeping may take this part of the time.
const SHARE: i32 = 10;
const AT: &str = "sweep:at";
const SECONDS: &str = "sweep:seconds";

/// Is a sweep due at `now`? `last`: when the last one started, and how long its run took.
fn due(every: SweepEvery, interval: Duration, last: Option<(DateTime<Utc>, Duration)>, now: DateTime<Utc>) -> bool {
    let Some((at, took)) = last else { return true };
    let since = now - at;
    match every {
        SweepEvery::Run => true,
        // A clock that was set back must not stop the sweeps.
        _ if since < Duration::zero() => true,
        SweepEvery::Every(every) => since >= every,
        SweepEvery::Auto => took * SHARE <= interval || since >= took * SHARE,
    }
}

pub(super) fn is_due(store: &Store, every: SweepEvery, interval: Duration, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let at = store.meta(AT)?.and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let took = store.meta(SECONDS)?.and_then(|s| s.parse::<i64>().ok()).and_then(Duration::try_seconds);
    Ok(due(every, interval, at.zip(took), now))
}

/// Remembers a run that swept and ended well.
pub fn note_sweep(store: &Store, options: &Options, report: &Report, started: DateTime<Utc>, now: DateTime<Utc>) -> anyhow::Result<()> {
    if report.error.is_some() || !(options.sweep || options.kind == RunKind::Full) {
        return Ok(());
    }
    store.set_meta(AT, &stamp(started))?;
    store.set_meta(SECONDS, &(now - started).num_seconds().max(0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_sweep_is_done_every_time_and_a_slow_one_in_a_tenth_of_the_time() {
        let noon = DateTime::UNIX_EPOCH + Duration::hours(12);
        let quarter = Duration::minutes(15);
        let case = |every, took_s, ago_s| due(every, quarter, Some((noon - Duration::seconds(ago_s), Duration::seconds(took_s))), noon);
        for (every, took_s, ago_s, expected) in [
            (SweepEvery::Auto, 90, 900, true),
            (SweepEvery::Auto, 91, 900, false),
            (SweepEvery::Auto, 91, 910, true),
            (SweepEvery::Auto, 600, 5_999, false),
            (SweepEvery::Auto, 600, -5, true),
            (SweepEvery::Run, 6_000, 1, true),
            (SweepEvery::Every(Duration::hours(6)), 1, 900, false),
            (SweepEvery::Every(Duration::hours(6)), 1, 21_600, true),
        ] {
            assert_eq!(case(every, took_s, ago_s), expected, "{every:?}: took {took_s} s, {ago_s} s ago");
        }
        assert!(due(SweepEvery::Auto, quarter, None, noon), "never swept");
    }
}
