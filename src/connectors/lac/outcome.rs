//! How what a call answered becomes the outcome of a write.

use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::FaultKind;
use crate::plan::{Outcome, StepReport};
use std::time::Duration;

/// How long a record may take to show itself after it was made, in seconds before each look.
pub const LOOKS_S: &[u64] = &[0, 1, 2, 4];

/// The calls of one write as they went.
#[derive(Debug, Default, Clone)]
pub struct Steps(pub Vec<StepReport>);

impl Steps {
    pub fn say(&mut self, name: &str, outcome: impl Into<String>) {
        self.0.push(StepReport { name: name.to_owned(), outcome: outcome.into() });
    }
}

pub fn rejected(refusal: Refusal) -> Outcome {
    Outcome::Rejected { code: refusal.code, message: refusal.message, fields: refusal.fields }
}

pub fn failed(code: &str, message: impl Into<String>) -> Outcome {
    Outcome::Failed { code: code.to_owned(), message: message.into() }
}

/// Trouble with a read before anything was sent.
pub fn unsent(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Missing,
        Trouble::Denied(r) => {
            Outcome::Failed { code: r.code, message: format!("the LAC user may not do this; is its role missing? {}", r.message) }
        }
        Trouble::Refused(r) => rejected(r),
        Trouble::Fault(f) => Outcome::Failed { code: f.code, message: f.message },
    }
}

/// Trouble with the write itself.
pub fn sent(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Fault(f) if f.kind == FaultKind::Unknown => Outcome::Unknown { message: f.to_string() },
        Trouble::Missing | Trouble::Denied(_) | Trouble::Refused(_) | Trouble::Fault(_) => unsent(trouble),
    }
}

/// Trouble while looking what became of a write.
pub fn still_unknown(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Missing,
        Trouble::Denied(r) | Trouble::Refused(r) => Outcome::Unknown { message: format!("still not known: {} ({})", r.message, r.code) },
        Trouble::Fault(f) => Outcome::Unknown { message: format!("still not known: {f}") },
    }
}

/// Waits before a look.
pub async fn wait_s(seconds: u64) {
    if seconds > 0 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}
