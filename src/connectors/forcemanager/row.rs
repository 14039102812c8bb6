//! From a row of the wire to a record: canonical values by our names.
//!
//! Reads what the vendor's own material shows: references as numbers or objects, keys in drifting case and with typing
//! errors, sentinel dates. A value that is not there, or that can be read in two ways, is left out: never null.

use super::catalogue::{ACCOUNT, ACTIVITY, CONTACT, EXTRA, LINK, OPPORTUNITY, TASK, USER, is_calendar, list_of};
use super::dates::{self, Unreadable};
use super::extra::Extras;
use super::list::{Row, flag, id_of, is_deleted, row_id, value};
use super::words::Lists;
use crate::connectors::ResourceSpec;
use crate::record::{FieldType, Fields, Life, Record, RecordId, Value, canonical};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value as J;
use std::collections::BTreeMap;

/// What is needed to read rows.
pub struct Reading<'a> {
    pub lists: &'a Lists,
    /// Of the calendar's hours; only looked at there.
    pub zone: Tz,
    pub link_field: &'a str,
    pub placeholder: &'a str,
    /// ForceManager user id → Salesforce id, as the operator says.
    pub users: &'a BTreeMap<i64, String>,
    pub extras: Option<&'a Extras>,
}

/// The pieces in which an entry of the calendar and an activity name what they are about.
const ABOUT: [(&str, &str); 2] = [(OPPORTUNITY, "opportunityId"), (ACCOUNT, "accountId")];

impl Reading<'_> {
    /// A row without an id is no record.
    #[must_use]
    pub fn record(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = row_id(row)?;
        let mut fields = Fields::new();
        for name in wanted {
            match self.field(resource, row, name) {
                Some(Ok(value)) => {
                    fields.insert(name.clone(), value);
                }
                Some(Err(why)) => tracing::warn!(resource = resource.name, id, field = %name, "left out: {why}"),
                None => {}
            }
        }
        let life = if is_deleted(row) { Life::Deleted } else { Life::Live };
        Some(Record { id: RecordId::from(id.to_string()), fields, stamp: stamp(row).map(dates::iso), life, partial: Vec::new() })
    }

    /// `None`: the row does not show it.
    fn field(&self, resource: &ResourceSpec, row: &Row, name: &str) -> Option<Result<Value, String>> {
        match name {
            LINK => return self.link(resource, row),
            "fullName" if resource.name == USER => return Some(Ok(full_name(row))),
            "completed" if resource.name == ACTIVITY => return Some(Ok(Value::Bool(true))),
            "about" => return about(row).map(Ok),
            "day" if resource.name == ACTIVITY => return self.field(resource, row, "date").map(|date| date.map(|at| day_of(&at))),
            "start" | "end" | "day" if is_calendar(resource.name) => return self.calendar(row, name),
            _ => {}
        }
        if let Some((number, list)) = list_of(resource.name, name) {
            return self.word(resource, row, number, list);
        }
        let ty = match resource.field(name) {
            Some(spec) => &spec.ty,
            None if name.starts_with(EXTRA) => &self.extras?.get(name)?.ty,
            None => return None,
        };
        let raw = raw(resource.name, row, name)?;
        if *ty == FieldType::Integer && name.ends_with("Id") {
            // The number of a value list; 0 is none.
            return Some(Ok(id_of(raw).map_or(Value::Null, Value::Int)));
        }
        let read = plain(raw, ty);
        // It stands for nothing.
        let stands = |v: &Value| resource.name == CONTACT && name == "firstName" && v.as_text() == Some(self.placeholder);
        Some(read.map(|v| if stands(&v) { Value::Null } else { v }))
    }

    fn link(&self, resource: &ResourceSpec, row: &Row) -> Option<Result<Value, String>> {
        if resource.name == USER
            && let Some(id) = row_id(row).and_then(|id| self.users.get(&id))
        {
            return Some(Ok(Value::text(id.clone())));
        }
        let raw = value(row, if resource.name == USER { LINK } else { self.link_field })?;
        Some(plain(raw, &FieldType::text()))
    }

    fn calendar(&self, row: &Row, name: &str) -> Option<Result<Value, String>> {
        let (day, hour) = if name == "end" { ("endDate", "endHour") } else { ("startDate", "startHour") };
        let text = |key: &str| value(row, key).and_then(J::as_str);
        let read = |r: Option<Result<String, Unreadable>>| match r {
            Some(Ok(text)) => Ok(Value::Text(text)),
            Some(Err(e)) => Err(e.to_string()),
            None => Ok(Value::Null),
        };
        if value(row, day)?.is_null() {
            return Some(Ok(Value::Null));
        }
        let day = text(day)?;
        if name == "day" {
            return Some(read(dates::day(day).map(|r| r.map(|d| d.format("%Y-%m-%d").to_string()))));
        }
        let all_day = flag(row, "allDay").unwrap_or(false);
        Some(read(dates::calendar_instant(day, text(hour).unwrap_or_default(), all_day, self.zone).map(|r| r.map(dates::iso))))
    }

    fn word(&self, resource: &ResourceSpec, row: &Row, number: &str, list: &'static str) -> Option<Result<Value, String>> {
        let raw = raw(resource.name, row, number)?;
        let Some(id) = id_of(raw) else { return Some(Ok(Value::Null)) };
        let shown = raw.as_object().and_then(|map| ["value", "description", "name"].iter().find_map(|key| value(map, key)?.as_str()));
        let shown = shown.map(str::trim).filter(|t| !t.is_empty()).or_else(|| self.lists.get(list)?.label(id));
        shown.map(|text| plain(&J::from(text), &FieldType::text()))
    }
}

