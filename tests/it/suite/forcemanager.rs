//! ForceManager, as a salesperson sees it in the app.

use super::{Parent, Partner, Row, Subject, text};
use lockstep::connectors::{Platform, forcemanager::PLATFORM};
use lockstep::sandbox::forcemanager::{Object, World};
use lockstep::sandbox::pair::{Pair, PlatformKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub struct ForceManager;

const SUBJECTS: &[Subject] = &[
    Subject {
        object: "account",
        name: text("Name", "name"),
        other: text("BillingCity", "city"),
        needs: &[],
        parent: None,
        match_by: &["name"],
        merges: true,
    },
    Subject {
        object: "contact",
        name: text("LastName", "lastName"),
        other: text("MailingCity", "city"),
        needs: &[],
        parent: Some(Parent { object: "account", salesforce: "AccountId", platform: "accountId" }),
        match_by: &["lastName"],
        merges: true,
    },
    Subject {
        object: "opportunity",
        name: text("Name", "reference"),
        other: text("Description", "comments"),
        needs: &[("StageName", "\"Prospecting\""), ("CloseDate", "\"2026-12-24\""), ("Probability", "10")],
        parent: Some(Parent { object: "account", salesforce: "AccountId", platform: "accountId1" }),
        match_by: &["reference"],
        // Salesforce merges accounts and contacts.
        merges: false,
    },
];

fn object(resource: &str) -> Object {
    Object::parse(resource).unwrap_or_else(|| panic!("no object {resource}"))
}

fn fields(row: &Row) -> Map<String, Value> {
    let value = |name: &str, text: &str| if name.starts_with("accountId") { text.parse::<i64>().unwrap().into() } else { text.into() };
    row.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}

/// Who works on both sides.
fn dana(world: &World) -> Value {
    world.rows(Object::User).into_iter().find(|user| user["nic"] == json!("dreyes")).unwrap()["id"].clone()
}

impl Partner for ForceManager {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn kind(&self) -> PlatformKind {
        PlatformKind::ForceManager
    }

    fn subjects(&self) -> &'static [Subject] {
        SUBJECTS
    }

    /// Companies and opportunities need a branch.
    fn rules(&self, shipped: String, pair: &Pair) -> String {
        let branch = pair.forcemanager().unwrap().world().rows(Object::Branch)[0]["id"].clone();
        shipped.replacen("# branch = 16", &format!("branch = {branch}"), 1)
    }

    fn rows(&self, pair: &Pair, resource: &str) -> BTreeMap<String, Row> {
        let rows = pair.forcemanager().unwrap().world().rows(object(resource));
        super::as_text(rows.into_iter().filter(|row| row["deleted"] == json!(false)).collect())
    }

    fn make(&self, pair: &Pair, resource: &str, row: &Row) -> String {
        let mut world = pair.forcemanager().unwrap().world();
        let mut fields = fields(row);
        let owner = if resource == "account" { "salesRepId1" } else { "salesRepId" };
        fields.insert(owner.to_owned(), dana(&world));
        if resource == "opportunity" {
            // Salesforce needs a stage and a day; the app asks for both.
            let stage = world.rows(Object::OpportunityStatus)[0]["id"].clone();
            fields.insert("statusId".to_owned(), stage);
            fields.insert("salesForecastDate".to_owned(), "2026-12-24T00:00:00Z".into());
        }
        world.add(object(resource), &fields.into()).unwrap().to_string()
    }

    fn edit(&self, pair: &Pair, resource: &str, id: &str, field: &str, value: &str) {
        let row = Row::from([(field.to_owned(), value.to_owned())]);
        pair.forcemanager().unwrap().world().edit(object(resource), id.parse().unwrap(), &fields(&row).into()).unwrap();
    }

    fn delete(&self, pair: &Pair, resource: &str, id: &str) {
        pair.forcemanager().unwrap().world().erase(object(resource), id.parse().unwrap()).unwrap();
    }

    fn picture(&self, pair: &Pair) -> String {
        let world = pair.forcemanager().unwrap().world();
        let all = [Object::Account, Object::Contact, Object::Opportunity, Object::Activity, Object::Calendar, Object::User];
        all.into_iter().flat_map(|object| world.rows(object)).map(|row| format!("{row}\n")).collect()
    }
}
