//! S15: a field that is fought over is not written a third time. The row says who holds what; all other fields go on; it
//! thaws when the sides agree, when the rules change, or when a person says so.

use crate::rig::Rig;
use lockstep::{sandbox::licensespring::Object, store::FrozenRow};
use serde_json::json;
use std::process::Command;

const STEP: i64 = 900;

struct Fight {
    rig: Rig,
    account: String,
    platform: i64,
}

impl Fight {
    async fn start(change: impl FnOnce(String) -> String) -> Self {
        let rig = Rig::start().await;
        rig.write_rules(change);
        let account = rig.account("Acme");
        rig.sf_update("Account", &account, json!({"Phone": "+1"}));
        rig.once().await;
        rig.tick(STEP);
        let platform = rig.ls_id(Object::Account, "name", "Acme");
        Self { rig, account, platform }
    }

    /// The org's automation puts its own value back, the platform's does likewise; a run comes after each.
    async fn lap(&self) {
        self.rig.sf_update("Account", &self.account, json!({"Phone": "org"}));
        self.run().await;
        self.rig.ls_update(Object::Account, self.platform, json!({"phone": "vendor"}));
        self.run().await;
    }

    async fn run(&self) {
        self.rig.once().await;
        self.rig.tick(STEP);
    }

    fn frozen(&self) -> Vec<FrozenRow> {
        self.rig.store().frozen(10).unwrap()
    }

    fn phones(&self) -> (String, String) {
        let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        let platform = self.rig.platform.world().get(Object::Account, self.platform).unwrap();
        (text(&self.rig.sf("Account", &self.account)["Phone"]), text(&platform["phone"]))
    }

    /// Two automations that never agree, until the field is frozen.
    async fn fought(self) -> Self {
        for _ in 0..2 {
            self.lap().await;
        }
        assert!(self.frozen().is_empty(), "two laps may be anything: {}", self.rig.changes());
        self.lap().await;
        assert_eq!(self.frozen().len(), 1, "{}", self.rig.changes());
        self
    }
}

fn command(rig: &Rig, args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("--rules")
        .arg(rig.rules_path())
        .arg("--state")
        .arg(rig.state())
        .args(args)
        .output()
        .unwrap()
}

#[tokio::test]
async fn two_automations_that_never_agree_are_stopped_before_the_third_lap() {
    let fight = Fight::start(|t| t).await.fought().await;
    let row = fight.frozen().remove(0);
    assert_eq!((row.field.as_str(), row.salesforce_id.as_str(), row.times), ("Phone", fight.account.as_str(), 2), "{row:?}");
    let written = || fight.rig.store().view("record_history", "what = 'update'", "", 100).unwrap().rows.len();
    let before = written();
    for _ in 0..3 {
        fight.lap().await;
    }
    assert_eq!(written(), before, "{}", fight.rig.changes());
    assert_eq!(fight.phones(), ("org".to_owned(), "vendor".to_owned()), "each keeps its own");
    let report = fight.rig.full().await;
    assert_eq!((report.writes.salesforce + report.writes.platform, report.frozen, report.outcome.as_str()), (0, 1, "partial"));

    // Everything else of the record goes on.
    fight.rig.sf_update("Account", &fight.account, json!({"Name": "Acme Holding"}));
    fight.run().await;
    let row = fight.rig.platform.world().get(Object::Account, fight.platform).unwrap();
    assert_eq!((row["name"].as_str(), row["phone"].as_str()), (Some("Acme Holding"), Some("vendor")), "{}", fight.rig.changes());
}

