//! Do the checks bite? Every seeded bug is switched on in turn, and must break a rule within so many schedules.

use super::script::Script;
use super::{play_alone, rules_broken};
use crate::seeded::{Bug, with};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bug that so many schedules do not catch is not caught.
pub const MOST_SCHEDULES: u64 = 4_000;

/// How a bug was caught.
#[derive(Debug, Clone)]
pub struct Bite {
    pub bug: &'static str,
    pub place: &'static str,
    pub what: &'static str,
    /// Schedules until something broke, and which rules; `None`: nothing did.
    pub caught: Option<(u64, Vec<String>)>,
}

/// Every bug, on so many threads, in the order of the list.
#[must_use]
pub fn bites(threads: usize) -> Vec<Bite> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(Bug, Bite)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bite = bite(*bug);
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*bug, bite));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|(bug, _)| *bug);
    found.into_iter().map(|(_, bite)| bite).collect()
}

fn bite(bug: Bug) -> Bite {
    let caught = with(bug, || {
        (1..=MOST_SCHEDULES).find_map(|seed| {
            let rules = rules_broken(&play_alone(&Script::of(seed), false));
            (!rules.is_empty()).then(|| (seed, rules.into_iter().collect()))
        })
    });
    Bite { bug: bug.as_str(), place: bug.place(), what: bug.what(), caught }
}
