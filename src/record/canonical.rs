//! From what a wire says to what we compare: one canonical form per field type.
//!
//! Refuses what does not fit its type instead of guessing; the connector turns a refusal into a record error.

use super::Value;
use chrono::{DateTime, NaiveDate, SecondsFormat, Timelike, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// What a field holds, by the side that owns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    /// `max`: the most characters the side takes. `blank_is_null`: the side cannot tell "" from nothing.
    Text {
        max: Option<u32>,
        blank_is_null: bool,
    },
    Email {
        max: Option<u32>,
        blank_is_null: bool,
    },
    Integer,
    Decimal {
        scale: u32,
    },
    Boolean,
    Date,
    /// Precision one second: the coarser side's.
    Instant,
    List {
        ordered: bool,
    },
    /// The id of another record of the same side; `to` names the object's resource there.
    Reference {
        to: String,
    },
    Rows,
}

impl FieldType {
    /// Plain text of a side on which "" and null are one.
    #[must_use]
    pub const fn text() -> Self {
        Self::Text { max: None, blank_is_null: true }
    }

    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Email { .. } => "e-mail",
            Self::Integer => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Instant => "date-time",
            Self::List { .. } => "list",
            Self::Reference { .. } => "reference",
            Self::Rows => "rows",
        }
    }

    #[must_use]
    pub const fn max_chars(&self) -> Option<u32> {
        match self {
            Self::Text { max, .. } | Self::Email { max, .. } => *max,
            Self::Integer
            | Self::Decimal { .. }
            | Self::Boolean
            | Self::Date
            | Self::Instant
            | Self::List { .. }
            | Self::Reference { .. }
            | Self::Rows => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not {wanted}")]
pub struct NotCanonical {
    pub value: String,
    pub wanted: String,
}

/// The canonical value of a wire's JSON for a field of this type.
pub fn canonical(raw: &serde_json::Value, ty: &FieldType) -> Result<Value, NotCanonical> {
    use serde_json::Value as J;
    let value = match raw {
        J::Null => return Ok(Value::Null),
        J::Bool(b) => Value::Bool(*b),
        J::Number(n) => number(&n.to_string()).ok_or_else(|| refuse(raw, ty))?,
        J::String(s) => Value::Text(s.clone()),
        J::Array(items) => {
            let FieldType::List { .. } = ty else { return Err(refuse(raw, ty)) };
            Value::List(items.iter().map(|item| canonical(item, &FieldType::text())).collect::<Result<_, _>>()?)
        }
        J::Object(_) => return Err(refuse(raw, ty)),
    };
    coerce(&value, ty)
}

/// A value in the terms of a field of this type: what a lens made for the other side, or what a wire said.
pub fn coerce(value: &Value, ty: &FieldType) -> Result<Value, NotCanonical> {
    let no = || NotCanonical { value: clip(&value.to_string()), wanted: ty.as_str().to_owned() };
    Ok(match (ty, value) {
        (FieldType::Rows, Value::Rows(rows)) => Value::Rows(rows.clone()),
        (_, Value::Null) => Value::Null,
        (_, Value::Rows(_)) | (FieldType::Rows, _) => return Err(no()),
        (FieldType::List { ordered }, Value::List(items)) => {
            let mut items = items.clone();
            if !ordered {
                items.sort_by_key(ToString::to_string);
                items.dedup();
            }
            Value::List(items)
        }
        (FieldType::List { ordered }, Value::Text(text)) => {
            let items = text.split(';').map(str::trim).filter(|t| !t.is_empty()).map(Value::text).collect();
            coerce(&Value::List(items), &FieldType::List { ordered: *ordered })?
        }
        // As the other way: a list as text is its items with `;` between them.
        (FieldType::Text { blank_is_null, .. }, Value::List(items))
            if items.iter().all(|i| i.as_text().is_some_and(|t| !t.contains(';'))) =>
        {
            text_value(&items.iter().filter_map(Value::as_text).collect::<Vec<_>>().join(";"), *blank_is_null)
        }
        (FieldType::List { .. }, _) | (_, Value::List(_)) => return Err(no()),
        (FieldType::Text { blank_is_null, .. }, v) => text_value(&plain_text(v), *blank_is_null),
        (FieldType::Email { blank_is_null, .. }, v) => text_value(&plain_text(v).to_lowercase(), *blank_is_null),
        (FieldType::Reference { .. }, v) => text_value(&plain_text(v), true),
        (FieldType::Integer, v) => match as_decimal(v).map(|d| d.normalize()) {
            Some(d) if d.scale() == 0 => Value::Int(i64::try_from(d).map_err(|_| no())?),
            None if blank(v) => Value::Null,
            Some(_) | None => return Err(no()),
        },
        (FieldType::Decimal { scale }, v) => match as_decimal(v) {
            Some(d) => Value::Decimal(d.round_dp(*scale).normalize()),
            None if blank(v) => Value::Null,
            None => return Err(no()),
        },
        (FieldType::Boolean, v) => match v {
            Value::Bool(b) => Value::Bool(*b),
            Value::Int(0) => Value::Bool(false),
            Value::Int(1) => Value::Bool(true),
            Value::Text(t) if t.eq_ignore_ascii_case("true") => Value::Bool(true),
            Value::Text(t) if t.eq_ignore_ascii_case("false") => Value::Bool(false),
            Value::Text(t) if t.trim().is_empty() => Value::Null,
            _ => return Err(no()),
        },
        (FieldType::Date, v) => match v {
            Value::Text(t) if t.trim().is_empty() => Value::Null,
            Value::Text(t) => Value::Text(date(t).ok_or_else(no)?),
            _ => return Err(no()),
        },
        (FieldType::Instant, v) => match v {
            Value::Text(t) if t.trim().is_empty() => Value::Null,
            Value::Text(t) => Value::Text(instant(t).ok_or_else(no)?),
            _ => return Err(no()),
        },
    })
}

fn refuse(raw: &serde_json::Value, ty: &FieldType) -> NotCanonical {
    NotCanonical { value: clip(&raw.to_string()), wanted: ty.as_str().to_owned() }
}

fn clip(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { format!("{}…", text.chars().take(60).collect::<String>()) }
}

fn text_value(text: &str, blank_is_null: bool) -> Value {
    let text: String = text.replace("\r\n", "\n").trim().nfc().collect();
    if text.is_empty() && blank_is_null { Value::Null } else { Value::Text(text) }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Decimal(d) => d.normalize().to_string(),
        Value::Text(t) => t.clone(),
        Value::List(_) | Value::Rows(_) => value.to_string(),
    }
}

fn blank(value: &Value) -> bool {
    value.as_text().is_some_and(|t| t.trim().is_empty())
}

fn number(text: &str) -> Option<Value> {
    if let Ok(i) = text.parse::<i64>() {
        return Some(Value::Int(i));
    }
    let d = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok()?;
    Some(Value::Decimal(d.normalize()))
}

fn as_decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(i) => Some(Decimal::from(*i)),
        Value::Decimal(d) => Some(*d),
        Value::Text(t) => t.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Rows(_) => None,
    }
}

