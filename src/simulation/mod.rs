//! The whole daemon logic under attack: the real engine and the real store between two simulated systems that keep their
//! true history, in virtual time, with every fault by call number and a crash at every commit. The same seed gives the
//! same trace.
//!
//! Test builds only (`cargo test`, feature `simulation`). What a system's wire can do wrong below the seam is for the tests
//! through the sandbox.

mod campaign;
mod check;
mod dice;
mod face;
mod play;
mod regressions;
mod script;
pub mod shop;
mod shrink;
mod stories;
mod teeth;
mod world;

pub use campaign::{Failure, Summary, campaign, cells};
pub use play::{Played, play};
pub use regressions::{REGRESSIONS, Regression};
pub use script::{Event, FaultWord, Script, Step};
pub use shrink::shrink;
pub use teeth::{Bite, DOC, MOST_SCHEDULES, bites, replaced, table};
pub use world::Cell;

/// The rules a schedule broke.
#[must_use]
pub fn rules_broken(played: &Played) -> std::collections::BTreeSet<String> {
    played.broken.iter().filter_map(|b| b.split(':').next()).map(str::to_owned).collect()
}

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
    let rules = rules_broken(&play_alone(script, false));
    let small = shrink(script, 400, |s| !rules.is_disjoint(&rules_broken(&play_alone(s, false))));
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
    /// `simulate`.
    #[test]
    fn schedules_keep_every_invariant_and_hit_every_cell() {
        let (first, count) = (number("LOCKSTEP_SEED", 1), number("LOCKSTEP_SCHEDULES", 3_000));
        let sum = campaign(first, count, 2, &|_| {});
        for failure in &sum.failures {
            println!("--- seed {}: {}\n{}\n{}", failure.seed, failure.broken.join("; "), failure.script, failure.story.join("\n"));
        }
        assert_eq!(sum.broken, 0, "rules broken: {:?}", sum.rules_broken);
        if count >= 3_000 {
            assert_eq!(sum.missed(), Vec::new(), "cells that no schedule hit");
        }
    }

    /// L7.
    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 1..20 {
            assert_eq!(play_alone(&Script::of(seed), false).trace_hash, play_alone(&Script::of(seed), false).trace_hash, "seed {seed}");
        }
    }
}
