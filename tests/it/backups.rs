//! A backup is put back that is older than the last run: the database alone, or the whole state directory. It is noticed and
//! said; nothing is made, issued, reset or deleted a second time; and in the end both sides are what they are where the
//! memory was never lost.

use crate::{
    binary,
    kills::story::{Picture, difference, picture},
    rig::Rig,
};
use lockstep::{sandbox::licensespring::Object, store::Store};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

/// What is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    Nothing,
    Database,
    Directory,
}

struct Tale {
    rig: Rig,
    acme: String,
    beta: String,
    dora: String,
    sold: String,
    draft: String,
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap().to_owned()
}

impl Tale {
    /// Up to the backup: everything in step, one order issued, one machine active.
    async fn begin() -> Self {
        let rig = Rig::start().await;
        rig.write_rules(|rules| {
            rules
                .replacen("create = \"to-platform\"", "create = \"both\"", 1)
                .replace("confirm-absence-after = \"60s\"", "confirm-absence-after = \"1s\"")
        });
        let (acme, beta) = (rig.account("Acme"), rig.account("Beta"));
        rig.account("Vanishing");
        let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
        let bo = rig.contact(&beta, "Bo", "Lind", "bo@beta.example");
        let dora = rig.contact(&beta, "Dora", "Moss", "dora@beta.example");
        let (pro, basic) = (rig.product("LS-PRO", "Orbit Pro"), rig.product("LS-BASIC", "Orbit Basic"));
        let sold = rig.order(&acme, Some(&anna), &[(&pro, 2)]);
        let draft = rig.order(&beta, Some(&bo), &[(&basic, 3), (&pro, 1)]);
        rig.activate(&sold);
        let tale = Self { rig, acme, beta, dora, sold, draft };
        tale.in_step().await;
        let license = tale.license(0);
        tale.switch_on(&license, "hw-1");
        tale.in_step().await;
        tale
    }

    /// Licenses in Salesforce, by unit.
    fn license(&self, n: usize) -> Value {
        let mut rows = self.rig.sf_rows("License__c");
        rows.sort_by_key(|r| text(r, "Order_Line__c"));
        rows.swap_remove(n)
    }

    fn there(&self, license: &Value) -> i64 {
        self.rig.ls_id(Object::License, "license_key", &text(license, "License_Key__c"))
    }

    fn switch_on(&self, license: &Value, machine: &str) {
        let edit = json!({"op": "activate", "license": self.there(license), "hardware_id": machine});
        self.rig.platform.world().edit(&edit).unwrap();
    }

    /// What happened since, and was done: the memory of it is lost with the backup.
    async fn go_on(&self) {
        let rig = &self.rig;
        let delta = rig.account("Delta");
        rig.contact(&delta, "Dee", "Park", "dee@delta.example");
        rig.platform.world().add_account(&json!({"name": "Echo"})).unwrap();
        rig.activate(&self.draft);
        self.order_more(3);
        let (first, second) = (self.license(0), self.license(1));
        rig.sf_update("License__c", &text(&first, "Id"), json!({"Reset_Requested__c": true}));
        rig.sf_update("License__c", &text(&second, "Id"), json!({"Valid_Until__c": "2031-03-01"}));
        let features = rig.sf_rows("License_Feature__c");
        let gone = features.iter().find(|f| f["License__c"] == second["Id"]).unwrap();
        rig.salesforce.world().delete("License_Feature__c", &text(gone, "Id")).unwrap();
        rig.salesforce.world().delete("Contact", &self.dora).unwrap();
        rig.sf_update("Account", &self.acme, json!({"Phone": "+46 1"}));
        let vanishing = rig.ls_id(Object::Account, "name", "Vanishing");
        let row = rig.sf_rows("Account").into_iter().find(|r| r["Name"] == "Vanishing").unwrap();
        rig.sf_update("Account", &text(&row, "Id"), json!({"Phone": "+46 2"}));
        self.in_step().await;
        rig.platform.world().delete(Object::Account, vanishing).unwrap();
        self.in_step().await;
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        self.in_step().await;
        assert_eq!(rig.store().view("links", "state = ?1", "buried", 9).unwrap().rows.len(), 1, "{}", rig.changes());
        // The people of the license that was reset came back.
        self.switch_on(&first, "hw-2");
        self.in_step().await;
    }

