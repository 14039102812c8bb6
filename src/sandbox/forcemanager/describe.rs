//! What fields there are: `GET /{resource}/schema`, and the vendor's procedure for form builders, `zapier_schema`.
//!
//! The schema writes two names with a capital that records do not have.

use serde_json::{Value, json};

use super::extra;
use super::schema::{COMPUTED, Kind, Object};
use super::world::World;

/// Per field: `name`, `type`, `maxLength`, `readOnly`, `required`, `table`.
pub fn schema(world: &World, object: Object) -> Value {
    let table = format!("tbl{}", object.path());
    let row = |name: &str, kind: &str, length: Option<usize>, read_only: bool, required: bool| json!({"name": name, "type": kind, "maxLength": length, "readOnly": read_only, "required": required, "table": table});
    let computed = COMPUTED.iter().map(|name| row(name, computed_type(name), None, true, false));
    let own = object.fields().map(|field| {
        let name = match (object, field.name) {
            (Object::Calendar, "completed") => "Completed",
            (Object::Contact, "useCompanyAddress") => "UseCompanyAddress",
            (_, name) => name,
        };
        row(name, type_name(field.kind), length(field.kind), field.name == "readOnly", field.required)
    });
    let extras = world
        .extras
        .of(object, world.now())
        .map(|extra| row(&extra.key(), type_name(extra.kind.holds()), length(extra.kind.holds()), false, false));
    computed.chain(own).chain(extras).collect()
}

/// Per field that can be written: `key`, `label`, `type`, `required_via_api`, `choices`.
pub fn form(world: &World, object: Object) -> Value {
    let own = object.fields().map(|field| {
        json!({"key": field.name, "label": field.name, "type": type_name(field.kind), "required_via_api": field.required, "choices": Value::Null})
    });
    let extras = world.extras.of(object, world.now()).map(|extra| {
        let choices = match extra.kind {
            extra::Kind::List | extra::Kind::Multivalue => json!(extra.choices),
            _ => Value::Null,
        };
        json!({"key": extra.key(), "label": extra.label(), "type": form_type(extra.kind), "required_via_api": false, "choices": choices})
    });
    own.chain(extras).collect()
}

fn form_type(kind: extra::Kind) -> &'static str {
    match kind {
        extra::Kind::Text => "text",
        kind => type_name(kind.holds()),
    }
}

fn computed_type(name: &str) -> &'static str {
    match name {
        "deleted" => "bool",
        name if name.starts_with("date") => "datetime",
        _ => "int",
    }
}

/// The published words: bool, datetime, text, unicode, decimal, int.
fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text(length) if length > 255 => "text",
        Kind::Text(_) | Kind::Day | Kind::Hour | Kind::Choice | Kind::Choices => "unicode",
        Kind::Int(..) | Kind::Link(_) | Kind::Links(_) => "int",
        Kind::Number => "decimal",
        Kind::Flag => "bool",
        Kind::Stamp => "datetime",
    }
}

fn length(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Text(length) => Some(length),
        Kind::Day => Some(8),
        Kind::Hour => Some(5),
        _ => None,
    }
}
