//! How a command ended, for the shell.

use crate::config::ConfigError;
use crate::engine::Report;
use std::process::ExitCode;

/// In the order of weight: where several hold, the heaviest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    InStep,
    /// Open conflicts, quarantine, fields that are fought over, failed writes, or the budget was spent.
    WorkLeft,
    Held,
    Error,
    /// The rules are switched off: nothing was done.
    Off,
    Usage,
    /// Bad rules or a missing secret (`EX_CONFIG`).
    Rules,
}

impl Exit {
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::InStep => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::WorkLeft => 3,
            Self::Held => 4,
            Self::Off => 5,
            Self::Rules => 78,
        }
    }

    /// What an error is worth.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        if error.chain().any(|e| e.is::<ConfigError>()) {
            Self::Rules
        } else if error.chain().any(|e| e.is::<Usage>()) {
            Self::Usage
        } else if error.chain().any(|e| e.is::<Off>()) {
            Self::Off
        } else {
            Self::Error
        }
    }

    /// What a run left behind.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let mut exit = Self::of_state(report.conflicts_open, report.quarantined + report.frozen, report.held);
        if report.outcome == "held" {
            exit = exit.max(Self::Held);
        }
        if matches!(report.outcome.as_str(), "partial" | "budget-limited") {
            exit = exit.max(Self::WorkLeft);
        }
        if report.error.is_some() {
            exit = exit.max(Self::Error);
        }
        exit
    }

    /// What lies open.
    #[must_use]
    pub fn of_state(conflicts_open: u64, quarantined: u64, held: u64) -> Self {
        if held > 0 {
            Self::Held
        } else if conflicts_open + quarantined > 0 {
            Self::WorkLeft
        } else {
            Self::InStep
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The arguments make no sense together, or name something that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The rules say `enabled = false`: neither system was asked anything.
#[derive(Debug, thiserror::Error)]
#[error("the rules are switched off (enabled = false in {0}): nothing was done, and neither system was asked anything")]
pub struct Off(pub String);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::SidesJson;
    use anyhow::Context;

    fn report(outcome: &str, conflicts_open: u64, held: u64, error: Option<&str>) -> Report {
        Report {
            run: 1,
            kind: "delta".to_owned(),
            outcome: outcome.to_owned(),
            writes: SidesJson::default(),
            conflicts: 9,
            conflicts_open,
            quarantined: 0,
            frozen: 0,
            held,
            calls: SidesJson::default(),
            census: None,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn the_heaviest_is_told() {
        for (report, code) in [
            (report("ok", 0, 0, None), 0),
            (report("partial", 1, 0, None), 3),
            (report("partial", 0, 0, None), 3),
            (report("budget-limited", 0, 0, None), 3),
            (report("held", 0, 0, None), 4),
            (report("held", 5, 5, None), 4),
            (report("failed", 5, 5, Some("dead")), 1),
        ] {
            assert_eq!(Exit::of_report(&report).code(), code, "{report:?}");
        }
        assert!([3, 4, 1, 5, 2, 78] == [Exit::WorkLeft, Exit::Held, Exit::Error, Exit::Off, Exit::Usage, Exit::Rules].map(Exit::code));
        assert!(Exit::Rules > Exit::Usage && Exit::Usage > Exit::Off && Exit::Off > Exit::Error);
        assert!(Exit::Error > Exit::Held && Exit::Held > Exit::WorkLeft);
    }

    #[test]
    fn bad_rules_are_78_under_any_context() {
        let file = ConfigError::File { path: "x".to_owned(), message: "y".to_owned() };
        assert_eq!(Exit::of(&anyhow::Error::new(file)), Exit::Rules);
        let file: Result<(), _> = Err(ConfigError::File { path: "x".to_owned(), message: "y".to_owned() });
        assert_eq!(Exit::of(&file.context("starting").unwrap_err()), Exit::Rules);
        assert_eq!(Exit::of(&anyhow::anyhow!("z")), Exit::Error);
        assert_eq!(Exit::of(&anyhow::Error::new(Off("x".to_owned())).context("starting")), Exit::Off);
    }
}