/// A calendar day is never read through a time zone: of a date-time only its first ten characters count.
/// The platforms' "no date" (`0000-00-00`) is refused here; the connector that knows it says null.
fn date(text: &str) -> Option<String> {
    let day = text.trim().get(..10)?;
    NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().map(|d| d.format("%Y-%m-%d").to_string())
}

fn instant(text: &str) -> Option<String> {
    let text = text.trim();
    let at = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")).ok()?;
    let at = at.with_timezone(&Utc);
    Some(at.with_nanosecond(0)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn c(raw: serde_json::Value, ty: &FieldType) -> Value {
        canonical(&raw, ty).unwrap()
    }

    #[test]
    fn one_form_per_type() {
        let t = |s: &str| Value::text(s);
        let exact = FieldType::Text { max: None, blank_is_null: false };
        let mail = FieldType::Email { max: None, blank_is_null: true };
        for (raw, ty, want) in [
            (
                json!("  Müller\u{308} "),
                FieldType::text(),
                t("Mü\u{308}ller").as_text().map(|_| text_value("Müller\u{308}", true)).unwrap(),
            ),
            (json!(""), FieldType::text(), Value::Null),
            (json!(""), exact.clone(), t("")),
            (json!("A@B.C"), mail, t("a@b.c")),
            (json!(811.0), FieldType::Integer, Value::Int(811)),
            (json!("7"), FieldType::Integer, Value::Int(7)),
            (json!(12.50), FieldType::Decimal { scale: 2 }, Value::Decimal("12.5".parse().unwrap())),
            (json!(0), FieldType::Boolean, Value::Bool(false)),
            (json!("2026-01-02T23:30:00.000-0800"), FieldType::Date, t("2026-01-02")),
            (json!("2013-05-07T22:07:19.000+0000"), FieldType::Instant, t("2013-05-07T22:07:19Z")),
            (json!("2026-01-05T06:31:19.902517Z"), FieldType::Instant, t("2026-01-05T06:31:19Z")),
            (json!("b;a;b"), FieldType::List { ordered: false }, Value::List(vec![t("a"), t("b")])),
            (json!(52), FieldType::Reference { to: "customer-account".into() }, t("52")),
            (json!(null), exact, Value::Null),
        ] {
            assert_eq!(c(raw.clone(), &ty), want, "{raw} as {ty:?}");
        }
    }

    #[test]
    fn t4_a_list_is_text_with_semicolons_and_back() {
        let list = Value::List(vec![Value::text("a"), Value::text("b c")]);
        let text = coerce(&list, &FieldType::text()).unwrap();
        assert_eq!(text, Value::text("a;b c"));
        assert_eq!(coerce(&text, &FieldType::List { ordered: false }).unwrap(), list);
        assert_eq!(coerce(&Value::List(vec![]), &FieldType::text()).unwrap(), Value::Null);
        assert!(coerce(&Value::List(vec![Value::text("a;b")]), &FieldType::text()).is_err(), "it could not be read back");
        for (value, text) in [(Value::Bool(true), "true"), (Value::Decimal("12.50".parse().unwrap()), "12.5"), (Value::Int(3), "3")] {
            assert_eq!(coerce(&value, &FieldType::text()).unwrap(), Value::text(text));
        }
    }

    #[test]
    fn composed_and_decomposed_text_are_equal() {
        assert_eq!(c(json!("e\u{301}"), &FieldType::text()), c(json!("\u{e9}"), &FieldType::text()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (raw, ty) in [
            (json!(1.5), FieldType::Integer),
            (json!("x"), FieldType::Decimal { scale: 2 }),
            (json!("yes"), FieldType::Boolean),
            (json!("0000-00-00"), FieldType::Date),
            (json!("2026-02-30"), FieldType::Date),
            (json!("tomorrow"), FieldType::Instant),
            (json!({"a": 1}), FieldType::text()),
            (json!([1]), FieldType::text()),
        ] {
            assert!(canonical(&raw, &ty).is_err(), "{raw} as {ty:?}");
        }
    }
}
