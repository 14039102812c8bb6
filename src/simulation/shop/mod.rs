//! Orders under attack: the same engine and the same store between a Salesforce that sells and a platform that issues
//! licenses, in virtual time, with every fault by call number and a crash at every call and commit.
//!
//! What must hold has names of its own, O1 to O7 (see `check.rs` and `docs/testing.md`): an activated order becomes its
//! licenses exactly once, nothing is issued or taken away that nobody asked for. The rules are the shipped ones.

mod campaign;
mod check;
mod face;
mod people;
mod platform;
mod play;
mod said;
mod script;
mod world;

pub use campaign::{campaign, cells};
pub use play::play;
pub use script::{Edit, Event, Script, Step};

use super::Played;

/// Plays on this thread, from beginning to end.
///
/// # Panics
/// Where no runtime can be made.
#[must_use]
pub fn play_alone(script: &Script, tell: bool) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime on one thread needs nothing");
    runtime.block_on(play(script, tell))
}

/// The failing schedule cut down, and its story.
#[must_use]
pub fn smallest(script: &Script) -> (Script, Played) {
    let rules = super::rules_broken(&play_alone(script, false));
    let small = super::shrink(script, 400, |s| !rules.is_disjoint(&super::rules_broken(&play_alone(s, false))));
    let played = play_alone(&small, true);
    (small, played)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn number(name: &str, or: u64) -> u64 {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
    }

    /// The share of every commit. `LOCKSTEP_SEED` starts elsewhere, `LOCKSTEP_SCHEDULES` plays more or fewer; the long run is
    /// `simulate --shop`.
    #[test]
    fn orders_become_their_licenses_once_whatever_goes_wrong() {
        let (first, count) = (number("LOCKSTEP_SEED", 1), number("LOCKSTEP_SCHEDULES", 200));
        let sum = campaign(first, count, 2, &|_| {});
        for failure in &sum.failures {
            println!("--- seed {}: {}\n{}\n{}", failure.seed, failure.broken.join("; "), failure.script, failure.story.join("\n"));
        }
        println!(
            "{} schedules, {} edits, {} runs, {} crashes, {} faults",
            sum.schedules,
            sum.user_edits,
            sum.runs,
            sum.crashes,
            sum.faults()
        );
        let missed: Vec<_> = cells().into_iter().filter(|c| !sum.cells.contains_key(c)).collect();
        println!("missed: {missed:?}");
        assert_eq!(sum.broken, 0, "rules broken: {:?}", sum.rules_broken);
        if count >= 2_000 {
            assert_eq!(missed, Vec::new(), "cells that no schedule hit");
        }
    }

    /// L7: keys are random, and nothing else is.
    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 1..10 {
            assert_eq!(play_alone(&Script::of(seed), false).trace_hash, play_alone(&Script::of(seed), false).trace_hash, "seed {seed}");
        }
    }
}
