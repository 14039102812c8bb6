//! From a written JSON object to accepted field values, or to the reasons why not.
//!
//! It follows what the vendor's framework does with input: numbers inside strings are taken, read-only and unknown names
//! are dropped without a word, every wrong field is reported at once. It looks at one row's input only; links and
//! uniqueness are the world's.

use chrono::{DateTime, NaiveDate};
use serde_json::{Map, Value};

use super::reply::FieldErrors;
use super::schema::{Access, Field, Initial, Kind, Object};
use super::settings::Settings;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// An API call that makes a row.
    Create,
    /// An API call that changes one.
    Patch,
    /// A person in the vendor's own pages, or a seed: every field, and unknown names are errors.
    Hand,
}

/// Accepted values by field position.
pub type Changes = Vec<(u8, Value)>;

/// Reads `body` for `object`.
pub fn fields(object: Object, body: &Map<String, Value>, writer: Writer, settings: &Settings) -> Result<Changes, FieldErrors> {
    let mut changes = Changes::new();
    let mut errors = FieldErrors::new();
    for (name, value) in body {
        let Some(at) = object.position(name) else {
            if writer == Writer::Hand && name != "id" {
                errors.entry(name.clone()).or_default().push(format!("{} has no such field.", object.name()));
            }
            continue;
        };
        let field = object.field(at);
        if !writable(object, field, writer, settings) {
            continue;
        }
        match accept(object, field, value, settings) {
            Ok(value) => changes.push((at, value)),
            Err(reason) => errors.entry(name.clone()).or_default().push(reason),
        }
    }
    if writer == Writer::Create {
        for field in object.fields().iter().filter(|field| field.required) {
            let blank = body.get(field.name).is_none_or(|value| value.is_null() || *value == "");
            if blank && !errors.contains_key(field.name) {
                errors.insert(field.name.into(), vec!["This field is required.".into()]);
            }
        }
    }
    if errors.is_empty() { Ok(changes) } else { Err(errors) }
}

fn writable(object: Object, field: &Field, writer: Writer, settings: &Settings) -> bool {
    if object == Object::Account {
        if !settings.account_extras && matches!(field.name, "reference" | "metadata") {
            return false;
        }
        if writer == Writer::Patch && field.name == "code" {
            return settings.account_code_mutable;
        }
    }
    if object == Object::LicenseFeature && writer == Writer::Patch && matches!(field.name, "max_overages" | "total_consumptions") {
        return settings.feature_row_extras;
    }
    match writer {
        Writer::Hand => true,
        Writer::Create => field.access != Access::Closed,
        Writer::Patch => field.access == Access::Open,
    }
}

/// One value for one field.
fn accept(object: Object, field: &Field, value: &Value, settings: &Settings) -> Result<Value, String> {
    if value.is_null() {
        return null(field, settings);
    }
    match field.kind {
        Kind::Text => text(field, value, settings).map(Value::String),
        Kind::Email => email(field, value, settings).map(Value::String),
        Kind::Int => integer(value, i64::from(i32::MAX)),
        Kind::Link(_) => integer(value, i64::MAX),
        Kind::Bool => boolean(value),
        Kind::Date => date(value),
        Kind::Stamp => stamp(value),
        Kind::Duration => duration(value),
        Kind::Cycle => cycle(value, settings, yearly(object, settings)),
        Kind::Json => metadata(value),
        Kind::List => match value {
            Value::Array(_) => Ok(value.clone()),
            _ => Err("Expected a list of items.".into()),
        },
        Kind::OneOf(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(value.clone()),
            _ => Err(format!("{value} is not a valid choice.")),
        },
    }
}

fn null(field: &Field, settings: &Settings) -> Result<Value, String> {
    match field.initial {
        Initial::Null => Ok(Value::Null),
        Initial::Map => Ok(Value::Object(Map::new())),
        Initial::Blank if !settings.null_text_rejected => Ok(Value::String(String::new())),
        _ => Err("This field may not be null.".into()),
    }
}

fn text(field: &Field, value: &Value, settings: &Settings) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("Not a valid string.".into()),
    };
    let text = if settings.trim_text { text.trim().to_owned() } else { text };
    if text.contains('\0') {
        return Err("Null characters are not allowed.".into());
    }
    let limit = if field.name == "postcode" { settings.postcode_limit } else { settings.text_limit };
    if limit > 0 && text.chars().count() > limit {
        return Err(format!("Ensure this field has no more than {limit} characters."));
    }
    Ok(text)
}

fn email(field: &Field, value: &Value, settings: &Settings) -> Result<String, String> {
    let text = text(field, value, settings)?;
    if text.is_empty() || !settings.email_check || looks_like_email(&text) { Ok(text) } else { Err("Enter a valid email address.".into()) }
}

fn looks_like_email(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let name_ok = !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    let labels: Vec<&str> = host.split('.').collect();
    let host_ok = labels.len() >= 2
        && labels.last().is_some_and(|top| top.chars().count() >= 2)
        && labels.iter().all(|label| {
            !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    name_ok && host_ok
}

fn integer(value: &Value, most: i64) -> Result<Value, String> {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        None => Err("A valid integer is required.".into()),
        Some(number) if number < 0 => Err("Ensure this value is greater than or equal to 0.".into()),
        Some(number) if number > most => Err(format!("Ensure this value is less than or equal to {most}.")),
        Some(number) => Ok(number.into()),
    }
}

fn boolean(value: &Value) -> Result<Value, String> {
    let word = match value {
        Value::Bool(_) => return Ok(value.clone()),
        Value::String(text) => text.to_lowercase(),
        other => other.to_string(),
    };
    match word.as_str() {
        "true" | "1" => Ok(true.into()),
        "false" | "0" => Ok(false.into()),
        _ => Err("Must be a valid boolean.".into()),
    }
}

fn date(value: &Value) -> Result<Value, String> {
    let day = value.as_str().filter(|text| text.len() == 10).and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
    match day {
        Some(day) => Ok(day.to_string().into()),
        None => Err("Date has wrong format. Use YYYY-MM-DD.".into()),
    }
}

fn stamp(value: &Value) -> Result<Value, String> {
    match value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
        Some(at) => Ok(at.timestamp_micros().into()),
        None => Err("Datetime has wrong format.".into()),
    }
}

