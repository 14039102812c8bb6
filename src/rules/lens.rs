//! Lenses: how the fields of one entry look from the other side, both ways.
//!
//! `to_platform` is `get`, `to_salesforce` is `put`: it receives the old Salesforce values, so that what the platform
//! cannot hold (which part of a name is the first) survives a round trip. Laws, tested modulo canonical form:
//! get(put(p, s)) = p and put(get(s), s) = s.

use super::Expression;
use crate::record::{Fields, Side, Value};
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
        /// The platform id that stands for a record without a link; nothing waits for one then.
        otherwise: Option<String>,
        /// Only Salesforce ids that begin so are meant; any other is nothing to the platform, and stays.
        only: Option<String>,
    },
    /// One Salesforce field that may name records of several objects ↔ the object's name and the id on the platform, as one
    /// text. By the beginning of the Salesforce id its object.
    Related(BTreeMap<String, String>),
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
            Self::Reference { object, otherwise, .. } => match self.refers(Side::Salesforce, &one()) {
                None => Value::Null,
                Some((_, id)) => {
                    let found = links.to_platform(object, &id).or_else(|| otherwise.clone());
                    Value::Text(found.ok_or(LensError::Unlinked { object: object.clone(), id })?)
                }
            },
            Self::Related(_) => match self.refers(Side::Salesforce, &one()) {
                None => Value::Null,
                Some((object, id)) => match links.to_platform(&object, &id) {
                    Some(found) => Value::Text(related(&object, &found)),
                    None => return Err(LensError::Unlinked { object, id }),
                },
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
            Self::Reference { object, otherwise, .. } => vec![match self.refers(Side::Platform, &one()) {
                // What the platform cannot hold is not taken away by its not holding it.
                None => old.first().filter(|o| self.refers(Side::Salesforce, o).is_none()).cloned().unwrap_or(Value::Null),
                Some((_, id)) => match links.to_salesforce(object, &id) {
                    _ if self.stands_for(old.first(), &id, links) => old.first().cloned().unwrap_or(Value::Null),
                    Some(found) => Value::Text(found),
                    None if otherwise.as_ref() == Some(&id) => old.first().cloned().unwrap_or(Value::Null),
                    None => return Err(LensError::Unlinked { object: object.clone(), id }),
                },
            }],
            Self::Related(_) => vec![match self.refers(Side::Platform, &one()) {
                None => old.first().filter(|o| self.refers(Side::Salesforce, o).is_none()).cloned().unwrap_or(Value::Null),
                Some((object, id)) => match links.to_salesforce(&object, &id) {
                    Some(found) => Value::Text(found),
                    None => return Err(LensError::Unlinked { object, id }),
                },
            }],
            Self::Constant(_) | Self::Template(_) => return Err(LensError::OneWay),
        })
    }
}

impl Lens {
    /// The record that a value of this lens names: its object and its id on that side.
    #[must_use]
    pub fn refers(&self, side: Side, value: &Value) -> Option<(String, String)> {
        let text = value.as_text().filter(|t| !t.is_empty())?;
        match (self, side) {
            (Self::Reference { object, only, .. }, Side::Salesforce) => {
                let meant = only.as_ref().is_none_or(|prefix| text.starts_with(prefix.as_str()));
                meant.then(|| (object.clone(), text.to_owned()))
            }
            (Self::Reference { object, .. }, Side::Platform) => Some((object.clone(), text.to_owned())),
            (Self::Related(kinds), Side::Salesforce) => {
                let (_, object) = kinds.iter().find(|(prefix, _)| text.starts_with(prefix.as_str()))?;
                Some((object.clone(), text.to_owned()))
            }
            (Self::Related(kinds), Side::Platform) => {
                let (object, id) = text.split_once(' ')?;
                kinds.values().any(|known| known == object).then(|| (object.to_owned(), id.to_owned()))
            }
            (Self::Copy | Self::PersonName | Self::ValueMap(_) | Self::Scale(_) | Self::BooleanWord { .. }, _)
            | (Self::Constant(_) | Self::Template(_), _) => None,
        }
    }