    /// What nobody has seen yet when the backup is put back.
    fn edit(&self) {
        let rig = &self.rig;
        rig.sf_update("Account", &self.beta, json!({"Name": "Beta of Salesforce"}));
        rig.ls_update(Object::Account, rig.ls_id(Object::Account, "name", "Beta"), json!({"name": "Beta of the platform"}));
        // A record whose link the backup never knew, edited on both sides.
        let delta = rig.sf_rows("Account").into_iter().find(|r| r["Name"] == "Delta").unwrap();
        let there = rig.ls_id(Object::Account, "name", "Delta");
        rig.sf_update("Account", &text(&delta, "Id"), json!({"Phone": "+1 of Salesforce"}));
        rig.ls_update(Object::Account, there, json!({"phone": "+1 of the platform"}));
        rig.ls_update(Object::Customer, rig.ls_id(Object::Customer, "email", "bo@beta.example"), json!({"city": "Bern"}));
        rig.account("Foxtrot");
        self.order_more(4);
    }

    /// The customer of the order that was issued before the backup buys more.
    fn order_more(&self, quantity: u32) {
        let rig = &self.rig;
        rig.sf_update("Order", &self.sold, json!({"Status": "Draft"}));
        let items = rig.sf_rows("OrderItem");
        let line = items.iter().find(|i| i["OrderId"] == json!(self.sold)).unwrap();
        rig.sf_update("OrderItem", &text(line, "Id"), json!({ "Quantity": quantity }));
        rig.activate(&self.sold);
    }

    /// Runs of the real binary until nothing is left to do.
    async fn in_step(&self) -> Vec<Value> {
        let mut reports: Vec<Value> = Vec::new();
        loop {
            let report = binary::once(&self.rig).await;
            let done = report["outcome"] == "ok" && report["writes"] == json!({"salesforce": 0, "platform": 0});
            reports.push(report);
            if done {
                return reports;
            }
            assert!(reports.len() < 8, "no rest: {reports:#?}\n{}", self.rig.changes());
            tokio::time::sleep(Duration::from_millis(if reports.len() > 2 { 1_100 } else { 0 })).await;
        }
    }

