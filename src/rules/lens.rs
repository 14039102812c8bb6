//! Lenses: how the fields of one entry look from the other side, both ways.
//!
//! `to_platform` is `get`, `to_salesforce` is `put`: it receives the old Salesforce values, so that what the platform
//! cannot hold (which part of a name is the first) survives a round trip. Laws, tested modulo canonical form:
//! get(put(p, s)) = p and put(get(s), s) = s.

use super::Expression;
use crate::record::{Fields, Value};
use std::collections::BTreeMap;

/// A lens over the Salesforce fields (in entry order) and the platform fields (in entry order).
#[derive(Debug, Clone)]
pub enum Lens {
    Copy,
    /// Two Salesforce fields (first, last) ↔ one platform field.
    PersonName,
    /// Salesforce word → platform word; a word in neither column is an error of the record.
    ValueMap(BTreeMap<String, String>),
    /// Platform = Salesforce × 10^n.
    Scale(i32),
    /// Boolean ↔ one of two words on the platform.
    BooleanWord {
        yes: String,
        no: String,
    },
    /// Ids of linked records: `object` names the mapping whose links translate.
    Reference {
        object: String,
    },
    /// One way: the platform always gets this value.
    Constant(Value),
    /// One way: computed from the Salesforce record.
    Template(Expression),
}

/// Translates ids through links. Given to the pure core as data already fetched.
pub trait Translate {
    /// The platform id linked to this Salesforce id of `object`.
    fn to_platform(&self, object: &str, salesforce_id: &str) -> Option<String>;
    fn to_salesforce(&self, object: &str, platform_id: &str) -> Option<String>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LensError {
    /// Not an error of the record: it waits until the other record has a link.
    #[error("the {object} {id} it refers to is not linked yet")]
    Unlinked { object: String, id: String },
    #[error("{value} has no counterpart in the value map ({known})")]
    NoCounterpart { value: String, known: String },
    #[error("{0}")]
    Unfit(String),
    /// One-way lenses have no way back.
    #[error("this field travels to the platform only")]
    OneWay,
}

impl Lens {
    /// True where the platform's value can be brought back to Salesforce.
    #[must_use]
    pub const fn two_way(&self) -> bool {
        !matches!(self, Self::Constant(_) | Self::Template(_))
    }

    /// `get`: the platform values for these Salesforce values. `record` is the whole Salesforce record, for templates.
    pub fn to_platform(&self, values: &[Value], record: &Fields, links: &dyn Translate) -> Result<Vec<Value>, LensError> {
        let one = || values.first().cloned().unwrap_or(Value::Null);
        Ok(vec![match self {
            Self::Copy => return Ok(values.to_vec()),
            Self::PersonName => join_name(values),
            Self::ValueMap(map) => match one() {
                Value::Null => Value::Null,
                v => {
                    let word = word(&v);
                    map.get(&word).map(|w| Value::text(w.clone())).ok_or_else(|| no_counterpart(&word, map.keys()))?
                }
            },
            Self::Scale(n) => scale(&one(), *n)?,
            Self::BooleanWord { yes, no } => match one() {
                Value::Bool(true) => Value::text(yes.clone()),
                Value::Bool(false) => Value::text(no.clone()),
                Value::Null => Value::Null,
                v => return Err(LensError::Unfit(format!("{v} is not a boolean"))),
            },
            Self::Reference { object } => match one() {
                Value::Null => Value::Null,
                v => {
                    let id = word(&v);
                    Value::Text(links.to_platform(object, &id).ok_or(LensError::Unlinked { object: object.clone(), id })?)
                }
            },
            Self::Constant(value) => value.clone(),
            Self::Template(expression) => expression.evaluate(record).map_err(LensError::Unfit)?,
        }])
    }

    /// `put`: the Salesforce values that show this platform value, keeping of the old ones what the platform cannot hold.
    pub fn to_salesforce(&self, values: &[Value], old: &[Value], links: &dyn Translate) -> Result<Vec<Value>, LensError> {
        let one = || values.first().cloned().unwrap_or(Value::Null);
        Ok(match self {
            Self::Copy => values.to_vec(),
            Self::PersonName => split_name(&one(), old),
            Self::ValueMap(map) => vec![match one() {
                Value::Null => Value::Null,
                v => {
                    let word = word(&v);
                    // Several Salesforce words may map to one platform word: keep the old one if it still says so.
                    let kept = old.first().map(self::word).filter(|o| map.get(o) == Some(&word));
                    let back = kept.or_else(|| map.iter().find(|(_, p)| **p == word).map(|(s, _)| s.clone()));
                    Value::Text(back.ok_or_else(|| no_counterpart(&word, map.values()))?)
                }
            }],
            Self::Scale(n) => vec![scale(&one(), -n)?],
            Self::BooleanWord { yes, no } => vec![match one() {
                Value::Null => Value::Null,
                Value::Text(t) if t == *yes => Value::Bool(true),
                Value::Text(t) if t == *no => Value::Bool(false),
                v => return Err(LensError::Unfit(format!("{v} is neither {yes:?} nor {no:?}"))),
            }],
            Self::Reference { object } => vec![match one() {
                Value::Null => Value::Null,
                v => {
                    let id = word(&v);
                    Value::Text(links.to_salesforce(object, &id).ok_or(LensError::Unlinked { object: object.clone(), id })?)
                }
            }],
            Self::Constant(_) | Self::Template(_) => return Err(LensError::OneWay),
        })
    }
}

fn no_counterpart<'a>(value: &str, known: impl Iterator<Item = &'a String>) -> LensError {
    LensError::NoCounterpart { value: format!("{value:?}"), known: known.map(|k| format!("{k:?}")).collect::<Vec<_>>().join(", ") }
}