/// The value of a field under any of the names it was seen under.
#[must_use]
pub fn raw<'r>(resource: &str, row: &'r Row, name: &str) -> Option<&'r J> {
    let other = match (resource, name) {
        (OPPORTUNITY, "typeId") => Some("type_id"),
        (OPPORTUNITY, "salesForecastDate") => Some("salesForcecastDate"),
        (CONTACT, "lastName") => Some("lasttName"),
        _ => None,
    };
    value(row, name).or_else(|| value(row, other?))
}

/// A value by its type, in every shape it was seen in.
fn plain(raw: &J, ty: &FieldType) -> Result<Value, String> {
    match ty {
        FieldType::Reference { .. } => return Ok(id_of(raw).map_or(Value::Null, |id| Value::Text(id.to_string()))),
        FieldType::Instant => {
            return match raw {
                J::Null => Ok(Value::Null),
                J::String(text) => match dates::instant(text) {
                    None => Ok(Value::Null),
                    Some(Ok(at)) => Ok(Value::Text(dates::iso(at))),
                    Some(Err(e)) => Err(e.to_string()),
                },
                J::Bool(_) | J::Number(_) | J::Array(_) | J::Object(_) => Err(Unreadable(raw.to_string()).to_string()),
            };
        }
        FieldType::Date => {
            return match raw {
                J::Null => Ok(Value::Null),
                J::String(text) => match dates::day(text) {
                    None => Ok(Value::Null),
                    Some(Ok(day)) => Ok(Value::Text(day.format("%Y-%m-%d").to_string())),
                    Some(Err(e)) => Err(e.to_string()),
                },
                J::Bool(_) | J::Number(_) | J::Array(_) | J::Object(_) => Err(Unreadable(raw.to_string()).to_string()),
            };
        }
        FieldType::Text { .. }
        | FieldType::Email { .. }
        | FieldType::Integer
        | FieldType::Decimal { .. }
        | FieldType::Boolean
        | FieldType::List { .. }
        | FieldType::Rows => {}
    }
    let raw = match raw {
        J::Object(map) => ["value", "description"].iter().find_map(|key| value(map, key)).cloned().unwrap_or_else(|| raw.clone()),
        J::Null | J::Bool(_) | J::Number(_) | J::String(_) | J::Array(_) => raw.clone(),
    };
    canonical(&raw, ty).map_err(|e| e.to_string())
}

fn about(row: &Row) -> Option<Value> {
    let shown = ABOUT.map(|(kind, key)| value(row, key).map(|raw| id_of(raw).map(|id| format!("{kind} {id}"))));
    if shown.iter().all(Option::is_none) {
        return None;
    }
    Some(shown.into_iter().flatten().flatten().next().map_or(Value::Null, Value::Text))
}

fn day_of(at: &Value) -> Value {
    at.as_text().and_then(|text| text.get(..10)).map_or(Value::Null, Value::text)
}

