//! People edit both sides at random, calls go wrong at random, runs come in between; when the faults stop, both sides are
//! in step, nothing is there twice and nothing was lost unseen.
//!
//! `LOCKSTEP_RANDOM_SEED` starts at another seed, `LOCKSTEP_RANDOM_ROUNDS` plays longer games, `LOCKSTEP_RANDOM_GAMES`
//! more of them. A failure names its seed and tells the story.

use crate::rig::Rig;
use lockstep::{engine::Report, sandbox::licensespring::Object};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Splitmix64: the same game for the same seed, whatever else changes.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.roll(from.len())]) }
    }
}

/// What a person wrote, where.
struct Token {
    side: &'static str,
    record: String,
    field: &'static str,
    text: String,
}

struct Game {
    seed: u64,
    rig: Rig,
    dice: Dice,
    counter: u32,
    tokens: Vec<Token>,
    deleted: Vec<(&'static str, String)>,
    entries: Vec<(&'static str, String)>,
    /// By order how many licenses it is due at least and at most: what is ordered now, and what ever was.
    due: BTreeMap<String, (usize, usize)>,
    story: Vec<String>,
}

const ACCOUNT: &[(&str, &str)] = &[("Name", "name"), ("Phone", "phone")];
const CONTACT: &[(&str, &str)] = &[
    ("FirstName", "first_name"),
    ("LastName", "last_name"),
    ("Phone", "phone"),
    ("MailingStreet", "address"),
    ("MailingPostalCode", "postcode"),
    ("MailingCity", "city"),
];

fn text(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn ids(rows: &[Value], field: &str) -> Vec<String> {
    rows.iter().map(|r| text(r, field)).collect()
}

impl Game {
    async fn start(seed: u64) -> Self {
        let rig = Rig::start().await;
        rig.write_rules(|t| {
            t.replace("creates = { count = 100,", "creates = { count = 100000,")
                .replace("changes = { count = 500,", "changes = { count = 100000,")
                .replace("destructive = { count = 10,", "destructive = { count = 100000,")
                // Every other game deletes with Salesforce.
                .replace(
                    "parent = \"account\"\non-salesforce-delete = \"report\"",
                    if seed.is_multiple_of(2) {
                        "parent = \"account\"\non-salesforce-delete = \"delete\""
                    } else {
                        "parent = \"account\"\n"
                    },
                )
        });
        let entries = [("LS-BASIC", "Orbit Basic"), ("LS-PRO", "Orbit Pro"), ("LS-TEAM", "Orbit Team")]
            .map(|(code, name)| (code, rig.product(code, name)))
            .to_vec();
        let mut game = Self {
            seed,
            rig,
            dice: Dice(seed),
            counter: 0,
            tokens: Vec::new(),
            deleted: Vec::new(),
            entries,
            due: BTreeMap::new(),
            story: Vec::new(),
        };
        // One customer with licenses and features that nobody touches: no side is ever seen empty.
        let account = game.rig.account("Anchor");
        let contact = game.rig.contact(&account, "An", "Chor", "anchor@example.com");
        game.order_for(&account, &contact);
        game.rig.once().await;
        game
    }

    fn token(&mut self) -> String {
        self.counter += 1;
        format!("T{}x{}", self.seed, self.counter)
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    fn wrote(&mut self, side: &'static str, record: &str, field: &'static str, text: &str) {
        self.tokens.retain(|t| !(t.side == side && t.record == record && t.field == field));
        self.tokens.push(Token { side, record: record.to_owned(), field, text: text.to_owned() });
    }

    fn order_for(&mut self, account: &str, contact: &str) {
        let (code, entry) = self.entries[self.dice.roll(self.entries.len())].clone();
        let quantity = 1 + u32::try_from(self.dice.roll(3)).unwrap();
        let order = self.rig.order(account, Some(contact), &[(&entry, quantity)]);
        self.rig.activate(&order);
        let due = if code == "LS-PRO" { quantity as usize } else { 1 };
        self.due.insert(order.clone(), (due, due));
        self.tell(format!("sf order {order} {quantity} x {code} for {contact}"));
    }

    fn live(&mut self, object: &str) -> Option<Value> {
        let rows: Vec<Value> =
            self.rig.sf_rows(object).into_iter().filter(|r| !text(r, "LastName").contains("Chor") && text(r, "Name") != "Anchor").collect();
        self.dice.pick(&rows).cloned()
    }

    /// One thing a person does.
    fn edit(&mut self) {
        match self.dice.roll(27) {
            0 | 1 => {
                let name = self.token();
                let id = self.rig.account(&name);
                self.wrote("sf", &id, "Name", &name);
                self.tell(format!("sf account {id} {name}"));
            }
            2 | 3 => {
                let Some(account) = self.live("Account") else { return };
                let (last, account) = (self.token(), text(&account, "Id"));
                let id = self.rig.contact(&account, "First", &last, &format!("{}@example.com", last.to_lowercase()));
                self.wrote("sf", &id, "LastName", &last);
                self.tell(format!("sf contact {id} {last} of {account}"));
            }
            4..=7 => {
                let (object, fields) = if self.dice.roll(3) == 0 { ("Account", ACCOUNT) } else { ("Contact", CONTACT) };
                let Some(row) = self.live(object) else { return };
                let (field, _) = fields[self.dice.roll(fields.len())];
                let (id, value) = (text(&row, "Id"), self.token());
                self.rig.sf_update(object, &id, json!({ field: value }));
                self.wrote("sf", &id, field, &value);
                self.tell(format!("sf {object} {id} {field} = {value}"));
            }
            8..=11 => {
                let (object, fields) = if self.dice.roll(3) == 0 { (Object::Account, ACCOUNT) } else { (Object::Customer, CONTACT) };
                let rows = self.rig.ls_rows(object);
                let Some(row) = self.dice.pick(&rows) else { return };
                let (_, field) = fields[self.dice.roll(fields.len())];
                let (id, value) = (row["id"].as_i64().unwrap(), self.token());
                self.rig.ls_update(object, id, json!({ field: value }));
                self.wrote("ls", &id.to_string(), field, &value);
                self.tell(format!("ls {object:?} {id} {field} = {value}"));
            }
            12 => {
                let Some(row) = self.live("Contact") else { return };
                let id = text(&row, "Id");
                if self.rig.salesforce.world().delete("Contact", &id).is_ok() {
                    self.deleted.push(("Contact", id.clone()));
                    self.tell(format!("sf delete contact {id}"));
                }
            }
            13 => {
                if self.deleted.is_empty() {
                    return;
                }
                let at = self.dice.roll(self.deleted.len());
                let (object, id) = self.deleted.remove(at);
                if self.rig.salesforce.world().undelete(object, &id).is_ok() {
                    self.tell(format!("sf undelete {object} {id}"));
                    let accounts = ids(&self.rig.sf_rows("Account"), "Id");
                    if !accounts.contains(&text(&self.rig.sf(object, &id), "AccountId")) {
                        // Its account was merged away while it lay in the bin: the person who fetched it gives it another.
                        self.rig.sf_update(object, &id, json!({ "AccountId": accounts[0] }));
                        self.tell(format!("sf contact {id} moves to {}", accounts[0]));
                    }
                }
            }
            14 => {
                let object = if self.dice.roll(2) == 0 { "Account" } else { "Contact" };
                let (Some(keep), Some(lose)) = (self.live(object), self.live(object)) else { return };
                let (mut keep, lose) = (text(&keep, "Id"), text(&lose, "Id"));
                if object == "Account" && self.dice.roll(2) == 0 {
                    // Into one that nobody has synchronised yet.
                    let name = self.token();
                    keep = self.rig.account(&name);
                    self.tell(format!("sf account {keep} {name}"));
                }
                if keep != lose && self.rig.salesforce.world().merge(object, &keep, &[&lose], &json!({})).is_ok() {
                    self.tell(format!("sf merge {object} {lose} into {keep}"));
                }
            }
            15 => {
                let (Some(contact), Some(account)) = (self.live("Contact"), self.live("Account")) else { return };
                let (contact, account) = (text(&contact, "Id"), text(&account, "Id"));
                self.rig.sf_update("Contact", &contact, json!({ "AccountId": account }));
                self.tell(format!("sf contact {contact} moves to {account}"));
            }
            16 => {
                let Some(contact) = self.live("Contact") else { return };
                let account = text(&contact, "AccountId");
                if !account.is_empty() && self.due.len() < 5 {
                    self.order_for(&account, &text(&contact, "Id"));
                }
            }
            17 => {
                let rows = self.rig.sf_rows("License__c");
                let Some(row) = self.dice.pick(&rows) else { return };
                let (id, on) = (text(row, "Id"), self.dice.roll(2) == 0);
                let note = self.token();
                self.rig.sf_update("License__c", &id, json!({"Enabled__c": on, "Note__c": note}));
                self.wrote("sf", &id, "Note__c", &note);
                self.tell(format!("sf license {id} enabled {on} note {note}"));
            }
            18 => self.feature_in_salesforce(),
            19 => {
                // A trial user: nobody's partner, and nothing happens to it.
                let name = self.token();
                let fields = json!({"email": format!("{}@trial.example", name.to_lowercase()), "last_name": name});
                let id = self.rig.platform.world().add_customer(&fields).unwrap();
                self.tell(format!("ls trial customer {id} {name}"));
            }
            20 => {
                let busy: BTreeSet<String> = ids(&self.rig.ls_rows(Object::Order), "customer").into_iter().collect();
                let rows: Vec<Value> = self.rig.ls_rows(Object::Customer).into_iter().filter(|r| !busy.contains(&text(r, "id"))).collect();
                let Some(row) = self.dice.pick(&rows) else { return };
                let id = row["id"].as_i64().unwrap();
                if self.rig.platform.world().delete(Object::Customer, id).is_ok() {
                    self.tell(format!("ls delete customer {id}"));
                }
            }
            21 => {
                let rows = self.rig.ls_rows(Object::LicenseFeature);
                if rows.len() > 3 {
                    // The first is the anchor's.
                    let at = 1 + self.dice.roll(rows.len() - 1);
                    let (id, license) = (rows[at]["id"].as_i64().unwrap(), rows[at]["license"].clone());
                    self.rig.platform.world().delete(Object::LicenseFeature, id).unwrap();
                    self.tell(format!("ls delete feature {id} of {license}"));
                }
            }
            22 => self.amend(),
            23 => {
                let rows = self.rig.ls_rows(Object::License);
                let Some(row) = self.dice.pick(&rows) else { return };
                let (id, machine) = (row["id"].as_i64().unwrap(), self.token());
                if self.rig.platform.world().activate(id, &machine, &machine).is_ok() {
                    self.tell(format!("ls activation of {id} on {machine}"));
                }
            }
            24 => {
                let rows = self.rig.sf_rows("License__c");
                let Some(row) = self.dice.pick(&rows) else { return };
                let id = text(row, "Id");
                self.rig.sf_update("License__c", &id, json!({"Reset_Requested__c": true}));
                self.tell(format!("sf reset of {id}"));
            }
            _ => self.feature_on_platform(),
        }
    }

    /// An order becomes a draft, gets another quantity, and is activated again.
    fn amend(&mut self) {
        let orders: Vec<String> = self.due.keys().cloned().collect();
        let Some(order) = self.dice.pick(&orders).cloned() else { return };
        let line = self.rig.sf_rows("OrderItem").into_iter().find(|l| text(l, "OrderId") == order).unwrap();
        let quantity = 1 + self.dice.roll(5);
        self.rig.sf_update("Order", &order, json!({"Status": "Draft"}));
        self.rig.sf_update("OrderItem", &text(&line, "Id"), json!({"Quantity": quantity}));
        self.rig.activate(&order);
        let entry = text(&line, "PricebookEntryId");
        let counted = self.entries.iter().any(|(code, id)| *code == "LS-PRO" && *id == entry);
        if let (true, Some(due)) = (counted, self.due.get_mut(&order)) {
            *due = (quantity, due.1.max(quantity));
        }
        self.tell(format!("sf order {order} amended to {quantity}"));
    }

    fn feature_in_salesforce(&mut self) {
        let rows = self.rig.sf_rows("License_Feature__c");
        // The first is the anchor's.
        if rows.len() > 3 && self.dice.roll(2) == 0 {
            let row = &rows[1 + self.dice.roll(rows.len() - 1)];
            let id = text(row, "Id");
            self.rig.salesforce.world().delete("License_Feature__c", &id).unwrap();
            self.tell(format!("sf delete feature {id} {}", row["Code__c"]));
            return;
        }
        let licenses = self.rig.sf_rows("License__c");
        let Some(license) = self.dice.pick(&licenses).cloned() else { return };
        let platform = self.rig.ls_rows(Object::License).into_iter().find(|l| l["license_key"] == license["License_Key__c"]);
        let Some(code) = platform.and_then(|l| self.free_feature(&l)) else { return };
        if rows.iter().any(|r| r["License__c"] == license["Id"] && r["Code__c"] == json!(code)) {
            return;
        }
        let id = self.rig.sf_insert("License_Feature__c", json!({"License__c": license["Id"], "Code__c": code}));
        self.tell(format!("sf feature {id} {code} on {}", license["Id"]));
    }

    fn free_feature(&mut self, license: &Value) -> Option<String> {
        let product = self.rig.platform.world().get(Object::License, license["id"].as_i64()?)?["product"].clone();
        let held: BTreeSet<String> = self
            .rig
            .ls_rows(Object::LicenseFeature)
            .iter()
            .filter(|f| f["license"] == license["id"])
            .map(|f| f["product_feature"].to_string())
            .collect();
        let free: Vec<String> = self
            .rig
            .ls_rows(Object::ProductFeature)
            .iter()
            .filter(|f| f["product"] == product && !held.contains(&f["id"].to_string()))
            .map(|f| text(f, "code"))
            .collect();
        self.dice.pick(&free).cloned()
    }

    fn feature_on_platform(&mut self) {
        let licenses = self.rig.ls_rows(Object::License);
        let Some(license) = self.dice.pick(&licenses).cloned() else { return };
        let id = license["id"].as_i64().unwrap();
        if let Some(code) = self.free_feature(&license)
            && self.rig.platform.world().add_feature(id, &code, &json!({})).is_ok()
        {
            self.tell(format!("ls feature {code} on {id}"));
        }
    }

    fn fault(&mut self) {
        let nth = 1 + self.dice.roll(4);
        let page = json!({"status": 503, "body": "<html>later</html>", "content_type": "text/html"});
        let lost = json!({"status_after": 502, "body": "", "content_type": "text/html"});
        let what = [json!("reset_before"), json!("reset_after"), page, lost, json!({"truncate": 0.5}), json!("html_200")];
        let what = what[self.dice.roll(what.len())].clone();
        let on_salesforce = self.dice.roll(2) == 0;
        let on = if on_salesforce { ["POST", "GET", "composite", "sobjects"] } else { ["POST", "GET", "PATCH", "customers"] };
        let fault = json!({"on": on[self.dice.roll(4)], "nth": nth, "times": 1 + self.dice.roll(3), "do": what});
        self.tell(format!("fault {} {fault}", if on_salesforce { "sf" } else { "ls" }));
        if on_salesforce {
            self.rig.salesforce_fault(fault);
        } else {
            self.rig.platform_fault(fault);
        }
    }

    async fn play(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for _ in 0..=self.dice.roll(9) {
                self.edit();
            }
            if self.dice.roll(2) == 0 {
                self.fault();
            }
            let report = self.rig.once().await;
            self.tell(format!("run {} {} sf {} ls {}", report.run, report.outcome, report.writes.salesforce, report.writes.platform));
            self.rig.clear_faults();
            let seconds = i64::try_from(20 + self.dice.roll(400)).unwrap();
            self.rig.tick(seconds);
        }
        // Long enough for every back-off of a quarantine to pass.
        for _ in 0..4 {
            self.rig.tick(25 * 3600);
            self.rig.once().await;
        }
        self.rig.tick(120);
        self.rig.full().await;
        self.rig.tick(120);
    }

    fn fail(&self, why: &str) -> ! {
        panic!(
            "seed {}: {why}\n\nthe story:\n{}\n\nquarantine {:#?}\n{}",
            self.seed,
            self.story.join("\n"),
            self.rig.store().quarantine(20).unwrap(),
            self.rig.changes()
        )
    }

    fn quiet(&self, report: &Report) {
        if (report.writes.salesforce, report.writes.platform) != (0, 0) {
            self.fail(&format!("not quiet: {report:#?}"));
        }
    }

    fn check_pairs(&self) {
        let by_id = |rows: Vec<Value>, id: &str| -> BTreeMap<String, Value> { rows.into_iter().map(|r| (text(&r, id), r)).collect() };
        let links = self.rig.store().view("links", "state = ?1", "live", 100_000).unwrap();
        const LICENSE: &[(&str, &str)] = &[("License_Key__c", "license_key"), ("Enabled__c", "enabled"), ("Note__c", "note")];
        let objects = [
            ("account", "Account", Object::Account, ACCOUNT),
            ("contact", "Contact", Object::Customer, CONTACT),
            ("license", "License__c", Object::License, LICENSE),
        ];
        for (object, sobject, resource, fields) in objects {
            let (salesforce, platform) = (by_id(self.rig.sf_rows(sobject), "Id"), by_id(self.rig.ls_rows(resource), "id"));
            for row in links.rows.iter().filter(|r| r[1].as_deref() == Some(object)) {
                let (s, p) = (row[2].clone().unwrap(), row[3].clone().unwrap());
                let (Some(sf), Some(ls)) = (salesforce.get(&s), platform.get(&p)) else {
                    self.fail(&format!("{object} {s} = {p} is linked, and one of them is not there"))
                };
                for (from, to) in fields {
                    // The survivor of a merge is a first match: its blanks are not filled unasked.
                    let unfilled = row[5].as_deref() == Some("merged") && text(sf, from).is_empty();
                    if text(sf, from) != text(ls, to) && !unfilled {
                        self.fail(&format!("{object} {s} = {p}: {from} {:?} is not {to} {:?}", sf[from], ls[to]));
                    }
                }
            }
            if object != "license" {
                let linked: BTreeSet<&str> =
                    links.rows.iter().filter(|r| r[1].as_deref() == Some(object)).filter_map(|r| r[2].as_deref()).collect();
                if let Some(alone) = salesforce.keys().find(|id| !linked.contains(id.as_str())) {
                    self.fail(&format!("{object} {alone} has no partner"));
                }
            }
        }
    }

    fn check_no_doubles(&self) {
        let mut lists = vec![
            ("accounts by code", ids(&self.rig.ls_rows(Object::Account), "code")),
            ("customers by reference", ids(&self.rig.ls_rows(Object::Customer), "reference")),
            ("orders by store id", ids(&self.rig.ls_rows(Object::Order), "store_id")),
            ("license rows by key", ids(&self.rig.sf_rows("License__c"), "License_Key__c")),
            ("licenses by unit", ids(&self.rig.sf_rows("License__c"), "Order_Line__c")),
        ];
        let both = |rows: Vec<Value>, a: &str, b: &str| rows.iter().map(|r| format!("{} {}", text(r, a), text(r, b))).collect();
        lists.push(("features on the platform", both(self.rig.ls_rows(Object::LicenseFeature), "license", "product_feature")));
        lists.push(("features in Salesforce", both(self.rig.sf_rows("License_Feature__c"), "License__c", "Code__c")));
        for (what, list) in lists {
            let mut seen = BTreeSet::new();
            if let Some(double) = list.iter().filter(|v| !v.is_empty()).find(|v| !seen.insert(v.as_str())) {
                self.fail(&format!("{what}: {double} is there twice"));
            }
        }
        // An order whose customer was deleted before it was due says so, and issues nothing.
        let parked: BTreeSet<String> = self.rig.store().quarantine(100).unwrap().into_iter().map(|q| q.id).collect();
        let due = |pick: fn(&(usize, usize)) -> usize| -> usize {
            self.due.iter().filter(|(order, _)| !parked.contains(*order)).map(|(_, n)| pick(n)).sum()
        };
        let (least, most) = (due(|n| n.0), due(|n| n.1));
        let (on_platform, in_salesforce) = (self.rig.ls_rows(Object::License).len(), self.rig.sf_rows("License__c").len());
        if on_platform != in_salesforce || !(least..=most).contains(&on_platform) {
            self.fail(&format!("{least} to {most} licenses are due, the platform has {on_platform}, Salesforce shows {in_salesforce}"));
        }
        if let Some(ticked) = self.rig.sf_rows("License__c").iter().find(|l| l["Reset_Requested__c"] == json!(true)) {
            self.fail(&format!("a reset has no outcome: {ticked}"));
        }
        let stands = |order: &&Value| !parked.contains(&text(order, "Id")) && text(order, "License_Status__c") != "Provisioned";
        if let Some(order) = self.rig.sf_rows("Order").iter().find(stands) {
            self.fail(&format!("an order does not say that it is provisioned: {order}"));
        }
        let (f, s) = (self.rig.ls_rows(Object::LicenseFeature).len(), self.rig.sf_rows("License_Feature__c").len());
        if f != s {
            self.fail(&format!("{f} features on the platform, {s} in Salesforce"));
        }
    }

    /// S1: what a person wrote is there, or a row tells what became of it.
    fn check_tokens(&self) {
        let mut seen = self.rig.store().dump().unwrap();
        for object in ["Account", "Contact", "License__c"] {
            seen.push_str(&json!(self.rig.sf_rows(object)).to_string());
        }
        for object in [Object::Account, Object::Customer, Object::License] {
            seen.push_str(&json!(self.rig.ls_rows(object)).to_string());
        }
        let gone: BTreeSet<String> =
            self.story.iter().filter(|s| ["sf delete", "sf merge", "ls delete"].iter().any(|w| s.starts_with(w))).cloned().collect();
        for token in &self.tokens {
            if !seen.contains(&token.text) && !gone.iter().any(|s| s.contains(&token.record)) {
                self.fail(&format!("{} of {} {} was lost without a row", token.text, token.side, token.record));
            }
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

async fn game(seed: u64, rounds: usize) {
    let mut game = Game::start(seed).await;
    game.play(rounds).await;
    let report = game.rig.once().await;
    game.quiet(&report);
    let report = game.rig.full().await;
    game.quiet(&report);
    if game.rig.store().quarantine(10).unwrap().iter().any(|q| q.code != "no-contact") {
        game.fail("the quarantine did not drain");
    }
    game.check_pairs();
    game.check_no_doubles();
    game.check_tokens();
}

#[tokio::test]
async fn random_edits_and_faults_end_in_step() {
    let rounds = usize::try_from(number("LOCKSTEP_RANDOM_ROUNDS", 6)).unwrap();
    let first = number("LOCKSTEP_RANDOM_SEED", 1);
    let games: Vec<_> = (first..first + number("LOCKSTEP_RANDOM_GAMES", 3)).map(|seed| game(seed, rounds)).collect();
    futures_util::future::join_all(games).await;
}