#[tokio::test]
async fn it_is_shown_where_people_look() {
    let fight = Fight::start(|t| t).await.fought().await;
    let text = |args: &[&str]| String::from_utf8(command(&fight.rig, args).stdout).unwrap();
    assert!(text(&["status"]).contains("frozen      1 field fought over"), "{}", text(&["status"]));
    assert_eq!(command(&fight.rig, &["status", "--exit-code"]).status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_str(&text(&["quarantine", "--json"])).unwrap();
    let row = &json["frozen"][0];
    assert_eq!((&row["value"]["salesforce"], &row["value"]["platform"]), (&json!("org"), &json!("vendor")), "{json}");
    assert!(text(&["quarantine"]).contains("fought over"), "{}", text(&["quarantine"]));
    assert!(text(&["why", &fight.account]).contains("not kept"), "{}", text(&["why", &fight.account]));
    let view = fight.rig.store().view("frozen_fields", "salesforce_id = ?1", &fight.account, 10).unwrap();
    assert_eq!(view.rows.len(), 1);
}

#[tokio::test]
async fn it_thaws_when_somebody_makes_the_sides_equal() {
    let fight = Fight::start(|t| t).await.fought().await;
    fight.rig.sf_update("Account", &fight.account, json!({"Phone": "vendor"}));
    let report = fight.rig.once().await;
    assert_eq!((report.outcome.as_str(), report.frozen), ("ok", 0), "{report:#?}\n{}", fight.rig.changes());
    fight.rig.sf_update("Account", &fight.account, json!({"Phone": "+46"}));
    fight.run().await;
    assert_eq!(fight.phones(), ("+46".to_owned(), "+46".to_owned()), "{}", fight.rig.changes());
    fight.rig.quiet().await;
}

#[tokio::test]
async fn a_person_lets_it_go_and_it_has_all_its_laps_again() {
    let fight = Fight::start(|t| t).await.fought().await;
    assert!(command(&fight.rig, &["retry", "account", &fight.account]).status.success());
    // A run of ours takes the request up as `once` does.
    let store = fight.rig.store();
    store.thaw(Some("account"), Some(&fight.account), "retry", chrono::Utc::now()).unwrap();
    drop(store);
    let report = fight.rig.once().await;
    assert_eq!((report.outcome.as_str(), report.frozen), ("ok", 0), "{report:#?}\n{}", fight.rig.changes());
    let (salesforce, platform) = fight.phones();
    assert_eq!(salesforce, platform, "{}", fight.rig.changes());
    fight.lap().await;
    assert!(fight.frozen().is_empty(), "{}", fight.rig.changes());
    fight.lap().await;
    fight.lap().await;
    assert_eq!(fight.frozen().len(), 1, "{}", fight.rig.changes());
}

#[tokio::test]
async fn other_rules_let_it_go() {
    let fight = Fight::start(|t| t).await.fought().await;
    fight.rig.write_rules(|t| {
        t.replace("Phone = \"phone\"\nDescription", "Phone = { to = \"phone\", direction = \"to-platform\" }\nDescription")
    });
    let report = fight.rig.once().await;
    assert_eq!(report.frozen, 0, "{report:#?}\n{}", fight.rig.changes());
    assert_eq!(fight.phones(), ("org".to_owned(), "org".to_owned()), "{}", fight.rig.changes());
}

/// One way, `drift = "revert"`: the other side is put back twice, and then left.
#[tokio::test]
async fn a_side_that_is_put_back_again_and_again_is_left() {
    let revert = |t: String| t.replacen("match = [[\"name\"]]", "match = [[\"name\"]]\ndrift = \"revert\"", 1);
    let fight = Fight::start(|t| {
        revert(t).replace("Phone = \"phone\"\nDescription", "Phone = { to = \"phone\", direction = \"to-platform\" }\nDescription")
    })
    .await;
    for lap in 0..4 {
        fight.rig.ls_update(Object::Account, fight.platform, json!({"phone": format!("vendor {lap}")}));
        fight.run().await;
        let kept = if lap < 2 { "+1".to_owned() } else { format!("vendor {lap}") };
        assert_eq!(fight.phones().1, kept, "lap {lap}: {}", fight.rig.changes());
    }
    assert_eq!(fight.frozen().len(), 1);
}

/// A side that keeps a value in its own form is not in a quarrel: its form is what is compared.
#[tokio::test]
async fn a_value_that_is_normalised_is_no_quarrel() {
    let fight = Fight::start(|t| t).await;
    let set = json!({"Phone": "ORG FORM"}).as_object().unwrap().clone();
    fight.rig.salesforce.world().add_trigger("Account", Some("Phone"), set).unwrap();
    for i in 0..6 {
        fight.rig.ls_update(Object::Account, fight.platform, json!({"phone": format!("+46 {}", i % 2)}));
        fight.run().await;
        assert_eq!(fight.phones(), ("ORG FORM".to_owned(), format!("+46 {}", i % 2)), "{}", fight.rig.changes());
    }
    assert!(fight.frozen().is_empty(), "{:?}", fight.frozen());
    fight.rig.quiet().await;
}

/// Nor is a person who changes his mind often.
#[tokio::test]
async fn somebody_who_toggles_a_field_is_followed_each_time() {
    let fight = Fight::start(|t| t).await;
    for i in 0..8 {
        fight.rig.sf_update("Account", &fight.account, json!({"Phone": format!("+46 {}", i % 2)}));
        fight.run().await;
        assert_eq!(fight.phones().1, format!("+46 {}", i % 2), "{}", fight.rig.changes());
    }
    assert!(fight.frozen().is_empty());
}
