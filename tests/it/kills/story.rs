//! One story in two scripts, and a picture of how it ended: what both simulators hold and which conflicts are told, without
//! the ids and times that chance decides.

use crate::{
    binary::{self, Ended, How},
    proxy::{Desk, Proxy},
    rig::Rig,
};
use lockstep::sandbox::licensespring::Object;
use lockstep::store::Store;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// L1 asks for three runs; one more looks up what a crash in the third left, one finds nothing to do.
const MOST_RUNS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Everything is new: the first load, and an order that is due.
    First,
    /// Everybody edits: both sides, a clash, a merge, a deletion, a reset, features, an order more and an order amended.
    Life,
}

pub struct Story {
    pub rig: Rig,
    pub desk: Desk,
    _proxies: [Proxy; 2],
}

/// What is compared, line by line.
pub type Picture = Vec<String>;

impl Story {
    /// Up to the moment before the run that is attacked.
    pub async fn tell(script: Script) -> Self {
        let rig = Rig::start().await;
        let desk = Desk::default();
        let proxies = [Proxy::start(&rig.salesforce.url, desk.clone()).await, Proxy::start(&rig.platform.url, desk.clone()).await];
        rig.write_rules(|text| {
            text.replace(&rig.salesforce.url, &proxies[0].url)
                .replace(&rig.platform.url, &proxies[1].url)
                .replace("# company = \"901\"", "company = \"901\"")
        });
        let story = Self { rig, desk, _proxies: proxies };
        story.begin();
        if script == Script::Life {
            story.go_on().await;
        }
        story.desk.clear();
        story
    }

    fn begin(&self) {
        let rig = &self.rig;
        let (acme, beta) = (rig.account("Acme"), rig.account("Beta"));
        rig.account("Double");
        let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
        let bo = rig.contact(&beta, "Bo", "Lind", "bo@beta.example");
        rig.contact(&beta, "Dora", "Moss", "dora@beta.example");
        let (pro, basic) = (rig.product("LS-PRO", "Orbit Pro"), rig.product("LS-BASIC", "Orbit Basic"));
        let sold = rig.order(&acme, Some(&anna), &[(&pro, 2)]);
        rig.order(&beta, Some(&bo), &[(&basic, 3), (&pro, 1)]);
        rig.activate(&sold);
    }

    async fn go_on(&self) {
        let rig = &self.rig;
        assert_eq!(rig.once().await.outcome, "ok", "{}", rig.changes());
        let keyed = |n: usize| {
            let mut rows = rig.sf_rows("License__c");
            rows.sort_by_key(|r| r["Order_Line__c"].as_str().unwrap().to_owned());
            rows.swap_remove(n)
        };
        let (first, second) = (keyed(0), keyed(1));
        let there = |row: &Value| rig.ls_id(Object::License, "license_key", row["License_Key__c"].as_str().unwrap());
        let machine = json!({"op": "activate", "license": there(&first), "hardware_id": "hw-1"});
        rig.platform.world().edit(&machine).unwrap();
        assert_eq!(rig.once().await.outcome, "ok", "{}", rig.changes());

        let account = |name: &str| self.id("Account", "Name", name);
        // Both sides, apart and against each other.
        rig.sf_update("Account", &account("Acme"), json!({"Phone": "+46 1"}));
        rig.ls_update(Object::Account, rig.ls_id(Object::Account, "name", "Acme"), json!({"name": "Acme on the platform"}));
        rig.ls_update(Object::Account, rig.ls_id(Object::Account, "name", "Beta"), json!({"name": "Beta of the platform"}));
        rig.sf_update("Account", &account("Beta"), json!({"Name": "Beta of Salesforce"}));
        rig.ls_update(Object::Customer, rig.ls_id(Object::Customer, "email", "bo@beta.example"), json!({"city": "Bern"}));
        // A merge, a deletion, somebody new.
        let (acme, double) = (account("Acme"), account("Double"));
        rig.salesforce.world().merge("Account", &acme, &[&double], &json!({})).unwrap();
        let dora = self.id("Contact", "Email", "dora@beta.example");
        rig.salesforce.world().delete("Contact", &dora).unwrap();
        let delta = rig.account("Delta");
        rig.contact(&delta, "Dee", "Park", "dee@delta.example");
        // A reset, features both ways, edits of a license.
        let of = |row: &Value| row["Id"].as_str().unwrap().to_owned();
        rig.sf_update("License__c", &of(&first), json!({"Reset_Requested__c": true}));
        rig.sf_update("License__c", &of(&second), json!({"Valid_Until__c": "2031-03-01"}));
        rig.sf_insert("License_Feature__c", json!({"License__c": of(&second), "Code__c": "api_access"}));
        let features = rig.sf_rows("License_Feature__c");
        let gone = features.iter().find(|f| f["License__c"] == first["Id"]).expect("the policy brings a feature");
        rig.salesforce.world().delete("License_Feature__c", &of(gone)).unwrap();
        rig.ls_update(Object::License, there(&second), json!({"note": "a word from the platform"}));
        // One order more is due, another is amended.
        let orders = rig.sf_rows("Order");
        let (sold, draft) = (of(&orders[0]), of(&orders[1]));
        rig.activate(&draft);
        rig.sf_update("Order", &sold, json!({"Status": "Draft"}));
        let items = rig.sf_rows("OrderItem");
        let line = items.iter().find(|i| i["OrderId"] == json!(sold)).unwrap();
        rig.sf_update("OrderItem", &of(line), json!({"Quantity": 3}));
        rig.activate(&sold);
    }

