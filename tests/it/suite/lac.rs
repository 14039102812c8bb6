//! LAC, as a person sees it in its pages: contacts live inside their customer.

use super::{Field, Parent, Partner, Row, Subject, text};
use lockstep::connectors::{Platform, lac::PLATFORM};
use lockstep::sandbox::pair::{Pair, PlatformKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub struct Lac;

const SUBJECTS: &[Subject] = &[
    Subject {
        object: "account",
        name: text("Name", "name"),
        other: text("Phone", "phone_number"),
        needs: &[],
        parent: None,
        match_by: &["name"],
        merges: true,
    },
    Subject {
        object: "contact",
        // One word is a last name, and the whole name.
        name: text("LastName", "name"),
        other: Field { salesforce: "Email", platform: "email", value: |word| format!("{}@x.example", word.to_lowercase()) },
        needs: &[],
        parent: Some(Parent { object: "account", salesforce: "AccountId", platform: "customer" }),
        match_by: &["customer", "name"],
        merges: true,
    },
];

/// A contact is called by its customer's number and its own.
fn own(id: &str) -> i64 {
    id.rsplit('-').next().unwrap().parse().unwrap()
}

impl Partner for Lac {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn kind(&self) -> PlatformKind {
        PlatformKind::Lac
    }

    fn subjects(&self) -> &'static [Subject] {
        SUBJECTS
    }

    fn rows(&self, pair: &Pair, resource: &str) -> BTreeMap<String, Row> {
        let mut rows = super::as_text(pair.lac().unwrap().world().rows(resource));
        if resource == "contact" {
            let called = |(id, mut row): (String, Row)| {
                let customer = row.remove("customer_id").unwrap();
                let id = format!("{customer}-{id}");
                row.insert("customer".to_owned(), customer);
                (id, row)
            };
            return rows.into_iter().map(called).collect();
        }
        for tag in pair.lac().unwrap().world().rows("custom_tag") {
            if let Some(row) = rows.get_mut(&tag["customer_id"].to_string()) {
                let text = |name: &str| tag[name].as_str().unwrap().to_owned();
                row.insert(format!("tag.{}", text("tag_name")), text("value"));
            }
        }
        rows
    }

    fn make(&self, pair: &Pair, resource: &str, row: &Row) -> String {
        let mut world = pair.lac().unwrap().world();
        match resource {
            "customer" => world.add_customer(&json!(row)).unwrap().to_string(),
            _ => {
                let customer = row["customer"].parse().unwrap();
                let id = world.add_contact(customer, &row["name"], &row["email"]).unwrap();
                format!("{customer}-{id}")
            }
        }
    }

    fn edit(&self, pair: &Pair, resource: &str, id: &str, field: &str, value: &str) {
        let (mut world, id, fields): (_, _, Value) = (pair.lac().unwrap().world(), own(id), json!({ field: value }));
        match resource {
            "customer" => world.update_customer(id, &fields).unwrap(),
            _ => world.update_contact(id, &fields).unwrap(),
        }
    }

    fn delete(&self, pair: &Pair, resource: &str, id: &str) {
        let (mut world, id) = (pair.lac().unwrap().world(), own(id));
        match resource {
            "customer" => world.delete_customer(id).unwrap(),
            _ => world.delete_contact(id).unwrap(),
        }
    }

    fn picture(&self, pair: &Pair) -> String {
        let world = pair.lac().unwrap().world();
        ["customer", "license_order"].into_iter().flat_map(|object| world.rows(object)).map(|row| format!("{row}\n")).collect()
    }
}
