//! What a careful reader doubted: partial failures, interrupted runs, merges, holds and restores, each told end to end.

use crate::rig::Rig;
use chrono::{DateTime, Duration, Utc};
use lockstep::{
    engine::{Engine, Options, Report, RunKind},
    record::Sides,
    sandbox::licensespring::Object,
    store::Store,
};
use serde_json::json;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio_util::sync::CancellationToken;

const LONG: i64 = 20 * 60;

/// A run whose own clock moves on by some seconds each time it is looked at, as in a run that takes its time.
async fn slow_run(rig: &Rig, options: Options, seconds: i64) -> Report {
    let config = rig.config();
    let connectors = config.connect().unwrap();
    let store = rig.store();
    let looks = AtomicI64::new(0);
    let start = Utc::now() + Duration::seconds(rig.ahead.load(Ordering::SeqCst));
    let clock = move || -> DateTime<Utc> { start + Duration::seconds(looks.fetch_add(seconds, Ordering::SeqCst)) };
    let engine = Engine {
        store: &store,
        rules: &config.rules,
        limits: config.limits,
        sides: Sides::new(&*connectors.salesforce, &*connectors.platform),
        clock: &clock,
        state_dir: None,
        confirm_after: config.confirm_after,
        allow_mixed: false,
        stop: CancellationToken::new(),
    };
    engine.run(&options).await.unwrap()
}

/// A run that is told to stop as soon as the store shows this.
async fn stopped_when(rig: &Rig, seen: impl Fn(&Store) -> bool + Send + Sync) -> Report {
    let config = rig.config();
    let connectors = config.connect().unwrap();
    let store = rig.store();
    let stop = CancellationToken::new();
    let clock = || -> DateTime<Utc> {
        if seen(&store) {
            stop.cancel();
        }
        Utc::now() + Duration::seconds(rig.ahead.load(Ordering::SeqCst))
    };
    let engine = Engine {
        store: &store,
        rules: &config.rules,
        limits: config.limits,
        sides: Sides::new(&*connectors.salesforce, &*connectors.platform),
        clock: &clock,
        state_dir: None,
        confirm_after: config.confirm_after,
        allow_mixed: false,
        stop: stop.clone(),
    };
    engine.run(&Options::new(RunKind::Delta, "once")).await.unwrap()
}

fn row_where(rows: Vec<serde_json::Value>, field: &str, value: &str) -> Option<serde_json::Value> {
    rows.into_iter().find(|r| r[field] == json!(value))
}

fn link_state(rig: &Rig, salesforce_id: &str) -> Option<String> {
    rig.store().view("links", "salesforce_id = ?1", salesforce_id, 10).unwrap().rows.first().and_then(|r| r[4].clone())
}

async fn licensed(rig: &Rig, count: u32) -> (String, String) {
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&acme, Some(&anna), &[(&pro, count)]);
    rig.activate(&order);
    rig.once().await;
    assert_eq!(rig.sf_rows("License__c").len(), count as usize, "{}", rig.changes());
    (acme, anna)
}

// ── merges ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// S4: the survivor of a merge is not made a second time while the link moves to it, and it converges at once.
#[tokio::test]
async fn a_merge_into_a_record_that_is_new_itself_makes_no_second_one() {
    let rig = Rig::start().await;
    let lose = rig.account("Acme Inc");
    rig.once().await;
    let keep = rig.account("Acme");
    rig.salesforce.world().merge("Account", &keep, &[&lose], &json!({})).unwrap();
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
    let rows = rig.ls_rows(Object::Account);
    assert_eq!(rows.len(), 1, "{rows:#?}\n{}", rig.changes());
    assert_eq!(rows[0]["name"], json!("Acme"), "{}", rig.changes());
    rig.quiet().await;
}

/// Both losers of one merge were linked, the survivor was not.
#[tokio::test]
async fn two_losers_of_one_merge_do_not_stop_the_engine() {
    let rig = Rig::start().await;
    let (one, two) = (rig.account("Acme Inc"), rig.account("Acme Ltd"));
    rig.once().await;
    let keep = rig.account("Acme");
    rig.salesforce.world().merge("Account", &keep, &[&one, &two], &json!({})).unwrap();
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
    assert_eq!(rig.ls_rows(Object::Account).len(), 2, "nothing is deleted, nothing is made");
    assert!(row_where(rig.ls_rows(Object::Account), "name", "Acme").is_some(), "{}", rig.changes());
    rig.quiet().await;
}