    fn back_up(&self) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        copy(&self.rig.state(), to.path());
        to
    }

    fn put_back(&self, backup: &Path, what: Back) {
        let state = self.rig.state();
        for file in ["lockstep.db", "lockstep.db-wal", "lockstep.db-shm"] {
            let _ = fs::remove_file(state.join(file));
        }
        match what {
            Back::Nothing => unreachable!("nothing to put back"),
            Back::Database => {
                fs::copy(backup.join("lockstep.db"), state.join("lockstep.db")).unwrap();
            }
            Back::Directory => {
                fs::remove_dir_all(&state).unwrap();
                fs::create_dir(&state).unwrap();
                copy(backup, &state);
            }
        }
    }

    async fn status(&self) -> Value {
        binary::run(&self.rig, &["status", "--json"]).await.report()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn records(picture: Picture) -> Picture {
    picture.into_iter().filter(|line| !line.starts_with("conflict")).collect()
}

/// B3, B6, S1, S4, S5, S6: issue 4, point 8.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_backup_is_noticed_and_nothing_happens_twice() {
    let mut fine = Vec::new();
    for what in [Back::Nothing, Back::Database, Back::Directory] {
        let tale = Tale::begin().await;
        let backup = tale.back_up();
        let last_known = tale.rig.store().last_run().unwrap().unwrap().run;
        tale.go_on().await;
        let last = tale.rig.store().last_run().unwrap().unwrap().run;
        let deleted_before = tale.rig.ls_rows(Object::LicenseFeature).len();
        tale.edit();
        if what == Back::Nothing {
            tale.in_step().await;
            fine = records(picture(&tale.rig));
            assert!(fine.iter().any(|l| l.starts_with("account: ") && l.contains("Foxtrot")));
            continue;
        }
        tale.put_back(backup.path(), what);

        // Where the mirror stayed it is known before anything runs; the plan shows what will be done, and takes nothing away.
        let known = tale.status().await["restored"].clone();
        assert_eq!(known.is_object(), what == Back::Database, "{what:?}: {known}");
        let plan = binary::run(&tale.rig, &["plan", "--json"]).await.report();
        let verbs: Vec<&str> = plan["actions"].as_array().unwrap().iter().map(|a| a["verb"].as_str().unwrap()).collect();
        assert!(!verbs.contains(&"delete"), "{what:?}: {plan}");
        let orders = plan["actions"].as_array().unwrap().iter().filter(|a| a["object"] == "order" && a["verb"] == "create").count();
        assert_eq!(orders, 0, "{what:?}: {plan}");

        let ended = binary::run(&tale.rig, &["once", "--json"]).await;
        let report = ended.report();
        assert_eq!(report["kind"], "full", "{what:?}: {report}");
        assert!(ended.log().contains("this memory was restored from a backup"), "{what:?}: {ended:?}");
        assert_eq!(report["outcome"], "held", "the order that was amended waits for the next run: {report}");
        let row = tale.rig.store().last_run().unwrap().unwrap();
        assert!(row.cause.ends_with("restored backup"), "{row:?}");
        if what == Back::Database {
            assert!(row.run > last, "{} was given already: {row:?}", row.run);
        }
        assert!(row.run > last_known);
        let status = binary::run(&tale.rig, &["status"]).await;
        let binary::Ended::Told { report: said, .. } = &status else { panic!("{status:?}") };
        assert!(said.contains("restored    from a backup: "), "{said}");
        assert_eq!(tale.rig.ls_rows(Object::License).len(), 2 + 2 + 1, "{what:?}: nothing is issued in the run that compares");
        assert_eq!(tale.rig.ls_rows(Object::LicenseFeature).len(), deleted_before, "{what:?}");

        tale.in_step().await;
        let is = records(picture(&tale.rig));
        assert_eq!(is, fine, "{what:?}:\n{}\n{}", difference(&is, &fine), tale.rig.changes());
        // The reset was not repeated: whoever came after it is still in.
        let first = tale.license(0);
        assert_eq!(first["Activations__c"].as_f64(), Some(1.0), "{what:?}: {first}");
        // Who lost has a row: of a clash the memory could see, and of one whose base is forgotten.
        let conflicts = tale.rig.store().conflicts(false, 100).unwrap();
        for (lost, rule) in [("Beta of the platform", "salesforce"), ("+1 of the platform", "salesforce")] {
            let row = conflicts.iter().find(|c| c.value.platform.as_text() == Some(lost));
            assert!(row.is_some_and(|r| r.rule.starts_with(rule) && r.link.is_some()), "{what:?}: {lost}: {conflicts:#?}");
        }
        // The mark goes once what is missing was looked for twice; until then there is nothing to do but look.
        for _ in 0..4 {
            if tale.rig.store().restored().unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(1_100)).await;
                tale.in_step().await;
            }
        }
        assert_eq!(tale.status().await["restored"], Value::Null, "{what:?}");
        assert!(tale.rig.store().holds().unwrap().is_empty());
        assert_eq!(tale.rig.store().integrity().unwrap(), Vec::<String>::new());
    }
}

