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
    /// Where it lies below the connectors' seam, the tests that catch it.
    pub tests: Option<&'static str>,
}

impl Bite {
    /// Nothing catches it.
    #[must_use]
    pub fn missed(&self) -> bool {
        self.caught.is_none() && self.tests.is_none() && !has_script(self.bug)
    }
}

/// Every bug, on so many threads, in the order of the list; each is said as it is done.
#[must_use]
pub fn bites(threads: usize, most: u64) -> Vec<Bite> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(Bug, Bite)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bite = bite(*bug, most);
                    eprintln!("{:<24} {:?}", bite.bug, bite.caught);
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*bug, bite));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.sort_by_key(|(bug, _)| *bug);
    found.into_iter().map(|(_, bite)| bite).collect()
}

/// The schedule of this seed, of the game that the bug is for.
fn played(bug: Bug, seed: u64) -> super::Played {
    if bug.is_of_the_shop() { super::shop::play_alone(&super::shop::Script::of(seed), false) } else { play_alone(&Script::of(seed), false) }
}

fn bite(bug: Bug, most: u64) -> Bite {
    let most = if bug.tests().is_some() { 0 } else { most };
    let caught = (1..=most).find_map(|seed| {
        let rules = with(bug, || rules_broken(&played(bug, seed)));
        // What breaks without it as well says nothing of the bug.
        let its = !rules.is_empty() && played(bug, seed).broken.is_empty();
        its.then(|| (seed, rules.into_iter().collect()))
    });
    Bite { bug: bug.as_str(), place: bug.place(), what: bug.what(), caught, tests: bug.tests() }
}

/// Where the table stands.
pub const DOC: &str = "docs/testing.md";

const BEGIN: &str = "<!-- teeth: `simulate --teeth` writes from here -->\n";
const END: &str = "<!-- to here -->\n";

/// The table as the docs hold it.
#[must_use]
pub fn table(bites: &[Bite]) -> String {
    let mut out = String::from("| bug | where | what is wrong | caught after | by |\n|---|---|---|---|---|\n");
    for bite in bites {
        let (after, by) = match (&bite.caught, bite.tests) {
            (Some((seed, rules)), _) => (seed.to_string(), rules.join(", ")),
            (None, Some(tests)) => ("a test".to_owned(), format!("`{tests}`")),
            (None, None) if has_script(bite.bug) => ("its script".to_owned(), "`simulation::regressions`".to_owned()),
            (None, None) => ("not caught".to_owned(), String::new()),
        };
        out.push_str(&format!("| {} | `{}` | {} | {after} | {by} |\n", bite.bug, bite.place, bite.what));
    }
    out
}

/// A schedule that was cut down catches it, and every commit plays that.
fn has_script(bug: &str) -> bool {
    super::REGRESSIONS.iter().any(|r| r.bug.as_str() == bug)
}

/// The text with this table in the place of the old one; `None` where it has no place for it.
#[must_use]
pub fn replaced(text: &str, table: &str) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}{table}{END}{tail}"))
}

#[cfg(test)]
/// What the docs claim: by bug the schedule that catches it.
#[must_use]
pub fn claimed(text: &str) -> Vec<(String, u64)> {
    let rows = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map_or("", |(rows, _)| rows);
    rows.lines()
        .filter_map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            Some(((*cells.get(1)?).to_owned(), cells.get(4)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Writes the table anew, without the long way of a release build.
    #[test]
    #[ignore = "writes docs/testing.md"]
    fn the_table_is_written() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOC);
        let most = std::env::var("LOCKSTEP_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(MOST_SCHEDULES);
        let text = replaced(&std::fs::read_to_string(&path).unwrap(), &table(&bites(2, most))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Every bug below the seam has its check in the tests of its connector.
    #[test]
    fn every_bug_of_a_connector_has_its_check() {
        let checks =
            [include_str!("../connectors/salesforce/tests/teeth.rs"), include_str!("../connectors/licensespring/stories/teeth.rs")];
        for bug in Bug::ALL.iter().filter(|b| b.tests().is_some()) {
            let named = format!("bites(Bug::{bug:?},");
            assert!(checks.iter().any(|text| text.contains(&named)), "no test switches {} on", bug.as_str());
        }
    }

    /// Every bug of the list is caught by the schedule that the docs name, which is clean without it.
    #[test]
    fn every_seeded_bug_is_caught_as_the_docs_say() {
        let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOC)).unwrap();
        let claimed = claimed(&text);
        assert!(claimed.len() >= 57, "{DOC} has {} bugs: run `simulate --teeth --write {DOC}`", claimed.len());
        for (name, seed) in &claimed {
            let bug = Bug::ALL.iter().find(|b| b.as_str() == name).unwrap_or_else(|| panic!("there is no seeded bug {name}"));
            assert!(!rules_broken(&with(*bug, || played(*bug, *seed))).is_empty(), "schedule {seed} does not catch {name}");
            assert_eq!(played(*bug, *seed).broken, Vec::<String>::new(), "schedule {seed} is not clean");
        }
    }
}