    fn id(&self, object: &str, field: &str, value: &str) -> String {
        let rows = self.rig.sf_rows(object);
        rows.iter().find(|r| r[field] == json!(value)).unwrap()["Id"].as_str().unwrap().to_owned()
    }

    /// The attacked run.
    pub async fn once(&self, how: How<'_>) -> Ended {
        let mut running = binary::start(&self.rig, &["once", "--json"], how);
        self.desk.victim(running.pid());
        running.wait().await
    }

    /// S13, before anything is mended.
    pub fn sound(&self) {
        if let Some(store) = Store::open_read_only(&self.rig.state()).unwrap() {
            assert_eq!(store.soundness().unwrap(), Vec::<String>::new());
        }
    }

    /// Runs until nothing is left to do, and answers how it looks then. L1, L2, S11.
    pub async fn settle(&self) -> Picture {
        self.desk.clear();
        let mut reports = Vec::new();
        let nothing = json!({"salesforce": 0, "platform": 0});
        loop {
            let report = binary::once(&self.rig).await;
            let quiet = report["outcome"] == "ok" && report["writes"] == nothing;
            reports.push(report);
            if quiet {
                break;
            }
            assert!(reports.len() < MOST_RUNS, "no rest: {reports:#?}\n{}", self.rig.changes());
        }
        let full = binary::run(&self.rig, &["once", "--full", "--json"]).await.report();
        assert_eq!((&full["outcome"], &full["writes"]), (&json!("ok"), &nothing), "{full}\n{}", self.rig.changes());
        self.sound();
        self.one_outcome_each();
        self.picture()
    }

    fn one_outcome_each(&self) {
        let c = rusqlite::Connection::open(self.rig.state().join("lockstep.db")).unwrap();
        let count = |sql: &str| c.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
        for (what, sql) in [
            ("intents without an outcome", "SELECT count(*) FROM intent WHERE state IN ('planned', 'promised', 'unknown')"),
            ("outcomes without a time", "SELECT count(*) FROM intent WHERE settled_at IS NULL"),
            (
                "records made twice",
                "SELECT count(*) FROM (SELECT 1 FROM intent WHERE verb = 'create' AND state = 'done' GROUP BY object, side, salesforce_id HAVING count(*) > 1)",
            ),
            ("resets", "SELECT max(0, count(*) - 1) FROM intent WHERE situation = 'reset-requested' AND state = 'done'"),
            ("news that nobody looked at", "SELECT count(*) FROM staged WHERE dirty = 1"),
        ] {
            assert_eq!(count(sql), 0, "{what}: {}", self.rig.changes());
        }
    }

    pub fn picture(&self) -> Picture {
        picture(&self.rig)
    }
}