/// A merge where both were linked is not undone because the loser's record is still on the platform.
#[tokio::test]
async fn the_loser_of_a_merge_does_not_come_back_from_the_platform() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replacen("create = \"to-platform\"", "create = \"both\"", 1));
    let (keep, lose) = (rig.account("Acme"), rig.account("Acme Inc"));
    rig.once().await;
    rig.salesforce.world().merge("Account", &keep, &[&lose], &json!({})).unwrap();
    for _ in 0..3 {
        rig.tick(120);
        rig.once().await;
    }
    assert_eq!(rig.sf_rows("Account").len(), 1, "{}", rig.changes());
    rig.quiet().await;
}

// ── absence and tombstones ───────────────────────────────────────────────────────────────────────────────────────────

/// S5: a re-read inside the lookback is not an edit.
#[tokio::test]
async fn a_tombstone_is_not_undone_by_reading_the_same_row_again() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.platform.world().delete(Object::Customer, id).unwrap();
    rig.once().await;
    rig.tick(120);
    rig.once().await;
    assert_eq!(link_state(&rig, &anna).as_deref(), Some("buried"), "{}", rig.changes());
    for _ in 0..2 {
        let report = rig.once().await;
        assert_eq!(report.writes.platform, 0, "nobody edited it: {}", rig.changes());
    }
    assert_eq!(rig.ls_rows(Object::Customer).len(), 1);
}

/// A create whose outcome nobody knew, and its record deleted meanwhile: the deletion is not forgotten.
#[tokio::test]
async fn a_deletion_during_an_unknown_create_is_seen() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.platform_fault(json!({"on": "POST /api/v1/customers/", "times": 1, "do": "reset_after"}));
    rig.platform_fault(json!({"on": "reference=", "nth": 2, "times": 0, "do": "reset_before"}));
    rig.once().await;
    let open = rig.store().open_promises("contact").unwrap().len();
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    // Nobody knows for longer than the lookback reaches.
    rig.once().await;
    rig.tick(LONG);
    rig.clear_faults();
    for _ in 0..2 {
        rig.once().await;
        rig.tick(LONG);
    }
    assert_eq!(open, 1, "the stage is set");
    assert_eq!(link_state(&rig, &anna).as_deref(), Some("deleted-in-salesforce"), "{}", rig.changes());
}

/// A plan to delete is one plan, however many laps the run takes.
#[tokio::test]
async fn a_second_lap_does_not_delete_twice() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("parent = \"account\"\non-salesforce-delete = \"report\"", "parent = \"account\"\non-salesforce-delete = \"delete\"")
    });
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    // A pair that is found makes the run look twice.
    rig.platform.world().add_customer(&json!({"email": "cy@acme.example"})).unwrap();
    rig.once().await;
    rig.contact(&acme, "Cy", "Young", "cy@acme.example");
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
    assert!(row_where(rig.ls_rows(Object::Customer), "email", "anna@acme.example").is_none(), "{}", rig.changes());
    let deletes = rig.store().view("record_history", "salesforce_id = ?1 AND what = 'delete'", &anna, 10).unwrap();
    assert_eq!(deletes.rows.len(), 1, "{deletes:#?}");
    rig.quiet().await;
}

/// A customer with licenses is never deleted, whatever the rule says.
#[tokio::test]
async fn a_customer_with_licenses_is_never_deleted() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("parent = \"account\"\non-salesforce-delete = \"report\"", "parent = \"account\"\non-salesforce-delete = \"delete\"")
    });
    let (_, anna) = licensed(&rig, 1).await;
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 1), "{report:#?}\n{}", rig.changes());
    assert_eq!(link_state(&rig, &anna).as_deref(), Some("deleted-in-salesforce"));
}

