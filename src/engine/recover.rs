//! Promises whose outcome nobody knows are resolved by reading, before anything new is planned.

use super::apply::write_of;
use crate::connectors::{Schema, Writer};
use crate::plan::Outcome;
use crate::record::Sides;
use crate::rules::{Mapping, Rules};
use crate::store::{Settled, Store};
use chrono::{DateTime, Utc};

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
        let open = self.store.open_promises(&self.mapping.object)?;
        let mut outcomes = Vec::with_capacity(open.len());
        for stored in open {
            let side = stored.intent.side;
            let write = write_of(self.rules, self.mapping, &stored.intent, self.schema[side]);
            let outcome = match self.writers[side].resolve(&write).await {
                Outcome::Done { id, record: Some(mut record), steps } => {
                    record.fields.retain(|name, _| write.read.contains(name));
                    Outcome::Done { id, record: Some(record), steps }
                }
                other @ (Outcome::Done { .. }
                | Outcome::Rejected { .. }
                | Outcome::Failed { .. }
                | Outcome::Unknown { .. }
                | Outcome::Missing) => other,
            };
            tracing::info!(object = %self.mapping.object, %side, verb = %stored.intent.verb, intent = stored.intent.id, "an open promise was looked up: {}", word(&outcome));
            outcomes.push((stored, outcome));
        }
        self.store.settle(self.run, &outcomes, self.now)
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
