//! When a scheduled run is a census.

use crate::rules::Schedule;
use crate::store::{Store, stamp};
use chrono::{DateTime, Utc};

/// Where the count of days begins in a state that has never seen a census: at the first look.
const COUNTED_FROM: &str = "census:from";

/// A census that broke off has not ended, and so is still due.
pub(super) fn is_due(store: &Store, schedule: Option<&Schedule>, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let Some(schedule) = schedule else { return Ok(false) };
    let read = |text: Option<String>| text.and_then(|at| at.parse::<DateTime<Utc>>().ok());
    if let Some(last) = read(store.last_census()?) {
        return Ok(schedule.due(last, now));
    }
    match read(store.meta(COUNTED_FROM)?) {
        Some(from) => Ok(schedule.due(from, now)),
        None => {
            store.set_meta(COUNTED_FROM, &stamp(now))?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::Duration;

    #[test]
    fn a_new_state_waits_one_interval_and_off_is_never() {
        let store = Store::in_memory().unwrap();
        let (day, now) = (Schedule::every("24h").unwrap(), DateTime::UNIX_EPOCH);
        assert!(!is_due(&store, None, now).unwrap());
        assert!(!is_due(&store, Some(&day), now).unwrap());
        assert!(!is_due(&store, Some(&day), now + Duration::hours(23)).unwrap());
        assert!(is_due(&store, Some(&day), now + Duration::hours(24)).unwrap());
        store.end_census(now + Duration::hours(25)).unwrap();
        assert!(!is_due(&store, Some(&day), now + Duration::hours(30)).unwrap());
        assert!(is_due(&store, Some(&day), now + Duration::hours(49)).unwrap());
    }
}
