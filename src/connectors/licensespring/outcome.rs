//! How what a call answered becomes the outcome of a write.

use super::LicenseSpring;
use super::list::{Row, row_id};
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::{Outcome, StepReport, Write};
use crate::record::RecordId;
use std::time::Duration;

/// How long a record may take to show itself after it was made, in seconds before each look.
pub const LOOKS_S: &[u64] = &[0, 1, 2, 4];

/// Fields that tell what to do and are never shown.
const SENT_ONLY: [&str; 4] = ["items", "append", "change", "reset"];

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
        Trouble::Denied(r) => Outcome::Failed { code: r.code, message: format!("the API key may not do this: {}", r.message) },
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

/// Trouble after a part of the write is known to have happened: only looking tells what is left of it.
pub fn half_done(what: &str, trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Unknown { message: format!("{what}, but it does not show yet") },
        Trouble::Denied(r) => Outcome::Unknown { message: format!("{what}, then: {} ({})", r.message, r.code) },
        Trouble::Refused(r) => rejected(Refusal { message: format!("{what}, then: {}", r.message), ..r }),
        Trouble::Fault(f) => Outcome::Unknown { message: format!("{what}, then: {f}") },
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

impl LicenseSpring {
    /// Done, with what the side holds: from the answer's row, re-read where that does not show every field.
    pub(super) async fn done(&self, write: &Write, resource: &'static ResourceSpec, row: Row, steps: Steps) -> Outcome {
        let Some(id) = row_id(&row) else {
            return Outcome::Unknown { message: "the answer has no id".to_owned() };
        };
        let read = |rows: Vec<Row>| async move { self.records(resource, &rows, &write.read).await.ok().and_then(|mut r| r.pop()) };
        let mut record = read(vec![row]).await;
        let partial = record.as_ref().is_none_or(|r| write.read.iter().any(|f| readable(resource, f) && !r.fields.contains_key(f)));
        if partial && let Ok(row) = self.row(resource, id).await {
            record = read(vec![row]).await.or(record);
        }
        Outcome::Done { id: RecordId::from(id.to_string()), record, steps: steps.0 }
    }

    /// The row by its id, patiently: what was just made may not show at once.
    pub(super) async fn row_soon(&self, resource: &ResourceSpec, id: i64) -> Result<Row, Trouble> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.row(resource, id).await {
                Err(Trouble::Missing) => {}
                other => return other,
            }
        }
        Err(Trouble::Missing)
    }
}

/// A field whose absence from an answer is worth another call.
fn readable(resource: &ResourceSpec, field: &str) -> bool {
    resource.knows(field) && !SENT_ONLY.contains(&field)
}
