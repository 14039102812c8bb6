//! Why a plan is held, and what lets it go.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldKind {
    /// More of one object than one run or 24 hours may do.
    TooMany,
    /// Each object by itself is within its limit, all of them together are not.
    TooManyInAll,
    /// A side shows nothing of an object any more.
    Emptied,
    /// A field that most records held is empty in all of them at once.
    Vanished,
    /// The mapping was changed since the two sides last agreed, and many writes come of it.
    RulesChanged,
    /// Two filled systems meet for the first time.
    FirstContact,
    /// The memory is a restored backup, older than the records.
    Restored,
}

impl HoldKind {
    pub const ALL: [Self; 7] =
        [Self::TooMany, Self::TooManyInAll, Self::Emptied, Self::Vanished, Self::RulesChanged, Self::FirstContact, Self::Restored];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too-many",
            Self::TooManyInAll => "too-many-in-all",
            Self::Emptied => "emptied",
            Self::Vanished => "vanished",
            Self::RulesChanged => "rules-changed",
            Self::FirstContact => "first-contact",
            Self::Restored => "restored",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }

    /// What lets such a hold go without a person.
    #[must_use]
    pub const fn lets_go(self) -> &'static str {
        match self {
            Self::TooMany => "by itself when no more are planned than are allowed",
            Self::TooManyInAll => "by itself when the sum is within the limit again, at the latest after 24 hours",
            Self::Emptied => "by itself when the records reappear",
            Self::Vanished => "by itself when the field is filled again",
            Self::RulesChanged => "by itself when the old rules are put back",
            Self::FirstContact => "never by itself: a person looks at the pairs first",
            Self::Restored => "what issues goes on in the next run; what takes away waits for a person",
        }
    }
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word in a hold's place for a verb where only the emptying of a field is held; everything else of the record goes on.
pub const BLANK: &str = "blank";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for kind in HoldKind::ALL {
            assert_eq!(HoldKind::parse(kind.as_str()), Some(kind));
        }
    }
}
