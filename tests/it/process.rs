//! What befalls a process on a real machine: stopped for a while, no room, a file somebody else holds, may not be written or
//! is damaged, a second of its kind, signals in the middle of its work. Each ends with a clear word, or goes on; the runs
//! after it find everything once.
//!
//! What is killed stands in `kills.rs`, the first load on a full disk in `commands.rs`.

use crate::{
    binary::{self, Ended, How},
    kills::story::{Picture, Script, Story, difference},
    proxy::Act,
};
use lockstep::store::{RunRow, Store};
use serde_json::json;
use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How a script ends when nobody disturbs it.
async fn undisturbed(script: Script) -> Picture {
    let story = Story::tell(script).await;
    assert_eq!(story.once(How::default()).await.code(), 0);
    story.settle().await
}

fn same(is: &Picture, should: &Picture, when: &str) {
    assert_eq!(is, should, "{when}:\n{}", difference(is, should));
}

fn runs(story: &Story) -> Vec<RunRow> {
    Store::open_read_only(&story.rig.state()).unwrap().map(|s| s.runs(50).unwrap()).unwrap_or_default()
}

/// Waits for what another process is about to do.
async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let began = Instant::now();
    while !seen() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A machine that sleeps: the process is stopped while a write is under way, and goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_stopped_for_a_while_goes_on() {
    let fine = undisturbed(Script::Life).await;
    let story = Story::tell(Script::Life).await;
    let stopped = Arc::new(Mutex::new(None));
    let (pid, of) = (Arc::new(Mutex::new(0)), Arc::clone(&stopped));
    let to = Arc::clone(&pid);
    story.desk.on(
        "POST /api/v1/orders/create_order",
        Act::Then(Arc::new(move || {
            let pid: u32 = *to.lock().unwrap();
            binary::signal(pid, "STOP");
            *of.lock().unwrap() = Some(pid);
        })),
    );
    let mut running = binary::start(&story.rig, &["once", "--json"], How::default());
    *pid.lock().unwrap() = running.pid();
    until("the stop", || stopped.lock().unwrap().is_some()).await;
    // Its lock stands while it sleeps: nobody works beside it.
    let other = binary::run(&story.rig, &["once", "--json"]).await;
    assert_eq!(other.code(), 1);
    assert!(other.report()["error"].as_str().unwrap().contains("another once (process"), "{other:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!running.is_over());
    running.signal("CONT");
    assert_eq!(running.wait().await.code(), 0, "{}", running.said());
    same(&story.settle().await, &fine, "stopped while an order was issued");
}

/// The disk is full at ever later moments, down to the commit that settles what was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_at_any_moment_sends_nothing_twice() {
    let fine = undisturbed(Script::Life).await;
    let (mut failed, mut after_a_send) = (0, 0);
    // What is written before anything is sent grows with the story; the steps below are those of the log of commits.
    for most_kib in [40, 120, 200, 280, 360, 440, 520, 640, 760, 900] {
        let story = Story::tell(Script::Life).await;
        let ended = story.once(How { env: &[], most_kib: Some(most_kib) }).await;
        let Ended::Told { code, .. } = &ended else { panic!("{most_kib} KiB: {ended:?}") };
        if *code == 1 {
            failed += 1;
            let error = ended.report()["error"].to_string();
            assert!(error.contains("state file") || error.contains("lockstep.db"), "{most_kib} KiB: {error}");
        }
        story.sound();
        let open = rusqlite::Connection::open(story.rig.state().join("lockstep.db")).unwrap();
        let promised: i64 = open.query_row("SELECT count(*) FROM intent WHERE state = 'promised'", [], |r| r.get(0)).unwrap();
        drop(open);
        after_a_send += u32::from(*code == 1 && promised > 0);
        same(&story.settle().await, &fine, &format!("{most_kib} KiB"));
    }
    assert!(failed > 1 && after_a_send > 0, "{failed} runs met the limit, {after_a_send} of them with something sent");
}

