//! The switch of the rules, and a full re-sync now or at the next regular interval: the real commands and the real daemon,
//! with a count of every request that either system sees, log-ins too. Statistics and the last changes on top.

use crate::{
    binary::{self, Ended, How, Running},
    kills::story::{Script, Story},
};
use lockstep::store::{RunRow, Store};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Waits for what another process is about to do.
async fn until(what: &str, daemon: &Running, mut seen: impl FnMut() -> bool) {
    let began = Instant::now();
    while !seen() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it does not come:\n{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn rewrite(story: &Story, from: &str, to: &str) {
    let path = story.rig.rules_path();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

const ON: &str = "enabled = true";
const OFF: &str = "enabled = false";

async fn told(story: &Story, args: &[&str]) -> (i32, String, String) {
    match binary::run(&story.rig, args).await {
        Ended::Told { code, report, log } => (code, report, log),
        Ended::Killed => panic!("{args:?}"),
    }
}

async fn json_of(story: &Story, args: &[&str]) -> Value {
    let (code, report, log) = told(story, args).await;
    assert_eq!(code, 0, "{args:?} {report} {log}");
    serde_json::from_str(&report).unwrap_or_else(|e| panic!("{args:?} {e}: {report}"))
}

fn runs(story: &Story) -> Vec<RunRow> {
    Store::open_read_only(&story.rig.state()).unwrap().map(|s| s.runs(50).unwrap()).unwrap_or_default()
}

fn open_requests(story: &Story) -> usize {
    Store::open_read_only(&story.rig.state()).unwrap().map_or(0, |s| s.open_requests().unwrap().len())
}

/// R3.6: off is off, whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_ask_nobody_while_the_rules_are_off() {
    let story = Story::tell(Script::First).await;
    rewrite(&story, ON, OFF);
    for args in [
        &["once"][..],
        &["once", "--full", "--approve"],
        &["once", "--json"],
        &["plan"],
        &["plan", "--exit-code", "--json"],
        &["verify"],
        &["check", "--online"],
        &["check", "--online", "--json"],
        &["first-load"],
    ] {
        let (code, report, log) = told(&story, args).await;
        assert_eq!(code, 5, "{args:?} {report} {log}");
        assert!(log.contains("the rules are switched off (enabled = false in "), "{args:?} {log}");
        if args.contains(&"--json") {
            serde_json::from_str::<Value>(&report).unwrap_or_else(|e| panic!("{args:?} {e}: {report}"));
        }
    }
    let (_, report, _) = told(&story, &["once", "--json"]).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["run"], &report["outcome"]), (&json!(0), &json!("off")), "{report}");
    assert_eq!(report["writes"], json!({"salesforce": 0, "platform": 0}));
    let (_, report, _) = told(&story, &["plan", "--json"]).await;
    let plan: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(plan["actions"], json!([]));
    assert!(plan["summary"]["error"].as_str().unwrap().contains("switched off"), "{plan}");

    // What reads the file or the state alone works as ever.
    let (code, report, _) = told(&story, &["check"]).await;
    assert!(code == 0 && report.contains("no problems; switched off"), "{code} {report}");
    assert_eq!(json_of(&story, &["check", "--json"]).await, json!({"problems": [], "enabled": false}));
    let status = json_of(&story, &["status", "--json"]).await;
    assert_eq!((&status["enabled"], &status["off_since"]), (&json!(false), &Value::Null), "{status}");
    assert_eq!(told(&story, &["status", "--exit-code"]).await.0, 5);
    assert!(told(&story, &["status"]).await.1.contains("rules       off (enabled = false)"));
    assert_eq!(told(&story, &["resync"]).await.0, 0, "a wish is kept");

    assert_eq!(story.desk.seen(), 0, "neither side was asked anything, not even for a log-in");
    rewrite(&story, OFF, ON);
    let ended = binary::run(&story.rig, &["once", "--json"]).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(ended.report()["kind"], json!("full"), "the wish that was kept: {ended:?}");
    assert!(story.desk.seen() > 0, "the desk counts");
    assert_eq!(told(&story, &["status", "--exit-code"]).await.0, 0);
}

