//! How what a call answered becomes the outcome of a write.

use super::ForceManager;
use super::list::Row;
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::{Outcome, StepReport, Write};
use crate::record::{Record, RecordId};
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

/// A fault before anything was sent: nothing happened.
pub fn unsent_fault(fault: Fault) -> Outcome {
    Outcome::Failed { code: fault.code, message: fault.message }
}

/// Trouble with a read before anything was sent.
pub fn unsent(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Missing,
        Trouble::Denied(r) => failed(&r.code, format!("the key may not do this: {}", r.message)),
        // The set-up, not the record: there is no such resource, or a filter of ours cannot be understood.
        Trouble::Refused(r) if matches!(r.code.as_str(), "901" | "910") => failed(&r.code, r.message),
        Trouble::Refused(r) => rejected(r),
        Trouble::Fault(f) => unsent_fault(f),
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

pub fn is_unknown(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Fault(f) if f.kind == FaultKind::Unknown)
}

/// Waits before a look.
pub async fn wait_s(seconds: u64) {
    if seconds > 0 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

impl ForceManager {
    /// Done, with what the side was re-read to hold; `None` leaves the write unconfirmed until it is read next.
    pub(super) async fn done(&self, write: &Write, resource: &'static ResourceSpec, id: i64, row: Option<Row>, steps: Steps) -> Outcome {
        let record: Option<Record> = match row {
            Some(row) => self.record(resource, row, &write.read).await.ok().flatten(),
            None => None,
        };
        Outcome::Done { id: RecordId::from(id.to_string()), record, steps: steps.0 }
    }

    /// The row by its id, patiently: what was just made may not show at once.
    pub(super) async fn row_soon(&self, resource: &'static ResourceSpec, id: i64) -> Result<Row, Trouble> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.row(resource, id).await {
                Ok(None) => {}
                Ok(Some(row)) => return Ok(row),
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Trouble::Missing)
    }
}
