//! The nouns of a plan. Types only: what a situation is called, what an action holds, how a write can end.

mod advice;
mod hold;
mod intent;
mod situation;

pub use advice::{Advice, FALLBACK, advice, has_advice};
pub use hold::{BLANK, HoldKind};
pub use intent::{Decided, Fought, Intent, IntentState, Moved, Outcome, StepReport, Verb, Write};
pub use situation::Situation;
