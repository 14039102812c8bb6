//! Reading values on their way in: from JSON or CSV to a stored cell, checked and normalised as the platform does it.
//!
//! Text is trimmed and an empty one is null, numbers are rounded to their scale, references must lead somewhere. Each kind
//! of mistake has the code the platform gives it.

use serde_json::{Map, Value};

use super::error::SfError;
use super::ids::Id;
use super::schema::{Field, Kind, Source};
use super::value::{Cell, fold, parse_date, parse_instant};
use super::world::{Outcome, World};
use super::write::{Author, Changes};

impl World {
    pub(super) fn read_fields(&self, object: usize, fields: &Map<String, Value>, by: &Author, creating: bool) -> Outcome<Changes> {
        let shape = &self.schema.objects[object];
        let mut changes = Changes::with_capacity(fields.len());
        let mut refused = Vec::new();
        for (name, value) in fields {
            if name == "attributes" {
                continue;
            }
            let Some(at) = shape.find(name).filter(|at| !by.api || self.visible(object, *at)) else {
                let Some(at) = shape.by_relationship(name).filter(|_| value.is_object()) else {
                    let text = format!("No such column '{name}' on sobject of type {}", shape.name);
                    return Err(SfError::bad("INVALID_FIELD", text));
                };
                changes.push((at, Some(Cell::Ref(self.by_foreign_key(object, at, value)?))));
                continue;
            };
            let field = shape.field(at);
            if field.kind == Kind::Id && creating {
                return Err(SfError::bad("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call").on("Id"));
            }
            let writable = if creating { field.createable } else { field.updateable };
            let allowed = writable && field.source == Source::Stored && !(by.api && self.read_only.contains(&(object, at)));
            if !allowed && !by.setup {
                refused.push(field.name.clone());
                continue;
            }
            changes.push((at, self.read_value(field, value, by)?));
        }
        if refused.is_empty() {
            return Ok(changes);
        }
        let text = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
            refused.join(", ")
        );
        Err(SfError { fields: refused, ..SfError::bad("INVALID_FIELD_FOR_INSERT_UPDATE", text) })
    }

    fn read_value(&self, field: &Field, value: &Value, by: &Author) -> Outcome<Option<Cell>> {
        let wrong = |kind: &str| {
            let (token, shown) = match value {
                Value::String(text) => ("VALUE_STRING", text.clone()),
                Value::Number(number) => (if number.is_f64() { "VALUE_NUMBER_FLOAT" } else { "VALUE_NUMBER_INT" }, number.to_string()),
                Value::Bool(bool) => (if *bool { "VALUE_TRUE" } else { "VALUE_FALSE" }, bool.to_string()),
                Value::Array(_) => ("START_ARRAY", "[".to_owned()),
                Value::Object(_) => ("START_OBJECT", "{".to_owned()),
                Value::Null => ("VALUE_NULL", String::new()),
            };
            let text = format!(
                "Cannot deserialize instance of {kind} from {token} value {shown} or request may be missing a required field at [line:1, column:2]"
            );
            SfError::bad("JSON_PARSER_ERROR", text)
        };
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => Some(text.trim()),
            _ => None,
        };
        if text == Some("") && (field.kind != Kind::Boolean || by.from_text) {
            return Ok(None);
        }
        match field.kind {
            Kind::Boolean => match (value, text.map(str::to_ascii_lowercase).as_deref()) {
                (Value::Bool(bool), _) => Ok(Some(Cell::Bool(*bool))),
                (_, Some("true" | "1")) => Ok(Some(Cell::Bool(true))),
                (_, Some("false" | "0")) => Ok(Some(Cell::Bool(false))),
                _ => Err(wrong("boolean")),
            },
            Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
                let number = value.as_f64().or_else(|| text.and_then(|text| text.parse().ok()));
                let kind = if field.kind == Kind::Int { "int" } else { "double" };
                let number = number.filter(|number| number.is_finite()).ok_or_else(|| wrong(kind))?;
                in_range(field, number).map(|number| Some(Cell::Num(number)))
            }
            Kind::Date => text.and_then(parse_date).map(|date| Some(Cell::Date(date))).ok_or_else(|| wrong("date")),
            Kind::DateTime => {
                let time = text.and_then(|text| parse_instant(text).or_else(|| parse_date(text).map(super::value::midnight)));
                time.map(|time| Some(Cell::Time(time))).ok_or_else(|| wrong("datetime"))
            }
            Kind::Reference | Kind::Id => self.read_reference(field, text.ok_or_else(|| wrong("reference"))?),
            Kind::Text | Kind::TextArea | Kind::LongText | Kind::Email | Kind::Phone | Kind::Url | Kind::Picklist | Kind::MultiPicklist => {
                let text = text.ok_or_else(|| wrong("string"))?;
                checked_text(field, text).map(|text| Some(Cell::Text(text.into())))
            }
            Kind::Address => Err(wrong("address")),
        }
    }

    fn read_reference(&self, field: &Field, text: &str) -> Outcome<Option<Cell>> {
        let wrong_type = || SfError::bad("MALFORMED_ID", format!("{}: id value of incorrect type: {text}", field.label)).on(&field.name);
        let id = Id::parse(text).ok_or_else(wrong_type)?;
        let target = self.schema.by_prefix(id.prefix());
        if !target.is_some_and(|target| field.targets.contains(&target)) {
            return Err(SfError { code: "FIELD_INTEGRITY_EXCEPTION".to_owned(), ..wrong_type() });
        }
        match self.row_of(id) {
            Some((_, row)) if row.deleted.is_none() => Ok(Some(Cell::Ref(id))),
            _ => Err(SfError::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").on(&field.name)),
        }
    }

    /// `"Account": {"Lockstep_Id__c": "x"}` in place of an id.
    fn by_foreign_key(&self, object: usize, lookup: u16, value: &Value) -> Outcome<Id> {
        let field = self.schema.objects[object].field(lookup);
        let keys = value.as_object().into_iter().flatten().filter(|(key, _)| *key != "attributes");
        for (key, wanted) in keys {
            for target in &field.targets {
                let shape = &self.schema.objects[*target];
                let Some(at) = shape.find(key).filter(|at| shape.field(*at).external_id) else {
                    continue;
                };
                let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                let found = self.live_with_key(*target, at, &wanted);
                return match found.as_slice() {
                    [one] => Ok(*one),
                    [] => Err(SfError::bad(
                        "INVALID_FIELD",
                        format!("Foreign key external ID: {wanted} not found for field {} in entity {}", shape.field(at).name, shape.name),
                    )),
                    _ => Err(SfError::bad("DUPLICATE_EXTERNAL_ID", format!("external id {wanted} matches more than one record"))),
                };
            }
        }
        let text = format!(
            "The external foreign key reference does not reference a valid entity: {}",
            field.relationship.as_deref().unwrap_or_default()
        );
        Err(SfError::bad("INVALID_FIELD", text))
    }
}

