//! From a written JSON object to values to store, or to the reason why not.
//!
//! Strict, where the vendor is silent: unknown and read-only names, values of another kind and references to nothing are
//! refused, so that a client cannot get used to being forgiven.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::dates;
use super::reply::Refusal;
use super::schema::{COMPUTED, Kind, Object};
use super::settings::Settings;
use super::table::Row;
use super::world::World;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A call with the key pair.
    Key,
    /// A person in the app, or a seed: every stored field, every resource.
    Person(i64),
}

/// Values by the names they are stored under; Null clears.
pub type Changes = BTreeMap<String, Value>;

/// A field that can be written, the vendor's own or an extra one.
struct Slot {
    name: String,
    kind: Kind,
    required: bool,
    choices: Vec<String>,
}

/// Reads `body` for a new row, or for `row`.
///
/// # Errors
/// 400 with the first field that is wrong.
pub fn changes(world: &World, object: Object, row: Option<&Row>, body: &Map<String, Value>, writer: Writer) -> Result<Changes, Refusal> {
    let mut changes = Changes::new();
    for (key, value) in body {
        let Some(slot) = slot(world, object, key) else {
            if world.settings.lenient && writer == Writer::Key {
                continue;
            }
            let read_only = COMPUTED.iter().any(|name| name.eq_ignore_ascii_case(key));
            let why = if read_only { "is read-only" } else { "is not a field of" };
            return Err(Refusal::bad(format!("{key} {why} {}", object.path())));
        };
        if slot.name == "readOnly" && writer == Writer::Key {
            if world.settings.lenient {
                continue;
            }
            return Err(Refusal::bad("readOnly is read-only"));
        }
        if let Some(value) = accept(world, &slot, value, writer)? {
            changes.insert(slot.name, value);
        }
    }
    for field in object.fields().filter(|field| field.required) {
        let missing = match changes.get(field.name) {
            Some(value) => value.is_null(),
            None => row.is_none(),
        };
        if missing {
            return Err(Refusal::bad(format!("{} is required", field.name)));
        }
    }
    if world.settings.ext_id_unique
        && let Some(ext_id) = changes.get("extId").and_then(Value::as_str)
    {
        let taken = world.table(object).with_ext_id(ext_id).into_iter().any(|id| {
            row.is_none_or(|row| row.id != id)
                && world.row(object, id).is_some_and(|other| other.is_live() && other.text("extId") == ext_id)
        });
        if taken {
            return Err(Refusal::bad(format!("extId {ext_id} is taken")));
        }
    }
    Ok(changes)
}

fn slot(world: &World, object: Object, key: &str) -> Option<Slot> {
    if let Some(field) = object.field(key) {
        return Some(Slot { name: field.name.to_owned(), kind: field.kind, required: field.required, choices: Vec::new() });
    }
    let extra = world.extras.find(object, key, world.now())?;
    Some(Slot { name: extra.key(), kind: extra.kind.holds(), required: false, choices: extra.choices.clone() })
}

/// One value for one field; None = it stays as it is.
fn accept(world: &World, slot: &Slot, value: &Value, writer: Writer) -> Result<Option<Value>, Refusal> {
    let settings = &world.settings;
    let person = writer != Writer::Key;
    let (by_null, by_empty) = match settings.clear_with.as_str() {
        _ if person => (true, true),
        "null" => (true, false),
        "empty" => (false, true),
        _ => (true, true),
    };
    let is_text = matches!(slot.kind, Kind::Text(_));
    match value {
        Value::Null if by_null => return cleared(slot),
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => {
            return match (is_text, slot.required) {
                (true, true) if settings.empty_required || person => Ok(Some("".into())),
                (true, true) => Err(Refusal::bad(format!("{} is required", slot.name))),
                _ if by_empty => cleared(slot),
                (true, false) => Ok(Some("".into())),
                (false, _) => Err(wrong(slot, value)),
            };
        }
        _ => {}
    }
    let accepted = match slot.kind {
        Kind::Text(max) => text(slot, value, max)?,
        Kind::Int(least, most) => value.as_i64().filter(|number| (least..=most).contains(number)).map(Value::from),
        Kind::Number => value.as_f64().filter(|number| number.is_finite()).map(|_| value.clone()),
        Kind::Flag => value.as_bool().map(Value::from),
        Kind::Stamp => value.as_str().and_then(|text| stamp(text, settings, person)).map(Value::from),
        Kind::Day => value.as_str().and_then(|text| calendar_day(text, person)).map(Value::from),
        Kind::Hour => value.as_str().filter(|text| dates::hour(text).is_some()).map(Value::from),
        Kind::Link(to) => Some(link(world, slot, value, to)?),
        Kind::Links(to) => {
            let ids = value.as_array().ok_or_else(|| wrong(slot, value))?;
            let ids: Result<Vec<Value>, Refusal> = ids.iter().map(|id| link(world, slot, id, to)).collect();
            Some(ids?.into())
        }
        Kind::Choice => value.as_str().filter(|text| allowed(slot, text)).map(Value::from),
        Kind::Choices => choices(slot, value),
    };
    accepted.map(Some).ok_or_else(|| wrong(slot, value))
}