fn duration(value: &Value) -> Result<Value, String> {
    match value.as_str() {
        Some("") => Ok(Value::Null),
        Some(text) if parse_duration(text).is_some() => Ok(value.clone()),
        _ => Err("Use a number followed by d, m or y.".into()),
    }
}

/// `(4, 'm')` of `4m`.
pub fn parse_duration(text: &str) -> Option<(u32, char)> {
    let unit = text.chars().last().filter(|unit| matches!(unit, 'd' | 'm' | 'y'))?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, unit))
}

/// The word this object has for a yearly period.
pub fn yearly(object: Object, settings: &Settings) -> &str {
    match object {
        Object::LicenseFeature | Object::ProductFeature => &settings.yearly_feature,
        _ => &settings.yearly_license,
    }
}

/// The yearly word is stored as `annually` and shown in whichever spelling the object has.
fn cycle(value: &Value, settings: &Settings, spelling: &str) -> Result<Value, String> {
    match value.as_str() {
        Some("") => Ok(Value::Null),
        Some("daily" | "weekly" | "monthly" | "quarterly") => Ok(value.clone()),
        Some(word) if word == spelling || (!settings.yearly_strict && matches!(word, "annualy" | "annually")) => Ok("annually".into()),
        _ => Err(format!("{value} is not a valid choice.")),
    }
}

/// An object, or JSON text of one, which live clients send and read back as an object.
fn metadata(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(parsed @ (Value::Object(_) | Value::Array(_))) => Ok(parsed),
            Ok(_) | Err(_) => Err("Value must be valid JSON.".into()),
        },
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(object: Object, body: &Value, writer: Writer) -> Result<Changes, FieldErrors> {
        fields(object, body.as_object().expect("an object"), writer, &Settings::default())
    }

    fn one(object: Object, body: &Value, writer: Writer) -> Value {
        read(object, body, writer).expect("accepted").remove(0).1
    }

    #[test]
    fn values_are_taken_as_the_framework_takes_them() {
        for (name, written, stored) in [
            ("max_activations", json!("5"), json!(5)),
            ("is_trial", json!("True"), json!(true)),
            ("note", json!("  x "), json!("x")),
            ("note", json!(12), json!("12")),
            ("validity_period", json!("2026-02-28"), json!("2026-02-28")),
            ("valid_duration", json!("4m"), json!("4m")),
            ("consumption_period", json!("annualy"), json!("annually")),
            ("metadata", json!("{\"a\":1}"), json!({"a": 1})),
            ("metadata", json!(null), json!({})),
            ("validity_period", json!(null), json!(null)),
        ] {
            assert_eq!(one(Object::License, &json!({ name: written }), Writer::Patch), stored, "{name}");
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let errors = read(
            Object::Customer,
            &json!({"email": "a@b", "first_name": null, "postcode": "1".repeat(51), "city": "x".repeat(256), "phone": true,
                    "customer_account": "x", "last_name": "fine"}),
            Writer::Patch,
        )
        .expect_err("refused");
        let names: Vec<&str> = errors.keys().map(String::as_str).collect();
        assert_eq!(names, ["city", "customer_account", "email", "first_name", "phone", "postcode"]);
    }

    #[test]
    fn wrong_license_fields_are_refused() {
        for (name, wrong) in [
            ("max_activations", json!(1.5)),
            ("max_activations", json!(-1)),
            ("max_activations", json!(3_000_000_000_i64)),
            ("valid_duration", json!("1 year")),
            ("valid_duration", json!("y")),
            ("validity_period", json!("2026-02-30")),
            ("validity_period", json!("2026-2-3")),
            ("metadata", json!("not json")),
            ("is_trial", json!("maybe")),
            ("consumption_period", json!("yearly")),
        ] {
            assert!(read(Object::License, &json!({ name: wrong }), Writer::Patch).is_err(), "{name} {wrong}");
        }
    }

    #[test]
    fn closed_and_unknown_names_are_dropped_without_a_word_but_not_by_hand() {
        let body = json!({"times_activated": 9, "license_type": "subscription", "colour": "red"});
        assert_eq!(read(Object::License, &body, Writer::Patch), Ok(vec![]));
        assert!(read(Object::License, &body, Writer::Hand).is_err());
        assert_eq!(one(Object::License, &json!({"times_activated": 9}), Writer::Hand), json!(9));
    }

    #[test]
    fn required_fields_are_asked_for_on_create_only() {
        let errors = read(Object::Account, &json!({"phone": "1"}), Writer::Create).expect_err("refused");
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["code", "name"]);
        assert!(read(Object::Account, &json!({"phone": "1"}), Writer::Patch).is_ok());
    }

    #[test]
    fn addresses_are_judged_by_their_shape() {
        for good in ["a@b.example", "mina.o'k+x@sub.northwind-demo.example", "u@bücher.example"] {
            assert!(looks_like_email(good), "{good}");
        }
        for bad in ["a@b", "a b@c.example", "@b.example", "a@", "a@b..example", "a@-b.example", ".a@b.example", "ü@b.example", "a@b.c"] {
            assert!(!looks_like_email(bad), "{bad}");
        }
    }
}