fn word(value: &Value) -> String {
    match value {
        Value::Text(t) => t.clone(),
        Value::Int(i) => i.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Decimal(d) => d.to_string(),
        Value::Null | Value::List(_) | Value::Rows(_) => String::new(),
    }
}

fn scale(value: &Value, by: i32) -> Result<Value, LensError> {
    let d = match value {
        Value::Null => return Ok(Value::Null),
        Value::Int(i) => rust_decimal::Decimal::from(*i),
        Value::Decimal(d) => *d,
        Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Rows(_) => {
            return Err(LensError::Unfit(format!("{value} is not a number")));
        }
    };
    let mut factor = rust_decimal::Decimal::ONE;
    for _ in 0..by.abs() {
        factor *= rust_decimal::Decimal::TEN;
    }
    let scaled = if by >= 0 { d.checked_mul(factor) } else { d.checked_div(factor) };
    scaled.map(|d| Value::Decimal(d.normalize())).ok_or_else(|| LensError::Unfit(format!("{value} is too large to scale by 10^{by}")))
}

fn join_name(values: &[Value]) -> Value {
    let parts: Vec<String> = values.iter().map(word).map(|p| squeeze(&p)).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() { Value::Null } else { Value::Text(parts.join(" ")) }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Unchanged as a whole → the old parts stay. Else the old first name stays if the new whole still begins with it;
/// else the last word is the last name.
fn split_name(whole: &Value, old: &[Value]) -> Vec<Value> {
    let whole = squeeze(&word(whole));
    if whole.is_empty() {
        return vec![Value::Null, Value::Null];
    }
    if join_name(old) == Value::text(whole.clone()) {
        return old.to_vec();
    }
    let text = |t: &str| if t.is_empty() { Value::Null } else { Value::text(t) };
    let old_first = squeeze(&old.first().map(word).unwrap_or_default());
    if !old_first.is_empty()
        && let Some(rest) = whole.strip_prefix(&old_first).and_then(|r| r.strip_prefix(' '))
    {
        return vec![text(&old_first), text(rest)];
    }
    match whole.rsplit_once(' ') {
        Some((first, last)) => vec![text(first), text(last)],
        None => vec![Value::Null, text(&whole)],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    struct Nobody;
    impl Translate for Nobody {
        fn to_platform(&self, _: &str, _: &str) -> Option<String> {
            None
        }
        fn to_salesforce(&self, _: &str, _: &str) -> Option<String> {
            None
        }
    }

    fn get(lens: &Lens, s: &[Value]) -> Vec<Value> {
        lens.to_platform(s, &Fields::new(), &Nobody).unwrap()
    }

    fn laws(lens: &Lens, s: &[Value], p: &[Value]) {
        let kept = lens.to_salesforce(&get(lens, s), s, &Nobody).unwrap();
        assert_eq!(kept, s, "put(get(s), s) = s");
        let put = lens.to_salesforce(p, s, &Nobody).unwrap();
        assert_eq!(get(lens, &put), p, "get(put(p, s)) = p");
    }

    fn name() -> impl Strategy<Value = String> {
        "[A-Za-zé]{1,8}( [A-Z][a-z]{0,5}){0,2}"
    }

    proptest! {
        #[test]
        fn person_name_keeps_the_laws(first in proptest::option::of(name()), last in name(), whole in name()) {
            let s = [first.map_or(Value::Null, Value::text), Value::text(last)];
            laws(&Lens::PersonName, &s, &[Value::text(whole)]);
        }

        #[test]
        fn scale_keeps_the_laws(s in -1_000_000i64..1_000_000, p in -1_000_000i64..1_000_000, n in -4i32..4) {
            let d = |i: i64| Value::Decimal(rust_decimal::Decimal::from(i).normalize());
            laws(&Lens::Scale(n), &[d(s)], &[d(p)]);
        }

        #[test]
        fn words_keep_the_laws(s in any::<bool>(), p in any::<bool>()) {
            let lens = Lens::BooleanWord { yes: "on".into(), no: "off".into() };
            laws(&lens, &[Value::Bool(s)], &[Value::text(if p { "on" } else { "off" })]);
        }

        #[test]
        fn value_map_keeps_the_laws(s in 0usize..3, p in 0usize..2) {
            let map: BTreeMap<String, String> = [("Hot", "h"), ("Warm", "h"), ("Cold", "c")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
            laws(&Lens::ValueMap(map), &[Value::text(["Hot", "Warm", "Cold"][s])], &[Value::text(["h", "c"][p])]);
        }
    }

    #[test]
    fn the_first_name_survives_a_change_of_the_last() {
        let old = [Value::text("Anna Maria"), Value::text("Kelly")];
        let new = Lens::PersonName.to_salesforce(&[Value::text("Anna Maria van Dyk")], &old, &Nobody).unwrap();
        assert_eq!(new, [Value::text("Anna Maria"), Value::text("van Dyk")]);
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let lens = Lens::ValueMap([("Hot".to_owned(), "h".to_owned())].into());
        let error = lens.to_platform(&[Value::text("Tepid")], &Fields::new(), &Nobody).unwrap_err();
        assert_eq!(error.to_string(), r#""Tepid" has no counterpart in the value map ("Hot")"#);
    }
}
