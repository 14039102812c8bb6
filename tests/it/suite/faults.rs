//! Calls that go wrong, one by one: afterwards both sides are in step, and nothing was made twice.
//!
//! The same memory goes through all of it. In each round something is made and edited on both sides, one call of the run
//! that takes it over goes wrong, and the next runs have to make it good; until a round comes that has no such call any more.
//! Each call goes wrong in one way, which moves on with the day, so that in time each goes wrong in each. `LOCKSTEP_FAULTS=all`
//! plays all of them now. Of the calls at which the process dies, every other one is played.

use super::{Scenario, Subject, scene::Scene};
use lockstep::engine::{Options, RunKind};
use lockstep::sandbox::serve::Wire;
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};

/// The main ways: refused before it is carried out, by the server or by its gate; gone before it arrives; carried out, and
/// the answer lost.
fn ways() -> [(&'static str, Value); 4] {
    [
        ("500", json!({"status": 500})),
        ("429", json!({"status": 429, "headers": {"Retry-After": "0"}})),
        ("broken off before", json!("reset_before")),
        ("broken off after", json!("reset_after")),
    ]
}

/// Rounds are many, and a guard that counts a day's changes would hold them.
fn without_limits(scene: &Scene) {
    scene.write_rules(|text| {
        ["creates", "changes", "destructive"].into_iter().fold(text, |text, key| {
            let at = text.find(&format!("\n{key} = {{ count")).expect("the shipped rules have limits") + 1;
            let end = at + text[at..].find('}').expect("a table ends") + 1;
            format!("{}{key} = {{ count = 100000, percent = 100 }}{}", &text[..at], &text[end..])
        })
    });
}

/// Somebody new of each kind, and one record of each kind edited on either side.
struct Cast {
    linked: Vec<super::scene::Both>,
}

impl Cast {
    async fn of(scene: &Scene) -> Self {
        let mut linked = Vec::new();
        for subject in scene.partner.subjects() {
            linked.push(scene.linked(subject).await);
        }
        Self { linked }
    }

    fn act(&self, scene: &Scene) {
        for (subject, both) in scene.partner.subjects().iter().zip(&self.linked) {
            scene.new_in_salesforce(subject, &scene.word());
            scene.edit_salesforce(subject, &both.salesforce, subject.name, &scene.word());
        }
        // Apart from the first, which only Salesforce edits: where a whole record is won, an edit is lost otherwise.
        for subject in &scene.partner.subjects()[..1] {
            let rows = scene.on_platform(subject);
            let (id, _) = rows.iter().next().expect("the bystander");
            scene.edit_platform(subject, id, subject.other, &scene.word());
        }
    }
}

fn is_first(scene: &Scene, subject: &Subject) -> bool {
    scene.partner.subjects()[0].object == subject.object
}

pub async fn each_call(scene: Scene, subject: &Subject) {
    if !is_first(&scene, subject) {
        return;
    }
    without_limits(&scene);
    let cast = Cast::of(&scene).await;
    let all = std::env::var_os("LOCKSTEP_FAULTS").is_some();
    let day = usize::try_from(chrono::Utc::now().timestamp() / 86_400).unwrap();
    for shift in if all { 0..ways().len() } else { day..day + 1 } {
        let mut calls = 0;
        for nth in 1.. {
            let (name, way) = &ways()[(nth + shift) % ways().len()];
            cast.act(&scene);
            let armed = wires(&scene).map(|wire| (wire, wire.faults.add(&json!({"nth": nth, "do": way})).unwrap()));
            scene.restart();
            let _ = scene.try_run(Options { sweep: true, ..Options::new(RunKind::Delta, "once") }).await;
            let hits: u64 = armed.iter().map(|(wire, fault)| wire.faults.hits(*fault)).sum();
            armed.iter().for_each(|(wire, _)| wire.faults.clear());
            recover(&scene, &format!("call {nth}: {name}")).await;
            calls += hits;
            if hits == 0 {
                break;
            }
        }
        assert!(calls > 10, "only {calls} calls");
        scene.quiet().await;
    }
}

/// The engine is dropped while a call is under way: what was promised stays promised, and nobody says goodbye.
pub async fn each_kill(scene: Scene, subject: &Subject) {
    if !is_first(&scene, subject) {
        return;
    }
    without_limits(&scene);
    let cast = Cast::of(&scene).await;
    const FOREVER_MS: u64 = 3_600_000;
    let all = std::env::var_os("LOCKSTEP_FAULTS").is_some();
    let day = usize::try_from(chrono::Utc::now().timestamp() / 86_400).unwrap();
    let (first, step) = if all { (1, 1) } else { (1 + day % 2, 2) };
    for side in 0..2 {
        let mut kills = 0;
        for nth in (first..).step_by(step) {
            cast.act(&scene);
            // One call never arrives, the next is carried out and nobody hears of it.
            let way = if (nth / step) % 2 == 0 { json!({"hang_after_ms": FOREVER_MS}) } else { json!({"hang_ms": FOREVER_MS}) };
            let killed = dies(&scene, wires(&scene)[side], &json!({"nth": nth, "do": way})).await;
            recover(&scene, &format!("killed at call {nth} of side {side}")).await;
            kills += u64::from(killed);
            if !killed {
                break;
            }
        }
        assert!(kills > 1, "only {kills} kills");
        scene.quiet().await;
    }
}

/// One run that is dropped at this call. False: it ended before.
async fn dies(scene: &Scene, wire: &Wire, fault: &Value) -> bool {
    let armed = wire.faults.add(fault).unwrap();
    let killed = {
        let mut run = pin!(scene.try_run(Options { sweep: true, ..Options::new(RunKind::Delta, "once") }));
        loop {
            tokio::select! {
                _ = &mut run => break false,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            if wire.faults.hits(armed) > 0 {
                // The simulator needs a moment to carry it out. Whether it does, both must come out right.
                tokio::time::sleep(Duration::from_millis(5)).await;
                break true;
            }
        }
    };
    wire.faults.clear();
    scene.restart();
    killed
}

fn wires(scene: &Scene) -> [&Wire; 2] {
    [&scene.pair.salesforce_wire, &scene.pair.platform_wire]
}

async fn recover(scene: &Scene, what: &str) {
    let mut reports = Vec::new();
    loop {
        let report = scene.once().await;
        let still = report.outcome == "ok" && (report.writes.salesforce, report.writes.platform) == (0, 0);
        reports.push(report);
        if still {
            break;
        }
        assert!(reports.len() < 5, "{what}: no rest: {reports:#?}\n{}", scene.changes());
    }
    scene.in_step();
}

/// The other side is read all the same, and all is made good by the next run that finds both.
pub async fn not_there(scene: Scene, subject: &Subject) {
    if !is_first(&scene, subject) {
        return;
    }
    let both = scene.linked(subject).await;
    let word = scene.word();
    scene.edit_salesforce(subject, &both.salesforce, subject.name, &word);
    let url = scene.nowhere();
    let before = scene.on_platform(subject);
    let report = scene.once().await;
    assert_ne!(report.outcome, "ok", "{report:#?}");
    assert!(report.error.as_ref().is_some_and(|error| error.contains("127.0.0.1")), "{url}: {report:#?}");
    assert_eq!(scene.on_platform(subject), before);
    scene.write_rules(|text| text);
    scene.settle().await;
    assert_eq!(scene.platform_value(subject, &both.platform, subject.name), Some((subject.name.value)(&word)));
    scene.quiet().await;
    scene.in_step();
}

/// The list of scenarios is read by people: none may stand there twice.
#[test]
fn each_scenario_has_its_own_words() {
    let words = |word: fn(&Scenario) -> &'static str| super::SCENARIOS.iter().map(word).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((words(|s| s.name), words(|s| s.what)), (super::SCENARIOS.len(), super::SCENARIOS.len()));
}
