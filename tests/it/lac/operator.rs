//! The first hour of an operator, by commands alone: the sandbox is another process, the rules are the shipped ones, unchanged.

use super::{Desk, RULES};
use lockstep::engine::{Options, RunKind};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A process that ends with the test, however that ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Sandbox {
    _process: Ends,
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lac.env");
        let mut command = Command::new(crate::binary::binary());
        command.args(["sandbox", "--platform", "lac", "--sample", "--env-file"]).arg(&file);
        let process = Ends(command.current_dir(dir.path()).stdout(Stdio::null()).spawn().unwrap());
        let began = Instant::now();
        while !file.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "the sandbox did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = fs::read_to_string(file).unwrap();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).unwrap();
        Self { _process: process, dir, variables: text.lines().map(pair).collect() }
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    fn lockstep(&self, args: &[&str]) -> Output {
        let variables = self.variables.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let mut command = Command::new(crate::binary::binary());
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin").envs(variables).output().unwrap()
    }

    fn text(&self, args: &[&str], code: i32) -> String {
        let output = self.lockstep(args);
        assert_eq!(output.status.code(), Some(code), "{args:?} {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        let text = self.text(args, code);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}\n{text}"))
    }

    /// All rows of one kind, as a simulator's own page of state tells them.
    fn rows(&self, base: &str, object: &str) -> Vec<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("{}/__control/state?object={object}", self.variable(base));
        let body = runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer.get("rows").unwrap_or(&answer).as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }
}

fn tag(row: &Value) -> Option<&str> {
    row["CustomTags"].as_array()?.iter().find(|tag| tag["tag_name"] == "SF_Id")?["value"].as_str()
}

/// L1, L5, D3: old tags are taken and completed, the rest is matched by name, contacts by their address; then all is quiet.
#[test]
fn l1_an_operators_first_hour() {
    let sandbox = Sandbox::start();
    let rules = sandbox.dir.path().join("sync-rules.toml");
    sandbox.text(&["init", "--platform", "lac", "--name", "acme"], 0);
    assert_eq!(fs::read_to_string(&rules).unwrap(), RULES, "what init writes is the shipped file");

    assert_eq!(sandbox.json(&["check", "--json"], 0)["problems"], json!([]));
    let online = sandbox.text(&["check", "--online"], 0);
    assert!(online.contains("customer.tag.SF_Id") && !online.contains('✗'), "{online}");
    let before = sandbox.rows("LAC_URL", "customer");
    assert_eq!((before.len(), before.iter().filter_map(tag).map(str::len).collect::<Vec<_>>()), (7, vec![18, 18, 15]));

    // Both sides hold records: nothing happens unasked.
    let plan = sandbox.text(&["plan"], 0);
    assert!(plan.contains("HELD 6 links account on platform") && plan.contains("HELD 294 creates account on platform"), "{plan}");
    let held = sandbox.json(&["once", "--json"], 4);
    assert_eq!((&held["held"], &held["writes"]), (&json!(301), &json!({"salesforce": 0, "platform": 0})), "{held}");
    let pairs = sandbox.text(&["hold", "list"], 0);
    assert!(pairs.contains("first contact"), "{pairs}");

    let first = sandbox.json(&["once", "--approve", "--json"], 0);
    assert_eq!(first["writes"]["salesforce"], json!(3), "one account and its two contacts: {first}");
    let customers = sandbox.rows("LAC_URL", "customer");
    let live = |object: &str| sandbox.rows("SALESFORCE_LOGIN_URL", object).into_iter().filter(|row| row["IsDeleted"] != json!(true));
    let accounts: BTreeSet<String> = live("Account").map(|row| row["Id"].as_str().unwrap().to_owned()).collect();
    // An id of 15 characters is known for what it is, and completed by the next write of its customer.
    let whole = |id: &str| accounts.iter().find(|whole| whole.starts_with(id)).cloned();
    let tagged: BTreeSet<String> = customers.iter().filter_map(|row| whole(tag(row)?)).collect();
    assert_eq!((customers.len(), accounts.len()), (301, 301));
    assert_eq!(tagged, accounts, "each carries the id of its account");
    assert_eq!(customers.iter().filter_map(tag).filter(|id| id.len() == 18).count(), 300);
    let people = customers.iter().map(|row| row["Contacts"].as_array().unwrap().len()).sum::<usize>();
    assert_eq!((people, live("Contact").count()), (402, 402), "nobody is there twice");
    for row in &before {
        let now = customers.iter().find(|now| now["id"] == row["id"]).expect("adopted, not made again");
        for person in row["Contacts"].as_array().unwrap() {
            assert!(now["Contacts"].as_array().unwrap().iter().any(|it| it["id"] == person["id"]), "adopted: {person}");
        }
        let vat = |row: &Value| row["CustomTags"].as_array().unwrap().iter().find(|tag| tag["tag_name"] == "vat_number").cloned();
        assert_eq!(vat(row).map(|t| t["value"].clone()), vat(now).map(|t| t["value"].clone()), "a tag of somebody else stays");
    }

    let nothing = json!({"salesforce": 0, "platform": 0});
    for args in [&["once", "--json"][..], &["once", "--full", "--json"], &["once", "--json"]] {
        let again = sandbox.json(args, 0);
        assert_eq!((&again["writes"], &again["quarantined"]), (&nothing, &json!(0)), "{args:?} {again}");
    }
    assert!(sandbox.text(&["plan"], 0).contains("nothing"), "a plan of a clean pair");
    let verify = sandbox.text(&["verify"], 0);
    assert!(!verify.is_empty());
    no_secret_in(sandbox.dir.path(), sandbox.variable("LAC_PASSWORD"));
}

