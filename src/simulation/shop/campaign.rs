//! Many schedules of the shop, counted as the others are.

use super::script::{Call, Script};
use super::{face, play_alone, smallest};
use crate::record::Side;
use crate::simulation::script::FaultWord;
use crate::simulation::world::Cell;
use crate::simulation::{Failure, Summary, rules_broken};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Failures that are cut down and told; the rest is only counted.
const MOST_TOLD: usize = 5;

/// What people do.
const PEOPLE: [&str; 22] = [
    "customer",
    "contact",
    "order",
    "activate",
    "deactivate",
    "cancel",
    "add-a-line",
    "change-a-quantity",
    "remove-a-line",
    "change-a-product",
    "another-contact",
    "delete-order",
    "undelete-order",
    "delete-account",
    "merge-accounts",
    "license-in-salesforce",
    "license-on-the-platform",
    "devices",
    "ask-for-a-reset",
    "delete-record",
    "delete-license",
    "delete-order-there",
];

/// Every kind of trouble at every place where it can happen: a cell that is never hit proves nothing.
#[must_use]
pub fn cells() -> BTreeSet<Cell> {
    let mut all = BTreeSet::new();
    for side in Side::BOTH {
        for call in Call::ALL.into_iter().filter(|c| c.is_on(side)) {
            let (place, op) = (side.as_str(), call.as_str());
            let faults = FaultWord::ALL.iter().filter(|f| face::applies(**f, side, call)).map(|f| f.as_str());
            all.extend(faults.chain(["crash-before", "crash-after", "stop"]).map(|fault| Cell { fault, place, op }));
        }
        all.insert(Cell { fault: "refused-for-good", place: side.as_str(), op: "people" });
    }
    all.extend(PEOPLE.into_iter().map(|fault| Cell { fault, place: "people", op: "between-runs" }));
    all.extend(["crash-before", "crash-after"].map(|fault| Cell { fault, place: "store", op: "commit" }));
    all.insert(Cell { fault: "late-commit", place: "salesforce", op: "people" });
    all
}

/// Plays seeds `first..first + count` on so many threads. `progress` hears how many are done.
pub fn campaign(first: u64, count: u64, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Summary {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let sum = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    one(first + n, &sum);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failures.sort_by_key(|f| f.seed);
    sum.failures.truncate(MOST_TOLD);
    for failure in &mut sum.failures {
        let (small, played) = smallest(&Script::of(failure.seed));
        failure.script = serde_json::to_string(&small).unwrap_or_default();
        failure.story = played.story;
    }
    sum
}

fn one(seed: u64, sum: &Mutex<Summary>) {
    let played = play_alone(&Script::of(seed), false);
    let rules = rules_broken(&played);
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    sum.schedules += 1;
    sum.user_edits += played.user_edits;
    sum.runs += played.runs;
    sum.crashes += played.crashes;
    sum.trace_hash = sum.trace_hash.wrapping_add(played.trace_hash.rotate_left(u32::try_from(seed % 63).unwrap_or(0)));
    for (cell, n) in &played.cells {
        *sum.cells.entry(*cell).or_default() += n;
    }
    if !played.broken.is_empty() {
        sum.broken += 1;
        for rule in rules {
            *sum.rules_broken.entry(rule).or_default() += 1;
        }
        sum.failures.push(Failure { seed, broken: played.broken, script: String::new(), story: Vec::new() });
    }
}