    /// The objects whose links it needs.
    #[must_use]
    pub fn objects(&self) -> Vec<&str> {
        match self {
            Self::Reference { object, .. } => vec![object],
            Self::Related(kinds) => kinds.values().map(String::as_str).collect(),
            Self::Copy | Self::PersonName | Self::ValueMap(_) | Self::Scale(_) | Self::BooleanWord { .. } => Vec::new(),
            Self::Constant(_) | Self::Template(_) => Vec::new(),
        }
    }

    /// How a platform field of this lens names a record of the object; `None` where it never does.
    #[must_use]
    pub fn named(&self, object: &str, platform_id: &str) -> Option<String> {
        let names = self.objects().contains(&object);
        match self {
            Self::Related(_) => names.then(|| related(object, platform_id)),
            _ => names.then(|| platform_id.to_owned()),
        }
    }

    /// Several Salesforce records without a link share the one platform id that stands for them: the old one stays.
    fn stands_for(&self, old: Option<&Value>, id: &str, links: &dyn Translate) -> bool {
        let Self::Reference { object, otherwise: Some(otherwise), .. } = self else { return false };
        let old = old.and_then(|o| self.refers(Side::Salesforce, o));
        otherwise == id && old.is_some_and(|(_, old)| links.to_platform(object, &old).is_none())
    }
}