/// `disable`: a license whose row is deleted in Salesforce is disabled, even if the first try fails.
#[tokio::test]
async fn a_disable_that_failed_is_tried_again() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("parent = \"order\"\n", "parent = \"order\"\non-salesforce-delete = \"disable\"\n"));
    licensed(&rig, 2).await;
    let license = rig.sf_rows("License__c").remove(0);
    rig.salesforce.world().delete("License__c", license["Id"].as_str().unwrap()).unwrap();
    rig.platform_fault(json!({"on": "/disable/", "times": 40, "do": {"status": 503, "body": "", "content_type": "text/html"}}));
    rig.once().await;
    rig.clear_faults();
    rig.tick(120);
    rig.once().await;
    rig.tick(120);
    rig.once().await;
    let off = rig.ls_rows(Object::License).iter().filter(|l| l["enabled"] == json!(false)).count();
    assert_eq!(off, 1, "{}", rig.changes());
    assert_eq!(link_state(&rig, license["Id"].as_str().unwrap()).as_deref(), Some("deleted-in-salesforce"), "{}", rig.changes());
    rig.quiet().await;
}

/// Anything that takes a license away counts as destructive.
#[tokio::test]
async fn a_mass_disable_is_held_as_destructive() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("destructive = { count = 10, percent = 10 }", "destructive = { count = 2, percent = 10 }"));
    licensed(&rig, 6).await;
    for row in rig.sf_rows("License__c") {
        rig.sf_update("License__c", row["Id"].as_str().unwrap(), json!({"Enabled__c": false}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("held", 0), "{report:#?}");
    assert!(rig.ls_rows(Object::License).iter().all(|l| l["enabled"] == json!(true)), "{}", rig.changes());
    let report = rig.approved().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 6), "{report:#?}");
}

/// A released hold of an emptied side lets go: the absence is then proved as any other.
#[tokio::test]
async fn an_emptied_side_that_was_released_is_believed() {
    let rig = Rig::start().await;
    licensed(&rig, 1).await;
    let platform_license = rig.ls_rows(Object::License).remove(0)["id"].as_i64().unwrap();
    let codes: Vec<String> = rig.sf_rows("License_Feature__c").iter().map(|r| r["Code__c"].as_str().unwrap().to_owned()).collect();
    assert!(!codes.is_empty());
    for code in &codes {
        rig.platform.world().remove_feature(platform_license, code).unwrap();
    }
    assert_eq!(rig.once().await.outcome, "held");
    let hold = rig.store().holds().unwrap().remove(0);
    let now = Utc::now();
    rig.store().approve(&hold.object, &hold.side, &hold.verb, hold.count, now, now + Duration::hours(24)).unwrap();
    for _ in 0..3 {
        rig.tick(120);
        rig.once().await;
    }
    assert_eq!(rig.sf_rows("License_Feature__c").len(), 0, "{:#?}\n{}", rig.store().holds().unwrap(), rig.changes());
    assert_eq!(rig.once().await.outcome, "ok");
}

// ── fields and conflicts ─────────────────────────────────────────────────────────────────────────────────────────────

/// B8 from the other side: what the platform shows meanwhile is kept until the field may be read again.
#[tokio::test]
async fn a_platform_edit_of_a_frozen_field_travels_when_it_thaws() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"Phone": "+46 1"}));
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.tick(LONG);
    rig.once().await;
    rig.salesforce.world().hide_field("Contact", "Phone", true).unwrap();
    rig.ls_update(Object::Customer, id, json!({"phone": "+46 2", "city": "Lund"}));
    rig.once().await;
    assert_eq!(rig.sf("Contact", &anna)["MailingCity"], json!("Lund"), "{}", rig.changes());
    rig.salesforce.world().hide_field("Contact", "Phone", false).unwrap();
    rig.once().await;
    assert_eq!(rig.sf("Contact", &anna)["Phone"], json!("+46 2"), "{}", rig.changes());
    rig.quiet().await;
}

async fn manual_clash(rig: &Rig) -> (String, i64, i64) {
    rig.write_rules(|t| t.replace("LastName = \"last_name\"", "LastName = { to = \"last_name\", conflict = \"manual\" }"));
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.ls_update(Object::Customer, id, json!({"last_name": "Berg"}));
    assert_eq!(rig.once().await.conflicts, 1);
    let conflict = rig.store().conflicts(true, 10).unwrap().remove(0).id;
    (anna, id, conflict)
}

