//! What people asked for: open rows of `request`, added up into one run.
//!
//! A request stays open until a run that honoured it ended well, so that it survives restarts and outages.

use crate::engine::{Options, Report, RunKind};
use crate::store::Store;
use chrono::{DateTime, Utc};
use std::collections::HashSet;

/// Open requests that the next run takes up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    ids: Vec<i64>,
    kinds: Vec<String>,
    full: bool,
    restore: Vec<i64>,
    wake: Vec<(Option<String>, Option<String>)>,
}

impl Asked {
    /// Reads what is open. A re-sync waits where it is not yet `resync_ready`; `tried` have failed and wait for the schedule.
    pub fn open(store: &Store, resync_ready: bool, tried: &HashSet<i64>, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut asked = Self::default();
        for request in store.open_requests()? {
            if tried.contains(&request.id) || (request.kind == "resync" && !resync_ready) {
                continue;
            }
            let mut words = request.argument.split_whitespace().map(str::to_owned);
            match (request.kind.as_str(), request.argument.trim().parse::<i64>()) {
                ("resync", _) => asked.full = true,
                ("run" | "release" | "discard", _) => {}
                ("retry", _) => asked.wake.push((words.next(), words.next())),
                ("restore", Ok(conflict)) => asked.restore.push(conflict),
                (kind, _) => {
                    tracing::warn!(request = request.id, kind, argument = %request.argument, "a request that this build does not understand");
                    store.take_request(request.id, "not understood", now)?;
                    continue;
                }
            }
            asked.ids.push(request.id);
            asked.kinds.push(request.kind);
        }
        asked.kinds.dedup();
        Ok(asked)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    #[must_use]
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// `resync, retry`: for the history.
    #[must_use]
    pub fn cause(&self) -> String {
        self.kinds.join(", ")
    }

    /// Adds what was asked to what would have been done anyway; quarantined records are woken and frozen fields let go here.
    pub fn join(&self, store: &Store, options: &mut Options) -> anyhow::Result<()> {
        if self.full {
            options.kind = RunKind::Full;
        }
        options.restore.extend(&self.restore);
        for (object, id) in &self.wake {
            store.wake_quarantine(object.as_deref(), id.as_deref())?;
            store.thaw(object.as_deref(), id.as_deref(), "retry", Utc::now())?;
        }
        Ok(())
    }

    /// Closes the requests that the run took up.
    pub fn answer(&self, store: &Store, report: &Report, now: DateTime<Utc>) -> anyhow::Result<()> {
        for id in &self.ids {
            store.take_request(*id, &format!("run {}: {}", report.run, report.outcome), now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_add_up_and_nonsense_is_closed() {
        let store = Store::in_memory().unwrap();
        let now = DateTime::UNIX_EPOCH;
        for (kind, argument) in [("retry", "contact 003"), ("resync", ""), ("restore", "7"), ("restore", "seven"), ("dance", "")] {
            store.ask(kind, argument, now).unwrap();
        }
        let asked = Asked::open(&store, true, &HashSet::new(), now).unwrap();
        assert_eq!(asked.cause(), "retry, resync, restore");
        assert_eq!(asked.wake, [(Some("contact".to_owned()), Some("003".to_owned()))]);
        let mut options = Options::new(RunKind::Delta, "x");
        asked.join(&store, &mut options).unwrap();
        assert_eq!((options.kind, options.restore), (RunKind::Full, vec![7]));
        assert_eq!(store.open_requests().unwrap().len(), 3, "what makes no sense is not asked again");
    }

    #[test]
    fn a_resync_waits_for_its_time_and_the_rest_does_not() {
        let store = Store::in_memory().unwrap();
        let now = DateTime::UNIX_EPOCH;
        store.ask("resync", "", now).unwrap();
        assert!(Asked::open(&store, false, &HashSet::new(), now).unwrap().is_empty());
        let run = store.ask("run", "", now).unwrap();
        assert_eq!(Asked::open(&store, false, &HashSet::new(), now).unwrap().ids(), [run]);
        assert!(Asked::open(&store, true, &HashSet::from([run]), now).unwrap().full);
    }
}