/// Both names as one; the nickname of who has none. Who is not active has no name to be linked by.
fn full_name(row: &Row) -> Value {
    if is_deleted(row) || flag(row, "isActive") == Some(false) {
        return Value::Null;
    }
    let words = |keys: &[&str]| {
        let texts = keys.iter().filter_map(|key| value(row, key)?.as_str());
        texts.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    let names = [words(&["name", "lastName"]), words(&["nic"])];
    let name = names.into_iter().find(|n| !n.is_empty());
    name.map_or(Value::Null, |n| canonical(&J::from(n), &FieldType::text()).unwrap_or(Value::Null))
}

/// When a row was last touched, by the server's clock.
#[must_use]
pub fn stamp(row: &Row) -> Option<DateTime<Utc>> {
    ["dateCreated", "dateUpdated", "dateDeleted"]
        .iter()
        .filter(|key| **key != "dateDeleted" || is_deleted(row))
        .filter_map(|k| date(row, k))
        .max()
}

/// A stamp of a row; a sentinel is none.
#[must_use]
pub fn date(row: &Row, name: &str) -> Option<DateTime<Utc>> {
    dates::instant(value(row, name)?.as_str()?)?.ok()
}

/// An entry of the calendar belongs to one of two resources.
#[must_use]
pub fn is_of(resource: &str, row: &Row) -> bool {
    !is_calendar(resource) || flag(row, "task").unwrap_or(false) == (resource == TASK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::catalogue::{CATALOGUE, EVENT};
    use super::*;
    use serde_json::json;

    fn read(resource: &str, row: J, wanted: &[&str]) -> Record {
        let lists = Lists::new();
        let users = BTreeMap::from([(7, "005000000000001AAA".to_owned())]);
        let reading = Reading {
            lists: &lists,
            zone: "Europe/Madrid".parse().unwrap(),
            link_field: LINK,
            placeholder: "-",
            users: &users,
            extras: None,
        };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        reading.record(CATALOGUE.resource(resource).unwrap(), row.as_object().unwrap(), &wanted).unwrap()
    }

    fn shown(record: &Record) -> Vec<String> {
        record.fields.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn an_account_in_canonical_values() {
        let row = json!({
            "id": "12", "name": " Acme ", "salesRepId1": {"id": 14, "value": "Ann"}, "branchId": {"id": 16, "value": "Headquarter"}, "typeId": 0,
            "statusId": {"id": 3, "value": "Customer"}, "countryId": null, "Phone": "", "public": 1, "extId": "001000000000001AAA",
            "dateCreated": "2026-01-01T10:00:00.4Z", "dateUpdated": null, "dateDeleted": "1899-12-30T00:00:00Z", "deleted": false, "surprise": [1]
        });
        let wanted = ["name", "salesRepId1", "branchId", "branch", "typeId", "status", "country", "phone", "public", "extId", "website"];
        let record = read(ACCOUNT, row, &wanted);
        assert_eq!(
            shown(&record),
            [
                "branch=\"Headquarter\"",
                "branchId=16",
                "country=∅",
                "extId=\"001000000000001AAA\"",
                "name=\"Acme\"",
                "phone=∅",
                "public=true",
                "salesRepId1=\"14\"",
                "status=\"Customer\"",
                "typeId=∅"
            ]
        );
        assert_eq!((record.id.as_str(), record.stamp.as_deref(), record.life), ("12", Some("2026-01-01T10:00:00Z"), Life::Live));
    }

    #[test]
    fn typing_errors_of_the_wire_are_read() {
        let contact = read(CONTACT, json!({"id": 1, "lasttName": "Lee", "firstName": "-"}), &["lastName", "firstName"]);
        assert_eq!(shown(&contact), ["firstName=∅", "lastName=\"Lee\""], "the placeholder stands for nothing");
        let row =
            json!({"id": 1, "type_id": {"id": 5}, "salesForcecastDate": "2026-03-01T00:00:00Z", "salesProbability": "7", "total": "12.50"});
        let opportunity = read(OPPORTUNITY, row, &["typeId", "salesForecastDate", "salesProbability", "total"]);
        assert_eq!(shown(&opportunity), ["salesForecastDate=\"2026-03-01\"", "salesProbability=7", "total=12.5", "typeId=5"]);
    }

    #[test]
    fn a_date_that_can_be_read_in_two_ways_is_left_out() {
        let record =
            read(EVENT, json!({"id": 1, "startDate": "07/15/2026", "endDate": null, "startHour": "09:00"}), &["start", "end", "day"]);
        assert_eq!(shown(&record), ["end=∅"]);
    }

    #[test]
    fn a_calendar_entry_has_a_start_an_end_and_something_it_is_about() {
        let row = json!({"id": 1, "startDate": "15/07/07", "startHour": "09:00", "endDate": "15/07/07", "endHour": "10:30", "allDay": false,
            "Completed": true, "accountId": {"id": 3}, "opportunityId": {"id": 0}, "contactId": 9, "task": false});
        let record = read(EVENT, row.clone(), &["start", "end", "about", "completed", "contactId"]);
        let want =
            ["about=\"account 3\"", "completed=true", "contactId=\"9\"", "end=\"2015-07-07T08:30:00Z\"", "start=\"2015-07-07T07:00:00Z\""];
        assert_eq!(shown(&record), want);
        assert!(is_of(EVENT, row.as_object().unwrap()) && !is_of(TASK, row.as_object().unwrap()));
        let whole = read(
            EVENT,
            json!({"id": 1, "startDate": "15/07/07", "startHour": "09:00", "allDay": 1, "opportunityId": 5}),
            &["start", "about"],
        );
        assert_eq!(shown(&whole), ["about=\"opportunity 5\"", "start=\"2015-07-07T00:00:00Z\""]);
    }

    #[test]
    fn u2_a_full_name_is_both_names_or_the_nickname() {
        let name = |row: J| read(USER, row, &["fullName"]).fields["fullName"].clone();
        assert_eq!(name(json!({"id": 1, "name": " Ana  María", "lastName": "López", "nic": "ani"})), Value::text("Ana María López"));
        assert_eq!(name(json!({"id": 1, "name": "", "lastName": null, "nic": "ani"})), Value::text("ani"));
        assert_eq!(name(json!({"id": 1, "name": "Jose\u{301}"})), Value::text("Jos\u{e9}"));
    }

    #[test]
    fn u3_who_is_not_active_has_no_name_to_be_linked_by() {
        for row in [json!({"id": 1, "name": "Ann", "isActive": false}), json!({"id": 1, "name": "Ann", "deleted": true})] {
            assert_eq!(read(USER, row, &["fullName"]).fields["fullName"], Value::Null);
        }
    }

    #[test]
    fn u4_a_pair_made_by_hand_is_a_planted_id() {
        let record = read(USER, json!({"id": 7, "name": "Ann", "extId": "payroll-9"}), &["extId"]);
        assert_eq!(record.fields["extId"], Value::text("005000000000001AAA"));
    }

    proptest::proptest! {
        /// Whatever a row holds, it is read or left out.
        #[test]
        fn no_row_makes_it_panic(key in 0usize..40, word in ".{0,24}", number in proptest::num::i64::ANY, shape in 0u8..6) {
            for resource in &CATALOGUE.resources {
                let names: Vec<&str> = resource.fields.iter().map(|f| f.name).collect();
                let wire = ["startDate", "startHour", "endDate", "endHour", "allDay", "task", "deleted", "dateDeleted", "isActive"];
                let name = names.iter().chain(&wire).nth(key % (names.len() + wire.len())).copied().unwrap_or_default();
                let value = match shape {
                    0 => json!(word),
                    1 => json!(number),
                    2 => json!({"id": number, "value": word}),
                    3 => json!([word, number]),
                    4 => json!({"Id": word}),
                    _ => J::Null,
                };
                let mut row = json!({"id": 1, "startDate": "26/01/05", "startHour": "10:00"});
                row[name] = value;
                row["id"] = json!(1);
                read(resource.name, row, &names);
            }
        }
    }

    #[test]
    fn a_sentinel_in_date_deleted_deletes_nobody() {
        let record = read(
            USER,
            json!({"id": 1, "deleted": false, "dateCreated": "1900-01-01T00:00:00Z", "dateDeleted": "1899-12-30T00:00:00Z"}),
            &[],
        );
        assert_eq!((record.life, record.stamp), (Life::Live, None));
        let gone = read(ACCOUNT, json!({"id": 1, "deleted": 1, "dateDeleted": "2026-02-01T00:00:00Z"}), &[]);
        assert_eq!((gone.life, gone.stamp.as_deref()), (Life::Deleted, Some("2026-02-01T00:00:00Z")));
    }
}