/// What takes away waits for a person, however few it is, and goes on once it is released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_away_waits_for_a_word_after_a_restore() {
    let tale = Tale::begin().await;
    tale.rig.write_rules(|rules| {
        rules
            .replacen("create = \"to-platform\"", "create = \"both\"", 1)
            .replace("confirm-absence-after = \"60s\"", "confirm-absence-after = \"1s\"")
            .replace(
                "match = [[\"email\"]]\nparent = \"account\"\non-salesforce-delete = \"report\"",
                "match = [[\"email\"]]\nparent = \"account\"\non-salesforce-delete = \"delete\"",
            )
    });
    tale.in_step().await;
    let backup = tale.back_up();
    tale.rig.account("Delta");
    tale.in_step().await;
    // Deleted, disabled, and a reset asked for, all since the last run.
    tale.rig.salesforce.world().delete("Contact", &tale.dora).unwrap();
    tale.rig.sf_update("License__c", &text(&tale.license(0), "Id"), json!({"Reset_Requested__c": true}));
    tale.rig.sf_update("License__c", &text(&tale.license(1), "Id"), json!({"Enabled__c": false}));
    // A wish that the lost memory had fulfilled is not fulfilled again.
    let customers = tale.rig.ls_rows(Object::Customer).len();
    tale.put_back(backup.path(), Back::Database);
    // The contact lies in the recycle bin, which is proof enough; what takes away waits all the same.
    for look in 1..=4 {
        let ended = binary::run(&tale.rig, &["once", "--json"]).await;
        assert_eq!(ended.code(), 4, "{ended:?}");
        let mut holds = tale.rig.store().holds().unwrap();
        holds.sort_by(|a, b| a.object.cmp(&b.object));
        let held: Vec<(&str, &str, u64)> = holds.iter().map(|h| (h.object.as_str(), h.verb.as_str(), h.count)).collect();
        let both = [("contact", "delete", 1), ("license", "delete", 2)];
        assert_eq!(held, both, "look {look}: {holds:#?}");
        assert!(holds.iter().all(|h| h.reason.starts_with("restored backup")), "{holds:#?}");
        assert_eq!(tale.rig.ls_rows(Object::Customer).len(), customers);
        let licenses = tale.rig.ls_rows(Object::License);
        assert!(licenses.iter().all(|l| l["enabled"] == json!(true)));
        assert_eq!(tale.license(0)["Activations__c"].as_f64(), Some(1.0));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    assert_eq!(tale.status().await["restored"]["stage"], "waiting");
    let last = tale.rig.store().last_run().unwrap().unwrap();
    assert_eq!((last.kind.as_str(), last.cause.as_str()), ("delta", "once"), "what is known needs no full comparison");
    for object in ["contact", "license"] {
        let ended = binary::run(&tale.rig, &["hold", "release", object, "platform", "delete"]).await;
        assert_eq!(ended.code(), 0, "{ended:?}");
    }
    tale.in_step().await;
    assert_eq!(tale.rig.ls_rows(Object::Customer).len(), customers - 1);
    let first = tale.license(0);
    assert!(first["Reset_Outcome__c"].as_str().is_some_and(|o| o.ends_with("released 1 activation")), "{first}");
    assert_eq!(tale.license(1)["Enabled__c"], json!(false));
    assert_eq!(tale.status().await["restored"], Value::Null);
}

/// Requests and approvals of the old memory were answered long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_of_the_old_memory_is_not_done_again() {
    let tale = Tale::begin().await;
    let rig = &tale.rig;
    rig.sf_update("Account", &tale.acme, json!({"Name": "Acme of Salesforce"}));
    rig.ls_update(Object::Account, rig.ls_id(Object::Account, "name", "Acme"), json!({"name": "Acme of the platform"}));
    tale.in_step().await;
    let conflict = rig.store().conflicts(false, 9).unwrap().remove(0).id;
    let asked = binary::run(rig, &["conflicts", "restore", &conflict.to_string()]).await;
    assert_eq!(asked.code(), 0, "{asked:?}");
    let backup = tale.back_up();
    tale.in_step().await;
    assert_eq!(rig.sf("Account", &tale.acme)["Name"], "Acme of the platform");
    rig.sf_update("Account", &tale.acme, json!({"Name": "Acme at last"}));
    tale.in_step().await;
    tale.put_back(backup.path(), Back::Database);
    tale.in_step().await;
    assert_eq!(rig.sf("Account", &tale.acme)["Name"], "Acme at last", "{}", rig.changes());
    rig.quiet().await;
}

/// No restore, no word of it: a crash, a copy taken while it works, a state that is moved whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_that_is_the_last_one_is_never_taken_for_a_backup() {
    let tale = Tale::begin().await;
    for at in ["1", "2", "5", "9"] {
        tale.rig.account(&format!("Company {at}"));
        let how = binary::How { env: &[("LOCKSTEP_DIE_AT_COMMIT", at)], most_kib: None };
        binary::start(&tale.rig, &["once", "--json"], how).wait().await;
        let store = Store::open(&tale.rig.state()).unwrap();
        assert_eq!(store.restored().unwrap(), None, "killed at {at}");
    }
    let moved = tempfile::tempdir().unwrap();
    tale.in_step().await;
    copy(&tale.rig.state(), moved.path());
    assert_eq!(Store::open(moved.path()).unwrap().restored().unwrap(), None, "a whole directory is as good as its last run");
    let reports = tale.in_step().await;
    assert_eq!(reports.len(), 1);
    assert_eq!(tale.status().await["restored"], Value::Null);
}