#[test]
fn the_demo_with_lac_tells_its_story() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("demo");
    let mut command = Command::new(crate::binary::binary());
    let output = command.args(["demo", "--platform", "lac", "--state"]).arg(&state).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in
        ["held: 6 link of account", "salesforce-moved", "platform-moved", "clash", "tag.SF_Id", "delete contact", "sqlite3 -readonly"]
    {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

fn no_secret_in(dir: &Path, secret: &str) {
    let store = lockstep::store::Store::open_read_only(&dir.join("state")).unwrap().unwrap();
    assert!(!store.dump().unwrap().contains(secret));
}

/// I4: the address of the org is a setting, and a dry run names each write and makes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_a_plan_lists_every_write_and_makes_none() {
    let desk = Desk::start().await;
    let acme = desk.account("Acme");
    desk.contact(&acme, "Ada", "Lovelace", Some("ada@x.example"));
    let plan: Value = serde_json::from_slice(&desk.command(&["plan", "--json"]).stdout).unwrap();
    let actions: Vec<(&str, &str)> =
        plan["actions"].as_array().unwrap().iter().map(|a| (a["object"].as_str().unwrap(), a["verb"].as_str().unwrap())).collect();
    assert_eq!(actions, [("account", "create"), ("contact", "create")], "{plan:#}");
    assert_eq!((desk.lac_writes(), desk.customers().len()), (0, 0));
    desk.ok(2).await;
}

/// I2: a first sync that is broken off goes on where it was, and the history has both halves.
#[tokio::test]
async fn i2_a_first_sync_that_breaks_off_goes_on_and_makes_nothing_twice() {
    let desk = Desk::start().await;
    for n in 0..40 {
        let account = desk.account(&format!("Firm {n:02}"));
        desk.contact(&account, "Ada", &format!("Nr{n}"), Some(&format!("ada{n}@x.example")));
    }
    desk.fault(json!({"on": "/customers", "nth": 60, "times": 0, "do": {"status": 500, "body": "<html>", "content_type": "text/html"}}));
    let report = desk.run(Options::new(RunKind::Delta, "once")).await;
    assert_ne!(report.outcome, "ok", "{report:#?}");
    let half = desk.customers().len();
    assert!(half > 0 && half < 40, "{half}");
    desk.calm();
    for _ in 0..4 {
        desk.tick(3600);
        desk.once().await;
    }
    let mut names = desk.customers();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), desk.customers().len(), desk.lac().count("contact")), (40, 40, 40), "{}", desk.changes());
    desk.quiet().await;
    let history = desk.runs();
    assert!(history.iter().all(|run| run.finished_at.is_some()), "{history:#?}");
    assert_ne!(history.last().unwrap().outcome, "ok", "the broken one stands there");
    assert_eq!(history.first().unwrap().outcome, "ok");
}

/// I6: switched off, neither side is asked anything, not even who we are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_switched_off_there_is_no_call_at_all() {
    let desk = Desk::start().await;
    desk.account("Acme");
    desk.write_rules(|text| text.replacen("enabled = true ", "enabled = false ", 1));
    for args in [&["once"][..], &["once", "--full"], &["plan"], &["verify"], &["check", "--online"]] {
        let output = desk.command(args);
        assert_eq!(output.status.code(), Some(5), "{args:?} {output:?}");
    }
    assert_eq!((desk.lac_calls(|_| true), desk.customers().len()), (0, 0));
    desk.write_rules(|text| text.replacen("enabled = false ", "enabled = true ", 1));
    desk.ok(1).await;
}

/// I3: user name and password with the security token behind it.
#[tokio::test]
async fn i3_the_password_with_the_token_glued_to_its_end_opens_the_org() {
    let desk = Desk::start().await;
    let options = lockstep::sandbox::salesforce::Options::default();
    let secret = desk.dir.path().join("password");
    fs::write(&secret, format!("{}Ab12Cd34Ef56", options.password)).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let flow =
        format!("flow = \"password\"\nusername = {:?}\npassword = {{ file = {:?} }}", options.username, secret.display().to_string());
    desk.write_rules(|text| text.replacen("# flow = \"client-credentials\"", &format!("{flow}\n#"), 1));
    desk.account("Acme");
    desk.ok(1).await;
    assert!(!desk.store().dump().unwrap().contains("Ab12Cd34Ef56"));
}
