//! Promises whose outcome nobody knows are resolved by reading, before anything new is planned.

use super::apply::write_of;
use crate::connectors::{Schema, Writer};
use crate::plan::{Outcome, Write};
use crate::record::{Side, Sides};
use crate::rules::{Mapping, Rules};
use crate::seeded::seeded;
use crate::store::{Settled, Store, StoredIntent};
use chrono::{DateTime, Utc};

/// How many promises are looked up at once.
const BATCH: usize = 1_000;

pub struct Recover<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub mapping: &'a Mapping,
    pub schema: Sides<&'a Schema>,
    pub writers: Sides<&'a dyn Writer>,
    pub run: i64,
    pub now: DateTime<Utc>,
}

impl Recover<'_> {
    /// What an earlier run promised and did not settle. Proved done: settled. Proved undone: planned afresh by this run.
    /// Still unknown: it stays, and its record is not touched.
    pub async fn open_promises(&self) -> anyhow::Result<Settled> {
        if seeded!(NoRecovery) {
            return Ok(Settled::default());
        }
        let open = self.store.open_promises(&self.mapping.object)?;
        let mut outcomes = Vec::with_capacity(open.len());
        for side in Side::BOTH {
            let of_side: Vec<&StoredIntent> = open.iter().filter(|stored| stored.intent.side == side).collect();
            for batch in of_side.chunks(BATCH) {
                let writes: Vec<Write> =
                    batch.iter().map(|stored| write_of(self.rules, self.mapping, &stored.intent, self.schema[side])).collect();
                let became = self.writers[side].resolve_many(&writes).await;
                anyhow::ensure!(became.len() == batch.len(), "the {side} connector told of {} of {} promises", became.len(), batch.len());
                for ((stored, write), outcome) in batch.iter().zip(&writes).zip(became) {
                    let undone = || Outcome::Failed { code: "not-done".to_owned(), message: "no answer".to_owned() };
                    let mut outcome = known_only(outcome, write);
                    if seeded!(UnknownIsUndone) {
                        outcome = undone();
                    }
                    if seeded!(ResentUnlooked) && self.mapping.provisions {
                        outcome = undone();
                    }
                    if seeded!(ResetAgain) && write.fields.contains_key("reset") {
                        outcome = undone();
                    }
                    tracing::info!(object = %self.mapping.object, %side, verb = %stored.intent.verb, intent = stored.intent.id, "an open promise was looked up: {}", word(&outcome));
                    outcomes.push(((*stored).clone(), outcome));
                }
            }
        }
        outcomes.sort_by_key(|(stored, _)| stored.intent.id);
        self.store.settle(self.run, &outcomes, self.now)
    }
}

/// Only mapped fields enter the bases, whatever else the answer holds.
fn known_only(outcome: Outcome, write: &Write) -> Outcome {
    match outcome {
        Outcome::Done { id, record: Some(mut record), steps } => {
            record.fields.retain(|name, _| write.read.contains(name));
            Outcome::Done { id, record: Some(record), steps }
        }
        other @ (Outcome::Done { .. } | Outcome::Rejected { .. } | Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::Missing) => {
            other
        }
    }
}

const fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Rejected { .. } => "refused",
        Outcome::Failed { .. } => "not done",
        Outcome::Unknown { .. } => "still unknown",
        Outcome::Missing => "its record is gone",
    }
}
