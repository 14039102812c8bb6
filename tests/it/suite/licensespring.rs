//! LicenseSpring, as a person sees it in its pages.

use super::{Parent, Partner, Row, Subject, text};
use lockstep::connectors::{Platform, licensespring::PLATFORM};
use lockstep::sandbox::licensespring::Object;
use lockstep::sandbox::pair::{Pair, PlatformKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub struct LicenseSpring;

const SUBJECTS: &[Subject] = &[
    Subject {
        object: "account",
        name: text("Name", "name"),
        other: text("Phone", "phone"),
        needs: &[],
        parent: None,
        match_by: &["name"],
        merges: true,
    },
    Subject {
        object: "contact",
        name: text("LastName", "last_name"),
        other: text("MailingCity", "city"),
        needs: &[],
        parent: Some(Parent { object: "account", salesforce: "AccountId", platform: "customer_account" }),
        match_by: &["last_name"],
        merges: true,
    },
];

fn object(resource: &str) -> Object {
    match resource {
        "customer-account" => Object::Account,
        "customer" => Object::Customer,
        other => panic!("nobody makes a {other} by hand here"),
    }
}

/// Ids are numbers.
fn fields(row: &Row) -> Value {
    let value = |name: &str, text: &str| if name == "customer_account" { text.parse::<i64>().unwrap().into() } else { text.into() };
    row.iter().map(|(name, text)| (name.clone(), value(name, text))).collect::<Map<_, _>>().into()
}

impl Partner for LicenseSpring {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn kind(&self) -> PlatformKind {
        PlatformKind::LicenseSpring
    }

    fn subjects(&self) -> &'static [Subject] {
        SUBJECTS
    }

    fn rows(&self, pair: &Pair, resource: &str) -> BTreeMap<String, Row> {
        super::as_text(pair.licensespring().unwrap().world().rows(object(resource)))
    }

    fn make(&self, pair: &Pair, resource: &str, row: &Row) -> String {
        let mut world = pair.licensespring().unwrap().world();
        let mut fields = fields(row);
        if object(resource) == Object::Account {
            // Its pages ask for one; it is nobody's Salesforce id.
            fields["code"] = format!("by-hand-{}", world.count(Object::Account)).into();
        }
        world.put(object(resource), &fields).unwrap().to_string()
    }

    fn edit(&self, pair: &Pair, resource: &str, id: &str, field: &str, value: &str) {
        let row = Row::from([(field.to_owned(), value.to_owned())]);
        pair.licensespring().unwrap().world().update(object(resource), id.parse().unwrap(), &fields(&row)).unwrap();
    }

    fn delete(&self, pair: &Pair, resource: &str, id: &str) {
        pair.licensespring().unwrap().world().delete(object(resource), id.parse().unwrap()).unwrap();
    }

    fn picture(&self, pair: &Pair) -> String {
        let world = pair.licensespring().unwrap().world();
        let all = [Object::Account, Object::Customer, Object::Order, Object::License, Object::LicenseFeature];
        all.into_iter().flat_map(|object| world.rows(object)).map(|row| format!("{row}\n")).collect()
    }
}
