//! Canonical values. 0, false, null, "" and absent are five different things, here and everywhere above.
//!
//! Dates and instants are canonical text (`2026-01-02`, `2026-01-02T03:04:05Z`): their type is the field's.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt};

/// Canonical values by native field name.
pub type Fields = BTreeMap<String, Value>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Text(String),
    List(Vec<Value>),
    /// Embedded rows: the lines of an order, the licenses of a line.
    Rows(Vec<Fields>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Decimal(_) | Self::List(_) | Self::Rows(_) => None,
        }
    }

    #[must_use]
    pub fn as_rows(&self) -> Option<&[Fields]> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Decimal(_) | Self::List(_) | Self::Text(_) => None,
        }
    }

    /// Null or empty: what "blank" means to `salesforce-unless-blank` and to the filling of blanks.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Rows(rows) => rows.is_empty(),
            Self::Bool(_) | Self::Int(_) | Self::Decimal(_) => false,
        }
    }

    /// Plain JSON for a person or another program; not for reading back.
    #[must_use]
    pub fn to_plain_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Self::Null => J::Null,
            Self::Bool(b) => J::Bool(*b),
            Self::Int(i) => J::from(*i),
            Self::Decimal(d) => J::String(d.to_string()),
            Self::Text(t) => J::String(t.clone()),
            Self::List(l) => J::Array(l.iter().map(Self::to_plain_json).collect()),
            Self::Rows(rows) => {
                J::Array(rows.iter().map(|row| J::Object(row.iter().map(|(k, v)| (k.clone(), v.to_plain_json())).collect())).collect())
            }
        }
    }
}

/// As a person reads it: null is `∅`, text is quoted.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("∅"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Decimal(d) => write!(f, "{d}"),
            Self::Text(t) => write!(f, "{t:?}"),
            Self::List(l) => {
                f.write_str("[")?;
                for (i, v) in l.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{v}")?;
                }
                f.write_str("]")
            }
            Self::Rows(rows) => write!(f, "{} row{}", rows.len(), if rows.len() == 1 { "" } else { "s" }),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Value>),
    Decimal { decimal: String },
    Rows { rows: Vec<Fields> },
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct DecimalWire<'a> {
            decimal: &'a str,
        }
        #[derive(Serialize)]
        struct RowsWire<'a> {
            rows: &'a [Fields],
        }
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Int(i) => s.serialize_i64(*i),
            Self::Text(t) => s.serialize_str(t),
            Self::List(l) => l.serialize(s),
            Self::Decimal(d) => DecimalWire { decimal: &d.to_string() }.serialize(s),
            Self::Rows(rows) => RowsWire { rows }.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match Wire::deserialize(d)? {
            Wire::Null => Self::Null,
            Wire::Bool(b) => Self::Bool(b),
            Wire::Int(i) => Self::Int(i),
            Wire::Text(t) => Self::Text(t),
            Wire::List(l) => Self::List(l),
            Wire::Decimal { decimal } => Self::Decimal(decimal.parse().map_err(serde::de::Error::custom)?),
            Wire::Rows { rows } => Self::Rows(rows),
        })
    }
}

/// The stored form: one JSON object with sorted keys, so that equal fields are equal text.
#[must_use]
pub fn fields_json(fields: &Fields) -> String {
    serde_json::to_string(fields).unwrap_or_else(|_| "{}".to_owned())
}

pub fn fields_parse(json: &str) -> Result<Fields, serde_json::Error> {
    serde_json::from_str(json)
}

/// A fingerprint of canonical fields, to drop unchanged re-reads without comparing values.
#[must_use]
pub fn fields_hash(json: &str) -> i64 {
    xxhash_rust::xxh3::xxh3_64(json.as_bytes()).cast_signed()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn five_things_stay_five_things_through_the_store() {
        let fields: Fields = [
            ("zero", Value::Int(0)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
            ("empty", Value::text("")),
            ("price", Value::Decimal("12.50".parse().unwrap())),
            ("list", Value::List(vec![Value::text("a"), Value::Null])),
            ("rows", Value::Rows(vec![Fields::from([("n".to_owned(), Value::Int(1))])])),
            ("none", Value::Rows(vec![])),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into();
        let back = fields_parse(&fields_json(&fields)).unwrap();
        assert_eq!(back, fields);
        assert!(!back.contains_key("absent"));
        let values: Vec<_> = ["zero", "false", "null", "empty"].iter().map(|k| &back[*k]).collect();
        for (i, a) in values.iter().enumerate() {
            for b in &values[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
