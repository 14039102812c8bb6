//! A first load that replaces what the platform holds: at a person's word and not without, backed up, taken up where it was left.
//! Told with LicenseSpring's simulator: the engine does not know which platform it is.

use super::rig::{Rig, SHIPPED};
use lockstep::{
    config::FirstLoad,
    daemon::{Session, Work},
    engine::{Engine, Options, Phase, Report, RunKind},
    record::Sides,
    sandbox::licensespring::Object,
    store::Store,
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

const TARGET: &str = "https://platform.example key-1";

/// The shipped rules without orders and what hangs on them.
fn customers_only(text: String) -> String {
    let (head, rest) = text.split_once("# ── What an order").unwrap();
    let (_, rest) = rest.split_once("# ── Accounts").unwrap();
    let (objects, _) = rest.split_once("# ── Orders, licenses").unwrap();
    format!("{head}# ── Accounts{objects}")
}

/// Two accounts with a contact each in Salesforce; others on the platform.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.write_rules(customers_only);
    for (name, mail) in [("Acme", "a@acme.example"), ("Bravo", "b@bravo.example")] {
        let account = rig.account(name);
        rig.contact(&account, "Ann", name, mail);
    }
    let mut world = rig.platform.world();
    for n in 0..25 {
        world.add_account(&json!({"code": format!("old-{n}"), "name": format!("Old {n}")})).unwrap();
        world.add_customer(&json!({"email": format!("old{n}@old.example"), "last_name": format!("Old {n}")})).unwrap();
    }
    drop(world);
    rig
}

