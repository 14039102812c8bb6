//! Cutting a failing schedule down to what it needs to fail.

use super::script::{Script, Settings, Step};
use crate::rules::{Conflict, Drift, Merge};

/// What can be cut down.
pub trait Smaller: Clone {
    /// Everything that is one cut smaller, boldest first.
    fn smaller(&self) -> Vec<Self>;
}

/// The smallest schedule found that still fails, trying at most so many.
pub fn shrink<S: Smaller>(script: &S, most: usize, mut fails: impl FnMut(&S) -> bool) -> S {
    let mut best = script.clone();
    let mut left = most;
    let mut moved = true;
    while moved && left > 0 {
        moved = false;
        for smaller in best.smaller() {
            if left == 0 {
                break;
            }
            left -= 1;
            if fails(&smaller) {
                best = smaller;
                moved = true;
                break;
            }
        }
    }
    best
}

impl Smaller for Script {
    fn smaller(&self) -> Vec<Self> {
        smaller(self)
    }
}

fn smaller(script: &Script) -> Vec<Script> {
    let mut out = Vec::new();
    let with = |steps: Vec<Step>| Script { steps, ..script.clone() };
    // Halves first, then one by one.
    let n = script.steps.len();
    if n > 3 {
        out.push(with(script.steps[n / 2..].to_vec()));
        out.push(with(script.steps[..n / 2].to_vec()));
    }
    for i in 0..n {
        let mut steps = script.steps.clone();
        steps.remove(i);
        out.push(with(steps));
    }
    for (i, step) in script.steps.iter().enumerate() {
        let Step::Run { full, events } = step else { continue };
        for e in 0..events.len() {
            let mut fewer = events.clone();
            fewer.remove(e);
            let mut steps = script.steps.clone();
            steps[i] = Step::Run { full: *full, events: fewer };
            out.push(with(steps));
        }
        if *full {
            let mut steps = script.steps.clone();
            steps[i] = Step::Run { full: false, events: events.clone() };
            out.push(with(steps));
        }
    }
    let s = script.rules;
    for rules in [
        Settings { trigger: false, ..s },
        Settings { lowers: false, ..s },
        Settings { answers: true, ..s },
        Settings { tight: false, ..s },
        Settings { coarse: false, ..s },
        Settings { fill_blanks: false, ..s },
        Settings { merge: Merge::Field, ..s },
        Settings { drift: Drift::Ignore, ..s },
        Settings { conflict: Conflict::Salesforce, ..s },
    ] {
        if rules != s {
            out.push(Script { rules, ..script.clone() });
        }
    }
    out
}