fn checked_text(field: &Field, text: &str) -> Outcome<String> {
    let length = text.chars().count();
    let limit = usize::try_from(field.length).unwrap_or(usize::MAX);
    if limit > 0 && length > limit {
        let shown: String = text.chars().take(255).collect();
        let text = format!("{}: data value too large: {shown} (max length={limit})", field.label);
        return Err(SfError::bad("STRING_TOO_LONG", text).on(&field.name));
    }
    if field.kind == Kind::Email && !looks_like_email(text) {
        return Err(SfError::bad("INVALID_EMAIL_ADDRESS", format!("{}: invalid email address: {text}", field.label)).on(&field.name));
    }
    if field.restricted {
        return restricted(field, text);
    }
    Ok(text.to_owned())
}

fn restricted(field: &Field, text: &str) -> Outcome<String> {
    let known = |one: &str| field.picklist.iter().find(|pick| pick.active && fold(&pick.value) == fold(one)).map(|pick| pick.value.clone());
    let values: Option<Vec<String>> = match field.kind {
        Kind::MultiPicklist => text.split(';').map(|one| known(one.trim())).collect(),
        _ => known(text).map(|value| vec![value]),
    };
    values.map(|values| values.join(";")).ok_or_else(|| {
        let text = format!("{}: bad value for restricted picklist field: {text}", field.label);
        SfError::bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text).on(&field.name)
    })
}

/// Something, an at sign, a domain with a dot in it; no blanks.
fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let plain = |ch: char| !ch.is_whitespace() && !matches!(ch, ',' | ';' | '<' | '>' | '(' | ')' | '"');
    let labels = domain.split('.').collect::<Vec<_>>();
    !local.is_empty()
        && !local.contains('@')
        && text.chars().all(plain)
        && labels.len() > 1
        && labels.iter().all(|label| !label.is_empty() && label.chars().all(|ch| ch.is_alphanumeric() || ch == '-'))
}

