//! The memory: one SQLite file, and the only place that knows SQL.
//!
//! One connection behind a mutex is the single writer; every method is one short transaction, and none of them is held
//! across a request. Readers of other processes use the public views.

mod adopt;
mod census;
mod conflicts;
mod crash;
mod evidence;
#[cfg(any(test, feature = "simulation"))]
mod fate;
mod frozen;
mod hold;
mod journal;
mod lineage;
mod links;
mod nested;
mod open;
mod pairs;
mod quarantine;
mod requests;
mod runs;
mod scratch;
mod sentinel;
mod settle;
mod sound;
mod stage;
mod statistics;
mod told;
mod verify;
mod views;
mod why;

pub use adopt::PairRow;
pub use census::{CensusCounts, Seen, Unseen};
pub use conflicts::ConflictRow;
pub use evidence::LicensesShown;
#[cfg(any(test, feature = "simulation"))]
pub use fate::{Crash, Fate};
pub use frozen::FrozenRow;
pub use hold::{Apart, Approval, HoldRow, HoldSample};
pub use journal::{StoredIntent, Wrote};
pub use lineage::{RESTORED_REASON, Restored, Stage};
pub use links::{Link, LinkState, Links};
pub use nested::Nest;
use open::Cached;
pub use open::{OpenError, SCHEMA_VERSION, Store};
pub use pairs::{Candidate, PairRead, StagedRow};
pub use quarantine::{ParkedRecord, QuarantineRow, ToPark};
pub use requests::Request;
pub use runs::{RunCounts, RunRow, SidesJson};
pub use scratch::{Duplicate, Keys, Scratch, Shown as ShownRecord};
pub use settle::Settled;
pub use stage::{Staged, StagedCounts};
pub use statistics::{ChangeRow, StatisticsRow};
pub use told::{Counted, ResetDone, Shown};
pub use verify::{Forgotten, Repair};
pub use views::Table;
pub use why::{Hit, Known, News, NewsRest, Told};

/// Seconds-precision UTC text, the only form in which the store keeps instants.
#[must_use]
pub fn stamp(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
