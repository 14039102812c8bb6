//! An intent: one promised change, complete. Nothing is left to choose when it is carried out.

use super::Situation;
use crate::record::{Fields, Record, RecordId, Side, Sides, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is done to a record. The first three reach a side; the rest only move our own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Create,
    Update,
    Delete,
    /// Join two records that are found to be one.
    Link,
    /// Move bases; no write.
    Advance,
    /// Turn the link into a tombstone.
    Bury,
    /// Mark the link, report, nothing else.
    Mark,
    /// Drop the link.
    Forget,
    /// Point the link at the record that survived a merge.
    Repoint,
}

impl Verb {
    pub const ALL: [Verb; 9] =
        [Self::Create, Self::Update, Self::Delete, Self::Link, Self::Advance, Self::Bury, Self::Mark, Self::Forget, Self::Repoint];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Link => "link",
            Self::Advance => "advance",
            Self::Bury => "bury",
            Self::Mark => "mark",
            Self::Forget => "forget",
            Self::Repoint => "repoint",
        }
    }

    /// True where the verb is a write to a side.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentState {
    /// In a plan, not yet cleared by the guard.
    Planned,
    /// Committed before anything is sent.
    Promised,
    /// Sent, outcome unknown: resolved by reading, never sent again blindly.
    Unknown,
    /// Settled: the side holds it.
    Done,
    /// Refused by the side for good; the record is in quarantine.
    Rejected,
    /// Not sent or failed as a whole; planned afresh by a later run.
    Dropped,
}

impl IntentState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Promised => "promised",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
        }
    }
}

/// One field of a change, as history and `plan` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub name: String,
    pub old: Value,
    pub new: Value,
}

/// A complete change of one record of one side, with everything needed to carry it out and to settle it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Row number in the journal; 0 until stored.
    pub id: i64,
    pub object: String,
    /// The side written to (for local verbs: the side whose news caused it).
    pub side: Side,
    pub verb: Verb,
    pub situation: Situation,
    pub link: Option<i64>,
    pub salesforce_id: Option<RecordId>,
    pub platform_id: Option<RecordId>,
    /// Native values to write on `side`.
    pub fields: Fields,
    /// Old and new by field, for people.
    pub moved: Vec<Moved>,
    /// What becomes of the bases once this is settled: values the plan saw and agreed to. On the side that is written,
    /// the answer's values for `fields` come on top.
    pub advance: Sides<Fields>,
    /// The field and value by which a create can be found again.
    pub key: Option<(String, String)>,
    /// Conflicts decided by this intent.
    pub conflicts: Vec<Decided>,
}

impl Intent {
    /// A change that takes something away from a customer counts as destructive: a license disabled, cut short, lowered,
    /// its activations released.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        let state_takes = |state: &Fields| state.contains_key("at-most") || state.get("enabled") == Some(&Value::Bool(false));
        let states = self.fields.get("change").and_then(Value::as_rows).unwrap_or_default();
        self.verb == Verb::Update
            && self.side == Side::Platform
            && (self.moved.iter().any(Moved::takes_away) || self.fields.contains_key("reset") || states.iter().any(state_takes))
    }

    /// A write of fields that are Lockstep's own in Salesforce: it changes nothing that anybody else wrote.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.situation == Situation::Told
    }
}

impl Moved {
    fn takes_away(&self) -> bool {
        match (self.name.as_str(), &self.old, &self.new) {
            ("enabled", _, Value::Bool(enabled)) => !enabled,
            ("max_activations", Value::Int(old), Value::Int(new)) => new < old,
            ("validity_period", Value::Text(old), Value::Text(new)) => new < old,
            // From no end to an end.
            ("validity_period", Value::Null, new) => !new.is_blank(),
            _ => false,
        }
    }
}

/// A clash and how it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub entry: String,
    pub base: Sides<Value>,
    pub value: Sides<Value>,
    /// `None`: nobody, a person decides.
    pub winner: Option<Side>,
    pub rule: String,
}

/// An entry that is fought over: its side came back with something else each time it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fought {
    pub entry: String,
    /// The side that would be written once more.
    pub side: Side,
    /// What it would be given.
    pub wrote: Value,
    /// How often it was given that already.
    pub times: u32,
    /// What each side holds now.
    pub value: Sides<Value>,
}

/// What a connector is asked to do. It makes no choices: ids, fields and keys are all here.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub intent: i64,
    pub object: String,
    /// sObject or platform resource.
    pub resource: String,
    /// Create, Update or Delete.
    pub verb: Verb,
    /// The record's id on this side; `None` for a create.
    pub id: Option<RecordId>,
    /// Native values. For a create they include the planted id field where the resource has one.
    pub fields: Fields,
    /// The field and value by which this create can be found again: the idempotency key.
    pub key: Option<(String, String)>,
    /// All mapped native field names, so that the answer can be read back in full.
    pub read: Vec<String>,
}

/// One call of a write, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    pub name: String,
    pub outcome: String,
}

/// How a write ended, for one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The side holds it. `record`: what the side answered or was re-read to hold; `None` where the answer has no values.
    Done { id: RecordId, record: Option<Record>, steps: Vec<StepReport> },
    /// This record is refused for good until something changes.
    Rejected { code: String, message: String, fields: Vec<String> },
    /// Not done, and worth trying again in a later run: nothing was sent, or the side said to come back.
    Failed { code: String, message: String },
    /// Sent, and nobody knows.
    Unknown { message: String },
    /// The record is not there any more.
    Missing,
}
