//! How a record is read: references as objects, instants as ISO 8601, calendar days as `yy/MM/dd`, and the oddities that the
//! switches name.

use serde_json::{Map, Value, json};

use super::dates;
use super::extra;
use super::schema::{Kind, LANGUAGES, Object};
use super::settings::Settings;
use super::table::Row;
use super::world::World;

/// The three dates of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    Created,
    Updated,
    Deleted,
}

impl Date {
    pub const ALL: [(Date, &'static str); 3] =
        [(Date::Created, "dateCreated"), (Date::Updated, "dateUpdated"), (Date::Deleted, "dateDeleted")];

    /// What the record shows, in milliseconds; None = null. A record may show a date that never was.
    pub fn of(self, object: Object, row: &Row, settings: &Settings) -> Option<i64> {
        let user = object == Object::User;
        let sentinels = settings.sentinel_dates == "all" || (settings.sentinel_dates == "users" && user);
        match self {
            Date::Created if sentinels && user => Some(dates::SENTINEL_CREATED_MS),
            Date::Created => Some(row.created.at),
            Date::Updated => row.updated.map(|touch| touch.at),
            Date::Deleted => row.deleted.map(|touch| touch.at).or_else(|| sentinels.then_some(dates::SENTINEL_DELETED_MS)),
        }
    }
}

/// One record as a call reads it. With `labels` a list's value comes with its number (`ExtraFieldDescription: 1`).
pub fn record(world: &World, object: Object, row: &Row, labels: bool) -> Value {
    let settings = &world.settings;
    let mut shown = Map::new();
    shown.insert("id".into(), row.id.into());
    for (number, field) in object.fields().enumerate() {
        if object.is_value_list() && field.name.starts_with("description") {
            continue;
        }
        let value = row.get(field.name);
        let value = match field.kind {
            Kind::Link(to) => reference(world, object, to, value.as_i64(), number),
            Kind::Links(to) => {
                value.as_array().into_iter().flatten().map(|id| reference(world, object, to, id.as_i64(), 0)).collect::<Vec<_>>().into()
            }
            Kind::Flag => row.flag(field.name).into(),
            Kind::Int(1, 5) if value.is_null() => 1.into(),
            kind => plain(kind, value, settings),
        };
        shown.insert(key(object, field.name, settings), value);
    }
    if object.is_value_list() {
        describe(row, &mut shown, settings);
    }
    for extra in world.extras.of(object, world.now()) {
        let value = row.get(&extra.key());
        shown.insert(extra.key(), extra_value(extra, value, labels, settings));
    }
    for (date, name) in Date::ALL {
        let at = date.of(object, row, settings);
        shown.insert(name.into(), at.map_or(Value::Null, |at| dates::shown(at, settings.stamp_digits).into()));
    }
    let deleted = !row.is_live();
    shown.insert("deleted".into(), if settings.deleted_as_number { i32::from(deleted).into() } else { deleted.into() });
    for (name, touch) in [("salesRepIdCreated", Some(row.created)), ("salesRepIdUpdated", row.updated), ("salesRepIdDeleted", row.deleted)]
    {
        shown.insert(name.into(), reference(world, object, Object::User, touch.map(|touch| touch.by), 0));
    }
    shown.into()
}

/// A row with every stored field, undistorted: references are ids, instants ISO 8601, days `yyyy-MM-dd`.
pub fn plain_row(world: &World, object: Object, row: &Row) -> Value {
    let mut shown: Map<String, Value> = row.values().clone().into_iter().collect();
    for field in object.fields() {
        if field.kind == Kind::Stamp
            && let Some(at) = row.int(field.name)
        {
            shown.insert(field.name.into(), dates::shown(at, 3).into());
        }
    }
    for extra in world.extras.of(object, i64::MAX).filter(|extra| extra.kind == extra::Kind::DateTime) {
        if let Some(at) = row.int(&extra.key()) {
            shown.insert(extra.key(), dates::shown(at, 3).into());
        }
    }
    shown.insert("id".into(), row.id.into());
    shown.insert("deleted".into(), (!row.is_live()).into());
    for (at, by, touch) in [
        ("dateCreated", "salesRepIdCreated", Some(row.created)),
        ("dateUpdated", "salesRepIdUpdated", row.updated),
        ("dateDeleted", "salesRepIdDeleted", row.deleted),
    ] {
        shown.insert(at.into(), touch.map_or(Value::Null, |touch| dates::shown(touch.at, 3).into()));
        shown.insert(by.into(), touch.map_or(Value::Null, |touch| touch.by.into()));
    }
    shown.into()
}

/// What a reference to a row shows beside the id.
pub fn title(world: &World, object: Object, id: i64) -> String {
    let Some(row) = world.row(object, id) else {
        return String::new();
    };
    let parts: Vec<&str> = object.title().iter().map(|name| row.text(name)).filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn reference(world: &World, on: Object, to: Object, id: Option<i64>, number: usize) -> Value {
    let settings = &world.settings;
    let word = if on == Object::User { "description" } else { "value" };
    let Some(id) = id else {
        return match settings.no_reference.as_str() {
            "zero" => 0.into(),
            "object" => json!({"id": 0, word: ""}),
            _ => Value::Null,
        };
    };
    match settings.references.as_str() {
        "integer" => id.into(),
        "mixed" if number % 2 == 1 => id.into(),
        _ => json!({"id": id, word: title(world, to, id)}),
    }
}

fn plain(kind: Kind, value: &Value, settings: &Settings) -> Value {
    match (kind, value) {
        (Kind::Stamp, Value::Number(at)) => dates::shown(at.as_i64().unwrap_or_default(), settings.stamp_digits).into(),
        (Kind::Day, Value::String(day)) => dates::shown_day(day, &settings.calendar_dates).into(),
        (_, value) => value.clone(),
    }
}

fn extra_value(extra: &extra::Extra, value: &Value, labels: bool, settings: &Settings) -> Value {
    let choice = |text: &Value| {
        let number = extra.choices.iter().position(|choice| Some(choice.as_str()) == text.as_str()).map_or(0, |at| at + 1);
        if labels { json!({"id": number, "value": text}) } else { text.clone() }
    };
    match (extra.kind, value) {
        (extra::Kind::List, Value::String(_)) => choice(value),
        (extra::Kind::Multivalue, Value::Array(texts)) => texts.iter().map(choice).collect::<Vec<_>>().into(),
        (extra::Kind::Bit, Value::Null) => false.into(),
        (kind, value) => plain(kind.holds(), value, settings),
    }
}

fn describe(row: &Row, shown: &mut Map<String, Value>, settings: &Settings) {
    let english = row.text("descriptionEN");
    let described = LANGUAGES.into_iter().map(|language| {
        let own = row.text(&format!("description{language}"));
        (language, if own.is_empty() { english } else { own })
    });
    if settings.value_list_shape == "nested" {
        let nested: Map<String, Value> = described.map(|(language, text)| (language.to_lowercase(), text.into())).collect();
        shown.insert("description".into(), nested.into());
    } else {
        shown.extend(described.map(|(language, text)| (format!("description{language}"), text.into())));
    }
}

/// The name a record uses for a field.
fn key(object: Object, name: &str, settings: &Settings) -> String {
    let shown = match (object, name) {
        (Object::Contact, "useCompanyAddress") if settings.key_case_drift => "UseCompanyAddress",
        (Object::Calendar, "completed") if settings.key_case_drift => "Completed",
        (Object::Contact, "lastName") if settings.swagger_typos => "lasttName",
        (Object::Opportunity, "salesForecastDate") if settings.swagger_typos => "salesForcecastDate",
        (Object::Opportunity, "typeId") => &settings.opportunity_type_key,
        (_, name) => name,
    };
    shown.to_owned()
}
