//! The guard end to end: what is too much in all, a side or a field that is empty all at once, and rules that were changed;
//! each held with its reason and its samples, each let go by itself or by a person, and nobody else stopped.

use crate::rig::Rig;
use chrono::{Duration, Utc};
use lockstep::{sandbox::licensespring::Object, store::HoldRow};
use serde_json::{Value, json};
use std::process::Command;

const LONG: i64 = 20 * 60;

fn hold(rig: &Rig, object: &str, verb: &str) -> Option<HoldRow> {
    rig.store().holds().unwrap().into_iter().find(|h| h.object == object && h.verb == verb)
}

fn release(rig: &Rig, hold: &HoldRow) {
    let now = Utc::now() + Duration::seconds(rig.ahead.load(std::sync::atomic::Ordering::SeqCst));
    rig.store().approve(&hold.object, &hold.side, &hold.verb, hold.count, now, now + Duration::hours(24)).unwrap();
}

fn command(rig: &Rig, args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("--rules")
        .arg(rig.rules_path())
        .arg("--state")
        .arg(rig.state())
        .arg("--json")
        .args(args)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{output:?}"))
}

/// An account with so many contacts, each with a phone; in step, and the first load is over.
async fn staffed(rig: &Rig, many: usize) -> Vec<String> {
    let acme = rig.account("Acme");
    let contacts: Vec<String> = (0..many)
        .map(|i| {
            let id = rig.contact(&acme, "Anna", &format!("Kelly {i}"), &format!("anna{i}@acme.example"));
            rig.sf_update("Contact", &id, json!({"Phone": format!("+46 {i}")}));
            id
        })
        .collect();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", many), "{report:#?}");
    rig.tick(LONG);
    assert_eq!(rig.once().await.outcome, "ok");
    contacts
}

fn phones(rig: &Rig) -> usize {
    rig.ls_rows(Object::Customer).iter().filter(|r| r["phone"].as_str().is_some_and(|p| !p.is_empty())).count()
}

// ── too many in all ──────────────────────────────────────────────────────────────────────────────────────────────────

/// S16: each object is within its limit, all of them together are not; and an order is licensed all the same.
#[tokio::test]
async fn all_objects_together_have_a_limit_too() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 10, percent = 10 }"));
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let pro = rig.product("LS-PRO", "Orbit Pro");
    rig.once().await;
    rig.tick(LONG);
    for i in 0..7 {
        rig.account(&format!("Account {i}"));
        rig.contact(&acme, "Mass", &format!("Import {i}"), &format!("mass{i}@acme.example"));
    }
    let order = rig.order(&acme, Some(&anna), &[(&pro, 1)]);
    rig.activate(&order);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("held", 7), "{report:#?}\n{:#?}", rig.store().holds().unwrap());
    assert_eq!((rig.ls_rows(Object::Account).len(), rig.ls_rows(Object::Customer).len()), (8, 1), "{}", rig.changes());
    assert_eq!(rig.ls_rows(Object::License).len(), 1, "an import holds no order back: {}", rig.changes());
    let held = hold(&rig, "contact", "create").unwrap();
    assert_eq!((held.kind.as_str(), held.ceiling), ("too-many-in-all", 10), "{held:?}");
    assert!(held.reason.contains("makes 14 over all objects") && held.reason.contains("7 account"), "{held:?}");
    assert_eq!(rig.store().hold_samples("contact", "platform", "create").unwrap().len(), 7);

    release(&rig, &held);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 8), "{report:#?}");
    // What a person let go is not held against the rest of the day.
    rig.account("One more");
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Account).len()), ("ok", 9), "{report:#?}");
}

/// It lets go by itself when the day is over.
#[tokio::test]
async fn the_sum_is_of_24_hours() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 10, percent = 10 }"));
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    rig.tick(LONG);
    for i in 0..8 {
        rig.account(&format!("Account {i}"));
    }
    assert_eq!(rig.once().await.outcome, "ok");
    rig.tick(3600);
    for i in 0..8 {
        rig.contact(&acme, "Mass", &format!("Import {i}"), &format!("mass{i}@acme.example"));
    }
    assert_eq!(rig.once().await.outcome, "held");
    rig.tick(24 * 3600);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 9), "{report:#?}");
}

