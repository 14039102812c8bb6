//! The nouns of a plan. Types only: what a situation is called, what an action holds, how a write can end.

mod intent;
mod situation;

pub use intent::{Decided, Intent, IntentState, Moved, Outcome, StepReport, Verb, Write};
pub use situation::Situation;
