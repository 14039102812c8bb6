//! Quarantine end to end: a bad record is found in its batch, waits its time, and is woken at once by whatever may have cured
//! it; and each row says what a person can do.

use crate::rig::Rig;
use lockstep::{plan::has_advice, sandbox::licensespring::Object, store::QuarantineRow};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn parked(rig: &Rig) -> Vec<QuarantineRow> {
    rig.store().quarantine(10).unwrap()
}

fn refuse(rig: &Rig, on: &str, body: &str) {
    let answer = json!({"status": 400, "body": "{\"email\":[\"Not now.\"]}", "content_type": "application/json"});
    rig.platform_fault(json!({"on": on, "body": body, "times": 0, "do": answer}));
}

// ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// B9: a call of many that fails as one is halved until the bad record stands alone.
#[tokio::test]
async fn a_batch_that_fails_as_one_is_halved_down_to_the_bad_record() {
    for answer in [
        json!({"status": 413, "body": "", "content_type": "text/html"}),
        json!({"status": 400, "body": "[{\"errorCode\":\"APEX_ERROR\",\"message\":\"System.LimitException\"}]", "content_type": "application/json"}),
    ] {
        let rig = Rig::start().await;
        let accounts: Vec<String> = (0..20).map(|i| rig.account(&format!("Account {i}"))).collect();
        rig.once().await;
        for row in rig.ls_rows(Object::Account) {
            let phone = if row["name"] == "Account 13" { "POISON".to_owned() } else { format!("+46 {}", row["id"]) };
            rig.ls_update(Object::Account, row["id"].as_i64().unwrap(), json!({"phone": phone}));
        }
        rig.salesforce_fault(json!({"on": "/composite", "body": "POISON", "times": 0, "do": answer}));
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), report.writes.salesforce, report.quarantined), ("partial", 19, 1), "{answer} {report:#?}");
        let filled = accounts.iter().filter(|id| rig.sf("Account", id)["Phone"].is_string()).count();
        assert_eq!(filled, 19);
        let row = parked(&rig).remove(0);
        assert_eq!(
            (row.object.as_str(), row.id.clone()),
            ("account", rig.ls_id(Object::Account, "phone", "POISON").to_string()),
            "{row:?}"
        );
    }
}

// ── what wakes it ────────────────────────────────────────────────────────────────────────────────────────────────────

/// A contact that was refused, with its cause gone, waits for its time unless something tells that it may do better.
async fn refused_contact(rig: &Rig) -> String {
    let acme = rig.account("Acme");
    rig.once().await;
    refuse(rig, "POST /api/v1/customers/", "anna@acme.example");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    assert_eq!(rig.once().await.quarantined, 1);
    rig.clear_faults();
    rig.tick(60);
    let report = rig.once().await;
    assert_eq!((report.quarantined, report.writes.platform), (1, 0), "it waits its turn: {report:#?}");
    acme
}

#[tokio::test]
async fn a_change_of_its_parent_wakes_it_at_once() {
    let rig = Rig::start().await;
    let acme = refused_contact(&rig).await;
    rig.sf_update("Account", &acme, json!({"Phone": "+46 8 1"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 1), "{report:#?}\n{}", rig.changes());
    rig.quiet().await;
}

/// Somebody else's change is none of its business.
#[tokio::test]
async fn a_change_of_a_stranger_does_not_wake_it() {
    let rig = Rig::start().await;
    refused_contact(&rig).await;
    let other = rig.account("Other");
    rig.contact(&other, "Bo", "Lind", "bo@acme.example");
    let report = rig.once().await;
    assert_eq!((report.quarantined, rig.ls_rows(Object::Customer).len()), (1, 1), "{report:#?}");
    assert_eq!(parked(&rig).remove(0).attempts, 1);
}

#[tokio::test]
async fn a_parent_that_leaves_quarantine_wakes_it_at_once() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    refuse(&rig, "PATCH /api/v1/customer-accounts/", "+46 8 1");
    refuse(&rig, "POST /api/v1/customers/", "anna@acme.example");
    rig.sf_update("Account", &acme, json!({"Phone": "+46 8 1"}));
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    assert_eq!(rig.once().await.quarantined, 2, "{:#?}", parked(&rig));
    rig.clear_faults();
    rig.tick(60);
    assert_eq!(rig.once().await.quarantined, 2);
    rig.store().wake_quarantine(Some("account"), None).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 1), "{report:#?}\n{:#?}", parked(&rig));
    rig.quiet().await;
}

const TIER: &str = "<CustomField><fullName>Tier__c</fullName><type>Picklist</type><valueSet><restricted>true</restricted><valueSetDefinition>\
    <value><fullName>Gold</fullName><default>false</default><label>Gold</label></value></valueSetDefinition></valueSet></CustomField>";