/// `once --approve` leaves the same trace as a release.
#[tokio::test]
async fn an_approved_run_is_written_down_and_not_counted() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 5, percent = 10 }"));
    rig.account("Acme");
    rig.once().await;
    rig.tick(LONG);
    for i in 0..8 {
        rig.account(&format!("Account {i}"));
    }
    assert_eq!(rig.once().await.outcome, "held");
    assert_eq!(rig.approved().await.writes.platform, 8);
    assert!(rig.store().dump().unwrap().lines().any(|l| l.starts_with("approval|") && l.contains("\"create\"")));
    rig.account("One more");
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 1), "{report:#?} {:#?}", rig.store().holds().unwrap());
}

// ── empty all at once ────────────────────────────────────────────────────────────────────────────────────────────────

/// B5: a side that shows nothing is held, and lets go by itself when the records reappear.
#[tokio::test]
async fn an_emptied_side_lets_go_when_its_records_reappear() {
    let rig = Rig::start().await;
    for i in 0..6 {
        rig.account(&format!("Account {i}"));
    }
    rig.once().await;
    let rows = rig.ls_rows(Object::Account);
    for row in &rows {
        rig.platform.world().delete(Object::Account, row["id"].as_i64().unwrap()).unwrap();
    }
    assert_eq!(rig.once().await.outcome, "held");
    let held = hold(&rig, "account", "delete").unwrap();
    assert_eq!((held.kind.as_str(), held.count), ("emptied", 6), "{held:?}");
    for row in &rows {
        rig.platform.world().put(Object::Account, &json!({"id": row["id"], "name": row["name"], "code": row["code"]})).unwrap();
    }
    rig.tick(120);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("ok", 0), "{report:#?}");
    assert_eq!(rig.store().link_count("account").unwrap(), 6);
    rig.quiet().await;
}

