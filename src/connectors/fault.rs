//! What can go wrong on a wire, sorted by what to do about it. Vendors' codes are sorted by their connectors.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Worth the same call again in a moment: lock, 5xx, reset before anything was sent.
    Retry,
    /// Come back much later: quota, maintenance, rate limit.
    BackOff,
    /// The call's budget is spent.
    Budget,
    /// Wrong or missing credentials.
    Credentials,
    /// The set-up is wrong: missing object, field, permission.
    Setup,
    /// The answer is not what the vendor documents: truncated, HTML, wrong totals.
    Answer,
    /// This record is refused.
    Record,
    /// Sent, and the outcome is unknown.
    Unknown,
}

/// One failure. `Display` says only what happened; who asked for what is context added above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    pub kind: FaultKind,
    /// The vendor's own code, or ours in kebab-case.
    pub code: String,
    pub message: String,
    /// Seconds the side asked us to wait.
    pub retry_after_s: Option<u64>,
}

impl Fault {
    pub fn new(kind: FaultKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, code: code.into(), message: message.into(), retry_after_s: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}