fn related(object: &str, id: &str) -> String {
    format!("{object} {id}")
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

/// Unchanged as a whole → the old parts stay. Else the old first name stays if the new whole still begins with it; else the
/// old last name if it still ends with it; else the last word is the last name.
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
    let old_last = squeeze(&old.get(1).map(word).unwrap_or_default());
    if !old_last.is_empty()
        && let Some(first) = whole.strip_suffix(&old_last).and_then(|f| f.strip_suffix(' '))
    {
        return vec![text(first), text(&old_last)];
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

    /// Linked: `s…` to `p…`, whatever follows.
    struct Twins;
    impl Translate for Twins {
        fn to_platform(&self, _: &str, id: &str) -> Option<String> {
            id.strip_prefix('s').map(|rest| format!("p{rest}"))
        }
        fn to_salesforce(&self, _: &str, id: &str) -> Option<String> {
            id.strip_prefix('p').map(|rest| format!("s{rest}"))
        }
    }

    fn put(lens: &Lens, p: Value, old: Value) -> Result<Value, LensError> {
        lens.to_salesforce(&[p], &[old], &Twins).map(|mut v| v.remove(0))
    }

    #[test]
    fn who_is_not_linked_is_stood_in_for_and_keeps_what_they_own() {
        let lens = Lens::Reference { object: "user".into(), otherwise: Some("14".into()), only: None };
        let get = |s: &str| lens.to_platform(&[Value::text(s)], &Fields::new(), &Twins).unwrap().remove(0);
        assert_eq!((get("s1"), get("x1")), (Value::text("p1"), Value::text("14")));
        // Nothing comes back but what a link says.
        assert_eq!(put(&lens, Value::text("14"), Value::text("x1")).unwrap(), Value::text("x1"));
        assert_eq!(put(&lens, Value::text("14"), Value::Null).unwrap(), Value::Null);
        assert_eq!(put(&lens, Value::text("p2"), Value::text("x1")).unwrap(), Value::text("s2"));
        let strict = Lens::Reference { object: "user".into(), otherwise: None, only: None };
        assert!(matches!(strict.to_platform(&[Value::text("x1")], &Fields::new(), &Twins), Err(LensError::Unlinked { .. })));
    }

    #[test]
    fn an_id_of_another_kind_is_nothing_to_the_platform_and_stays() {
        let lens = Lens::Reference { object: "contact".into(), otherwise: None, only: Some("s".into()) };
        let get = |s: &str| lens.to_platform(&[Value::text(s)], &Fields::new(), &Twins).unwrap().remove(0);
        assert_eq!((get("s1"), get("00Q1")), (Value::text("p1"), Value::Null));
        assert_eq!(put(&lens, Value::Null, Value::text("00Q1")).unwrap(), Value::text("00Q1"));
        assert_eq!(put(&lens, Value::Null, Value::text("s1")).unwrap(), Value::Null);
    }

    #[test]
    fn one_field_may_name_records_of_several_objects() {
        let lens = Lens::Related([("s0".to_owned(), "account".to_owned()), ("s6".to_owned(), "opportunity".to_owned())].into());
        let get = |s: &str| lens.to_platform(&[Value::text(s)], &Fields::new(), &Twins);
        assert_eq!(get("s61").unwrap(), [Value::text("opportunity p61")]);
        assert_eq!(get("s01").unwrap(), [Value::text("account p01")]);
        assert_eq!(get("500").unwrap(), [Value::Null]);
        assert_eq!(put(&lens, Value::text("account p01"), Value::text("s61")).unwrap(), Value::text("s01"));
        assert_eq!(put(&lens, Value::Null, Value::text("500")).unwrap(), Value::text("500"));
        assert_eq!((lens.named("account", "p1"), lens.named("contact", "p1")), (Some("account p1".to_owned()), None));
        assert_eq!(lens.objects(), ["account", "opportunity"]);
    }

    #[test]
    fn the_first_name_survives_a_change_of_the_last() {
        let old = [Value::text("Anna Maria"), Value::text("Kelly")];
        let new = Lens::PersonName.to_salesforce(&[Value::text("Anna Maria van Dyk")], &old, &Nobody).unwrap();
        assert_eq!(new, [Value::text("Anna Maria"), Value::text("van Dyk")]);
    }

    fn parts(first: &str, last: &str) -> [Value; 2] {
        [first, last].map(|t| if t.is_empty() { Value::Null } else { Value::text(t) })
    }

    fn put_name(whole: &str, first: &str, last: &str) -> [Value; 2] {
        Lens::PersonName.to_salesforce(&[Value::text(whole)], &parts(first, last), &Nobody).unwrap().try_into().unwrap()
    }

    #[test]
    fn n1_first_and_last_name_are_joined() {
        assert_eq!(get(&Lens::PersonName, &parts("Ada", "Lovelace")), [Value::text("Ada Lovelace")]);
        assert_eq!(get(&Lens::PersonName, &parts("", "Cher")), [Value::text("Cher")]);
        assert_eq!(get(&Lens::PersonName, &parts(" Ada ", " Lovelace")), [Value::text("Ada Lovelace")]);
    }

    #[test]
    fn n2_a_name_that_joins_to_the_same_is_not_split_again() {
        assert_eq!(put_name("Juan Carlos de la Cruz", "Juan Carlos", "de la Cruz"), parts("Juan Carlos", "de la Cruz"));
        assert_eq!(put_name("Juan  Carlos de la  Cruz", "Juan Carlos", "de la Cruz"), parts("Juan Carlos", "de la Cruz"));
    }

    #[test]
    fn n3_what_is_known_of_a_changed_name_is_kept() {
        assert_eq!(put_name("Juan Carlos de la Rosa", "Juan Carlos", "de la Cruz"), parts("Juan Carlos", "de la Rosa"));
        assert_eq!(put_name("Juan Pedro de la Cruz", "Juan Carlos", "de la Cruz"), parts("Juan Pedro", "de la Cruz"));
        assert_eq!(put_name("Grace Brewster Hopper", "Ada", "Lovelace"), parts("Grace Brewster", "Hopper"));
        assert_eq!(put_name("Adam Smith", "Ada", "Jones"), parts("Adam", "Smith"), "not a word of its own");
    }

    #[test]
    fn n4_one_word_is_a_last_name_and_none_is_none() {
        assert_eq!(put_name("Cher", "", ""), parts("", "Cher"));
        assert_eq!(put_name("Ada Lovelace", "", ""), parts("Ada", "Lovelace"));
        assert_eq!(put_name("  ", "Ada", "Lovelace"), parts("", ""));
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let lens = Lens::ValueMap([("Hot".to_owned(), "h".to_owned())].into());
        let error = lens.to_platform(&[Value::text("Tepid")], &Fields::new(), &Nobody).unwrap_err();
        assert_eq!(error.to_string(), r#""Tepid" has no counterpart in the value map ("Hot")"#);
    }
}