/// The number a person was shown is the number they can restore, and one clash is one conflict.
#[tokio::test]
async fn an_open_conflict_is_recorded_once() {
    let rig = Rig::start().await;
    let (_, _, conflict) = manual_clash(&rig).await;
    for report in [rig.once().await, rig.full().await, rig.once().await] {
        assert_eq!((report.conflicts, report.conflicts_open), (0, 1), "{report:#?}\n{}", rig.changes());
    }
    assert_eq!(rig.store().conflicts(true, 10).unwrap().remove(0).id, conflict);
}

#[tokio::test]
async fn an_open_conflict_closes_when_people_settle_it_themselves() {
    let rig = Rig::start().await;
    let (anna, _, _) = manual_clash(&rig).await;
    rig.sf_update("Contact", &anna, json!({"LastName": "Berg"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.conflicts_open), ("ok", 0), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn an_open_conflict_closes_when_one_side_takes_its_edit_back() {
    let rig = Rig::start().await;
    let (anna, _, _) = manual_clash(&rig).await;
    rig.sf_update("Contact", &anna, json!({"LastName": "Kelly"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.conflicts_open), ("ok", 0), "{report:#?}");
    assert_eq!(rig.sf("Contact", &anna)["LastName"], json!("Berg"), "{}", rig.changes());
    rig.quiet().await;
}

/// A restore that was held has restored nothing.
#[tokio::test]
async fn a_restore_that_is_held_is_not_called_restored() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    rig.sf_update("Account", &acme, json!({"Name": "Acme Holding"}));
    rig.ls_update(Object::Account, id, json!({"name": "Acme Group"}));
    rig.once().await;
    let conflict = rig.store().conflicts(false, 1).unwrap().remove(0).id;
    rig.write_rules(|t| t.replace("changes = { count = 500, percent = 30 }", "changes = { count = 0, percent = 0 }"));
    let restore = Options { restore: vec![conflict], ..Options::new(RunKind::Delta, "restore") };
    rig.run(restore.clone()).await;
    assert_eq!(rig.ls_rows(Object::Account)[0]["name"], json!("Acme Holding"));
    assert_eq!(rig.store().conflict(conflict).unwrap().unwrap().state, "decided");
    rig.run(Options { approve: true, ..restore }).await;
    assert_eq!(rig.store().conflict(conflict).unwrap().unwrap().state, "restored");
    assert_eq!(rig.ls_rows(Object::Account)[0]["name"], json!("Acme Group"));
}

/// The number of a link is never given to another pair: a restore must not write one person's value to another.
#[tokio::test]
async fn a_restore_never_reaches_another_pair() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("parent = \"account\"\non-salesforce-delete = \"report\"", "parent = \"account\"\non-salesforce-delete = \"delete\"")
    });
    let acme = rig.account("Acme");
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.ls_update(Object::Customer, id, json!({"last_name": "Berg"}));
    assert_eq!(rig.once().await.conflicts, 1);
    let conflict = rig.store().conflicts(false, 1).unwrap().remove(0).id;
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    rig.once().await;
    let cy = rig.contact(&acme, "Cy", "Young", "cy@acme.example");
    rig.once().await;
    rig.run(Options { restore: vec![conflict], ..Options::new(RunKind::Delta, "restore") }).await;
    assert_eq!(rig.sf("Contact", &cy)["LastName"], json!("Young"), "{}", rig.changes());
}

// ── quarantine ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// A value that does not fit is in quarantine in the very run that finds it, though the record's other fields travel.
#[tokio::test]
async fn a_parked_value_is_visible_beside_a_write_that_went_well() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.ls_update(Object::Customer, id, json!({"first_name": "x".repeat(60), "phone": "+46 8 1"}));
    let report = rig.once().await;
    assert_eq!(rig.sf("Contact", &anna)["Phone"], json!("+46 8 1"), "{}", rig.changes());
    assert_eq!((report.outcome.as_str(), report.quarantined), ("partial", 1), "{report:#?}");
    let parked = rig.store().quarantine(10).unwrap().remove(0);
    let report = rig.once().await;
    assert_eq!((report.quarantined, rig.store().quarantine(10).unwrap().remove(0)), (1, parked), "{report:#?}");
}