/// All records reported deleted is a side emptied as well, however few they are.
#[tokio::test]
async fn a_side_that_reports_every_record_deleted_is_not_believed_either() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("parent = \"account\"\non-salesforce-delete = \"report\"", "parent = \"account\"\non-salesforce-delete = \"delete\"")
    });
    let contacts = staffed(&rig, 6).await;
    for id in &contacts {
        rig.salesforce.world().delete("Contact", id).unwrap();
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("held", 6), "{report:#?}");
    let held = hold(&rig, "contact", "delete").unwrap();
    assert!(held.kind == "emptied" && held.reason.contains("gone on the salesforce"), "{held:?}");
    for id in &contacts {
        rig.salesforce.world().undelete("Contact", id).unwrap();
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held, rig.ls_rows(Object::Customer).len()), ("ok", 0, 6), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn a_field_that_vanished_everywhere_is_held_and_not_emptied() {
    let rig = Rig::start().await;
    let contacts = staffed(&rig, 10).await;
    for id in &contacts {
        rig.sf_update("Contact", id, json!({"Phone": null}));
    }
    // Another edit of one of them, and a new one, go their way.
    rig.sf_update("Contact", &contacts[0], json!({"LastName": "Svensson"}));
    let acme = rig.sf("Contact", &contacts[0])["AccountId"].as_str().unwrap().to_owned();
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    for _ in 0..2 {
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), report.held), ("held", 10), "{report:#?}\n{}", rig.changes());
        assert_eq!(phones(&rig), 10, "{}", rig.changes());
    }
    assert_eq!(rig.ls_rows(Object::Customer).len(), 11);
    assert!(rig.ls_rows(Object::Customer).iter().any(|r| r["last_name"] == "Svensson"), "{}", rig.changes());
    let held = hold(&rig, "contact", "blank").unwrap();
    assert_eq!(held.kind, "vanished");
    assert!(held.reason.contains("Phone is empty in 10 of 10"), "{held:?}");

    let list = command(&rig, &["hold", "list"]);
    assert_eq!(list["holds"][0]["lets_go"], "by itself when the field is filled again", "{list}");
    let shown = command(&rig, &["hold", "show", "contact", "platform", "blank"]);
    let phone = shown["samples"][1]["fields"].as_array().unwrap().iter().find(|f| f["name"] == "phone").unwrap();
    assert!(phone["old"].as_str().unwrap().starts_with("+46") && phone["new"].is_null(), "{shown}");

    // Half of it is filled again: the other half is not let go meanwhile.
    for (i, id) in contacts.iter().enumerate().take(5) {
        rig.sf_update("Contact", id, json!({"Phone": format!("+46 {i}")}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), phones(&rig)), ("held", 10), "{report:#?}");
    for (i, id) in contacts.iter().enumerate() {
        rig.sf_update("Contact", id, json!({"Phone": format!("+46 {i}")}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("ok", 0), "{report:#?}\n{:#?}", rig.store().holds().unwrap());
    rig.quiet().await;
}

#[tokio::test]
async fn a_field_that_vanished_is_emptied_once_a_person_says_so() {
    let rig = Rig::start().await;
    let contacts = staffed(&rig, 8).await;
    for row in rig.ls_rows(Object::Customer) {
        rig.ls_update(Object::Customer, row["id"].as_i64().unwrap(), json!({"phone": ""}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("held", 0), "{report:#?}");
    let held = hold(&rig, "contact", "blank").unwrap();
    assert_eq!(held.side, "salesforce");
    release(&rig, &held);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("ok", 8), "{report:#?}");
    assert!(contacts.iter().all(|id| rig.sf("Contact", id)["Phone"].is_null()));
    rig.quiet().await;
}

#[tokio::test]
async fn a_discarded_emptying_leaves_both_sides_as_they_are() {
    let rig = Rig::start().await;
    let contacts = staffed(&rig, 8).await;
    for id in &contacts {
        rig.sf_update("Contact", id, json!({"Phone": null}));
    }
    assert_eq!(rig.once().await.outcome, "held");
    command(&rig, &["hold", "discard", "contact", "platform", "blank"]);
    for _ in 0..2 {
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), report.held, phones(&rig)), ("ok", 0, 8), "{report:#?}");
    }
}

