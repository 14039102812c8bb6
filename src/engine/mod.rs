//! One run: pull → stage → pair → diff → plan → guard → apply → settle.
//!
//! Decisions (`diff`, `decide`, `provision`) are pure and synchronous. Planning holds readers only; a writer is handed
//! to `apply` together with the guard's `Cleared`. No connector is named here, and no SQL is seen.

mod absence;
mod amend;
mod apply;
mod backup;
mod census;
mod decide;
mod diff;
mod facts;
mod fight;
mod guard;
mod look_again;
mod meet;
mod native;
mod planner;
mod provision;
mod pull;
mod recover;
mod rehearse;
mod repair;
mod replace;
mod restore;
mod run;
mod standing;
mod tell;
mod verify;

#[cfg(test)]
mod partner_rules;
#[cfg(test)]
mod small_domain;
#[cfg(test)]
pub mod stories_of_nesting;

pub use facts::{OrderStory, name_of, order_story};
pub use native::{native_fields, own_fields};
pub use rehearse::Rehearsal;
pub use replace::{Phase, Replacement, Standing as Replacing};
pub use run::{Engine, Options, Report, RunKind, Trouble};
pub use standing::{
    Call, Due, LicenseFacts, Line, OrderFacts, OrderLink, Parked, Party, PartyState, Standing, contact_of, hide_keys, label, lines,
    refers_to, standing, summary,
};
pub use verify::{Difference, ObjectFound, OneSided, Verified, Verify};
