//! From canonical values to the JSON a call takes.
//!
//! Source: developer.forcemanager.com. References are written as plain numbers, date-times as UTC in the documented form, the
//! calendar's in its zone. How a field is emptied is not published: null first, and "" where that did nothing.

use super::ForceManager;
use super::catalogue::{ACCOUNT, ACTIVITY, CONTACT, LINK, OPPORTUNITY, TASK, is_calendar, list_of};
use super::dates;
use super::list::{Row, flag, id_of};
use super::outcome::{Steps, rejected, unsent, unsent_fault};
use super::refusal::Refusal;
use crate::connectors::ResourceSpec;
use crate::plan::Outcome;
use crate::record::{FieldType, Fields, Value, coerce};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value as J;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Create,
    Update,
}

impl ForceManager {
    /// The arguments of a call. `row` is what the record shows now, needed where `needs_row` says so. Refuses a field that the
    /// resource has not, that this call cannot write, or whose value does not fit, before anything is sent.
    pub(super) async fn body(
        &self,
        resource: &'static ResourceSpec,
        fields: &Fields,
        call: Call,
        row: Option<&Row>,
        steps: &mut Steps,
    ) -> Result<Row, Outcome> {
        let mut body = Row::new();
        for (name, value) in fields {
            let ty = self.writable(resource, name, call).map_err(rejected)?;
            let fitting = coerce(value, &ty).map_err(|e| rejected(Refusal::new("does-not-fit", format!("{name}: {e}"), &[name])))?;
            // What a new record has no value for is left out.
            if call == Call::Create && fitting == Value::Null {
                continue;
            }
            match name.as_str() {
                LINK => drop(body.insert(self.link_field.clone(), plain(&fitting, &ty, name).map_err(rejected)?)),
                "about" => body.extend(about(&fitting).map_err(rejected)?),
                // At noon: no zone in which it may be taken makes another day of it.
                "day" if resource.name == ACTIVITY => {
                    let noon = fitting.as_text().map_or(J::Null, |day| J::from(format!("{day} 12:00:00")));
                    body.insert("date".to_owned(), noon);
                }
                "start" | "end" | "day" => {
                    let all_day = match fields.get("allDay") {
                        Some(value) => *value == Value::Bool(true),
                        None => row.and_then(|row| flag(row, "allDay")).unwrap_or(name == "day"),
                    };
                    body.extend(self.calendar(name, &fitting, all_day).await?);
                }
                _ => match list_of(resource.name, name) {
                    Some((number, list)) => {
                        if let Some(value) = self.number(name, &fitting, list, steps).await? {
                            body.insert(number.to_owned(), value);
                        }
                    }
                    None => drop(body.insert(name.clone(), plain(&fitting, &ty, name).map_err(rejected)?)),
                },
            }
        }
        if call == Call::Create {
            self.complete(resource, &mut body).await?;
        }
        Ok(body)
    }

    fn writable(&self, resource: &ResourceSpec, name: &str, call: Call) -> Result<FieldType, Refusal> {
        if let Some(spec) = resource.field(name) {
            let may = if call == Call::Create { spec.create } else { spec.update };
            if may {
                return Ok(spec.ty.clone());
            }
        } else if let Some(extra) = self.extra(resource.name, name) {
            if extra.writable {
                return Ok(extra.ty);
            }
        } else {
            let text = format!("a {} has no field {name}", resource.name);
            return Err(Refusal::new("no-such-field", text, &[name]));
        }
        Err(Refusal::new("not-writable", format!("{name} of a {} can only be read", resource.name), &[name]))
    }

    /// What a new record needs and the rules need not say.
    async fn complete(&self, resource: &'static ResourceSpec, body: &mut Row) -> Result<(), Outcome> {
        if resource.name == CONTACT {
            body.entry("firstName").or_insert_with(|| J::from(""));
        }
        if matches!(resource.name, ACCOUNT | OPPORTUNITY)
            && !body.contains_key("branchId")
            && let Some(branch) = self.only_branch.of(&self.wire).await.map_err(unsent)?
        {
            body.insert("branchId".to_owned(), J::from(branch));
        }
        if is_calendar(resource.name) {
            body.insert("task".to_owned(), J::from(resource.name == TASK));
            body.entry("sendNotification").or_insert_with(|| J::from(false));
            if let Some(branch) = self.branch {
                body.entry("branchId").or_insert_with(|| J::from(branch));
            }
        }
        // Whatever it is about belongs to a company, and the vendor wants that named.
        if resource.field("about").is_some() && !body.contains_key("accountId") {
            for (key, kind, of) in [("opportunityId", OPPORTUNITY, "accountId1"), ("contactId", CONTACT, "accountId")] {
                let Some(id) = body.get(key).and_then(id_of) else { continue };
                let parent = super::known(kind).map_err(unsent_fault)?;
                let account = self.row(parent, id).await.map_err(unsent)?.and_then(|row| id_of(super::list::value(&row, of)?));
                if let Some(account) = account {
                    body.insert("accountId".to_owned(), J::from(account));
                    break;
                }
            }
        }
        Ok(())
    }

