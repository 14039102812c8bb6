//! What a body may hold: tables of fields, and one reader for all of them.
//!
//! Texts come out trimmed, cut or refused as the switches say. What the values mean together (a licensee that is needed, a
//! tag that is defined) is the writers' business.

use serde_json::{Map, Value};

use super::reply::Refusal;
use super::settings::Settings;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text with the longer limit.
    Description,
    Email,
    /// A whole number, also as text.
    Int,
    Flag,
    /// `YYYY-MM-DD`
    Date,
    OneOf(&'static [&'static str]),
    /// Read by somebody else.
    Array,
}

/// Who may write a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Open,
    Required,
    /// Only LAC sets it.
    Closed,
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub access: Access,
}

pub const fn open(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, access: Access::Open }
}
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, access: Access::Required }
}
pub const fn closed(name: &'static str) -> Field {
    Field { name, kind: Kind::Text, access: Access::Closed }
}

/// Reads a body by its table: what may be written, each value checked; arrays as they are.
///
/// # Errors
/// 400 for an unknown or closed member, a value of the wrong kind, a required one that is missing or blank.
pub fn fields(what: &str, table: &[Field], body: &Value, settings: &Settings) -> Result<Map<String, Value>, Refusal> {
    let body = object(what, body)?;
    let mut read = Map::new();
    for (name, value) in body {
        match table.iter().find(|field| field.name == name) {
            None if settings.unknown_fields_ignored => {}
            None => return Err(Refusal::invalid(format!("{what}: unknown field {name}"))),
            Some(field) if field.access == Access::Closed => {
                if !settings.read_only_ignored {
                    return Err(Refusal::invalid(format!("{what}: {name} cannot be written")));
                }
            }
            Some(field) => {
                read.insert(name.clone(), checked(what, field, value, settings)?);
            }
        }
    }
    for field in table.iter().filter(|field| field.access == Access::Required) {
        match read.get(field.name) {
            None => return Err(Refusal::invalid(format!("{what}: {} is required", field.name))),
            Some(Value::Null) => return Err(Refusal::invalid(format!("{what}: {} must not be empty", field.name))),
            Some(Value::String(text)) if text.trim().is_empty() => {
                return Err(Refusal::invalid(format!("{what}: {} must not be empty", field.name)));
            }
            Some(_) => {}
        }
    }
    Ok(read)
}

/// # Errors
/// 400 when it is something else.
pub fn object<'a>(what: &str, body: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| Refusal::invalid(format!("{what}: an object is expected")))
}

/// # Errors
/// 400 when it is something else.
pub fn array<'a>(what: &str, value: &'a Value) -> Result<&'a [Value], Refusal> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Refusal::invalid(format!("{what}: an array is expected")))
}

fn checked(what: &str, field: &Field, value: &Value, settings: &Settings) -> Result<Value, Refusal> {
    let name = field.name;
    let wrong = |expected: &str| Refusal::invalid(format!("{what}: {name}: {expected} is expected"));
    if field.kind == Kind::Array {
        return Ok(value.clone());
    }
    if value.is_null() {
        return Ok(Value::Null);
    }
    match field.kind {
        Kind::Text => text(what, name, value, settings.text_limit, settings),
        Kind::Description => text(what, name, value, settings.description_limit, settings),
        Kind::Email => {
            let text = text(what, name, value, settings.text_limit, settings)?;
            let written = text.as_str().unwrap_or_default();
            if settings.email_check && !written.is_empty() && !looks_like_email(written) {
                return Err(wrong("an e-mail address"));
            }
            Ok(text)
        }
        Kind::Int => int(value).map(Value::from).ok_or_else(|| wrong("a whole number")),
        Kind::Flag => value.as_bool().map(Value::from).ok_or_else(|| wrong("true or false")),
        Kind::Date => match value.as_str() {
            Some("") => Ok(Value::Null),
            Some(text) if text.parse::<chrono::NaiveDate>().is_ok() && text.len() == 10 => Ok(text.into()),
            _ => Err(wrong("a date such as 2026-12-31")),
        },
        Kind::OneOf(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(word.into()),
            _ => Err(wrong(&format!("one of {}", words.join(", ")))),
        },
        Kind::Array => Ok(value.clone()),
    }
}

fn text(what: &str, name: &str, value: &Value, limit: usize, settings: &Settings) -> Result<Value, Refusal> {
    let written = value.as_str().ok_or_else(|| Refusal::invalid(format!("{what}: {name}: text is expected")))?;
    let mut kept = if settings.trim_text { written.trim() } else { written }.to_owned();
    if settings.crlf {
        kept = kept.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if limit > 0 && kept.chars().count() > limit {
        if !settings.too_long_cut {
            return Err(Refusal::invalid(format!("{what}: {name} is longer than {limit} characters")));
        }
        kept = kept.chars().take(limit).collect();
    }
    Ok(kept.into())
}

/// A whole number, also written as text.
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

fn looks_like_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.') && !host.contains('@')
    }) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &[Field] = &[
        closed("id"),
        required("name", Kind::Text),
        open("email", Kind::Email),
        open("count", Kind::Int),
        open("on", Kind::Flag),
        open("day", Kind::Date),
        open("kind", Kind::OneOf(&["a", "b"])),
    ];

    fn read(body: &Value, settings: &Settings) -> Result<Map<String, Value>, String> {
        fields("thing", TABLE, body, settings).map_err(|refusal| refusal.message)
    }

    #[test]
    fn good_values_come_out_in_their_own_kind() {
        let body = json!({"name": " A ", "email": "a@b.example", "count": "7", "on": true, "day": "2026-12-31", "kind": "b"});
        let read = read(&body, &Settings::default()).expect("a good body");
        assert_eq!(
            Value::Object(read),
            json!({"name": "A", "email": "a@b.example", "count": 7, "on": true, "day": "2026-12-31", "kind": "b"})
        );
    }

    #[test]
    fn each_wrong_value_is_refused_with_its_reason() {
        for (body, reason) in [
            (json!([]), "an object is expected"),
            (json!({}), "name is required"),
            (json!({"name": "  "}), "name must not be empty"),
            (json!({"name": null}), "name must not be empty"),
            (json!({"name": 7}), "name: text is expected"),
            (json!({"name": "a", "colour": 1}), "unknown field colour"),
            (json!({"name": "a", "id": "1"}), "id cannot be written"),
            (json!({"name": "a", "email": "nobody"}), "an e-mail address is expected"),
            (json!({"name": "a", "count": 1.5}), "a whole number is expected"),
            (json!({"name": "a", "on": "yes"}), "true or false is expected"),
            (json!({"name": "a", "day": "31.12.2026"}), "a date such as"),
            (json!({"name": "a", "kind": "c"}), "one of a, b is expected"),
            (json!({"name": "x".repeat(256)}), "longer than 255"),
        ] {
            let error = read(&body, &Settings::default()).expect_err("a wrong body");
            assert!(error.contains(reason), "{body}: {error}");
        }
    }

    #[test]
    fn the_switches_for_reading() {
        let settings = Settings {
            unknown_fields_ignored: true,
            read_only_ignored: true,
            trim_text: false,
            crlf: true,
            text_limit: 4,
            too_long_cut: true,
            email_check: false,
            ..Settings::default()
        };
        let body = json!({"id": "9", "colour": 1, "name": " a\nbcd", "email": "x"});
        assert_eq!(Value::Object(read(&body, &settings).expect("read")), json!({"name": " a\r\n", "email": "x"}));
    }
}
