//! What a record is, whoever keeps it: its side, its id, its canonical values.
//!
//! Names nothing above itself: no rules, no wire, no store.

mod canonical;
mod id;
mod side;
mod value;

pub use canonical::{FieldType, NotCanonical, canonical, coerce};
pub use id::{BadSalesforceId, RecordId, SalesforceId};
pub use side::{Side, Sides};
pub use value::{Fields, Value, fields_hash, fields_json, fields_parse};

use serde::{Deserialize, Serialize};

/// The other side's id written into a record, so that a lost memory can be rebuilt from the two systems alone.
pub const LOCKSTEP_ID: &str = "Lockstep_Id__c";

/// One record as one side showed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: RecordId,
    /// Canonical values by native field name. A field that is absent was not asked for or may not be read: it is
    /// never the same as null and never leads to a write.
    pub fields: Fields,
    /// When the side says the record last changed, RFC 3339 UTC; `None` where the side keeps no stamps.
    pub stamp: Option<String>,
    pub life: Life,
    /// Names of `Rows` fields that hold only some of their rows, because only those came with this reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<String>,
}

impl Record {
    #[must_use]
    pub fn live(id: impl Into<RecordId>, fields: Fields) -> Self {
        Self { id: id.into(), fields, stamp: None, life: Life::Live, partial: Vec::new() }
    }
}

/// Whether a record still lives, as far as the side itself said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    Live,
    /// The side itself reported the deletion: positive evidence.
    Deleted,
    /// Merged into another record, which lives on under this id.
    MergedInto(RecordId),
}