/// What both simulators hold, and the conflicts.
pub fn picture(rig: &Rig) -> Picture {
    let mut lines = Vec::new();
    let mut show = |what: &str, cells: &[&Value]| {
        lines.push(format!("{what}: {}", cells.iter().map(|v| plain(v)).collect::<Vec<_>>().join(" | ")));
    };
    let by_id = |rows: &[Value], name: &dyn Fn(&Value) -> Value| -> BTreeMap<String, Value> {
        rows.iter().map(|r| (r.get("Id").or_else(|| r.get("id")).unwrap().to_string(), name(r))).collect()
    };
    let find = |map: &BTreeMap<String, Value>, id: &Value| map.get(&id.to_string()).cloned().unwrap_or(Value::Null);

    let accounts = rig.sf_rows("Account");
    let names = by_id(&accounts, &|r| r["Name"].clone());
    for r in &accounts {
        show("Account", &[&r["Name"], &r["Phone"], &r["Description"], &r["Licenses_Sold__c"], &r["Licenses_Active__c"]]);
    }
    for r in rig.sf_rows("Contact") {
        show("Contact", &[&r["Email"], &r["LastName"], &r["MailingCity"], &find(&names, &r["AccountId"])]);
    }
    for r in rig.sf_rows("Order") {
        let told = ["License_Status__c", "License_Message__c", "License_Preview__c", "Licenses_Sold__c", "Licenses_Active__c"];
        show("Order", &[&r["OrderNumber"], &r[told[0]], &r[told[1]], &r[told[2]], &r[told[3]], &r[told[4]]]);
    }
    let licenses = rig.sf_rows("License__c");
    let units = by_id(&licenses, &|r| r["Order_Line__c"].clone());
    for r in &licenses {
        let cells = ["Order_Line__c", "Product__c", "Policy__c", "Enabled__c", "Valid_Until__c", "Max_Activations__c", "Activations__c"];
        let mut cells: Vec<&Value> = cells.iter().map(|c| &r[*c]).collect();
        let outcome = json!(r["Reset_Outcome__c"].as_str().and_then(|o| o.split_once(": ")).map(|(_, word)| word));
        cells.extend([&r["Note__c"], &r["Reset_Requested__c"], &r["Reset_Count__c"], &outcome]);
        show("License__c", &cells);
    }
    for r in rig.sf_rows("License_Feature__c") {
        show("License_Feature__c", &[&find(&units, &r["License__c"]), &r["Code__c"], &r["Max_Consumption__c"]]);
    }

    let accounts = rig.ls_rows(Object::Account);
    let codes = by_id(&accounts, &|r| r["code"].clone());
    for r in &accounts {
        show("account", &[&r["code"], &r["name"], &r["phone"], &r["description"]]);
    }
    let customers = rig.ls_rows(Object::Customer);
    let references = by_id(&customers, &|r| r["reference"].clone());
    for r in &customers {
        show("customer", &[&r["reference"], &r["email"], &r["last_name"], &r["city"]]);
    }
    for r in rig.ls_rows(Object::Order) {
        show("order", &[&r["store_id"], &find(&references, &r["customer"]), &find(&codes, &r["customer_account"])]);
    }
    let licenses = rig.ls_rows(Object::License);
    let units = by_id(&licenses, &|r| r["metadata"]["lockstep"]["line"].clone());
    for r in &licenses {
        let unit = find(&units, &r["id"]);
        show(
            "license",
            &[&unit, &r["enabled"], &r["validity_period"], &r["max_activations"], &r["times_activated"], &r["note"], &r["feature_codes"]],
        );
    }
    let definitions = by_id(&rig.ls_rows(Object::ProductFeature), &|r| r["code"].clone());
    for r in rig.ls_rows(Object::LicenseFeature) {
        show("feature", &[&find(&units, &r["license"]), &find(&definitions, &r["product_feature"]), &r["max_consumption"]]);
    }
    for c in rig.store().conflicts(false, 100).unwrap() {
        let (left, right) = (c.value.salesforce.to_string(), c.value.platform.to_string());
        show("conflict", &[&json!(c.object), &json!(c.entry), &json!(left), &json!(right), &json!(c.state)]);
    }
    lines.sort();
    lines
}

/// Ids of the platform and keys differ from play to play.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if digits.len() > 8 {
            out.push('#')
        } else {
            out.push_str(&digits)
        }
        digits.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

/// What is in one and not in the other, for a message.
pub fn difference(is: &Picture, should: &Picture) -> String {
    let only = |a: &Picture, b: &Picture, sign: char| -> Vec<String> {
        a.iter().filter(|l| !b.contains(l)).map(|l| format!("{sign} {l}")).collect()
    };
    [only(is, should, '+'), only(should, is, '-')].concat().join("\n")
}
