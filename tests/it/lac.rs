//! LAC and Salesforce, both behind the wire, under the rules that are shipped for it: the path an operator walks, and every
//! rule of the synchronization that LAC once had built in. What the connector promises alone is told beside it.

use crate::binary;
use chrono::{DateTime, Duration, Utc};
use lockstep::{
    config::{Config, ConfigError},
    engine::{Engine, Options, Report, RunKind},
    record::Sides,
    sandbox::{
        lac,
        pair::{Pair, PlatformKind},
        salesforce,
    },
    store::{RunRow, Store},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

mod deletions;
mod history;
mod operator;
mod travel;
mod trouble;

/// The shipped rules, as `lockstep init --platform lac` writes them.
pub const RULES: &str = include_str!("../../docs/rules/lac.toml");

/// Both simulators, a directory with rules and state, and a clock of our own.
pub struct Desk {
    pub pair: Pair,
    pub dir: tempfile::TempDir,
    ahead: Arc<AtomicI64>,
}

impl Desk {
    pub async fn start() -> Self {
        let pair = Pair::start(PlatformKind::Lac, 0, 0).await.unwrap();
        let desk = Self { pair, dir: tempfile::tempdir().unwrap(), ahead: Arc::default() };
        desk.write_rules(|text| text);
        desk
    }

    /// Acme with Ada and Eve, Beta with Bob, and LAC empty before; now in step.
    pub async fn in_step() -> Self {
        let desk = Self::start().await;
        let (acme, beta) = (desk.account("Acme"), desk.account("Beta"));
        desk.contact(&acme, "Ada", "Lovelace", Some("ada@x.example"));
        desk.contact(&acme, "Eve", "Moore", Some("eve@x.example"));
        desk.contact(&beta, "Bob", "Byte", Some("bob@x.example"));
        desk.ok(5).await;
        desk.quiet().await;
        desk
    }

    /// The shipped rules with their secrets in files, and the test's own changes.
    pub fn write_rules(&self, change: impl FnOnce(String) -> String) {
        let mut text = RULES.to_owned();
        for (name, value) in self.pair.environment() {
            let path = self.dir.path().join(name);
            fs::write(&path, value).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            text = text.replace(&format!("{{ env = \"{name}\" }}"), &format!("{{ file = {:?} }}", path.display().to_string()));
        }
        fs::write(self.rules_path(), change(text)).unwrap();
    }

    pub fn rules_path(&self) -> PathBuf {
        self.dir.path().join("sync-rules.toml")
    }

    pub fn store(&self) -> Store {
        Store::open(&self.state()).unwrap()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn runs(&self) -> Vec<RunRow> {
        self.store().runs(100).unwrap()
    }

    /// A public command on this state, by the real binary.
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary::binary());
        command.arg("--rules").arg(self.rules_path()).arg("--state").arg(self.state()).args(args).current_dir(self.dir.path());
        command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap()
    }

    pub fn said(&self, args: &[&str]) -> String {
        let output = self.command(args);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    pub async fn run(&self, options: Options) -> Report {
        let config = match Config::load(&self.rules_path(), &self.state()) {
            Ok(config) => config,
            Err(ConfigError::Problems { problems, source_text, .. }) => {
                panic!("{}", lockstep::rules::render(&problems, &source_text, "sync-rules.toml"))
            }
            Err(error) => panic!("{error}"),
        };
        let (connectors, store, state) = (config.connect().unwrap(), self.store(), self.state());
        let ahead = Arc::clone(&self.ahead);
        let clock = move || -> DateTime<Utc> { Utc::now() + Duration::seconds(ahead.load(Ordering::SeqCst)) };
        let engine = Engine {
            store: &store,
            rules: &config.rules,
            limits: config.limits,
            sides: Sides::new(&*connectors.salesforce, &*connectors.platform),
            clock: &clock,
            state_dir: Some(&state),
            confirm_after: config.confirm_after,
            allow_mixed: config.allow_sandbox_with_production,
            stop: CancellationToken::new(),
        };
        engine.run(&options).await.unwrap()
    }

    /// Ten minutes later, a run.
    pub async fn once(&self) -> Report {
        self.tick(600);
        self.run(Options::new(RunKind::Delta, "once")).await
    }

    pub async fn full(&self) -> Report {
        self.tick(600);
        self.run(Options::new(RunKind::Full, "resync")).await
    }

    /// A run that must come to a good end; its writes to Salesforce and to LAC.
    pub async fn ok(&self, platform: u64) {
        self.wrote((0, platform)).await;
    }

    /// The next run writes this much to Salesforce and to LAC, and is well.
    pub async fn wrote(&self, (salesforce, platform): (u64, u64)) {
        let report = self.once().await;
        assert_eq!(report.outcome, "ok", "{report:#?}\n{}", self.changes());
        assert_eq!((report.writes.salesforce, report.writes.platform), (salesforce, platform), "{report:#?}\n{}", self.changes());
    }

    /// Nothing happened, so nothing is written: not by a run, not by a full re-sync, by our count and by LAC's own.
    pub async fn quiet(&self) {
        let before = self.lac_writes();
        for full in [false, true, false] {
            let report = if full { self.full().await } else { self.once().await };
            let wrote = (report.writes.salesforce, report.writes.platform, self.lac_writes() - before);
            assert_eq!(wrote, (0, 0, 0), "full: {full} {report:#?}\n{}", self.changes());
            assert_eq!(report.outcome, "ok", "{report:#?}");
        }
    }

    /// Runs until nothing is written any more, which must be soon.
    pub async fn settle(&self) {
        // What was deleted meanwhile may be found out by a write that meets nothing.
        for _ in 0..4 {
            let report = self.once().await;
            assert!(matches!(report.outcome.as_str(), "ok" | "partial"), "{report:#?}\n{}", self.changes());
        }
        let report = self.once().await;
        assert_eq!(report.outcome, "ok", "{report:#?}\n{}", self.changes());
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{report:#?}\n{}", self.changes());
    }

    pub fn tick(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
        for wire in [&self.pair.salesforce_wire, &self.pair.platform_wire] {
            wire.clock.advance(Duration::seconds(seconds));
        }
    }

    /// What `history` shows, for messages of failed assertions.
    pub fn changes(&self) -> String {
        let table = self.store().view("recent_changes", "1", "", 40).unwrap();
        serde_json::to_string_pretty(&table.to_json()).unwrap()
    }

    pub fn fault(&self, fault: Value) {
        self.pair.platform_wire.faults.add(&fault).unwrap();
    }

    pub fn calm(&self) {
        self.pair.platform_wire.faults.clear();
        self.pair.salesforce_wire.faults.clear();
    }

    // ── Salesforce ───────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn org(&self) -> std::sync::MutexGuard<'_, salesforce::World> {
        self.pair.salesforce.world()
    }

    pub fn account(&self, name: &str) -> String {
        self.org().insert("Account", &json!({"Name": name})).unwrap()
    }

    pub fn contact(&self, account: &str, first: &str, last: &str, email: Option<&str>) -> String {
        let fields = json!({"AccountId": account, "FirstName": first, "LastName": last, "Email": email});
        self.org().insert("Contact", &fields).unwrap()
    }

    pub fn edit(&self, object: &str, id: &str, fields: Value) {
        self.org().update(object, id, &fields).unwrap();
    }

    pub fn sf(&self, object: &str, id: &str) -> Value {
        self.org().row(object, id).unwrap()
    }

    /// The id of the one live row with this value.
    pub fn id(&self, object: &str, field: &str, value: &str) -> String {
        let live = self.live(object);
        let found: Vec<&Value> = live.iter().filter(|row| row[field] == json!(value)).collect();
        assert_eq!(found.len(), 1, "{field} {value} in {live:#?}");
        found[0]["Id"].as_str().unwrap().to_owned()
    }

    pub fn live(&self, object: &str) -> Vec<Value> {
        self.org().rows(object).into_iter().filter(|row| row["IsDeleted"] != json!(true)).collect()
    }

    // ── LAC ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn lac(&self) -> std::sync::MutexGuard<'_, lac::World> {
        self.pair.lac().unwrap().world()
    }

    pub fn customer(&self, name: &str) -> lac::Customer {
        let world = self.lac();
        let found: Vec<&lac::Customer> = world.customers().filter(|row| row.text("name") == name).collect();
        assert_eq!(found.len(), 1, "customers called {name}");
        found[0].clone()
    }

    pub fn customers(&self) -> Vec<String> {
        self.lac().customers().map(|row| row.text("name").to_owned()).collect()
    }

    /// Names and addresses of a customer's contacts, in the order of the names.
    pub fn people(&self, customer: &str) -> Vec<(String, String)> {
        let row = self.customer(customer);
        let mut people: Vec<_> = row.contacts.iter().map(|it| (it.text().0.to_owned(), it.text().1.to_owned())).collect();
        people.sort();
        people
    }

    pub fn names(&self, customer: &str) -> Vec<String> {
        self.people(customer).into_iter().map(|(name, _)| name).collect()
    }

    pub fn person(&self, customer: &str, name: &str) -> i64 {
        let row = self.customer(customer);
        row.contacts.iter().find(|it| it.text().0 == name).unwrap_or_else(|| panic!("no {name} in {row:?}")).id
    }

    /// Calls that change something, as LAC counts them.
    pub fn lac_writes(&self) -> u64 {
        self.lac_calls(|call| !call.starts_with("GET") && !call.contains("/auth/"))
    }

    pub fn lac_calls(&self, which: impl Fn(&str) -> bool) -> u64 {
        self.lac().calls().iter().filter(|(call, _)| which(call)).map(|(_, n)| *n).sum()
    }
}