    async fn calendar(&self, name: &str, value: &Value, all_day: bool) -> Result<Vec<(String, J)>, Outcome> {
        let pair = |key: &str, value: J| (key.to_owned(), value);
        let Some(text) = value.as_text() else {
            let keys: &[&str] = match name {
                "start" => &["startDate", "startHour"],
                "end" => &["endDate", "endHour"],
                _ => &["startDate", "endDate"],
            };
            return Ok(keys.iter().map(|key| pair(key, J::Null)).collect());
        };
        let unfit = || rejected(Refusal::new("does-not-fit", format!("{name}: {text} cannot be said with a year of two digits"), &[name]));
        if name == "day" {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| unfit())?;
            if !dates::in_century(day.and_time(chrono::NaiveTime::MIN).and_utc()) {
                return Err(unfit());
            }
            let day = dates::calendar_day(day);
            let mut pairs = vec![pair("startDate", J::from(day.clone())), pair("endDate", J::from(day))];
            pairs.extend(all_day.then(|| pair("allDay", J::from(true))));
            return Ok(pairs);
        }
        let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok().filter(|at| dates::in_century(*at)).ok_or_else(unfit)?;
        let zone = self.zone(&self.wire).await.map_err(unsent_fault)?;
        let (day, hour) = dates::calendar_parts(at, all_day, zone);
        let (day_key, hour_key) = if name == "start" { ("startDate", "startHour") } else { ("endDate", "endHour") };
        Ok(vec![pair(day_key, J::from(day)), pair(hour_key, J::from(hour))])
    }

    /// The number of a word. An unknown country is left out and told: an address is worth having without it.
    async fn number(&self, name: &str, value: &Value, list: &'static str, steps: &mut Steps) -> Result<Option<J>, Outcome> {
        let Some(word) = value.as_text() else { return Ok(Some(J::Null)) };
        let words = self.words.list(&self.wire, list).await.map_err(unsent)?;
        match words.number(name, word) {
            Ok(number) => Ok(Some(J::from(number))),
            Err(refusal) if name == "country" => {
                steps.say("country", refusal.message);
                Ok(None)
            }
            Err(refusal) => Err(rejected(refusal)),
        }
    }
}

/// A change that can only be worded, or only be allowed, knowing what the record holds.
#[must_use]
pub fn needs_row(fields: &Fields) -> bool {
    fields.keys().any(|name| matches!(name.as_str(), LINK | "start" | "end" | "day"))
}

/// `opportunity 5`, `account 3`, or nothing.
fn about(value: &Value) -> Result<Vec<(String, J)>, Refusal> {
    let Some(text) = value.as_text() else {
        return Ok(vec![("opportunityId".to_owned(), J::Null)]);
    };
    let unfit = || Refusal::new("does-not-fit", format!("about: {text:?} names no opportunity and no account"), &["about"]);
    let (kind, id) = text.split_once(' ').ok_or_else(unfit)?;
    let id: i64 = id.parse().map_err(|_| unfit())?;
    match kind {
        OPPORTUNITY => Ok(vec![("opportunityId".to_owned(), J::from(id))]),
        ACCOUNT => Ok(vec![("opportunityId".to_owned(), J::Null), ("accountId".to_owned(), J::from(id))]),
        _ => Err(unfit()),
    }
}

fn plain(value: &Value, ty: &FieldType, name: &str) -> Result<J, Refusal> {
    let unfit = |why: &str| Refusal::new("does-not-fit", format!("{name}: {why}"), &[name]);
    Ok(match (value, ty) {
        (Value::Null, _) => J::Null,
        (Value::Text(id), FieldType::Reference { .. }) => J::from(id.parse::<i64>().map_err(|_| unfit("ids are whole numbers"))?),
        (Value::Text(at), FieldType::Instant) => {
            let at = DateTime::parse_from_rfc3339(at).map_err(|_| unfit("this is no date-time"))?;
            J::from(dates::sent(at.with_timezone(&Utc)))
        }
        (Value::Text(day), FieldType::Date) => J::from(format!("{day} 00:00:00")),
        (Value::Decimal(d), _) => d.to_string().parse::<serde_json::Number>().map_or_else(|_| J::from(d.to_string()), J::Number),
        (Value::List(items), _) => J::from(items.iter().filter_map(Value::as_text).collect::<Vec<_>>().join(";")),
        (Value::Bool(_) | Value::Int(_) | Value::Text(_), _) => value.to_plain_json(),
        (Value::Rows(_), _) => return Err(unfit("rows cannot be written")),
    })
}

/// Fields of a call that empty something, as they are named on the wire.
#[must_use]
pub fn emptied(body: &Row) -> Vec<String> {
    body.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_arguments_by_the_type_of_their_field() {
        let reference = FieldType::Reference { to: ACCOUNT.into() };
        for (value, ty, want) in [
            (Value::text("16"), reference.clone(), json!(16)),
            (Value::Null, reference, J::Null),
            (Value::text("2018-06-19T10:42:12Z"), FieldType::Instant, json!("2018-06-19 10:42:12")),
            (Value::text("2018-06-19"), FieldType::Date, json!("2018-06-19 00:00:00")),
            (Value::Decimal("12.50".parse().unwrap()), FieldType::Decimal { scale: 2 }, json!(12.50)),
            (Value::Bool(false), FieldType::Boolean, json!(false)),
            (Value::List(vec![Value::text("a"), Value::text("b")]), FieldType::List { ordered: false }, json!("a;b")),
        ] {
            assert_eq!(plain(&value, &ty, "x").unwrap(), want, "{value}");
        }
        assert_eq!(plain(&Value::text("x1"), &FieldType::Reference { to: ACCOUNT.into() }, "accountId").unwrap_err().code, "does-not-fit");
    }

    #[test]
    fn what_it_is_about_names_an_opportunity_or_an_account() {
        let pairs = |text: &str| J::Object(about(&Value::text(text)).unwrap().into_iter().collect());
        assert_eq!(pairs("opportunity 5"), json!({"opportunityId": 5}));
        assert_eq!(pairs("account 3"), json!({"opportunityId": null, "accountId": 3}));
        for odd in ["5", "contact 5", "account x"] {
            assert!(about(&Value::text(odd)).is_err(), "{odd}");
        }
    }
}
