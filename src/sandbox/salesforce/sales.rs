//! What the platform works out by itself on opportunities, tasks and events.
//!
//! Source: the object reference of Salesforce, *Opportunity*, *Task*, *Event*. An opportunity's probability follows its stage
//! unless it is said in the same write. The account of an activity is the one that `WhatId` is or belongs to, else that of the
//! contact in `WhoId`. An event has a start and a length or an end; an event of whole days runs from midnight to midnight UTC.

use super::error::SfError;
use super::ids::Id;
use super::table::Row;
use super::value::Cell;
use super::world::{Outcome, World};
use super::write::Changes;
use chrono::{DateTime, NaiveDate};

/// The stages of a new org and what their probability is, in percent.
const STAGES: [(&str, f64); 10] = [
    ("Prospecting", 10.0),
    ("Qualification", 10.0),
    ("Needs Analysis", 20.0),
    ("Value Proposition", 50.0),
    ("Id. Decision Makers", 60.0),
    ("Perception Analysis", 70.0),
    ("Proposal/Price Quote", 75.0),
    ("Negotiation/Review", 90.0),
    ("Closed Won", 100.0),
    ("Closed Lost", 0.0),
];
const MINUTE_S: i64 = 60;
const DAY_S: i64 = 24 * 60 * MINUTE_S;

/// Fills what is derived before the row is stored. `changes` are the fields that this write names.
pub(super) fn derive(world: &World, object: usize, row: &mut Row, changes: &Changes) -> Outcome<()> {
    let mut sheet = Sheet { world, object, row, changes };
    match world.schema.objects[object].name.as_str() {
        "Opportunity" => sheet.stage(),
        "Task" => sheet.task(),
        "Event" => return sheet.event(),
        _ => {}
    }
    Ok(())
}

struct Sheet<'a> {
    world: &'a World,
    object: usize,
    row: &'a mut Row,
    changes: &'a Changes,
}

