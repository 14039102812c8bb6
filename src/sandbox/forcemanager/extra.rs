//! Extra fields: made by a call or by a person, seen on records as `Z_<name>`.
//!
//! The vendor gives the kinds but not their numbers, which are a switch; nor the names of a definition's optional parts,
//! which are therefore taken as they come.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reply::Refusal;
use super::schema::{self, Object};
use super::settings::Settings;

/// The documented kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Text,
    DateTime,
    Decimal,
    Bit,
    List,
    Multivalue,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Text, Kind::DateTime, Kind::Decimal, Kind::Bit, Kind::List, Kind::Multivalue];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::DateTime => "datetime",
            Kind::Decimal => "decimal",
            Kind::Bit => "bit",
            Kind::List => "list",
            Kind::Multivalue => "multivalue",
        }
    }

    /// What a value of it is.
    pub fn holds(self) -> schema::Kind {
        match self {
            Kind::Text => schema::Kind::Text(TEXT_MAX),
            Kind::DateTime => schema::Kind::Stamp,
            Kind::Decimal => schema::Kind::Number,
            Kind::Bit => schema::Kind::Flag,
            Kind::List => schema::Kind::Choice,
            Kind::Multivalue => schema::Kind::Choices,
        }
    }
}

/// Characters of an extra text.
const TEXT_MAX: usize = 4_000;

/// One definition.
#[derive(Debug, Clone)]
pub struct Extra {
    pub id: i64,
    pub object: Object,
    /// As created, without `Z_`.
    pub name: String,
    pub kind: Kind,
    /// What a list allows; empty = everything.
    pub choices: Vec<String>,
    /// From when on (milliseconds) it can be seen and written.
    pub from: i64,
    /// Label, default and the rest, as written.
    rest: Map<String, Value>,
}

impl Extra {
    /// The name on records.
    pub fn key(&self) -> String {
        format!("Z_{}", self.name)
    }

    pub fn label(&self) -> &str {
        let named = |name: &str| self.rest.get(name).and_then(Value::as_str);
        named("label").or(named("labelEN")).or(named("descriptionEN")).unwrap_or(&self.name)
    }

    /// What a new record has without being told.
    pub fn default(&self) -> Option<&Value> {
        self.rest.get("defaultValue").filter(|value| !value.is_null())
    }

    fn shown(&self, settings: &Settings) -> Value {
        let mut shown = self.rest.clone();
        for (name, value) in [
            ("id", json!(self.id)),
            ("entity", json!(self.object.path())),
            ("fieldName", json!(self.name)),
            ("type", json!(settings.extra_field_types.get(&self.kind))),
        ] {
            shown.insert(name.to_owned(), value);
        }
        if matches!(self.kind, Kind::List | Kind::Multivalue) {
            shown.insert("values".to_owned(), json!(self.choices));
        }
        shown.into()
    }
}

/// All definitions.
#[derive(Debug, Default)]
pub struct Extras {
    all: Vec<Extra>,
}

impl Extras {
    /// Those of one resource that can be seen at `now`.
    pub fn of(&self, object: Object, now: i64) -> impl Iterator<Item = &Extra> {
        self.all.iter().filter(move |extra| extra.object == object && extra.from <= now)
    }

    /// By the name on records; case counts.
    pub fn find(&self, object: Object, key: &str, now: i64) -> Option<&Extra> {
        self.of(object, now).find(|extra| key.strip_prefix("Z_") == Some(extra.name.as_str()))
    }