/// A few people who lose their phone, or a field that few ever had, are everyday.
#[tokio::test]
async fn a_few_emptied_fields_are_no_suspicion() {
    let rig = Rig::start().await;
    let contacts = staffed(&rig, 20).await;
    for id in &contacts[..4] {
        rig.sf_update("Contact", id, json!({"Phone": null}));
    }
    for id in &contacts[4..10] {
        rig.sf_update("Contact", id, json!({"MailingCity": "Lund"}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), phones(&rig)), ("ok", 16), "{report:#?}");
    for id in &contacts[4..10] {
        rig.sf_update("Contact", id, json!({"MailingCity": null}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 6), "most never had a city: {report:#?}");
}

// ── other rules ──────────────────────────────────────────────────────────────────────────────────────────────────────

async fn faxed(rig: &Rig) {
    for i in 0..15 {
        rig.sf_insert("Account", json!({"Name": format!("Account {i}"), "Phone": format!("+46 {i}"), "Fax": format!("+47 {i}")}));
    }
    assert_eq!(rig.once().await.outcome, "ok");
    rig.tick(LONG);
    assert_eq!(rig.full().await.outcome, "ok");
}

fn fax_for_phone(rig: &Rig) {
    rig.write_rules(|t| t.replace("Phone = \"phone\"\nDescription", "Fax = \"phone\"\nDescription"));
}

fn faxes(rig: &Rig) -> usize {
    rig.ls_rows(Object::Account).iter().filter(|r| r["phone"].as_str().is_some_and(|p| p.starts_with("+47"))).count()
}

#[tokio::test]
async fn a_mass_of_writes_after_the_rules_changed_is_held_and_says_what_changed() {
    let rig = Rig::start().await;
    faxed(&rig).await;
    fax_for_phone(&rig);
    // A delta shows nothing of it; the re-sync does, and is measured by the re-sync before.
    assert_eq!(rig.once().await.outcome, "ok");
    for _ in 0..2 {
        let report = rig.full().await;
        assert_eq!((report.outcome.as_str(), report.writes.platform), ("held", 0), "{report:#?}");
    }
    let held = hold(&rig, "account", "update").unwrap();
    assert_eq!((held.kind.as_str(), held.count, held.ceiling), ("rules-changed", 15, 10), "{held:?}");
    assert!(held.reason.contains("Fax is new (to phone, both)") && held.reason.contains("Phone is gone"), "{held:?}");
    // The old rules are put back: nothing is left of it.
    rig.write_rules(|t| t);
    let report = rig.full().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform, faxes(&rig)), ("ok", 0, 0), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn a_change_of_rules_that_is_meant_is_released_once() {
    let rig = Rig::start().await;
    faxed(&rig).await;
    fax_for_phone(&rig);
    assert_eq!(rig.full().await.outcome, "held");
    release(&rig, &hold(&rig, "account", "update").unwrap());
    let report = rig.full().await;
    assert_eq!((report.outcome.as_str(), faxes(&rig)), ("ok", 15), "{report:#?}\n{:#?}", rig.store().holds().unwrap());
    rig.quiet().await;
    // From now on these are the rules: a mass of edits has the everyday limit.
    for row in rig.sf_rows("Account") {
        rig.sf_update("Account", row["Id"].as_str().unwrap(), json!({"Fax": "+48"}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 15), "{report:#?}");
}

/// A filter that lets more records in creates them on the other side: the delta that follows is looked at as well.
#[tokio::test]
async fn a_widened_filter_is_a_change_of_rules() {
    let rig = Rig::start().await;
    let filtered = |t: String| t.replacen("match = [[\"name\"]]", "match = [[\"name\"]]\nfilter = 'Industry == \"Media\"'", 1);
    rig.write_rules(filtered);
    rig.sf_insert("Account", json!({"Name": "Acme", "Industry": "Media"}));
    for i in 0..12 {
        rig.account(&format!("Account {i}"));
    }
    assert_eq!(rig.once().await.writes.platform, 1);
    rig.tick(LONG);
    rig.once().await;
    rig.write_rules(|t| t);
    for _ in 0..2 {
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), report.writes.platform), ("held", 0), "{report:#?}");
    }
    let held = hold(&rig, "account", "create").unwrap();
    assert!(held.kind == "rules-changed" && held.reason.contains("filter was"), "{held:?}");
    assert_eq!(rig.approved().await.writes.platform, 12);
    rig.quiet().await;
}

/// Deletions of several kinds add up, whichever of them comes first.
#[tokio::test]
async fn what_takes_away_is_counted_over_all_objects() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("destructive = { count = 10, percent = 10 }", "destructive = { count = 6, percent = 1 }")
            .replace("on-salesforce-delete = \"report\"", "on-salesforce-delete = \"delete\"")
    });
    let keep = rig.account("Keep");
    let keeper = rig.contact(&keep, "Kim", "Keep", "kim@keep.example");
    let accounts: Vec<String> = (0..4).map(|i| rig.account(&format!("Account {i}"))).collect();
    let contacts: Vec<String> = (0..4).map(|i| rig.contact(&keep, "Anna", &format!("K{i}"), &format!("anna{i}@keep.example"))).collect();
    rig.once().await;
    rig.tick(LONG);
    for id in &accounts {
        rig.salesforce.world().delete("Account", id).unwrap();
    }
    for id in &contacts {
        rig.salesforce.world().delete("Contact", id).unwrap();
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform, report.held), ("held", 4, 4), "{report:#?}\n{}", rig.changes());
    let held = hold(&rig, "contact", "delete").unwrap();
    assert!(held.kind == "too-many-in-all" && held.reason.contains("makes 8 over all objects"), "{held:?}");
    assert_eq!((rig.ls_rows(Object::Account).len(), rig.ls_rows(Object::Customer).len()), (1, 5), "{keeper}");
}
