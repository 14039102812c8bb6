//! Ids. A `RecordId` is opaque text of its side; a `SalesforceId` is known to be a well-formed 18-character id.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The id of a record on its own side, opaque outside its connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(String);

impl RecordId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for RecordId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for RecordId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<SalesforceId> for RecordId {
    fn from(id: SalesforceId) -> Self {
        Self(id.0)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An 18-character Salesforce id. The 15-character form is accepted and completed; a wrong checksum is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SalesforceId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Salesforce id (15 letters and digits, or 18 with a right check suffix)")]
pub struct BadSalesforceId(String);

impl SalesforceId {
    pub fn parse(text: &str) -> Result<Self, BadSalesforceId> {
        let bad = || BadSalesforceId(text.chars().take(40).collect());
        if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(bad());
        }
        match text.len() {
            15 => Ok(Self(format!("{text}{}", check_suffix(text)))),
            18 => {
                let (id, suffix) = text.split_at(15);
                if check_suffix(id).eq_ignore_ascii_case(suffix) {
                    Ok(Self(format!("{id}{}", suffix.to_ascii_uppercase())))
                } else {
                    Err(bad())
                }
            }
            _ => Err(bad()),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SalesforceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for SalesforceId {
    type Error = BadSalesforceId;
    fn try_from(text: String) -> Result<Self, BadSalesforceId> {
        Self::parse(&text)
    }
}

impl From<SalesforceId> for String {
    fn from(id: SalesforceId) -> Self {
        id.0
    }
}

/// Bit *i* of each group of five is set where that character is upper case; the five bits index this alphabet.
fn check_suffix(id15: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    id15.as_bytes()
        .chunks(5)
        .map(|group| {
            let bits = group.iter().enumerate().fold(0usize, |bits, (i, b)| bits | (usize::from(b.is_ascii_uppercase()) << i));
            ALPHABET[bits & 31] as char
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fifteen_characters_are_completed_with_the_documented_suffix() {
        for (short, long) in [
            ("001D000000IqhSL", "001D000000IqhSLIAZ"),
            ("003RM0000068xV6", "003RM0000068xV6YAI"),
            ("01gRO0000016PIA", "01gRO0000016PIAYA2"),
        ] {
            assert_eq!(SalesforceId::parse(short).unwrap().as_str(), long);
            assert_eq!(SalesforceId::parse(long).unwrap().as_str(), long);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "001", "001D000000IqhSLIAA", "001D000000IqhS'", "001D000000IqhSLIAZX"] {
            assert!(SalesforceId::parse(bad).is_err(), "{bad}");
        }
    }
}