/// A record in quarantine still takes what the other side says about its other fields.
#[tokio::test]
async fn news_of_the_partner_does_not_wait_for_a_quarantine() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.platform_fault(json!({"on": "PATCH /api/v1/customers/", "times": 0, "do": {"status": 400, "body": "{\"last_name\":[\"Not a name.\"]}", "content_type": "application/json"}}));
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    assert_eq!(rig.once().await.quarantined, 1);
    rig.ls_update(Object::Customer, id, json!({"city": "Lund"}));
    rig.once().await;
    assert_eq!(rig.sf("Contact", &anna)["MailingCity"], json!("Lund"), "{}", rig.changes());
    let attempts = rig.store().quarantine(10).unwrap().remove(0).attempts;
    rig.once().await;
    rig.once().await;
    assert_eq!(rig.store().quarantine(10).unwrap().remove(0).attempts, attempts, "the back-off holds");
}

// ── waiting, stopping, first loads ───────────────────────────────────────────────────────────────────────────────────

/// The parent was linked in a run in which the children could not be looked at.
#[tokio::test]
async fn children_wake_even_if_their_own_turn_failed_when_the_parent_came() {
    let rig = Rig::start().await;
    let other = rig.account("Other");
    rig.contact(&other, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    rig.platform_fault(json!({"on": "POST /api/v1/customer-accounts/", "times": 0, "do": {"status": 400, "body": "{\"name\":[\"Not a name.\"]}", "content_type": "application/json"}}));
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    rig.clear_faults();
    rig.tick(LONG);
    stopped_when(&rig, |store| store.link_count("account").is_ok_and(|n| n == 2)).await;
    assert_eq!((rig.ls_rows(Object::Account).len(), rig.ls_rows(Object::Customer).len()), (2, 1), "the stage is set: {}", rig.changes());
    for _ in 0..2 {
        rig.tick(LONG);
        rig.once().await;
    }
    assert_eq!(rig.ls_rows(Object::Customer).len(), 2, "{}", rig.changes());
    rig.quiet().await;
}

/// A parent that comes back from a tombstone wakes its children too.
#[tokio::test]
async fn children_wake_when_their_parent_is_revived() {
    let rig = Rig::start().await;
    let (acme, other) = (rig.account("Acme"), rig.account("Other"));
    rig.contact(&other, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Account, "name", "Acme");
    let row = rig.platform.world().get(Object::Account, id).unwrap();
    rig.platform.world().delete(Object::Account, id).unwrap();
    rig.once().await;
    rig.tick(120);
    rig.once().await;
    assert_eq!(link_state(&rig, &acme).as_deref(), Some("buried"));
    rig.tick(LONG);
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::Customer).len(), 1, "it waits");
    rig.platform.world().put(Object::Account, &json!({"id": id, "name": row["name"], "code": row["code"]})).unwrap();
    for _ in 0..2 {
        rig.tick(LONG);
        rig.once().await;
    }
    assert_eq!(rig.ls_rows(Object::Customer).len(), 2, "{}", rig.changes());
}

/// S16 the right way round: what the first load made does not count against the first day.
#[tokio::test]
async fn a_first_load_that_takes_its_time_does_not_hold_the_next_day() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 3, percent = 20 }"));
    for i in 0..10 {
        rig.account(&format!("Account {i}"));
    }
    let report = slow_run(&rig, Options::new(RunKind::Delta, "once"), 5).await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 10), "{report:#?}");
    rig.tick(3600);
    rig.account("One more");
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 1), "{report:#?} {:#?}", rig.store().holds().unwrap());
}

/// One record that waits for ever does not switch the guard off for ever.
#[tokio::test]
async fn a_waiting_child_does_not_keep_the_first_load_open() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 3, percent = 20 }"));
    let acme = rig.account("Acme");
    rig.platform_fault(json!({"on": "POST /api/v1/customer-accounts/", "body": "Poison", "times": 0, "do": {"status": 400, "body": "{\"name\":[\"Not a name.\"]}", "content_type": "application/json"}}));
    let poison = rig.account("Poison");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&poison, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    rig.once().await;
    rig.tick(60);
    for i in 0..8 {
        rig.contact(&acme, "Mass", &format!("Import {i}"), &format!("mass{i}@acme.example"));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("held", 0), "{report:#?}");
}

