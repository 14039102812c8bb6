//! The switch of the rules as the daemon has read it, kept where commands find it: what they ask for waits while it is off.

use crate::store::{Store, stamp};
use chrono::{DateTime, Utc};

/// Since when; empty while it is on.
const OFF_SINCE: &str = "off:since";

/// Since when the daemon does nothing because its rules are switched off. Means something only while a daemon is there.
pub fn off_since(store: &Store) -> anyhow::Result<Option<String>> {
    Ok(store.meta(OFF_SINCE)?.filter(|since| !since.is_empty()))
}

/// Keeps what the rules say now, and says it once when that is something new.
pub(super) fn note(store: &Store, enabled: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
    match (enabled, off_since(store)?) {
        (false, None) => store.set_meta(OFF_SINCE, &stamp(now)),
        (true, Some(since)) => {
            tracing::info!("the rules are switched on again; they were off since {since}");
            store.set_meta(OFF_SINCE, "")
        }
        (true, None) | (false, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::Duration;

    #[test]
    fn it_is_off_since_the_first_time_it_was_found_off() {
        let (store, noon) = (Store::in_memory().unwrap(), DateTime::UNIX_EPOCH + Duration::hours(12));
        let say = |enabled, minutes| {
            note(&store, enabled, noon + Duration::minutes(minutes)).unwrap();
            off_since(&store).unwrap()
        };
        assert_eq!(say(true, 0), None);
        assert_eq!(say(false, 1), Some("1970-01-01T12:01:00Z".to_owned()));
        assert_eq!(say(false, 2), Some("1970-01-01T12:01:00Z".to_owned()), "a restart is no new beginning");
        assert_eq!(say(true, 3), None);
    }
}
