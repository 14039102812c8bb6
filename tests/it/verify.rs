//! `verify` compares both systems by value and asks no base; `--repair` lets an ordinary run decide.

use super::rig::Rig;
use lockstep::engine::{ObjectFound, Options, RunKind, Verified, Verify};
use lockstep::record::{Side, Sides};
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};
use std::process::{Command, Output};

/// Long before any run, so that no reading of changes brings it.
const OLD: &str = "2026-01-05T04:03:02Z";

async fn verify(rig: &Rig) -> Verified {
    let config = rig.config();
    let connectors = config.connect().unwrap();
    let store = rig.store();
    let sides: Sides<&dyn lockstep::connectors::Reader> = Sides::new(&*connectors.salesforce, &*connectors.platform);
    Verify { store: &store, rules: &config.rules, sides, object: None }.compare().await.unwrap()
}

/// Asks for the repair and runs.
async fn repair(rig: &Rig, found: &Verified) -> lockstep::engine::Report {
    for (object, repairs) in &found.repairs {
        rig.store().ask_repair(object, repairs, chrono::Utc::now()).unwrap();
    }
    rig.once().await
}

fn object<'v>(found: &'v Verified, name: &str) -> &'v ObjectFound {
    found.objects.iter().find(|o| o.object == name).unwrap()
}

