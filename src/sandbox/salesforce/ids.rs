//! Record ids: 15 case-sensitive characters and a checksum that makes 18 case-insensitively unique.

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// An 18-character id. Orders as its bytes do, so ids of one object order by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 18]);

impl Id {
    /// Below and above every real id.
    pub const MIN: Self = Self([0; 18]);
    pub const MAX: Self = Self([0xff; 18]);

    /// The `serial`-th id of the object with this three-character key prefix.
    #[must_use]
    pub fn mint(prefix: &str, serial: u64) -> Self {
        let mut bytes = *b"000RM0000000000000";
        for (slot, byte) in bytes.iter_mut().zip(prefix.bytes().take(3)) {
            *slot = byte;
        }
        let mut rest = serial;
        for slot in bytes[5..15].iter_mut().rev() {
            *slot = DIGITS[usize::try_from(rest % 62).unwrap_or(0)];
            rest /= 62;
        }
        Self(with_checksum(bytes))
    }

    /// Takes the 15- and the 18-character form; the latter may have lost its case on the way.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let given = text.as_bytes();
        if !given.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut bytes = [0_u8; 18];
        match given.len() {
            15 => bytes[..15].copy_from_slice(given),
            18 => {
                for (group, check) in given[15..].iter().enumerate() {
                    let check = check.to_ascii_uppercase();
                    let bits = CHECK.iter().position(|known| *known == check)?;
                    for place in 0..5 {
                        let at = group * 5 + place;
                        let upper = bits >> place & 1 == 1;
                        if upper && !given[at].is_ascii_alphabetic() {
                            return None;
                        }
                        bytes[at] = if upper { given[at].to_ascii_uppercase() } else { given[at].to_ascii_lowercase() };
                    }
                }
            }
            _ => return None,
        }
        Some(Self(with_checksum(bytes)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The 15-character form, as it stands in some error texts.
    #[must_use]
    pub fn short(&self) -> &str {
        self.as_str().get(..15).unwrap_or("")
    }

    #[must_use]
    pub fn prefix(&self) -> &str {
        self.as_str().get(..3).unwrap_or("")
    }
}

fn with_checksum(mut bytes: [u8; 18]) -> [u8; 18] {
    for group in 0..3 {
        let bits = (0..5).filter(|place| bytes[group * 5 + place].is_ascii_uppercase());
        bytes[15 + group] = CHECK[bits.fold(0, |sum, place| sum | 1 << place)];
    }
    bytes
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_ids_seen_in_print() {
        for (short, check) in
            [("001D000000IqhSL", "IAZ"), ("003RM0000068xV6", "YAI"), ("01gRO0000016PIA", "YA2"), ("00Dxx0000001gPF", "EAY")]
        {
            let id = Id::parse(short).expect("a good id");
            assert_eq!(id.as_str(), format!("{short}{check}"));
            assert_eq!(Id::parse(&id.as_str().to_lowercase()), Some(id));
        }
    }

    #[test]
    fn minted_ids_order_by_age_and_never_repeat() {
        let ids: Vec<Id> = (0..4000).map(|serial| Id::mint("a00", serial)).collect();
        assert!(ids.windows(2).all(|two| two[0] < two[1]));
        assert_eq!(ids[61].as_str().len(), 18);
        assert_eq!(ids[7].prefix(), "a00");
    }

    #[test]
    fn nonsense_is_no_id() {
        for text in ["", "001", "001D000000IqhS-", "001D000000IqhSLIA!", "001D000000IqhSL999"] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
