//! Runs, their rows in the history, and the full re-sync that waits to be taken up.

use super::Desk;
use lockstep::engine::{Options, RunKind};
use serde_json::{Value, json};

/// I5: one row per run, with kind, outcome, counts and what went wrong; a failed one leaves its row too.
#[tokio::test]
async fn i5_every_run_has_its_row_and_a_failed_one_too() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    desk.edit("Account", &acme, json!({"Phone": "1"}));
    desk.ok(1).await;
    desk.fault(json!({"on": "GET /customers", "times": 0, "do": {"status": 500, "body": "", "content_type": "text/html"}}));
    desk.once().await;
    desk.calm();
    desk.full().await;
    let rows = desk.runs();
    let told: Vec<(&str, &str, u64)> = rows.iter().map(|r| (r.kind.as_str(), r.outcome.as_str(), r.writes.platform)).take(3).collect();
    assert_eq!(told, [("full", "ok", 0), ("delta", "failed", 0), ("delta", "ok", 1)]);
    assert!(rows.iter().all(|row| row.finished_at.is_some() && !row.started_at.is_empty()));
    assert!(rows[1].error.as_deref().is_some_and(|e| e.contains("platform")), "{rows:#?}");
    let history: Value = serde_json::from_slice(&desk.command(&["history", "--json"]).stdout).unwrap();
    assert!(history.to_string().contains("failed"), "{history}");
    let changes = desk.changes();
    assert!(changes.contains("account") && changes.contains("platform"), "{changes}");
}

/// Z1: asking starts nothing; the wish outlives the process, is one however often it is made, and stays if its run fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn z1_a_resync_is_a_wish_that_is_kept_until_it_was_fulfilled() {
    let desk = Desk::in_step().await;
    let calls = desk.lac_calls(|_| true);
    for _ in 0..2 {
        assert_eq!(desk.command(&["resync"]).status.code(), Some(0));
    }
    assert_eq!(desk.lac_calls(|_| true), calls, "nothing is started by it");
    let open = || desk.store().open_requests().unwrap().len();
    assert!(open() > 0);
    desk.fault(json!({"on": "GET /customers", "times": 0, "do": {"status": 500, "body": "", "content_type": "text/html"}}));
    let failed = desk.command(&["once", "--json"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(open() > 0, "a failed full run keeps the wish");
    desk.calm();
    for (kind, left) in [("full", 0), ("delta", 0)] {
        let report: Value = serde_json::from_slice(&desk.command(&["once", "--json"]).stdout).unwrap();
        assert_eq!((&report["kind"], &report["outcome"], open()), (&json!(kind), &json!("ok"), left), "{report}");
    }
}

/// Z2: a full run goes by no watermark: an edit with an old stamp, which no delta ever reads, is found.
#[tokio::test]
async fn z2_a_full_run_reads_and_compares_everything() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let old = "2026-01-02T03:04:05Z".parse().unwrap();
    desk.tick(86_400);
    desk.once().await;
    desk.org().update_at("Account", &acme, &json!({"Phone": "1"}), old).unwrap();
    desk.ok(0).await;
    let report = desk.full().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 1), "{report:#?}\n{}", desk.changes());
    assert_eq!(desk.customer("Acme").text("phone_number"), "1");
    desk.quiet().await;
}

/// D1, I1: a run without changes costs one call to Salesforce, the list of customers, and no write.
#[tokio::test]
async fn d1_a_run_without_changes_reads_and_writes_nothing() {
    let desk = Desk::in_step().await;
    let report = desk.run(Options::new(RunKind::Delta, "once")).await;
    assert_eq!((report.writes.salesforce, report.writes.platform, report.calls.salesforce), (0, 0, 1), "{report:#?}");
    assert!(report.calls.platform <= 6, "{report:#?}");
}