#[tokio::test]
async fn a_value_added_to_the_picklist_wakes_it_at_once() {
    let rig = Rig::start().await;
    rig.salesforce.world().add_field("Account", TIER).unwrap();
    rig.write_rules(|t| t.replace("Description = { to = \"description\", direction = \"to-platform\" }", "Tier__c = \"description\""));
    let acme = rig.account("Acme");
    rig.once().await;
    let id = rig.ls_id(Object::Account, "name", "Acme");
    rig.ls_update(Object::Account, id, json!({"description": "Tin"}));
    assert_eq!(rig.once().await.quarantined, 1, "{}", rig.changes());
    let row = parked(&rig).remove(0);
    assert_eq!((row.code.as_str(), row.field.as_deref()), ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Some("Tier__c")), "{row:?}");
    rig.tick(60);
    assert_eq!(rig.once().await.writes.salesforce, 0, "it waits its turn");
    assert_eq!(parked(&rig).remove(0).attempts, 1);
    rig.tick(60);
    rig.salesforce.world().add_picklist_value("Account", "Tier__c", "Tin").unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("ok", 1), "{report:#?}\n{:#?}", parked(&rig));
    assert_eq!(rig.sf("Account", &acme)["Tier__c"], "Tin");
    rig.quiet().await;
}

#[tokio::test]
async fn a_field_made_longer_wakes_it_at_once() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    let id = rig.ls_id(Object::Account, "name", "Acme");
    rig.ls_update(Object::Account, id, json!({"phone": "1".repeat(60)}));
    assert_eq!(rig.once().await.quarantined, 1);
    let row = parked(&rig).remove(0);
    assert_eq!((row.code.as_str(), row.field.as_deref()), ("too-long", Some("Phone")));
    rig.tick(60);
    assert_eq!(rig.once().await.quarantined, 1);
    rig.salesforce.world().set_field_length("Account", "Phone", 80).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("ok", 1), "{report:#?}\n{:#?}", parked(&rig));
    assert_eq!(rig.sf("Account", &acme)["Phone"], "1".repeat(60));
    rig.quiet().await;
}

/// Access that was granted shows in describe, whichever field it is.
#[tokio::test]
async fn access_that_was_granted_wakes_it_at_once() {
    let rig = Rig::start().await;
    rig.salesforce.world().hide_field("Contact", "Title", true).unwrap();
    refused_contact(&rig).await;
    rig.salesforce.world().hide_field("Contact", "Title", false).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 1), "{report:#?}\n{:#?}", parked(&rig));
}

// ── what is said of it ───────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn each_row_says_what_where_when_and_what_to_do() {
    let rig = Rig::start().await;
    refused_contact(&rig).await;
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command.arg("--rules").arg(rig.rules_path()).arg("--state").arg(rig.state()).args(args);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let told: Value = serde_json::from_str(&run(&["quarantine", "--json"])).unwrap();
    let row = &told["records"][0];
    assert_eq!((&row["name"], &row["code"], &row["field"]), (&json!("Anna Kelly"), &json!("validation_error"), &json!("email")), "{told}");
    assert!(row["do"].as_str().unwrap().starts_with("correct the field"), "{told}");
    assert!(row["next"].as_str().unwrap().contains("sooner with"), "{told}");
    let text = run(&["quarantine"]);
    assert!(
        text.contains("Anna Kelly") && text.contains("what you can do") && text.contains("validation_error: correct the field"),
        "{text}"
    );
    let view = rig.store().view("quarantined", "1", "", 10).unwrap();
    assert_eq!((view.columns.last().unwrap().as_str(), view.rows[0].last().unwrap().as_deref()), ("field", Some("email")));
}

/// Our own codes, read off the sources: every one that can park a record has its sentence.
#[test]
fn every_code_of_ours_has_its_advice() {
    const PLACES: [&str; 7] = ["Refusal::new(", "Decision::parked(", "unfit(", "Err((", "ok_or((", "refused(", "Look::Unfit { code: "];
    fn sources(dir: &Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("stories") {
                let text = fs::read_to_string(&path).unwrap();
                out.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
            }
        }
    }
    let mut texts = Vec::new();
    for module in ["engine", "connectors"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module), &mut texts);
    }
    let mut codes = BTreeSet::new();
    for text in &texts {
        for place in PLACES {
            for (at, _) in text.match_indices(place) {
                // The first text among the arguments, if it looks like a code.
                let rest: String = text[at + place.len()..].chars().take(120).collect();
                let end = rest.find(';').unwrap_or(rest.len());
                let code = rest[..end].split('"').nth(1).unwrap_or_default();
                if code.contains('-') && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    assert!(codes.len() > 20, "the codes were not found: {codes:?}");
    let without: Vec<&String> = codes.iter().filter(|code| !has_advice(code)).collect();
    assert!(without.is_empty(), "no advice for {without:?}");
}
