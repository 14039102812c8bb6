//! From canonical values to the JSON a call takes.
//!
//! Source: docs.licensespring.com; that text is emptied with "" and everything else with null is our safe reading of it.

use super::catalogue::{METADATA, type_of};
use super::list::Row;
use super::refusal::Refusal;
use crate::connectors::ResourceSpec;
use crate::record::{FieldType, Fields, Value, coerce};
use serde_json::Value as J;

/// Arguments of a create or a change. Metadata stands apart: it is written whole or not at all.
#[derive(Debug, Default, PartialEq)]
pub struct Body {
    pub plain: Row,
    /// Values by path below `metadata`.
    pub metadata: Vec<(String, J)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    Update,
}

impl Body {
    /// Refuses a field that the resource has not, that this call cannot write, or whose value does not fit.
    pub fn of(resource: &ResourceSpec, fields: &Fields, call: Call) -> Result<Self, Refusal> {
        let mut body = Self::default();
        for (name, value) in fields {
            let Some(ty) = type_of(resource, name) else {
                return Err(Refusal::new("no-such-field", format!("a {} has no field {name}", resource.name), &[name]));
            };
            let writable = resource.field(name).is_none_or(|f| if call == Call::Create { f.create } else { f.update });
            if !writable {
                let text = format!("{name} of a {} cannot be {}", resource.name, if call == Call::Create { "set" } else { "changed" });
                return Err(Refusal::new("not-writable", text, &[name]));
            }
            let fitting = coerce(value, &ty).map_err(|e| Refusal::new("does-not-fit", format!("{name}: {e}"), &[name]))?;
            // What a new record has no value for is left out.
            if call == Call::Create && fitting == Value::Null {
                continue;
            }
            match name.strip_prefix(METADATA) {
                Some(path) => body.metadata.push((path.to_owned(), argument(&fitting, None, name)?)),
                None => {
                    body.plain.insert(name.clone(), argument(&fitting, Some(&ty), name)?);
                }
            }
        }
        Ok(body)
    }
}

fn argument(value: &Value, ty: Option<&FieldType>, name: &str) -> Result<J, Refusal> {
    Ok(match (value, ty) {
        (Value::Null, Some(FieldType::Text { .. } | FieldType::Email { .. })) => J::from(""),
        (Value::Null, _) => J::Null,
        (Value::Text(id), Some(FieldType::Reference { .. })) => {
            let id: i64 = id.parse().map_err(|_| Refusal::new("does-not-fit", format!("{name}: ids are whole numbers"), &[name]))?;
            J::from(id)
        }
        (Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::List(_), _) => value.to_plain_json(),
        (Value::Decimal(d), _) => d.to_string().parse::<serde_json::Number>().map_or_else(|_| J::from(d.to_string()), J::Number),
        (Value::Rows(_), _) => return Err(Refusal::new("does-not-fit", format!("{name}: rows cannot be written"), &[name])),
    })
}

/// Puts a value at `a.b.c`, making the objects on the way. Null empties what is there and makes nothing.
pub fn put(map: &mut Row, path: &str, value: J) -> Result<(), Refusal> {
    let Some((name, rest)) = path.split_once('.') else {
        if !value.is_null() || map.contains_key(path) {
            map.insert(path.to_owned(), value);
        }
        return Ok(());
    };
    if value.is_null() && !map.contains_key(name) {
        return Ok(());
    }
    match map.entry(name).or_insert_with(|| J::Object(Row::new())) {
        J::Object(inner) => put(inner, rest, value),
        J::Null | J::Bool(_) | J::Number(_) | J::String(_) | J::Array(_) => {
            let text = format!("metadata.{name} holds a plain value, so nothing can be put below it");
            Err(Refusal::new("metadata-shape", text, &["metadata"]))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::catalogue::{CATALOGUE, CUSTOMER, CUSTOMER_ACCOUNT, FEATURE, LICENSE};
    use super::*;
    use serde_json::json;

    fn body(resource: &str, fields: &[(&str, Value)], call: Call) -> Result<Body, Refusal> {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        Body::of(CATALOGUE.resource(resource).unwrap(), &fields, call)
    }

    #[test]
    fn values_become_arguments_by_the_type_of_their_field() {
        let fields = [
            ("phone", Value::Null),
            ("customer_account", Value::Null),
            ("email", Value::text("A@b.example")),
            ("metadata.title", Value::Null),
            ("metadata.a.b", Value::text("x")),
        ];
        let changed = body(CUSTOMER, &fields, Call::Update).unwrap();
        assert_eq!(J::Object(changed.plain), json!({"phone": "", "customer_account": null, "email": "a@b.example"}));
        assert_eq!(changed.metadata, [("a.b".to_owned(), json!("x")), ("title".to_owned(), J::Null)]);
        let made = body(CUSTOMER, &fields, Call::Create).unwrap();
        assert_eq!(J::Object(made.plain), json!({"email": "a@b.example"}));
        let license = [("validity_period", Value::Null), ("max_activations", Value::text("5")), ("is_trial", Value::Bool(false))];
        let license = body(LICENSE, &license, Call::Update).unwrap();
        assert_eq!(J::Object(license.plain), json!({"validity_period": null, "max_activations": 5, "is_trial": false}));
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        for (resource, field, value, call, code) in [
            (CUSTOMER, "nick", Value::text("x"), Call::Update, "no-such-field"),
            (CUSTOMER_ACCOUNT, "code", Value::text("x"), Call::Update, "not-writable"),
            (LICENSE, "license_key", Value::text("x"), Call::Update, "not-writable"),
            (LICENSE, "max_activations", Value::text("many"), Call::Update, "does-not-fit"),
            (FEATURE, "license", Value::text("a1"), Call::Create, "does-not-fit"),
        ] {
            let refusal = body(resource, &[(field, value)], call).unwrap_err();
            assert_eq!((refusal.code.as_str(), refusal.fields.as_slice()), (code, [field.to_owned()].as_slice()));
        }
    }

    #[test]
    fn metadata_is_put_beside_what_is_there() {
        let mut map = json!({"lockstep": {"sf_id": "003"}, "flat": 1}).as_object().unwrap().clone();
        put(&mut map, "lockstep.line", json!("802-1")).unwrap();
        put(&mut map, "new.deep", json!("x")).unwrap();
        put(&mut map, "lockstep.sf_id", J::Null).unwrap();
        put(&mut map, "none.at.all", J::Null).unwrap();
        assert_eq!(J::Object(map.clone()), json!({"lockstep": {"sf_id": null, "line": "802-1"}, "flat": 1, "new": {"deep": "x"}}));
        assert_eq!(put(&mut map, "flat.x", json!("x")).unwrap_err().code, "metadata-shape");
    }
}