/// Rules that were changed after a run that never came to its end are new rules all the same.
#[tokio::test]
async fn rules_changed_after_an_unfinished_first_run_are_noticed() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replacen("match = [[\"name\"]]", "match = [[\"name\"]]\nfilter = 'Phone == \"1\"'", 1));
    rig.account("Acme");
    let out_of_scope = |store: &Store| store.situations().is_ok_and(|s| s.iter().any(|(o, _, w, _)| o == "account" && w == "out-of-scope"));
    assert_eq!(stopped_when(&rig, out_of_scope).await.outcome, "failed");
    rig.write_rules(|t| t);
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::Account).len(), 1, "{:?}", rig.store().situations().unwrap());
}

/// What nobody knows yet is said, not hidden behind an "ok".
#[tokio::test]
async fn an_outcome_that_stays_unknown_is_reported() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.platform_fault(json!({"on": "POST /api/v1/customers/", "times": 1, "do": "reset_after"}));
    rig.platform_fault(json!({"on": "reference=", "nth": 2, "times": 0, "do": "reset_before"}));
    rig.once().await;
    assert_eq!(rig.store().open_promises("contact").unwrap().len(), 1, "the stage is set: {}", rig.changes());
    let report = rig.once().await;
    assert_eq!(rig.store().open_promises("contact").unwrap().len(), 1);
    assert_ne!(report.outcome, "ok", "{report:#?}");
    rig.clear_faults();
    rig.tick(60);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Customer).len()), ("ok", 1), "{report:#?}");
    rig.quiet().await;
}

/// S4: while it is not known whether a feature was added, its own row on the platform is not taken for a new one.
#[tokio::test]
async fn an_unknown_create_does_not_come_back_as_a_new_record() {
    let rig = Rig::start().await;
    licensed(&rig, 1).await;
    let license = rig.sf_rows("License__c").remove(0);
    let platform_license = rig.ls_rows(Object::License).remove(0)["id"].as_i64().unwrap();
    let before: Vec<String> = rig.sf_rows("License_Feature__c").iter().map(|r| r["Code__c"].as_str().unwrap().to_owned()).collect();
    let product = rig.platform.world().get(Object::License, platform_license).unwrap()["product"].clone();
    let code = rig
        .ls_rows(Object::ProductFeature)
        .iter()
        .filter(|f| f["product"] == product)
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .find(|c| !before.contains(c));
    let code = code.expect("the fixture has a free feature");
    let row = rig.sf_insert("License_Feature__c", json!({"License__c": license["Id"], "Code__c": code}));
    rig.platform_fault(json!({"on": "POST", "body": "product_feature", "do": "reset_after"}));
    rig.platform_fault(json!({"on": "license=", "nth": 2, "times": 60, "do": "reset_before"}));
    rig.once().await;
    let open = rig.store().open_promises("feature").unwrap();
    assert_eq!(open.len(), 1, "the stage is set");
    rig.tick(120);
    rig.once().await;
    rig.clear_faults();
    for _ in 0..2 {
        rig.tick(120);
        rig.once().await;
    }
    let rows = rig.sf_rows("License_Feature__c");
    assert_eq!(rows.iter().filter(|r| r["Code__c"] == json!(code)).count(), 1, "{row} {rows:#?}\n{}", rig.changes());
    rig.quiet().await;
}

/// A Salesforce row we may not see any more is said to be in the way, not skipped in silence for ever.
#[tokio::test]
async fn a_write_whose_record_cannot_be_read_is_not_called_ok() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    rig.salesforce.world().purge("Contact", &anna).unwrap();
    rig.ls_update(Object::Customer, id, json!({"phone": "+46 8 1"}));
    let report = rig.once().await;
    assert_ne!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
}

/// Deleted in Salesforce, edited on the platform meanwhile: the rule deletes, and the history keeps the last state.
#[tokio::test]
async fn a_delete_keeps_the_last_state_in_the_history() {
    let rig = Rig::start().await;
    rig.write_rules(|t| {
        t.replace("parent = \"account\"\non-salesforce-delete = \"report\"", "parent = \"account\"\non-salesforce-delete = \"delete\"")
    });
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.ls_update(Object::Customer, id, json!({"city": "Lund"}));
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    assert_eq!(rig.once().await.writes.platform, 1);
    let story = rig.store().view("record_history", "salesforce_id = ?1 AND what = 'delete'", &anna, 10).unwrap();
    let changes = story.rows[0].last().cloned().flatten().unwrap();
    assert!(changes.contains("Lund") && changes.contains("Kelly"), "{changes}");
}
