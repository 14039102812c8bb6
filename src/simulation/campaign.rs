//! Many schedules, and what they came to: edits, faults by cell, rules broken with seed and shrunk script.

use super::face::applies;
use super::script::{FaultWord, Op, Script};
use super::world::Cell;
use super::{play_alone, smallest};
use crate::record::Side;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Failures that are cut down and told; the rest is only counted.
const MOST_TOLD: usize = 5;

#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub schedules: u64,
    pub user_edits: u64,
    pub runs: u64,
    pub crashes: u64,
    pub cells: BTreeMap<Cell, u64>,
    pub broken: u64,
    pub rules_broken: BTreeMap<String, u64>,
    pub failures: Vec<Failure>,
    /// Of all traces together, whatever order they were played in.
    pub trace_hash: u64,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    pub broken: Vec<String>,
    /// The shrunk script as a line of JSON, and its story.
    pub script: String,
    pub story: Vec<String>,
}

impl Summary {
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.cells.values().sum()
    }

    /// Cells that no schedule hit.
    #[must_use]
    pub fn missed(&self) -> Vec<Cell> {
        cells().into_iter().filter(|c| !self.cells.contains_key(c)).collect()
    }

    #[must_use]
    pub fn cells_hit(&self) -> usize {
        cells().len() - self.missed().len()
    }

    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.user_edits += other.user_edits;
        self.runs += other.runs;
        self.crashes += other.crashes;
        self.broken += other.broken;
        self.trace_hash = self.trace_hash.wrapping_add(other.trace_hash);
        for (cell, n) in other.cells {
            *self.cells.entry(cell).or_default() += n;
        }
        for (rule, n) in other.rules_broken {
            *self.rules_broken.entry(rule).or_default() += n;
        }
        self.failures.extend(other.failures);
    }

    /// For machines.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let failures: Vec<_> =
            self.failures.iter().map(|f| serde_json::json!({ "seed": f.seed, "broken": f.broken, "script": f.script })).collect();
        serde_json::json!({
            "schedules": self.schedules, "user_edits": self.user_edits, "runs": self.runs, "crashes": self.crashes,
            "faults": self.faults(), "cells_hit": self.cells_hit(), "cells_total": cells().len(), "broken": self.broken,
            "trace_hash": format!("{:016x}", self.trace_hash), "failures": failures,
        })
    }
}

/// Every kind of trouble at every place where it can happen: a cell that is never hit proves nothing.
#[must_use]
pub fn cells() -> BTreeSet<Cell> {
    let mut all = BTreeSet::new();
    for side in Side::BOTH {
        for op in Op::ALL.map(Op::as_str) {
            for fault in FaultWord::ALL {
                if applies(*fault, side, op) {
                    all.insert(Cell { fault: fault.as_str(), place: side.as_str(), op });
                }
            }
            for fault in ["crash-before", "crash-after", "stop"] {
                all.insert(Cell { fault, place: side.as_str(), op });
            }
        }
        all.insert(Cell { fault: "meddle", place: side.as_str(), op: "get" });
        for what in ["created", "set", "deleted"] {
            all.insert(Cell { fault: "edit-in-a-run", place: side.as_str(), op: what });
        }
        for fault in ["refused-for-good", "field-hidden"] {
            all.insert(Cell { fault, place: side.as_str(), op: "people" });
        }
    }
    for fault in ["late-commit", "late-commit-beyond-the-lookback", "undelete", "purge", "merge"] {
        all.insert(Cell { fault, place: "salesforce", op: "people" });
    }
    for fault in ["crash-before", "crash-after"] {
        all.insert(Cell { fault, place: "store", op: "commit" });
    }
    all
}

/// Plays seeds `first..first + count` on so many threads. `progress` hears how many are done.
pub fn campaign(first: u64, count: u64, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Summary {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let sum = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut own = Summary::default();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    one(first + n, &mut own);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
                sum.lock().unwrap_or_else(PoisonError::into_inner).add(own);
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

fn one(seed: u64, sum: &mut Summary) {
    let played = play_alone(&Script::of(seed), false);
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
        for rule in super::rules_broken(&played) {
            *sum.rules_broken.entry(rule).or_default() += 1;
        }
        sum.failures.push(Failure { seed, broken: played.broken, script: String::new(), story: Vec::new() });
    }
}