fn lockstep(rig: &Rig, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(args)
        .arg("--rules")
        .arg(rig.rules_path())
        .arg("--state")
        .arg(rig.state())
        .current_dir(rig.dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

fn answer(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

/// Behind the back of every reading of changes.
fn sf_late(rig: &Rig, object: &str, id: &str, fields: Value) {
    rig.salesforce.world().update_at(object, id, &fields, OLD.parse().unwrap()).unwrap();
}

struct Pair {
    rig: Rig,
    accounts: Vec<String>,
    contact: String,
}

/// Three accounts, a contact, an order with a license, all in step.
async fn in_step() -> Pair {
    let rig = Rig::start().await;
    let accounts: Vec<String> = (0..3).map(|i| rig.account(&format!("Account {i}"))).collect();
    let contact = rig.contact(&accounts[0], "Ann", "Lee", "ann@lee.example");
    let entry = rig.product("LS-PRO", "Pro");
    let order = rig.order(&accounts[0], Some(&contact), &[(&entry, 1)]);
    rig.activate(&order);
    rig.once().await;
    rig.once().await;
    // Stamps are whole seconds: what was made in the second of the last run would pass for younger than it.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    rig.quiet().await;
    Pair { rig, accounts, contact }
}

fn run_rows(dump: &str) -> Vec<&str> {
    dump.lines().filter(|l| l.starts_with("run|")).collect()
}

fn the_rest(dump: &str) -> Vec<&str> {
    dump.lines().filter(|l| !l.starts_with("run|") && !l.starts_with("sqlite_sequence|")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_in_step_is_said_to_be_and_only_the_run_row_is_written() {
    let pair = in_step().await;
    let before = pair.rig.store().dump().unwrap();
    let output = lockstep(&pair.rig, &["verify", "--json"]);
    let said = answer(&output);
    assert_eq!((output.status.code(), &said["drift"], &said["outcome"]), (Some(0), &json!(0), &json!("ok")), "{said:#}");
    let accounts = &said["objects"][0];
    assert_eq!((&accounts["object"], &accounts["linked"], &accounts["in_step"]), (&json!("account"), &json!(3), &json!(3)), "{said:#}");
    assert_eq!(accounts["records"], json!({"salesforce": 3, "platform": 3}));
    let after = pair.rig.store().dump().unwrap();
    assert_eq!(the_rest(&after), the_rest(&before));
    assert_eq!(run_rows(&after).len(), run_rows(&before).len() + 1);
    assert_eq!(pair.rig.store().last_run().unwrap().unwrap().kind, "verify");
    assert_ne!(pair.rig.store().last_pass().unwrap().unwrap().kind, "verify");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_by_record_and_field_on_either_side() {
    let pair = in_step().await;
    let rig = &pair.rig;
    sf_late(rig, "Account", &pair.accounts[1], json!({"Phone": "+49 1"}));
    let customer = rig.ls_id(Object::Customer, "email", "ann@lee.example");
    rig.ls_update(Object::Customer, customer, json!({"first_name": "Anne"}));
    let found = verify(rig).await;
    assert_eq!((found.drift, found.unsettled), (2, 0), "{found:#?}");
    let account = object(&found, "account");
    assert_eq!((account.in_step, account.drift, account.fields.get("Phone")), (2, 1, Some(&1)), "{account:#?}");
    assert_eq!(account.differences[0].salesforce_id, pair.accounts[1]);
    assert_eq!(account.differences[0].fields.len(), 1, "only what differs");
    assert_eq!(account.differences[0].fields[0].salesforce, json!("+49 1"));
    let contact = object(&found, "contact");
    assert_eq!((contact.fields.len(), contact.differences[0].salesforce_id.as_str()), (1, pair.contact.as_str()), "{contact:#?}");
    assert_eq!(contact.differences[0].fields[0].platform, json!("Anne"));

    let output = lockstep(rig, &["verify", "--object", "account"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("Phone: 1 record") && text.contains("\"+49 1\" in Salesforce, null on the platform"), "{text}");
    assert_eq!(lockstep(rig, &["verify", "--object", "acount"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_drifted_is_masked() {
    let pair = in_step().await;
    let license = pair.rig.sf_rows("License__c")[0].clone();
    let key = license["License_Key__c"].as_str().unwrap().to_owned();
    sf_late(&pair.rig, "License__c", license["Id"].as_str().unwrap(), json!({"License_Key__c": "WRON-GKEY-CANA-RY99"}));
    let output = lockstep(&pair.rig, &["verify", "--json"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("RY99") && said.contains(&key[key.len() - 4..]), "{said}");
    assert!(!said.contains("WRON-GKEY") && !said.contains(&key), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_no_run_has_taken_yet_is_no_drift() {
    let pair = in_step().await;
    pair.rig.tick(60);
    pair.rig.sf_update("Account", &pair.accounts[1], json!({"Phone": "+49 2"}));
    let found = verify(&pair.rig).await;
    assert_eq!((found.drift, found.unsettled), (0, 1), "{found:#?}");
    assert_eq!(object(&found, "account").differences[0].open.as_deref(), Some("changed since the last run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_quarantine_or_held_is_no_drift() {
    let pair = in_step().await;
    let rig = &pair.rig;
    rig.write_rules(|text| text.replace("changes = { count = 500, percent = 30 }", "changes = { count = 0, percent = 0 }"));
    rig.sf_update("Account", &pair.accounts[1], json!({"Phone": "+49 3"}));
    let report = rig.once().await;
    assert_eq!(report.outcome, "held", "{report:#?}");
    rig.tick(60);
    let found = verify(rig).await;
    assert_eq!((found.drift, found.unsettled), (0, 1), "{found:#?}");
    assert_eq!(object(&found, "account").differences[0].open.as_deref(), Some("news that is held by the guard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_knows_and_partners_that_are_not_there_are_told() {
    let pair = in_step().await;
    let rig = &pair.rig;
    let stranger = rig.salesforce.world().insert_at("Account", &json!({"Name": "Never seen"}), OLD.parse().unwrap()).unwrap();
    rig.salesforce.world().purge("Account", &pair.accounts[2]).unwrap();
    let found = verify(rig).await;
    let account = object(&found, "account");
    assert_eq!(account.drift, 2, "{account:#?}");
    let only: Vec<(Option<Side>, &str)> = account.one_sided.iter().map(|o| (o.side, o.linked_to.as_deref().unwrap_or(&o.id))).collect();
    assert!(only.contains(&(Some(Side::Salesforce), stranger.as_str())), "{only:?}");
    assert!(only.contains(&(Some(Side::Platform), pair.accounts[2].as_str())), "{only:?}");
    // The stranger is made on the platform; the purged one is a suspect, and nothing is deleted for it.
    let report = repair(rig, &found).await;
    assert_eq!(report.writes.platform, 1, "{report:#?}\n{}", rig.changes());
    rig.ls_id(Object::Account, "name", "Never seen");
    assert_eq!(rig.ls_rows(Object::Account).len(), 4);
    let again = verify(rig).await;
    assert_eq!((again.drift, again.unsettled), (0, 1), "{again:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_records_with_one_match_key_are_told_and_are_no_drift_by_themselves() {
    let pair = in_step().await;
    pair.rig.platform.world().add_account(&json!({"name": "Twin"})).unwrap();
    pair.rig.platform.world().add_account(&json!({"name": "twin "})).unwrap();
    pair.rig.once().await;
    let found = verify(&pair.rig).await;
    let account = object(&found, "account");
    assert_eq!((account.drift, account.duplicate_keys), (0, 1), "{account:#?}");
    assert_eq!((account.duplicates[0].side.as_str(), account.duplicates[0].ids.len()), ("platform", 2));
    assert_eq!(account.unlinked.get("platform: new-on-platform"), Some(&2), "{account:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_lets_salesforce_win_and_keeps_the_loser() {
    let pair = in_step().await;
    let rig = &pair.rig;
    let platform = rig.ls_id(Object::Account, "name", "Account 1");
    rig.ls_update(Object::Account, platform, json!({"name": "Renamed behind our back"}));
    // A memory that is wrong: it takes what the platform shows for what was agreed.
    let store = rig.store();
    let link = store.link("account", Side::Salesforce, &pair.accounts[1]).unwrap().unwrap();
    let renamed = lockstep::record::Value::text("Renamed behind our back");
    store.forget_base(link.id, &Sides::new(Vec::new(), vec![("name".to_owned(), Some(renamed))])).unwrap();
    drop(store);
    assert_eq!(rig.once().await.writes.salesforce, 0, "no run sees it");
    let found = verify(rig).await;
    assert_eq!(found.drift, 1, "{found:#?}");
    let report = repair(rig, &found).await;
    assert_eq!((report.writes.platform, report.writes.salesforce, report.conflicts), (1, 0, 1), "{report:#?}\n{}", rig.changes());
    rig.ls_id(Object::Account, "name", "Account 1");
    let conflict = rig.store().conflicts(false, 10).unwrap().remove(0);
    assert!(format!("{conflict:?}").contains("Renamed behind our back"), "{conflict:?}");
    assert_eq!(verify(rig).await.drift, 0);
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_does_not_undo_what_the_platform_has_just_changed() {
    let pair = in_step().await;
    let rig = &pair.rig;
    let platform = rig.ls_id(Object::Account, "name", "Account 1");
    // Customers of this platform carry no stamps: nothing tells this from drift.
    rig.ls_update(Object::Account, platform, json!({"name": "Renamed by a person"}));
    let found = verify(rig).await;
    assert_eq!(found.drift, 1, "{found:#?}");
    let report = repair(rig, &found).await;
    assert_eq!((report.writes.platform, report.writes.salesforce, report.conflicts), (0, 1, 0), "{report:#?}\n{}", rig.changes());
    assert_eq!(rig.sf("Account", &pair.accounts[1])["Name"], json!("Renamed by a person"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_an_ordinary_plan_and_the_guard_counts_it() {
    let pair = in_step().await;
    let rig = &pair.rig;
    for account in &pair.accounts {
        sf_late(rig, "Account", account, json!({"Phone": "+49 4"}));
    }
    rig.write_rules(|text| text.replace("changes = { count = 500, percent = 30 }", "changes = { count = 1, percent = 0 }"));
    let output = lockstep(rig, &["verify", "--repair", "--json"]);
    let said = answer(&output);
    assert_eq!(output.status.code(), Some(4), "{said:#}");
    assert_eq!(
        (&said["drift"], &said["repair"]["asked"], &said["repair"]["run"]["outcome"]),
        (&json!(3), &json!(3), &json!("held")),
        "{said:#}"
    );
    let phones = |rig: &Rig| rig.ls_rows(Object::Account).iter().filter(|r| r["phone"] == json!("+49 4")).count();
    assert_eq!(phones(rig), 0);
    rig.run(Options { approve: true, ..Options::new(RunKind::Delta, "once") }).await;
    assert_eq!(phones(rig), 3, "{}", rig.changes());
    assert_eq!(verify(rig).await.drift, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_cannot_be_read_is_an_error_and_no_drift() {
    let pair = in_step().await;
    pair.rig.platform_fault(json!({"on": "/customers/", "times": 0, "do": {"status": 503}}));
    let output = lockstep(&pair.rig, &["verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let row = pair.rig.store().last_run().unwrap().unwrap();
    assert_eq!((row.kind.as_str(), row.outcome.as_str()), ("verify", "failed"));
}