/// R3.6, the daemon: it idles, says so once, keeps what is asked, and takes the switch up as any other rule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_idles_while_the_rules_are_off_and_a_reload_switches_it() {
    let story = Story::tell(Script::First).await;
    rewrite(&story, ON, OFF);
    rewrite(&story, "every = \"15m\"", "every = \"1s\"");
    let mut daemon = binary::start(&story.rig, &["run"], How::default());
    let said = "the rules are switched off (enabled = false)";
    until("the word", &daemon, || daemon.said().contains(said)).await;
    let asked = json_of(&story, &["resync", "--json"]).await;
    assert_eq!((&asked["daemon"], &asked["when"]), (&json!(true), &json!("switched-on")), "{asked}");
    let (code, report, _) = told(&story, &["retry"]).await;
    assert!(code == 0 && report.contains("switched off, it takes it up once they are on again"), "{code} {report}");
    // Whoever would wait, would wait for ever.
    let (code, _, log) = told(&story, &["resync", "--wait"]).await;
    assert!(code == 5 && log.contains("switched off"), "{code} {log}");
    daemon.signal("USR2");
    until("the signal", &daemon, || daemon.said().contains("no run: the rules are switched off")).await;
    daemon.signal("USR1");
    daemon.signal("HUP");
    until("the reload", &daemon, || daemon.said().contains("the rules were read again")).await;
    let status = json_of(&story, &["status", "--json"]).await;
    assert!(status["off_since"].is_string() && status["next_run"].is_null(), "{status}");
    assert!(told(&story, &["status"]).await.1.contains("rules       off since "));
    assert_eq!(runs(&story), []);
    assert_eq!(daemon.said().matches(said).count(), 1, "said once:\n{}", daemon.said());
    assert_eq!(story.desk.seen(), 0, "neither side was asked anything, not even for a log-in");

    rewrite(&story, OFF, ON);
    assert!(told(&story, &["status"]).await.1.contains("the daemon has them as they were, off since"));
    daemon.signal("HUP");
    until("a run", &daemon, || runs(&story).iter().any(|r| r.kind == "full" && r.outcome == "ok")).await;
    until("the answers", &daemon, || open_requests(&story) == 0).await;
    assert!(daemon.said().contains("the rules are switched on again"));
    assert!(story.desk.seen() > 0, "the desk counts");

    // And off again, after the run in flight.
    rewrite(&story, ON, OFF);
    daemon.signal("HUP");
    until("the word again", &daemon, || daemon.said().matches(said).count() == 2).await;
    let (seen, ran) = (story.desk.seen(), runs(&story).len());
    daemon.signal("USR2");
    until("the signal", &daemon, || daemon.said().matches("no run: the rules are switched off").count() == 2).await;
    assert_eq!((story.desk.seen(), runs(&story).len()), (seen, ran), "nothing more");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().await.code(), 0, "{}", daemon.said());
}