/// Somebody holds the file with `sqlite3`: before the run, and from the middle of it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_else_has_locked_is_named_and_nothing_is_lost() {
    let fine = undisturbed(Script::Life).await;
    let story = Story::tell(Script::Life).await;
    let path = story.rig.state().join("lockstep.db");
    let hold = |path: &std::path::Path| {
        let c = rusqlite::Connection::open(path).unwrap();
        c.busy_timeout(Duration::from_secs(5)).unwrap();
        c.execute_batch("BEGIN IMMEDIATE").unwrap();
        c
    };
    let held = hold(&path);
    let ended = story.once(How::default()).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.report()["error"].as_str().unwrap().contains("the state file is locked"), "{ended:?}");
    assert_eq!(story.desk.seen(), 0, "nothing was asked of anybody");
    drop(held);

    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    story.desk.on("POST /api/v1/orders/create_order", Act::Then(Arc::new(move || *keep.lock().unwrap() = Some(hold(&path)))));
    let ended = story.once(How::default()).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.report()["error"].as_str().unwrap().contains("locked"), "{ended:?}");
    kept.lock().unwrap().take();
    story.sound();
    same(&story.settle().await, &fine, "locked while settling");
}

/// A directory that may only be read: said at once, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_may_only_be_read_stops_before_anything_is_sent() {
    let story = Story::tell(Script::Life).await;
    let before = story.picture();
    let dir = story.rig.dir.path().to_owned();
    let shell = |script: &str| std::process::Command::new("bash").args(["-c", script]).current_dir(&dir).status().unwrap().success();
    let root = fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0).unwrap_or(false);
    // Nothing stops root from writing, so it must be somebody else, with a binary where everybody can go.
    fs::copy(binary::binary(), dir.join("lockstep")).unwrap();
    assert!(!root || shell("chown -R 65534 . && chmod 711 ."), "this test needs its files to be somebody else's");
    assert!(shell("chmod 500 state && chmod 400 state/*"));
    let who = if root { "setpriv --reuid=65534 --clear-groups" } else { "" };
    let command = format!(
        "{who} ./lockstep --rules \"{}\" --state \"{}\" once --json > \"{}\"",
        story.rig.rules_path().display(),
        story.rig.state().display(),
        dir.join("said").display()
    );
    assert!(!shell(&command));
    let said: serde_json::Value = serde_json::from_str(&fs::read_to_string(dir.join("said")).unwrap()).unwrap();
    let error = said["error"].as_str().unwrap();
    assert!(error.contains("lockstep.") && (error.contains("denied") || error.contains("readonly")), "{error}");
    assert_eq!(error.matches("denied").count(), 1, "said once: {error}");
    assert_eq!(story.desk.seen(), 0, "nothing was asked of anybody");
    assert!(shell("chmod 700 state && chmod 600 state/*"));
    assert!(!root || shell("chown -R 0 ."));
    assert_eq!(story.picture(), before);
    let fine = undisturbed(Script::Life).await;
    same(&story.settle().await, &fine, "writable again");
}

