//! What people asked for: open rows of `request`, added up into one run.
//!
//! A request stays open until a run that honoured it ended well, so that it survives restarts and outages.

use crate::config::ResyncAt;
use crate::engine::{Options, Report, RunKind};
use crate::store::{Request, Store};
use chrono::{DateTime, Utc};
use std::collections::HashSet;

const RESYNC: &str = "resync";

/// When a re-sync with this argument starts. `None`: a word that this build does not know.
fn when(argument: &str, rules: ResyncAt) -> Option<ResyncAt> {
    match argument.trim() {
        "" => Some(rules),
        word => [ResyncAt::Now, ResyncAt::NextTick].into_iter().find(|at| at.as_str() == word),
    }
}

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
    /// Reads what is open. A re-sync starts when it was asked to, and by the rules' `resync` where nobody said; `due` is the
    /// next regular interval. `tried` have failed and wait for the schedule.
    pub fn open(store: &Store, due: bool, resync: ResyncAt, tried: &HashSet<i64>, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut asked = Self::default();
        let open = store.open_requests()?;
        let starts = |request: &Request| {
            request.kind == RESYNC && !tried.contains(&request.id) && (due || when(&request.argument, resync) == Some(ResyncAt::Now))
        };
        // One full comparison is the answer to everybody who asked for one, also to who would have waited longer.
        let full = open.iter().any(starts);
        for request in open {
            let waits = match request.kind.as_str() {
                RESYNC => !full && when(&request.argument, resync).is_some(),
                _ => tried.contains(&request.id),
            };
            if waits {
                continue;
            }
            let mut words = request.argument.split_whitespace().map(str::to_owned);
            match (request.kind.as_str(), request.argument.trim().parse::<i64>()) {
                (RESYNC, _) if when(&request.argument, resync).is_some() => asked.full = true,
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
        let asked = Asked::open(&store, false, ResyncAt::Now, &HashSet::new(), now).unwrap();
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
        let open = |due, tried: &[i64]| Asked::open(&store, due, ResyncAt::NextTick, &tried.iter().copied().collect(), now).unwrap();
        store.ask("resync", "", now).unwrap();
        assert!(open(false, &[]).is_empty());
        let run = store.ask("run", "", now).unwrap();
        assert_eq!(open(false, &[]).ids(), [run]);
        assert!(open(true, &[run]).full);
    }

    #[test]
    fn a_resync_starts_when_it_was_asked_to_whatever_the_rules_say() {
        let now = DateTime::UNIX_EPOCH;
        for (argument, rules, due, starts) in [
            ("", ResyncAt::Now, false, true),
            ("", ResyncAt::NextTick, false, false),
            ("now", ResyncAt::NextTick, false, true),
            ("next-tick", ResyncAt::Now, false, false),
            ("next-tick", ResyncAt::Now, true, true),
            ("", ResyncAt::NextTick, true, true),
        ] {
            let store = Store::in_memory().unwrap();
            store.ask("resync", argument, now).unwrap();
            let asked = Asked::open(&store, due, rules, &HashSet::new(), now).unwrap();
            assert_eq!(asked.full, starts, "{argument:?}, rules {rules:?}, due {due}");
            assert_eq!(store.open_requests().unwrap().len(), 1, "it is kept");
        }
    }

    #[test]
    fn one_full_comparison_answers_all_who_asked_and_a_word_nobody_knows_is_closed() {
        let store = Store::in_memory().unwrap();
        let now = DateTime::UNIX_EPOCH;
        let failed = store.ask("resync", "", now).unwrap();
        let later = store.ask("resync", "next-tick", now).unwrap();
        let tried = HashSet::from([failed]);
        assert!(Asked::open(&store, false, ResyncAt::Now, &tried, now).unwrap().is_empty());
        let (odd, soon) = (store.ask("resync", "tomorrow", now).unwrap(), store.ask("resync", "now", now).unwrap());
        assert_eq!(Asked::open(&store, false, ResyncAt::Now, &tried, now).unwrap().ids(), [failed, later, soon]);
        assert!(store.open_requests().unwrap().iter().all(|r| r.id != odd));
    }
}