fn in_range(field: &Field, number: f64) -> Outcome<f64> {
    let scale = if field.kind == Kind::Int { 0 } else { i32::try_from(field.scale).unwrap_or(0) };
    let shift = 10_f64.powi(scale);
    // Beyond 2^53 there are no fractions left to round.
    let rounded = if number.abs() * shift < 9.0e15 { (number * shift).round() / shift } else { number };
    let digits = i32::try_from(field.precision.saturating_sub(field.scale)).unwrap_or(18);
    if rounded.abs() >= 10_f64.powi(digits) {
        let text = format!("{}: value outside of valid range on numeric field: {number}", field.label);
        return Err(SfError::bad("NUMBER_OUTSIDE_VALID_RANGE", text).on(&field.name));
    }
    Ok(rounded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;

    fn world() -> World {
        World::new(Clock::system(), Options::default()).unwrap()
    }

    fn code(outcome: Outcome<impl std::fmt::Debug>) -> String {
        outcome.unwrap_err().code
    }

    #[test]
    fn values_are_normalised_as_the_platform_does() {
        let mut world = world();
        let id =
            world.insert("account", &json!({"name": "  Acme  ", "Phone": "", "NumberOfEmployees": "12", "AnnualRevenue": 10.6})).unwrap();
        let row = world.row("Account", &id).unwrap();
        assert_eq!((&row["Name"], &row["Phone"], &row["NumberOfEmployees"]), (&json!("Acme"), &json!(null), &json!(12)));
        assert_eq!(row["AnnualRevenue"], json!(11.0));
        assert_eq!(row["OwnerId"], json!(world.human.as_str()));
        assert_eq!(&id[..3], "001");
    }

    #[test]
    fn each_bad_value_has_its_code() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": account})).unwrap();
        for (object, fields, expected) in [
            ("Account", json!({}), "REQUIRED_FIELD_MISSING"),
            ("Account", json!({"Name": " "}), "REQUIRED_FIELD_MISSING"),
            ("Account", json!({"Name": "x".repeat(256)}), "STRING_TOO_LONG"),
            ("Account", json!({"Name": 5}), "JSON_PARSER_ERROR"),
            ("Account", json!({"Name": "A", "Nope": 1}), "INVALID_FIELD"),
            ("Account", json!({"Name": "A", "SystemModstamp": "2026-01-01T00:00:00Z"}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ("Account", json!({"Name": "A", "NumberOfEmployees": "many"}), "JSON_PARSER_ERROR"),
            ("Account", json!({"Name": "A", "NumberOfEmployees": 1e9}), "NUMBER_OUTSIDE_VALID_RANGE"),
            ("Account", json!({"Name": "A", "ParentId": "nonsense"}), "MALFORMED_ID"),
            ("Account", json!({"Name": "A", "ParentId": contact}), "FIELD_INTEGRITY_EXCEPTION"),
            ("Account", json!({"Name": "A", "ParentId": "001D000000IqhSLIAZ"}), "INVALID_CROSS_REFERENCE_KEY"),
            ("Contact", json!({"LastName": "B", "Name": "B"}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ("Contact", json!({"LastName": "B", "Email": "no-at-sign"}), "INVALID_EMAIL_ADDRESS"),
            ("Contact", json!({"LastName": "B", "Birthdate": "2026-13-01"}), "JSON_PARSER_ERROR"),
            (
                "Order",
                json!({"AccountId": account, "EffectiveDate": "2026-01-01", "Status": "Sideways"}),
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            ),
        ] {
            assert_eq!(code(world.insert(object, &fields)), expected, "{fields}");
        }
        assert_eq!(world.counts()["Account"], 1);
    }

    #[test]
    fn emails_by_shape() {
        for good in ["a@b.co", "a.b+c@d-e.example", "ü@ö.de"] {
            assert!(looks_like_email(good), "{good}");
        }
        for bad in ["a", "a@b", "@b.co", "a b@c.de", "a@b..co", "a@b@c.de", "a@b.co,d@e.fr"] {
            assert!(!looks_like_email(bad), "{bad}");
        }
    }
}