/// A page in the middle of the file rots: the file is set aside, and both systems are adopted afresh, each record once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_page_sets_the_file_aside_and_both_sides_are_adopted_without_a_double() {
    let story = Story::tell(Script::Life).await;
    story.settle().await;
    let before: Picture = story.picture().into_iter().filter(|line| !line.starts_with("conflict")).collect();
    let (state, path) = (story.rig.state(), story.rig.state().join("lockstep.db"));
    assert!(!state.join("lockstep.db-wal").exists(), "a run that ended leaves one file");
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in [pages / 2, pages / 2 + 1, pages * 3 / 4] {
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
    }
    fs::write(&path, &bytes).unwrap();
    story.desk.clear();

    let ended = story.once(How::default()).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    let error = ended.report()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("is damaged") && error.contains("it was set aside as") && error.contains("restore a backup"), "{error}");
    assert_eq!(story.desk.seen(), 0, "nothing was asked of anybody");
    let aside = fs::read_dir(&state).unwrap().map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().contains("lockstep.db.damaged-"));
    assert_eq!(fs::read(aside.expect("set aside")).unwrap(), bytes, "as it was");

    // Without a memory both filled systems meet for the first time: nothing happens unasked.
    let held = story.once(How::default()).await;
    assert_eq!(held.code(), 4, "{held:?}");
    // What Lockstep says in its own fields of Salesforce is no record of anybody.
    assert_eq!(held.report()["writes"]["platform"], json!(0));
    assert_eq!(story.rig.store().link_count("account").unwrap(), 0);
    assert!(held.log().contains("the memory is empty, and yet there were runs here"), "{held:?}");
    let agreed = binary::run(&story.rig, &["once", "--approve", "--json"]).await.report();
    assert!(agreed["run"].as_i64().unwrap() > 5, "numbers go on: {agreed}");
    let after: Picture = story.settle().await.into_iter().filter(|line| !line.starts_with("conflict")).collect();
    same(&after, &before, "adopted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_are_one_and_the_other_is_told() {
    let fine = undisturbed(Script::First).await;
    let story = Story::tell(Script::First).await;
    let mut daemon = binary::start(&story.rig, &["run"], How::default());
    until("the first run", || runs(&story).first().is_some_and(|r| r.cause == "schedule")).await;
    for (args, word) in [(&["run"][..], "a daemon (process"), (&["once", "--json"], "a daemon (process")] {
        let ended = binary::run(&story.rig, args).await;
        let Ended::Told { code, report, log } = ended else { panic!("{args:?}") };
        assert_eq!(code, 1, "{args:?} {report} {log}");
        assert!(report.contains(word) || log.contains(word), "{args:?} {report} {log}");
    }
    until("its end", || runs(&story).first().is_some_and(|r| r.cause == "schedule" && r.outcome == "ok")).await;
    daemon.signal("TERM");
    assert_eq!(daemon.wait().await.code(), 0, "{}", daemon.said());
    same(&story.settle().await, &fine, "a second one tried");

    // Two of a kind that begin in the same moment: one works, or both in turn; never both at once.
    let story = Story::tell(Script::First).await;
    let (mut one, mut two) = tokio::join!(async { binary::start(&story.rig, &["once", "--json"], How::default()) }, async {
        binary::start(&story.rig, &["once", "--json"], How::default())
    });
    let ended = [one.wait().await, two.wait().await];
    assert!(ended.iter().any(|e| e.code() == 0), "{ended:?}");
    for told in ended.iter().filter(|e| e.code() != 0) {
        assert!(told.report()["error"].as_str().unwrap().contains("another once (process"), "{told:?}");
    }
    same(&story.settle().await, &fine, "two began at once");
}

/// Each signal while both sides are being read, while a write is under way, and while nothing happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_in_every_phase_does_what_is_written() {
    let fine = undisturbed(Script::First).await;
    for phase in ["GET /api/v1/customers/", "POST /api/v1/orders/create_order", ""] {
        for name in ["TERM", "HUP", "USR1", "USR2"] {
            let when = format!("SIG{name} at {phase:?}");
            let story = Story::tell(Script::First).await;
            let (sent, pid) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
            let (done, to) = (Arc::clone(&sent), Arc::clone(&pid));
            let act = move || {
                binary::signal(*to.lock().unwrap(), name);
                *done.lock().unwrap() = true;
            };
            if !phase.is_empty() {
                story.desk.on(phase, Act::Then(Arc::new(act.clone())));
            }
            let mut daemon = binary::start(&story.rig, &["run"], How::default());
            *pid.lock().unwrap() = daemon.pid();
            let began = Instant::now();
            if phase.is_empty() {
                until(&when, || runs(&story).first().is_some_and(|r| r.cause == "schedule" && r.outcome == "ok")).await;
                act();
            }
            until(&when, || *sent.lock().unwrap()).await;
            let ran = |cause: &str, kind: &str| {
                let rows = runs(&story);
                rows.iter().any(|r| r.cause == cause && r.kind == kind && r.outcome == "ok")
            };
            match name {
                "TERM" => {}
                "HUP" => until(&when, || daemon.said().contains("the rules were read again")).await,
                "USR1" => until(&when, || ran("resync", "full")).await,
                _ => until(&when, || ran("signal", "delta")).await,
            }
            if name != "TERM" {
                until(&when, || ran("schedule", "delta")).await;
                daemon.signal("TERM");
            }
            assert_eq!(daemon.wait().await.code(), 0, "{when}: {}", daemon.said());
            assert!(began.elapsed() < Duration::from_secs(100), "{when}: {:?}", began.elapsed());
            let rows = runs(&story);
            assert!(rows.iter().all(|r| r.finished_at.is_some()), "{when}: a stop is no crash: {rows:#?}");
            story.sound();
            same(&story.settle().await, &fine, &when);
        }
    }
}
