//! What people do: accounts, contacts and orders of every kind the shipped rules know, activated in waves, and edits of
//! fields on both sides in between. Each edit writes text that is nowhere else.

use crate::{random::Dice, rig::Rig};
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the shipped `[products]` make of a code, written apart from the production code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sold {
    /// One license with as many activations.
    Activations {
        product: &'static str,
        policy: &'static str,
    },
    /// As many licenses.
    Licenses {
        product: &'static str,
        policy: &'static str,
    },
    Service,
}

const CATALOGUE: &[(&str, &str, Sold)] = &[
    ("LS-BASIC", "Orbit Basic", Sold::Activations { product: "orbit-basic", policy: "orbit-basic-perpetual" }),
    ("LS-PRO", "Orbit Pro", Sold::Licenses { product: "orbit-pro", policy: "orbit-pro-1y" }),
    ("LS-TEAM", "Orbit Team", Sold::Activations { product: "orbit-team", policy: "orbit-team-1y" }),
    ("SERVICES-ONBOARDING", "Onboarding day", Sold::Service),
    ("SERVICES-TRAINING", "Training day", Sold::Service),
];

/// A license that must be there in the end.
#[derive(Debug, Clone)]
pub struct Due {
    pub order: String,
    pub account: String,
    pub contact: String,
    pub product: &'static str,
    pub policy: &'static str,
    /// `None`: what the policy says.
    pub activations: Option<u32>,
}

pub struct Market {
    pub rig: Rig,
    pub dice: Dice,
    pub orders: Vec<String>,
    pub lines: usize,
    /// By unit: `<OrderItem Id>-<n>`.
    pub due: BTreeMap<String, Due>,
    /// Texts people wrote: Salesforce object, id there or license key, Salesforce field → text.
    pub written: BTreeMap<(&'static str, String, &'static str), String>,
    accounts: Vec<String>,
    contacts: Vec<String>,
    counter: usize,
}

impl Market {
    pub fn open(rig: Rig, dice: Dice, orders: usize) -> Self {
        let mut market = Self {
            rig,
            dice,
            orders: Vec::new(),
            lines: 0,
            due: BTreeMap::new(),
            written: BTreeMap::new(),
            accounts: Vec::new(),
            contacts: Vec::new(),
            counter: 0,
        };
        let entries: Vec<String> = CATALOGUE.iter().map(|(code, name, _)| market.rig.product(code, name)).collect();
        let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0..=orders / 3 {
            let account = market.rig.account(&format!("Company {n}"));
            for m in 0..=market.dice.roll(3) {
                let contact = market.rig.contact(&account, &format!("First {m}"), &format!("Last {n}"), &format!("p{m}@c{n}.example"));
                people.entry(account.clone()).or_default().push(contact.clone());
                market.contacts.push(contact);
            }
            market.accounts.push(account);
        }
        for _ in 0..orders {
            market.order(&entries, &people);
        }
        market
    }

    /// 1 to 5 lines; the same product may stand on two of them.
    fn order(&mut self, entries: &[String], people: &BTreeMap<String, Vec<String>>) {
        let account = self.accounts[self.dice.roll(self.accounts.len())].clone();
        let people = &people[&account];
        let billed = people[self.dice.roll(people.len())].clone();
        let lines: Vec<(usize, u32)> =
            (0..=self.dice.roll(5)).map(|_| (self.dice.roll(CATALOGUE.len()), [1, 1, 1, 2, 2, 3, 5, 12][self.dice.roll(8)])).collect();
        let priced: Vec<(&str, u32)> = lines.iter().map(|(at, n)| (entries[*at].as_str(), *n)).collect();
        let order = self.rig.order(&account, Some(&billed), &priced);
        let mut contact = billed;
        if self.dice.roll(5) == 0 {
            // Sales picked somebody else on the order page.
            contact.clone_from(&people[self.dice.roll(people.len())]);
            self.rig.sf_update("Order", &order, json!({ "License_Contact__c": contact }));
        }
        let items = self.rig.salesforce.world().rows("OrderItem");
        let items = items.iter().rev().take(lines.len()).rev();
        for ((at, n), item) in lines.into_iter().zip(items) {
            assert_eq!((&item["OrderId"], &item["Quantity"]), (&json!(order), &json!(f64::from(n))));
            self.lines += 1;
            let (product, policy, licenses, activations) = match CATALOGUE[at].2 {
                Sold::Activations { product, policy } => (product, policy, 1, Some(n)),
                Sold::Licenses { product, policy } => (product, policy, n, None),
                Sold::Service => continue,
            };
            for unit in 1..=licenses {
                let due = Due { order: order.clone(), account: account.clone(), contact: contact.clone(), product, policy, activations };
                self.due.insert(format!("{}-{unit}", item["Id"].as_str().unwrap()), due);
            }
        }
        self.orders.push(order);
    }