/// R3.7, Z1: a re-sync for the next regular interval is no re-sync before it, and one for now is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_starts_now_or_at_the_next_regular_interval_as_it_was_asked() {
    let story = Story::tell(Script::First).await;
    rewrite(&story, "every = \"15m\"", "every = \"100d\"");
    let mut daemon = binary::start(&story.rig, &["run"], How::default());
    until("the first run", &daemon, || runs(&story).first().is_some_and(|r| r.cause == "schedule" && r.outcome == "ok")).await;
    let ran = |cause: &str| runs(&story).iter().filter(|r| r.cause == cause && r.outcome == "ok").count();

    let asked = json_of(&story, &["resync", "--at", "next-tick", "--json"]).await;
    assert_eq!(asked["when"], json!("next-tick"), "{asked}");
    // A run that is no interval goes by, and so does a restart.
    daemon.signal("USR2");
    until("a run by signal", &daemon, || ran("signal") == 1).await;
    daemon.signal("TERM");
    assert_eq!(daemon.wait().await.code(), 0);
    let mut daemon = binary::start(&story.rig, &["run"], How::default());
    until("its start", &daemon, || daemon.said().contains("lockstep starts")).await;
    assert_eq!(told(&story, &["retry"]).await.0, 0);
    until("another run", &daemon, || ran("retry") == 1).await;
    until("its answer", &daemon, || open_requests(&story) == 1).await;
    assert_eq!(ran("resync"), 0);

    // Now, while another one waits: one comparison for both.
    let (code, report, log) = told(&story, &["resync", "--at", "now", "--wait", "--json"]).await;
    assert_eq!(code, 0, "{report} {log}");
    let done: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&done["when"], &done["run"]["kind"], &done["run"]["cause"]), (&json!("now"), &json!("full"), &json!("resync")), "{done}");
    assert_eq!((open_requests(&story), ran("resync")), (0, 1));

    // The rules may say it for everybody who does not.
    rewrite(&story, "# resync = \"next-tick\"", "resync = \"next-tick\"");
    daemon.signal("HUP");
    until("the reload", &daemon, || daemon.said().contains("the rules were read again")).await;
    assert_eq!(json_of(&story, &["resync", "--json"]).await["when"], json!("next-tick"));
    daemon.signal("USR2");
    until("another run by signal", &daemon, || ran("signal") == 2).await;
    assert_eq!((open_requests(&story), ran("resync")), (1, 1));
    assert_eq!(told(&story, &["resync", "--at", "later"]).await.0, 2);

    // The interval comes.
    rewrite(&story, "every = \"100d\"", "every = \"1s\"");
    daemon.signal("HUP");
    until("the re-sync", &daemon, || ran("resync") == 2).await;
    until("its answer", &daemon, || open_requests(&story) == 0).await;
    daemon.signal("TERM");
    assert_eq!(daemon.wait().await.code(), 0, "{}", daemon.said());
    assert!(runs(&story).iter().filter(|r| r.cause == "resync").all(|r| r.kind == "full"));
}

/// R4.8: what a life brings, added up and one by one, is what the runs counted and what the sides were sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_8_statistics_by_object_and_the_last_synchronised_records() {
    let story = Story::tell(Script::Life).await;
    story.settle().await;
    let status = json_of(&story, &["status", "--statistics", "--json"]).await;
    let rows = status["statistics"].as_array().unwrap();
    let connection = rusqlite::Connection::open(story.rig.state().join("lockstep.db")).unwrap();
    let by_runs = |object: &str, side: &str| -> Value {
        let sql =
            "SELECT sum(created), sum(changed), sum(deleted), sum(linked), sum(failed) FROM run_statistics WHERE object = ?1 AND side = ?2";
        let n = |r: &rusqlite::Row<'_>, i| r.get::<_, i64>(i);
        connection.query_row(sql, [object, side], |r| Ok(json!([n(r, 0)?, n(r, 1)?, n(r, 2)?, n(r, 3)?, n(r, 4)?]))).unwrap()
    };
    let mut periods = std::collections::BTreeMap::new();
    for row in rows {
        let (object, side) = (row["object"].as_str().unwrap(), row["side"].as_str().unwrap());
        let counts = json!([row["created"], row["changed"], row["deleted"], row["linked"], row["failed"]]);
        // The whole story is of today.
        assert_eq!(counts, by_runs(object, side), "{row}");
        *periods.entry(row["period"].as_str().unwrap()).or_insert(0) += 1;
    }
    let kinds = periods["all"];
    assert!(kinds >= 6 && ["day", "week", "month"].iter().all(|p| periods[p] == kinds), "{periods:?}");
    let all = |object: &str, side: &str, what: &str| {
        rows.iter().find(|r| r["period"] == "all" && r["object"] == object && r["side"] == side).map_or(0, |r| r[what].as_u64().unwrap())
    };
    // Acme, Beta, Double, Delta; Anna, Bo, Dora, Dee; two orders; what the platform issued comes to Salesforce.
    assert_eq!((all("account", "platform", "created"), all("contact", "platform", "created")), (4, 4));
    assert_eq!(all("order", "platform", "created"), 2);
    assert!(all("license", "salesforce", "created") >= 3 && all("feature", "platform", "deleted") == 1, "{rows:#?}");
    assert!(all("account", "salesforce", "changed") > 0 && all("account", "salesforce", "created") == 0);
    let text = told(&story, &["status", "--statistics"]).await.1;
    assert!(text.contains("\nstatistics\nperiod  object"), "{text}");
    assert!(!told(&story, &["status", "--json"]).await.1.contains("statistics"), "only where it is asked for");

    let whole = json_of(&story, &["history", "--last", "10000", "--json"]).await;
    let whole = whole["changes"].as_array().unwrap();
    let five = json_of(&story, &["history", "--last", "5", "--json"]).await;
    assert_eq!(five["changes"].as_array().unwrap()[..], whole[..5], "the newest first");
    assert!(whole.iter().map(|c| c["at"].as_str().unwrap()).is_sorted_by(|newer, older| newer >= older));
    let created =
        |object: &str| whole.iter().filter(|c| c["object"] == object && c["action"] == "create" && c["outcome"] == "done").count();
    assert_eq!((created("account"), created("order")), (4, 2));
    let dee = whole.iter().find(|c| c["object"] == "contact" && c["action"] == "create").unwrap();
    assert_eq!((&dee["direction"], &dee["outcome"]), (&json!("to-platform"), &json!("done")), "{dee}");
    assert!(dee["salesforce_id"].as_str().unwrap().starts_with("003") && dee["platform_id"].is_string() && dee["run"].is_i64(), "{dee}");
    assert!(dee["fields"].as_array().unwrap().iter().any(|f| f["new"] == json!("dee@delta.example")), "{dee}");
    // No word: a hundred of them.
    let hundred = json_of(&story, &["history", "--last", "--json"]).await;
    assert_eq!(hundred["changes"].as_array().unwrap().len(), whole.len().min(100));
    let lines = told(&story, &["history", "--last", "3"]).await.1;
    let head: Vec<&str> = lines.lines().next().unwrap().split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(head, ["at", "run", "object", "action", "direction", "salesforce id", "platform id", "outcome", "why"]);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert_eq!(told(&story, &["history", "--last", "3", "--run", "1"]).await.0, 2);
}