async fn with<T>(rig: &Rig, work: impl AsyncFnOnce(&Engine<'_>) -> T) -> T {
    let config = rig.config();
    let connectors = config.connect().unwrap();
    let store = rig.store();
    let state = rig.state();
    let engine = Engine {
        store: &store,
        rules: &config.rules,
        limits: config.limits,
        sides: Sides::new(&*connectors.salesforce, &*connectors.platform),
        clock: &chrono::Utc::now,
        state_dir: Some(Path::new(&state)),
        confirm_after: config.confirm_after,
        allow_mixed: config.allow_sandbox_with_production,
        stop: CancellationToken::new(),
    };
    work(&engine).await
}

async fn consent(rig: &Rig) {
    with(rig, async |engine| engine.consent_to_replace(TARGET, "…ey-1").unwrap()).await;
}

async fn replace(rig: &Rig, target: &str) -> anyhow::Result<Report> {
    with(rig, async |engine| engine.replace(target).await).await
}

async fn phase(rig: &Rig, target: &str) -> Option<Phase> {
    with(rig, async |engine| engine.standing_of_replacement(target).unwrap().map(|s| s.phase)).await
}

fn held(rig: &Rig) -> (usize, usize) {
    (rig.ls_rows(Object::Account).len(), rig.ls_rows(Object::Customer).len())
}

fn backup(rig: &Rig) -> Vec<Value> {
    let file = std::fs::read_dir(rig.state()).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "jsonl"));
    let text = std::fs::read_to_string(file.unwrap()).unwrap();
    text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_without_a_word_nothing_is_deleted_and_a2_a_word_is_for_one_platform() {
    let rig = rig().await;
    assert!(replace(&rig, TARGET).await.unwrap_err().to_string().contains("nobody consented"));
    consent(&rig).await;
    assert!(replace(&rig, "https://platform.example key-2").await.unwrap_err().to_string().contains("nobody consented"));
    assert_eq!(held(&rig), (25, 25));
    assert_eq!(phase(&rig, TARGET).await, Some(Phase::Consented));
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a_run_without_a_word_is_refused_and_stands_in_the_history() {
    let rig = rig().await;
    let mut config = rig.config();
    config.first_load = Some(FirstLoad { target: TARGET.to_owned(), word: "word".into() });
    let store = Arc::new(rig.store());
    let session = Session::new(config, store.clone(), &rig.state()).unwrap();
    let report = session.run(Options::new(RunKind::Delta, "schedule"), CancellationToken::new()).await.unwrap();
    assert!(report.outcome == "failed" && report.error.unwrap().contains("nobody has consented"));
    assert_eq!((held(&rig), store.runs(10).unwrap()[0].outcome.as_str()), ((25, 25), "failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_after_the_load_the_platform_holds_what_salesforce_has_and_a_second_run_makes_nothing() {
    let rig = rig().await;
    consent(&rig).await;
    let report = replace(&rig, TARGET).await.unwrap();
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 4), "{}", rig.changes());
    assert_eq!(held(&rig), (2, 2));
    for row in rig.ls_rows(Object::Customer) {
        assert_eq!(row["reference"].as_str().unwrap().len(), 18);
    }
    assert_eq!(phase(&rig, TARGET).await, Some(Phase::Active));
    // A5: once active, nothing leads back but a new word.
    assert!(replace(&rig, TARGET).await.unwrap_err().to_string().contains("a new one is needed"));
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a4_everything_is_in_the_backup_before_children_and_then_parents_go() {
    let rig = rig().await;
    let customer = rig.ls_id(Object::Customer, "last_name", "Old 0");
    let account = rig.ls_id(Object::Account, "code", "old-0");
    // An account with a customer cannot be deleted: only children first can work.
    rig.ls_update(Object::Customer, customer, json!({"customer_account": account}));
    consent(&rig).await;
    replace(&rig, TARGET).await.unwrap();
    let lines = backup(&rig);
    assert_eq!(lines.len(), 50);
    let old = lines.iter().find(|l| l["id"] == json!(account.to_string()) && l["object"] == "account").unwrap();
    assert_eq!(old["fields"]["name"], "Old 0");
    assert_eq!(held(&rig), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_a_step_that_fails_before_the_wipe_deletes_nothing_and_uses_the_word_up() {
    let rig = rig().await;
    consent(&rig).await;
    rig.salesforce_fault(json!({"on": "/services/oauth2/token", "times": 0, "do": {"status": 400, "body": "{\"error\":\"invalid_client\"}", "content_type": "application/json"}}));
    let error = format!("{:#}", replace(&rig, TARGET).await.unwrap_err());
    assert!(error.contains("nothing was deleted"), "{error}");
    assert_eq!((held(&rig), phase(&rig, TARGET).await), ((25, 25), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_a_wipe_that_was_left_goes_on_and_a_lost_memory_starts_none() {
    let rig = rig().await;
    consent(&rig).await;
    rig.platform_fault(json!({"on": "DELETE /api/v1/customer-accounts/", "nth": 5, "times": 0, "do": {"status": 400, "body": "{\"detail\":\"not now\"}", "content_type": "application/json"}}));
    assert!(replace(&rig, TARGET).await.is_err());
    assert_eq!(phase(&rig, TARGET).await, Some(Phase::Wiping));
    assert!(
        with(&rig, async |engine| engine.consent_to_replace(TARGET, "x").is_err()).await,
        "the word that was given is good until it is carried out"
    );
    rig.clear_faults();
    // The next run of the daemon takes it up.
    let mut config = rig.config();
    config.first_load = Some(FirstLoad { target: TARGET.to_owned(), word: "word".into() });
    let session = Session::new(config, Arc::new(rig.store()), &rig.state()).unwrap();
    let report = session.run(Options::new(RunKind::Delta, "schedule"), CancellationToken::new()).await.unwrap();
    assert_eq!(report.error, None);
    assert_eq!((held(&rig), phase(&rig, TARGET).await), ((2, 2), Some(Phase::Active)));
    assert_eq!(backup(&rig).len(), 50, "each record once");

    // Another state directory knows of nothing.
    std::fs::remove_dir_all(rig.state()).unwrap();
    let fresh = Store::open(&rig.state()).unwrap();
    assert_eq!(fresh.meta("replace").unwrap(), None);
    drop(fresh);
    assert!(replace(&rig, TARGET).await.is_err());
    assert_eq!(held(&rig), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_looking_counts_and_writes_nothing() {
    let rig = rig().await;
    let before = rig.store().dump().unwrap();
    let counts = with(&rig, async |engine| engine.replacement().await.unwrap()).await;
    let shown: Vec<_> = counts.iter().map(|c| (c.object.as_str(), c.deleted, c.created)).collect();
    assert_eq!(shown, [("account", 25, 2), ("contact", 25, 2)]);
    assert_eq!((held(&rig), rig.store().dump().unwrap()), ((25, 25), before));
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_the_load_goes_from_salesforce_whether_the_rules_are_one_way_or_two_way() {
    for direction in ["both", "to-platform"] {
        let rig = rig().await;
        rig.write_rules(|text| customers_only(text).replace("direction = \"both\"", &format!("direction = {direction:?}")));
        let before = rig.sf_rows("Account").len() + rig.sf_rows("Contact").len();
        consent(&rig).await;
        let report = replace(&rig, TARGET).await.unwrap();
        assert_eq!((report.writes.salesforce, report.writes.platform, held(&rig)), (0, 4, (2, 2)), "{direction}");
        assert_eq!(rig.sf_rows("Account").len() + rig.sf_rows("Contact").len(), before, "{direction}: nothing of the platform got there");
    }
}

/// S2, S4: what is not chosen stays untouched; chosen later it is loaded without a wipe, and no longer chosen it simply stops.
#[tokio::test(flavor = "multi_thread")]
async fn s4_an_object_chosen_later_is_loaded_without_a_wipe() {
    let rig = rig().await;
    rig.write_rules(|text| customers_only(text).split_once("# ── Contacts").unwrap().0.to_owned());
    consent(&rig).await;
    replace(&rig, TARGET).await.unwrap();
    assert_eq!(held(&rig), (2, 25), "contacts are not chosen");

    rig.write_rules(customers_only);
    rig.approved().await;
    rig.approved().await;
    assert_eq!(held(&rig), (2, 27), "{}", rig.changes());

    rig.write_rules(|text| customers_only(text).split_once("# ── Contacts").unwrap().0.to_owned());
    let contact = rig.sf_rows("Contact").remove(0)["Id"].as_str().unwrap().to_owned();
    rig.sf_update("Contact", &contact, json!({"LastName": "King"}));
    let report = rig.once().await;
    assert_eq!((report.writes.salesforce, report.writes.platform, held(&rig)), (0, 0, (2, 27)), "{}", rig.changes());
}

#[test]
fn the_shipped_rules_still_have_the_sections_this_page_cuts_at() {
    for mark in ["# ── What an order", "# ── Accounts", "# ── Orders, licenses"] {
        assert!(SHIPPED.contains(mark));
    }
}
