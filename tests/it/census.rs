//! A census finds what deltas cannot: late commits of any age, hard deletes, rows never seen, lost access.

use super::rig::Rig;
use lockstep::engine::{Options, Report, RunKind};
use lockstep::record::Side;
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};

async fn census(rig: &Rig) -> Report {
    let report = rig.run(Options::new(RunKind::Census, "once")).await;
    assert_eq!(report.error, None, "{report:#?}");
    report
}

fn edit(rig: &Rig, edit: Value) -> Value {
    let object = edit["object"].as_str().unwrap().to_owned();
    let id = edit["id"].as_str().map(str::to_owned);
    let mut world = rig.salesforce.world();
    let stamp = |text: &Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    match edit["do"].as_str().unwrap() {
        "update" => world.update_at(&object, &id.unwrap(), &edit["fields"], stamp(&edit["stamp"])).unwrap(),
        "delete" => world.delete_at(&object, &id.unwrap(), stamp(&edit["stamp"])).unwrap(),
        other => panic!("{other}"),
    }
    Value::Null
}

/// Long before any lookback.
const OLD: &str = "2026-01-05T04:03:02Z";

async fn with_accounts(n: usize) -> (Rig, Vec<String>) {
    let rig = Rig::start().await;
    let ids = (0..n).map(|i| rig.account(&format!("Account {i}"))).collect();
    rig.once().await;
    rig.quiet().await;
    (rig, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_census_of_a_clean_pair_writes_nothing_reads_nothing_again_and_makes_few_calls() {
    let (rig, _) = with_accounts(3).await;
    let delta = rig.once().await;
    let first = census(&rig).await;
    assert_eq!((first.writes.salesforce, first.writes.platform), (0, 0), "{first:#?}");
    let counts = first.census.unwrap();
    assert!(counts.listed >= 3, "{counts:?}");
    assert_eq!((counts.reread, counts.missing, counts.unseen), (0, 0, 0), "{counts:?}");
    // One call for a page of all five objects, one count for each.
    let more = first.calls.salesforce - delta.calls.salesforce;
    assert!(more <= 6, "{more} calls");
    let row = rig.store().run_row(first.run).unwrap().unwrap();
    assert_eq!((row.kind.as_str(), row.outcome.as_str()), ("census", "ok"));
    assert!(rig.store().last_census().unwrap().is_some());
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_older_than_any_lookback_is_found() {
    let (rig, ids) = with_accounts(3).await;
    rig.tick(3 * 3_600);
    rig.once().await;
    edit(&rig, json!({"do": "update", "object": "Account", "id": ids[1], "fields": {"Name": "Committed late"}, "stamp": OLD}));
    let delta = rig.once().await;
    assert_eq!(delta.writes.platform, 0, "no delta sees it");
    let report = census(&rig).await;
    assert_eq!((report.writes.platform, report.census.unwrap().reread), (1, 1), "{report:#?}\n{}", rig.changes());
    rig.ls_id(Object::Account, "name", "Committed late");
    assert_eq!(census(&rig).await.census.unwrap().reread, 0);
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_delta_ever_showed_is_found() {
    let (rig, _) = with_accounts(1).await;
    rig.tick(3 * 3_600);
    rig.once().await;
    rig.salesforce.world().insert_at("Account", &json!({"Name": "Never seen"}), OLD.parse().unwrap()).unwrap();
    assert_eq!(rig.once().await.writes.platform, 0, "no delta sees it");
    let report = census(&rig).await;
    assert_eq!(report.writes.platform, 1, "{report:#?}");
    rig.ls_id(Object::Account, "name", "Never seen");
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_deletion_is_proved_by_the_first_census() {
    let (rig, ids) = with_accounts(3).await;
    rig.tick(3 * 3_600);
    rig.once().await;
    // Three hours before the clock of the org by now: older than the lookback, and still in the bin.
    let stamp = chrono::Utc::now().to_rfc3339();
    edit(&rig, json!({"do": "delete", "object": "Account", "id": ids[0], "stamp": stamp}));
    rig.once().await;
    assert_eq!(link_state(&rig, &ids[0]), "live", "no delta sees it");
    census(&rig).await;
    assert_eq!(link_state(&rig, &ids[0]), "deleted-in-salesforce", "{}", rig.changes());
    assert_eq!(rig.ls_rows(Object::Account).len(), 3, "the shipped rules only report");
}

fn link_state(rig: &Rig, id: &str) -> String {
    rig.store().link("account", Side::Salesforce, id).unwrap().map_or("none".to_owned(), |link| link.state.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_delete_is_proved_by_two_censuses_and_the_log_of_deletions() {
    let (rig, ids) = with_accounts(3).await;
    rig.salesforce.world().purge("Account", &ids[0]).unwrap();
    let first = census(&rig).await;
    assert_eq!(link_state(&rig, &ids[0]), "live", "missing once proves nothing");
    assert_eq!(first.census.unwrap().missing, 1);
    rig.tick(3_600);
    let second = census(&rig).await;
    assert_eq!(link_state(&rig, &ids[0]), "deleted-in-salesforce", "{second:#?}\n{}", rig.changes());
    assert_eq!(second.census.unwrap().unseen, 0);
    rig.quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_neither_shown_nor_reported_is_named_and_left_alone() {
    let (rig, ids) = with_accounts(3).await;
    rig.write_rules(|text| text.replace("on-salesforce-delete = \"report\"", "on-salesforce-delete = \"delete\""));
    rig.salesforce.world().purge("Account", &ids[2]).unwrap();
    // As for a record that our user lost access to: no list, no id and no log names it.
    rig.salesforce.world().purge_delete_log();
    for _ in 0..3 {
        census(&rig).await;
        rig.tick(3_600);
    }
    let report = census(&rig).await;
    assert_eq!(report.census.unwrap().unseen, 1, "{report:#?}");
    assert_eq!(link_state(&rig, &ids[2]), "live");
    assert_eq!(rig.ls_rows(Object::Account).len(), 3, "nothing was deleted");
    let unseen = rig.store().unseen(10).unwrap();
    assert_eq!((unseen[0].id.as_str(), unseen[0].side.as_str()), (ids[2].as_str(), "salesforce"));
    assert!(unseen[0].reason.contains("purged long ago, or hidden"), "{unseen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_vanish_unreported_are_a_lost_permission_and_no_deletion() {
    let (rig, ids) = with_accounts(30).await;
    for id in &ids[..15] {
        rig.salesforce.world().purge("Account", id).unwrap();
    }
    rig.salesforce.world().purge_delete_log();
    census(&rig).await;
    rig.tick(3_600);
    let report = census(&rig).await;
    assert_eq!((report.census.unwrap().unseen, report.writes.platform), (15, 0));
    let rows =
        rig.store().view("run_statistics", "run = ?1 AND object = 'account' AND side = 'salesforce'", &report.run.to_string(), 5).unwrap();
    let text = serde_json::to_string(&rows.to_json()).unwrap();
    assert!(text.contains("15 of 30 linked records cannot be seen any more"), "{text}");
    assert!(rig.store().unseen(1).unwrap()[0].reason.contains("permissions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_side_is_held() {
    let (rig, ids) = with_accounts(3).await;
    for id in &ids {
        rig.salesforce.world().purge("Account", id).unwrap();
    }
    rig.salesforce.world().purge_delete_log();
    let report = rig.run(Options::new(RunKind::Census, "once")).await;
    assert!(report.held > 0, "{report:#?}");
    assert_eq!(rig.store().suspects("account", Side::Salesforce).unwrap(), 0, "nobody is even a suspect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_census_that_broke_off_goes_on_and_ends() {
    // Two pages of accounts; the second fails for good.
    let rig = Rig::start().await;
    rig.write_rules(|text| text.replace("creates = { count = 100, percent = 20 }", "creates = { count = 9999, percent = 100 }"));
    for i in 0..2_100 {
        rig.account(&format!("Account {i}"));
    }
    rig.once().await;
    rig.quiet().await;
    rig.salesforce_fault(json!({"on": "/composite", "body": "FROM%20Account%20WHERE%20Id%20%3E", "times": 0, "do": {"status": 503}}));
    let before = rig.store().last_census().unwrap();
    rig.tick(60);
    let broken = rig.run(Options::new(RunKind::Census, "schedule")).await;
    assert!(broken.error.is_some(), "{broken:#?}");
    assert!(broken.census.unwrap().listed >= 2_000, "{broken:#?}");
    assert_eq!(rig.store().last_census().unwrap(), before, "it is still due");
    assert_eq!(rig.store().suspects("account", Side::Salesforce).unwrap(), 0, "half a list proves nothing");
    rig.clear_faults();
    let report = census(&rig).await;
    let listed = report.census.unwrap().listed;
    assert!((100..2_000).contains(&listed), "{listed}: it went on where it broke off");
    assert_eq!((report.census.unwrap().missing, report.writes.platform), (0, 0));
    assert!(rig.store().last_census().unwrap() > before);
    assert_eq!(rig.ls_rows(Object::Account).len(), 2_100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_changed_late_is_found_though_its_order_has_the_same_stamp() {
    let rig = Rig::start().await;
    let account = rig.account("Lines");
    let contact = rig.contact(&account, "Ann", "Lines", "ann@lines.example");
    let entry = rig.product("LS-PRO", "Pro");
    let order = rig.order(&account, Some(&contact), &[(&entry, 1)]);
    rig.activate(&order);
    rig.once().await;
    rig.once().await;
    census(&rig).await;
    let again = census(&rig).await;
    assert_eq!(again.census.unwrap().reread, 0, "{again:#?}");
    rig.tick(3 * 3_600);
    rig.once().await;
    let line = rig.sf_rows("OrderItem")[0]["Id"].as_str().unwrap().to_owned();
    // Only a draft can be changed, and this one is still linked.
    rig.sf_update("Order", &order, json!({"Status": "Draft"}));
    rig.once().await;
    census(&rig).await;
    edit(&rig, json!({"do": "update", "object": "OrderItem", "id": line, "fields": {"Quantity": 3}, "stamp": OLD}));
    let stamp = rig.sf("Order", &order)["SystemModstamp"].clone();
    rig.once().await;
    let report = census(&rig).await;
    assert_eq!(rig.sf("Order", &order)["SystemModstamp"], stamp, "the order itself tells nothing");
    assert_eq!(report.census.unwrap().reread, 1, "{report:#?}");
    let held = rig.store().staged_fields("order", Side::Salesforce, &order).unwrap().expect("it is news, and waits until the order is due");
    assert!(format!("{held:?}").contains("Decimal(3"), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_our_user_may_not_see_any_more_is_an_error_and_proves_nothing() {
    let (rig, ids) = with_accounts(3).await;
    let hidden = json!({"status": 404, "content_type": "application/json",
        "body": "[{\"errorCode\":\"NOT_FOUND\",\"message\":\"The requested resource does not exist\"}]"});
    for body in ["", "sobjects/Account/describe"] {
        let on = if body.is_empty() { "sobjects/Account/describe" } else { "/composite" };
        rig.salesforce_fault(json!({"on": on, "body": body, "times": 0, "do": hidden}));
    }
    for _ in 0..2 {
        let report = rig.run(Options::new(RunKind::Census, "once")).await;
        assert!(report.error.is_some(), "{report:#?}");
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0));
        rig.tick(3_600);
    }
    rig.clear_faults();
    assert_eq!((link_state(&rig, &ids[0]).as_str(), rig.store().suspects("account", Side::Salesforce).unwrap()), ("live", 0));
    let report = census(&rig).await;
    assert_eq!((report.census.unwrap().missing, report.writes.platform), (0, 0), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_list_that_the_count_gives_away_counts_for_nothing() {
    let (rig, ids) = with_accounts(3).await;
    // The lists say they are done and show nothing; the count of accounts knows better, and the end is looked at again.
    let empty = |parts: usize| {
        let part = |i| {
            json!({"httpStatusCode": 200, "referenceId": format!("q{i}"), "httpHeaders": {},
                "body": {"totalSize": 0, "done": true, "records": []}})
        };
        json!({"json_200": {"compositeResponse": (0..parts).map(part).collect::<Vec<_>>()}})
    };
    let body = "LIMIT%202000";
    rig.salesforce_fault(json!({"on": "/composite", "body": body, "do": empty(5)}));
    rig.salesforce_fault(json!({"on": "/composite", "body": body, "nth": 2, "times": 0, "do": empty(1)}));
    let report = rig.run(Options::new(RunKind::Census, "once")).await;
    assert_eq!((report.held, report.census.unwrap().missing), (0, 0), "{report:#?}");
    assert_eq!(rig.store().suspects("account", Side::Salesforce).unwrap(), 0);
    let rows = rig.store().view("run_statistics", "run = ?1 AND object = 'account'", &report.run.to_string(), 5).unwrap();
    let said = serde_json::to_string(&rows.to_json()).unwrap();
    assert!(said.contains("0 ids of Account were listed, and salesforce counts 3"), "{said}");
    rig.clear_faults();
    assert_eq!(census(&rig).await.census.unwrap().missing, 0);
    assert_eq!(link_state(&rig, &ids[0]), "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_makes_a_census_on_request() {
    let (rig, _) = with_accounts(3).await;
    let lockstep = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command.args(args).arg("--rules").arg(rig.rules_path()).arg("--state").arg(rig.state()).env_clear().env("PATH", "/usr/bin:/bin");
        let output = command.output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or(Value::Null))
    };
    let (code, said) = lockstep(&["once", "--census", "--json"]);
    assert_eq!((code, &said["kind"], &said["census"]["listed"]), (Some(0), &json!("census"), &json!(3)), "{said:#}");
    let (_, status) = lockstep(&["status", "--json"]);
    assert!(status["last_census"].is_string() && status["unseen"] == json!([]), "{status:#}");
    assert_eq!(lockstep(&["once", "--census", "--full"]).0, Some(2));
}