    /// Whether one of this name exists, seen already or not, in any case.
    pub fn taken(&self, object: Object, name: &str) -> bool {
        self.all.iter().any(|extra| extra.object == object && extra.name.eq_ignore_ascii_case(name))
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    pub fn count_of(&self, object: Object) -> usize {
        self.all.iter().filter(|extra| extra.object == object).count()
    }

    /// The answer of `GET /extrafields/{resource}`.
    pub fn listed(&self, object: Object, now: i64, settings: &Settings) -> Value {
        self.of(object, now).map(|extra| extra.shown(settings)).collect()
    }

    pub fn add(&mut self, extra: Extra) {
        self.all.push(extra);
    }

    /// Takes a definition away; false when there is none.
    pub fn remove(&mut self, object: Object, name: &str) -> bool {
        let before = self.all.len();
        self.all.retain(|extra| extra.object != object || extra.name != name);
        self.all.len() != before
    }

    /// A definition out of the body of a call, or of an edit (where `type` may be the name of a kind).
    ///
    /// # Errors
    /// A missing or wrong part, a name that is taken, too long or of other characters, a number that is no kind's, too many.
    pub fn checked(&self, object: Object, body: &Map<String, Value>, id: i64, now: i64, settings: &Settings) -> Result<Extra, Refusal> {
        let mut rest = body.clone();
        rest.remove("entity");
        let name = match rest.remove("fieldName") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => return Err(Refusal::bad("fieldName is required")),
        };
        let kind = match rest.remove("type") {
            None => return Err(Refusal::bad("type is required")),
            Some(Value::String(word)) => Kind::ALL.into_iter().find(|kind| kind.name() == word),
            Some(number) => settings.extra_field_types.iter().find(|(_, known)| number.as_i64() == Some(**known)).map(|(kind, _)| *kind),
        };
        let kind = kind.ok_or_else(|| Refusal::bad("type is not a known one"))?;
        if !name.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_') {
            return Err(Refusal::bad(format!("fieldName {name} has characters other than letters, digits and _")));
        }
        if name.len() > settings.extra_field_name_max {
            return Err(Refusal::bad(format!("fieldName is longer than {} characters", settings.extra_field_name_max)));
        }
        if self.taken(object, &name) {
            return Err(Refusal::bad(format!("the field {name} exists already")));
        }
        if settings.extra_field_limit.is_some_and(|limit| self.count_of(object) >= limit) {
            return Err(Refusal::bad("there are no more extra fields in this plan"));
        }
        let choices = match rest.remove("values") {
            None | Some(Value::Null) => Vec::new(),
            Some(values) => serde_json::from_value(values).map_err(|_| Refusal::bad("values is a list of texts"))?,
        };
        let from = now + i64::from(settings.extra_field_delay_seconds) * 1_000;
        rest.remove("id");
        Ok(Extra { id, object, name, kind, choices, from, rest })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checked(extras: &Extras, body: &Value) -> Result<Extra, Refusal> {
        let settings = Settings { extra_field_limit: Some(2), ..Settings::default() };
        extras.checked(Object::Account, body.as_object().unwrap(), 7, 0, &settings)
    }

    #[test]
    fn a_definition_needs_a_free_plain_short_name_and_a_known_type() {
        let mut extras = Extras::default();
        extras.add(checked(&extras, &json!({"fieldName": "Tier", "type": 1})).unwrap());
        for (body, reason) in [
            (json!({"type": 1}), "fieldName is required"),
            (json!({"fieldName": "A"}), "type is required"),
            (json!({"fieldName": "A", "type": 99}), "not a known one"),
            (json!({"fieldName": "A b", "type": 1}), "other than letters"),
            (json!({"fieldName": "tier", "type": 1}), "exists already"),
            (json!({"fieldName": "x".repeat(51), "type": 1}), "longer than 50"),
        ] {
            assert!(checked(&extras, &body).unwrap_err().to_string().contains(reason), "{body}");
        }
        extras.add(checked(&extras, &json!({"fieldName": "Size", "type": "decimal"})).unwrap());
        assert!(checked(&extras, &json!({"fieldName": "More", "type": 1})).unwrap_err().to_string().contains("no more"));
        assert_eq!(extras.find(Object::Account, "Z_Tier", 0).map(|extra| extra.id), Some(7));
        assert!(extras.find(Object::Account, "Z_tier", 0).is_none() && extras.find(Object::Contact, "Z_Tier", 0).is_none());
    }

    #[test]
    fn a_definition_is_seen_only_after_the_delay() {
        let settings = Settings { extra_field_delay_seconds: 5, ..Settings::default() };
        let mut extras = Extras::default();
        let body = json!({"fieldName": "Tier", "type": 1});
        extras.add(extras.checked(Object::Account, body.as_object().unwrap(), 1, 0, &settings).unwrap());
        assert_eq!((extras.of(Object::Account, 4_999).count(), extras.of(Object::Account, 5_000).count()), (0, 1));
    }
}