fn cleared(slot: &Slot) -> Result<Option<Value>, Refusal> {
    if slot.required { Err(Refusal::bad(format!("{} is required", slot.name))) } else { Ok(Some(Value::Null)) }
}

fn wrong(slot: &Slot, value: &Value) -> Refusal {
    let expected = match slot.kind {
        Kind::Text(_) => "a text".to_owned(),
        Kind::Int(least, most) if most < 1_000 => format!("a whole number from {least} to {most}"),
        Kind::Int(..) => "a whole number".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Stamp => "a date like 2018-06-19 10:42:12".to_owned(),
        Kind::Day => "a day like 18/06/19".to_owned(),
        Kind::Hour => "a time like 10:42".to_owned(),
        Kind::Link(_) => "the id of a record".to_owned(),
        Kind::Links(_) => "a list of ids".to_owned(),
        Kind::Choice | Kind::Choices => "of the field's values".to_owned(),
    };
    Refusal::bad(format!("{}: {value} is not {expected}", slot.name))
}

fn text(slot: &Slot, value: &Value, max: usize) -> Result<Option<Value>, Refusal> {
    let Some(text) = value.as_str() else {
        return Ok(None);
    };
    if text.chars().count() > max {
        return Err(Refusal::bad(format!("{} is longer than {max} characters", slot.name)));
    }
    Ok(Some(text.into()))
}

/// Where the form has a time, it may be taken for a local one.
fn stamp(text: &str, settings: &Settings, person: bool) -> Option<i64> {
    let ahead = i64::from(settings.written_ahead_minutes) * 60_000;
    if let Some(at) = dates::space(text) {
        return Some(at - ahead);
    }
    if let Some(day) = dates::day(text) {
        return Some(dates::midnight(day));
    }
    if settings.written_dates == "any" || person { dates::zoned(text).or_else(|| dates::iso(text)) } else { None }
}

fn calendar_day(text: &str, person: bool) -> Option<String> {
    let day = dates::short_day(text).or_else(|| if person { dates::day(text) } else { None });
    day.map(|day| day.to_string())
}

fn link(world: &World, slot: &Slot, value: &Value, to: Object) -> Result<Value, Refusal> {
    let id = value.as_i64().ok_or_else(|| wrong(slot, value))?;
    let there = world.row(to, id).is_some_and(Row::is_live);
    if there || !world.settings.links_checked {
        Ok(id.into())
    } else {
        Err(Refusal::bad(format!("{}: there is no {} {id}", slot.name, to.name())))
    }
}

fn allowed(slot: &Slot, text: &str) -> bool {
    slot.choices.is_empty() || slot.choices.iter().any(|choice| choice == text)
}

/// A list of texts, or one text with `;` between them.
fn choices(slot: &Slot, value: &Value) -> Option<Value> {
    let texts: Vec<&str> = match value {
        Value::String(text) => text.split(';').map(str::trim).collect(),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    texts.iter().all(|text| allowed(slot, text)).then(|| texts.into())
}