/// M3, M4: what was refused is among the last records, with the reason, and stops no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_a_refused_record_is_told_with_its_reason() {
    let story = Story::tell(Script::First).await;
    let answer = json!({"status": 400, "body": "{\"email\":[\"Not now.\"]}", "content_type": "application/json"});
    story.rig.platform_fault(json!({"on": "POST /api/v1/customers/", "body": "dora@beta.example", "times": 0, "do": answer}));
    let _ = binary::once(&story.rig).await;
    let last = json_of(&story, &["history", "--last", "--json"]).await;
    let changes = last["changes"].as_array().unwrap();
    let refused: Vec<&Value> = changes.iter().filter(|c| c["outcome"] == "rejected").collect();
    assert_eq!(refused.len(), 1, "{changes:#?}");
    assert_eq!(
        (&refused[0]["object"], &refused[0]["action"], &refused[0]["direction"]),
        (&json!("contact"), &json!("create"), &json!("to-platform"))
    );
    assert!(refused[0]["message"].as_str().is_some_and(|m| m.contains("email")), "{}", refused[0]);
    assert!(changes.iter().any(|c| c["object"] == "contact" && c["outcome"] == "done"), "the others went on");
    let text = told(&story, &["history", "--last"]).await.1;
    assert!(text.lines().any(|l| l.contains("rejected") && l.contains("email")), "{text}");
    let status = json_of(&story, &["status", "--statistics", "--json"]).await;
    let row = status["statistics"].as_array().unwrap().iter().find(|r| r["period"] == "day" && r["object"] == "contact").unwrap().clone();
    assert_eq!((&row["failed"], &row["created"]), (&json!(1), &json!(2)), "M2: a failed write is no created record: {row}");
}

/// Before anything has run there is nothing, and no error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_not_there_yet_has_no_statistics_and_no_changes() {
    let story = Story::tell(Script::First).await;
    assert_eq!(json_of(&story, &["history", "--last", "--json"]).await, json!({"changes": []}));
    assert_eq!(json_of(&story, &["status", "--statistics", "--json"]).await["statistics"], json!([]));
    assert!(told(&story, &["history", "--last"]).await.1.contains("nothing was synchronised yet"));
    assert!(!story.rig.state().exists(), "looking makes nothing");
}
