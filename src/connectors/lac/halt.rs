//! Why nothing more is written. A write that took something of somebody else with it is not followed by another one.

use super::Lac;
use super::outcome::failed;
use super::refusal::Refusal;
use crate::plan::Outcome;
use std::sync::PoisonError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    why: Refusal,
    /// Until a person has looked and started Lockstep again; else until the customers are read again.
    for_good: bool,
}

impl Lac {
    /// What each further write is answered while the connector stands still.
    pub(super) fn halted(&self) -> Option<Outcome> {
        let halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        let Halt { why, for_good } = halt.as_ref()?;
        let until = if *for_good { "look at LAC, then start Lockstep again" } else { "tried again in the next run" };
        Some(failed(&why.code, format!("nothing more is written to LAC: {} ({until})", why.message)))
    }

    /// Something of somebody else was lost by a write of ours.
    pub(super) fn halt_for_good(&self, why: &Refusal) {
        tracing::error!(code = %why.code, "writing to LAC stops: {}", why.message);
        *self.halt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Halt { why: why.clone(), for_good: true });
    }

    /// Writing a tag that nobody ever saw was refused: it has to be created first.
    pub(super) fn halt_for_tag(&self, tag: &str, refusal: &Refusal) -> Outcome {
        let text = format!("create custom tag {tag} in LAC, Administration > Custom Tags ({})", refusal.message);
        let why = Refusal::new("tag-undefined", text, &[]);
        let mut halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        if halt.is_none() {
            *halt = Some(Halt { why: why.clone(), for_good: false });
        }
        failed(&why.code, why.message)
    }

    pub(super) fn lift_halt(&self) {
        let mut halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        if halt.as_ref().is_some_and(|h| !h.for_good) {
            *halt = None;
        }
    }

    /// The ids of contacts are not what they were: none that is not seen may count as gone.
    pub(super) fn renumbered(&self) -> bool {
        let halt = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        halt.as_ref().is_some_and(|h| h.why.code == "contact-renumbered")
    }
}