impl Sheet<'_> {
    fn field(&self, name: &str) -> Option<u16> {
        self.world.schema.objects[self.object].find(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.row.text(self.field(name)?)
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.row.get(self.field(name)?) {
            Some(Cell::Num(number)) => Some(*number),
            _ => None,
        }
    }

    fn time(&self, name: &str) -> Option<i64> {
        match self.row.get(self.field(name)?) {
            Some(Cell::Time(at)) => Some(*at),
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.field(name).and_then(|field| self.row.get(field)) == Some(&Cell::Bool(true))
    }

    fn reference(&self, name: &str) -> Option<Id> {
        self.row.reference(self.field(name)?)
    }

    fn named(&self, name: &str) -> bool {
        let field = self.field(name);
        self.changes.iter().any(|(changed, cell)| Some(*changed) == field && cell.is_some())
    }

    fn put(&mut self, name: &str, cell: Option<Cell>) {
        if let Some(field) = self.field(name) {
            self.row.set(field, cell);
        }
    }

    fn stage(&mut self) {
        let stage = self.text("StageName").unwrap_or_default().to_owned();
        if self.named("StageName") && !self.named("Probability") {
            let usual = STAGES.iter().find(|(name, _)| *name == stage).map(|(_, percent)| Cell::Num(*percent));
            if usual.is_some() {
                self.put("Probability", usual);
            }
        }
        self.put("IsClosed", Some(Cell::Bool(stage.starts_with("Closed"))));
        self.put("IsWon", Some(Cell::Bool(stage == "Closed Won")));
        let expected = self.number("Amount").zip(self.number("Probability")).map(|(amount, percent)| Cell::Num(amount * percent / 100.0));
        self.put("ExpectedRevenue", expected);
    }

    fn task(&mut self) {
        let closed = self.text("Status") == Some("Completed");
        let before = self.flag("IsClosed");
        self.put("IsClosed", Some(Cell::Bool(closed)));
        if closed != before {
            let at = closed.then(|| Cell::Time(self.world.now()));
            self.put("CompletedDateTime", at);
        }
        self.account();
    }

    fn account(&mut self) {
        let account = |id: Id| -> Option<Id> {
            let (object, row) = self.world.row_of(id)?;
            let shape = &self.world.schema.objects[object];
            if shape.name == "Account" {
                return Some(id);
            }
            row.reference(shape.find("AccountId")?)
        };
        let found = self.reference("WhatId").and_then(account).or_else(|| self.reference("WhoId").and_then(account));
        self.put("AccountId", found.map(Cell::Ref));
    }

    /// A start under either of its names, an end or a length.
    fn event(&mut self) -> Outcome<()> {
        let whole = self.flag("IsAllDayEvent");
        let start = ["StartDateTime", "ActivityDateTime"].into_iter().find(|name| self.named(name)).and_then(|name| self.time(name));
        let start = start.or_else(|| self.of_day().filter(|_| whole)).or_else(|| self.time("StartDateTime"));
        let Some(start) = start.map(|at| if whole { at - at.rem_euclid(DAY_S) } else { at }) else {
            return Err(missing(&["ActivityDateTime"]));
        };
        let length = self.number("DurationInMinutes").map(|minutes| minutes as i64 * MINUTE_S);
        // Whole days end at the midnight at which the last of them begins.
        let last = if whole { DAY_S } else { 0 };
        let end = match (self.named("EndDateTime"), self.named("DurationInMinutes")) {
            (false, true) => length.map(|length| start + length - last),
            (true, _) => self.time("EndDateTime"),
            (false, false) if self.named("StartDateTime") => {
                self.time("EndDateTime").or_else(|| length.map(|length| start + length - last))
            }
            (false, false) => {
                self.time("EndDateTime").or_else(|| length.map(|length| start + length - last)).or(Some(start).filter(|_| whole))
            }
        };
        let Some(end) = end.map(|at| if whole { at - at.rem_euclid(DAY_S) } else { at }) else {
            return Err(missing(&["DurationInMinutes"]));
        };
        if end < start {
            return Err(SfError::bad("FIELD_INTEGRITY_EXCEPTION", "Event duration can not be negative").on("EndDateTime"));
        }
        for name in ["StartDateTime", "ActivityDateTime"] {
            self.put(name, Some(Cell::Time(start)));
        }
        self.put("EndDateTime", Some(Cell::Time(end)));
        self.put("DurationInMinutes", Some(Cell::Num(((end - start + last) / MINUTE_S) as f64)));
        let day = DateTime::from_timestamp(start, 0).map(|at| Cell::Date(at.date_naive()));
        self.put("ActivityDate", day);
        self.account();
        Ok(())
    }

    fn of_day(&self) -> Option<i64> {
        match self.row.get(self.field("ActivityDate")?) {
            Some(Cell::Date(day)) => midnight(*day),
            _ => None,
        }
    }
}

fn midnight(day: NaiveDate) -> Option<i64> {
    day.and_hms_opt(0, 0, 0).map(|at| at.and_utc().timestamp())
}

fn missing(fields: &[&str]) -> SfError {
    let fields: Vec<String> = fields.iter().map(|name| (*name).to_owned()).collect();
    let text = format!("Required fields are missing: [{}]", fields.join(", "));
    SfError { fields, ..SfError::bad("REQUIRED_FIELD_MISSING", text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;
    use serde_json::{Value, json};

    fn world() -> (World, String) {
        let mut world = World::new(Clock::system(), Options::default()).unwrap();
        let account = world.insert("Account", &json!({"Name": "Acme"})).unwrap();
        (world, account)
    }

    fn shown(world: &World, object: &str, id: &str, names: &[&str]) -> Value {
        let row = world.row(object, id).unwrap();
        names.iter().map(|name| row[*name].clone()).collect()
    }

    #[test]
    fn a_probability_follows_its_stage_unless_it_is_said() {
        let (mut world, account) = world();
        let fields = json!({"AccountId": account, "Name": "Deal", "StageName": "Qualification", "CloseDate": "2026-12-01", "Amount": 200});
        let id = world.insert("Opportunity", &fields).unwrap();
        let names = ["Probability", "ExpectedRevenue", "IsClosed", "IsWon"];
        assert_eq!(shown(&world, "Opportunity", &id, &names), json!([10.0, 20.0, false, false]));
        world.update("Opportunity", &id, &json!({"Probability": 45})).unwrap();
        assert_eq!(shown(&world, "Opportunity", &id, &names), json!([45.0, 90.0, false, false]));
        world.update("Opportunity", &id, &json!({"StageName": "Closed Won"})).unwrap();
        assert_eq!(shown(&world, "Opportunity", &id, &names), json!([100.0, 200.0, true, true]));
        world.update("Opportunity", &id, &json!({"StageName": "Value Proposition", "Probability": 55})).unwrap();
        assert_eq!(shown(&world, "Opportunity", &id, &names), json!([55.0, 110.0, false, false]));
    }

    #[test]
    fn the_account_of_an_activity_is_that_of_what_it_is_about_or_of_whom() {
        let (mut world, account) = world();
        let other = world.insert("Account", &json!({"Name": "Other"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": other})).unwrap();
        let deal = json!({"AccountId": account, "Name": "Deal", "StageName": "Qualification", "CloseDate": "2026-12-01"});
        let deal = world.insert("Opportunity", &deal).unwrap();
        for (fields, want) in [
            (json!({"WhatId": account, "WhoId": contact}), json!(account)),
            (json!({"WhatId": deal}), json!(account)),
            (json!({"WhoId": contact}), json!(other)),
            (json!({}), Value::Null),
        ] {
            let id = world.insert("Task", &fields).unwrap();
            assert_eq!(world.row("Task", &id).unwrap()["AccountId"], want, "{fields}");
        }
    }

    #[test]
    fn a_task_is_closed_by_its_status_and_its_kind_is_settled_at_birth() {
        let (mut world, account) = world();
        let id = world.insert("Task", &json!({"WhatId": account, "Subject": "Call back", "TaskSubtype": "Call"})).unwrap();
        assert_eq!(shown(&world, "Task", &id, &["IsClosed", "TaskSubtype", "CompletedDateTime"]), json!([false, "Call", null]));
        world.update("Task", &id, &json!({"Status": "Completed"})).unwrap();
        let row = world.row("Task", &id).unwrap();
        assert!(row["IsClosed"] == json!(true) && row["CompletedDateTime"].is_string());
        assert!(world.update("Task", &id, &json!({"TaskSubtype": "Email"})).is_err());
        world.update("Task", &id, &json!({"Status": "In Progress"})).unwrap();
        assert_eq!(shown(&world, "Task", &id, &["IsClosed", "CompletedDateTime"]), json!([false, null]));
        world.delete("Account", &account).unwrap();
        assert!(world.rows("Task").is_empty(), "an account takes its activities along");
    }

    #[test]
    fn an_event_has_a_start_and_a_length_or_an_end() {
        let (mut world, account) = world();
        let mut event = |fields: Value| {
            let mut fields = fields;
            fields["WhatId"] = json!(account);
            world.insert("Event", &fields).map(|id| {
                let names = ["StartDateTime", "EndDateTime", "DurationInMinutes", "ActivityDate", "IsRecurrence"];
                shown(&world, "Event", &id, &names)
            })
        };
        let (nine, ten) = ("2026-03-02T09:00:00.000+0000", "2026-03-02T10:00:00.000+0000");
        let want = json!([nine, ten, 60, "2026-03-02", false]);
        assert_eq!(event(json!({"StartDateTime": nine, "EndDateTime": ten})).unwrap(), want);
        assert_eq!(event(json!({"ActivityDateTime": nine, "DurationInMinutes": 60})).unwrap(), want);
        let midnight = "2026-03-02T00:00:00.000+0000";
        let whole = json!([midnight, midnight, 1440, "2026-03-02", false]);
        assert_eq!(event(json!({"IsAllDayEvent": true, "ActivityDate": "2026-03-02"})).unwrap(), whole);
        assert_eq!(event(json!({"IsAllDayEvent": true, "StartDateTime": midnight, "EndDateTime": midnight})).unwrap(), whole);
        assert_eq!(event(json!({"EndDateTime": ten})).unwrap_err().code, "REQUIRED_FIELD_MISSING");
        assert_eq!(event(json!({"StartDateTime": nine})).unwrap_err().code, "REQUIRED_FIELD_MISSING");
        assert_eq!(event(json!({"StartDateTime": ten, "EndDateTime": nine})).unwrap_err().code, "FIELD_INTEGRITY_EXCEPTION");
    }
}