    /// What happens before run `wave` of `waves` under faults, and before the calm: a share of the orders is activated,
    /// people and their machines change a few things.
    pub fn happen(&mut self, wave: usize, waves: usize) {
        let share = self.orders.len() * 2 / 3;
        let (from, to) = match wave {
            0 if waves == 0 => (0, self.orders.len()),
            0 => (0, share),
            _ if wave > waves => return,
            _ => (share + (self.orders.len() - share) * (wave - 1) / waves, share + (self.orders.len() - share) * wave / waves),
        };
        for order in &self.orders[from..to] {
            self.rig.activate(order);
        }
        if wave > 0 {
            for _ in 0..(self.orders.len() / 20).max(3) {
                self.edit();
            }
        }
    }

    fn text(&mut self) -> String {
        self.counter += 1;
        format!("Text {}", self.counter)
    }

    /// One edit. No field of a record is edited on both sides: who wins is told by other tests.
    fn edit(&mut self) {
        let text = self.text();
        let licenses = self.rig.ls_rows(Object::License);
        match self.dice.roll(9) {
            0 => {
                let id = self.accounts[self.dice.roll(self.accounts.len())].clone();
                self.rig.sf_update("Account", &id, json!({ "Name": text }));
                self.written.insert(("Account", id, "Name"), text);
            }
            1 => {
                let id = self.contacts[self.dice.roll(self.contacts.len())].clone();
                self.rig.sf_update("Contact", &id, json!({ "LastName": text }));
                self.written.insert(("Contact", id, "LastName"), text);
            }
            2 => {
                let rows = self.rig.ls_rows(Object::Customer);
                let Some(row) = self.dice.pick(&rows) else { return };
                self.rig.ls_update(Object::Customer, row["id"].as_i64().unwrap(), json!({ "city": text }));
                self.written.insert(("Contact", row["reference"].as_str().unwrap().to_owned(), "MailingCity"), text);
            }
            3 => {
                let Some(row) = self.dice.pick(&licenses) else { return };
                self.rig.ls_update(Object::License, row["id"].as_i64().unwrap(), json!({ "note": text }));
                self.written.insert(("License__c", row["license_key"].as_str().unwrap().to_owned(), "Note__c"), text);
            }
            4 => {
                let rows = self.rig.sf_rows("License__c");
                let Some(row) = self.dice.pick(&rows) else { return };
                let until = format!("2031-{:02}-{:02}", 1 + self.dice.roll(12), 1 + self.dice.roll(28));
                self.rig.sf_update("License__c", row["Id"].as_str().unwrap(), json!({ "Valid_Until__c": until }));
                self.written.insert(("License__c", row["License_Key__c"].as_str().unwrap().to_owned(), "Valid_Until__c"), until);
            }
            5 => {
                let Some(row) = self.dice.pick(&licenses) else { return };
                let edit = json!({"op": "activate", "license": row["id"], "hardware_id": text});
                // A license without activations left says so to its user.
                let _ = self.rig.platform.world().edit(&edit);
            }
            6 => {
                let with: BTreeSet<i64> = licenses
                    .iter()
                    .filter(|l| l["feature_codes"].as_array().is_some_and(|codes| codes.contains(&json!("render_min"))))
                    .map(|l| l["id"].as_i64().unwrap())
                    .collect();
                let with: Vec<i64> = with.into_iter().collect();
                let Some(id) = self.dice.pick(&with) else { return };
                self.rig.platform.world().consume(*id, Some("render_min"), 3).unwrap();
            }
            7 => self.amend(),
            _ => self.feature(&licenses),
        }
    }

    /// The customer of an activated order buys more of a line.
    fn amend(&mut self) {
        let lines = self.rig.sf_rows("OrderItem");
        let Some(line) = self.dice.pick(&lines) else { return };
        let (id, order) = (line["Id"].as_str().unwrap(), line["OrderId"].as_str().unwrap());
        let Some(due) = self.due.get(&format!("{id}-1")).cloned() else { return };
        if self.rig.sf("Order", order)["StatusCode"] != "Activated" {
            return;
        }
        let was = line["Quantity"].as_f64().unwrap() as u32;
        let now = was + 1 + u32::try_from(self.dice.roll(3)).unwrap();
        self.rig.sf_update("Order", order, json!({"Status": "Draft"}));
        self.rig.sf_update("OrderItem", id, json!({ "Quantity": now }));
        self.rig.activate(order);
        match due.activations {
            Some(_) => {
                self.due.insert(format!("{id}-1"), Due { activations: Some(now), ..due });
            }
            None => self.due.extend((was + 1..=now).map(|unit| (format!("{id}-{unit}"), due.clone()))),
        }
    }

    /// Sales adds a feature that the policy does not bring.
    fn feature(&mut self, licenses: &[Value]) {
        let rows = self.rig.sf_rows("License__c");
        let has = |key: &Value| {
            licenses.iter().any(|l| l["license_key"] == *key && l["feature_codes"].as_array().unwrap().contains(&json!("api_access")))
        };
        let free: Vec<Value> = rows.into_iter().filter(|r| r["Product__c"] == "Orbit Pro" && !has(&r["License_Key__c"])).collect();
        let features = self.rig.sf_rows("License_Feature__c");
        let Some(row) = self.dice.pick(&free) else { return };
        if !features.iter().any(|f| f["License__c"] == row["Id"] && f["Code__c"] == "api_access") {
            self.rig.sf_insert("License_Feature__c", json!({"License__c": row["Id"], "Code__c": "api_access"}));
        }
    }
}
