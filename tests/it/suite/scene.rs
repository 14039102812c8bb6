//! Two simulators, a rules file, a state directory, and the engine between them; runs are ten minutes apart.

use super::{Partner, Row, Subject};
use chrono::{DateTime, Duration, Utc};
use lockstep::{
    config::{Config, ConfigError},
    connectors::Writer,
    engine::{Engine, Options, Report, RunKind},
    record::{Side, Sides},
    rules::render,
    sandbox::pair::Pair,
    store::Store,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// L1 asks for three; one more looks up what a crash in the third left, one finds nothing to do.
const MOST_RUNS: usize = 6;

pub struct Scene {
    pub partner: &'static dyn Partner,
    pub pair: Pair,
    dir: tempfile::TempDir,
    /// As last written; reading and checking a file takes longer than a run.
    config: Mutex<Option<Arc<Config>>>,
    /// As the daemon keeps them between runs; a restart makes new ones.
    connectors: Mutex<Option<Arc<Connectors>>>,
    minutes: AtomicI64,
    words: AtomicU32,
}

type Connectors = Sides<Box<dyn Writer>>;

/// A record on both sides.
#[derive(Debug, Clone)]
pub struct Both {
    pub salesforce: String,
    pub platform: String,
}

impl Scene {
    /// In step, with one bystander of each kind, so that no side is ever empty.
    pub async fn start(partner: &'static dyn Partner) -> Self {
        let pair = Pair::start(partner.kind(), 0, 0).await.unwrap();
        let (minutes, words) = (AtomicI64::new(0), AtomicU32::new(0));
        let scene = Self {
            partner,
            pair,
            dir: tempfile::tempdir().unwrap(),
            config: Mutex::default(),
            connectors: Mutex::default(),
            minutes,
            words,
        };
        scene.write_rules(|text| text);
        for subject in partner.subjects() {
            scene.new_in_salesforce(subject, &scene.word());
        }
        // First contact: what would be held is looked at by an operator and let go.
        for _ in 0..2 {
            let report = scene.run(Options { approve: true, ..Options::new(RunKind::Delta, "once") }).await;
            assert_eq!(report.outcome, "ok", "{}: {report:#?}\n{}", partner.platform().name, scene.changes());
        }
        scene
    }

    // ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The shipped file, with every `{ env = … }` of the sandbox given, and the test's own changes.
    pub fn write_rules(&self, change: impl FnOnce(String) -> String) {
        let platform = self.partner.platform();
        let mut text = self.partner.rules(platform.rules.to_owned(), &self.pair);
        for (name, value) in self.pair.environment() {
            let path = self.dir.path().join(name);
            fs::write(&path, value).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let given = format!("{{ env = \"{name}\" }}");
            assert!(text.contains(&given), "{} does not ask for {name}", platform.rules_file);
            text = text.replace(&given, &format!("{{ file = {:?} }}", path.display().to_string()));
        }
        fs::write(self.rules_path(), change(text)).unwrap();
        *self.config.lock().unwrap() = None;
        self.restart();
    }

    /// What a process knows beyond its state file is gone: log-ins, described objects, lists that were read.
    pub fn restart(&self) {
        *self.connectors.lock().unwrap() = None;
    }

    pub fn connectors(&self) -> Arc<Connectors> {
        let config = self.config();
        Arc::clone(self.connectors.lock().unwrap().get_or_insert_with(|| Arc::new(config.connect().unwrap())))
    }

    /// The rules with these keys of one object set, whatever the shipped file says of them.
    pub fn set(&self, object: &str, keys: &[(&str, &str)]) {
        self.write_rules(|text| with_keys(&text, object, keys));
    }

    /// The rules with a port where nobody listens, in place of the platform's; answers the address.
    pub fn nowhere(&self) -> String {
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let (name, url) =
            self.pair.environment().iter().find(|(name, _)| name.ends_with("_URL") && !name.starts_with("SALESFORCE")).unwrap();
        let mut address = url::Url::parse(url).unwrap();
        address.set_port(Some(port)).unwrap();
        fs::write(self.dir.path().join(name), address.as_str()).unwrap();
        *self.config.lock().unwrap() = None;
        self.restart();
        address.to_string()
    }

    fn rules_path(&self) -> PathBuf {
        self.dir.path().join("sync-rules.toml")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> Arc<Config> {
        let mut known = self.config.lock().unwrap();
        Arc::clone(known.get_or_insert_with(|| Arc::new(self.load())))
    }

    fn load(&self) -> Config {
        match Config::load(&self.rules_path(), &self.state()) {
            Ok(config) => config,
            Err(ConfigError::Problems { problems, source_text, .. }) => panic!("{}", render(&problems, &source_text, "sync-rules.toml")),
            Err(error) => panic!("{error}"),
        }
    }

    // ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn store(&self) -> Store {
        Store::open(&self.state()).unwrap()
    }

    pub async fn run(&self, options: Options) -> Report {
        self.try_run(options).await.unwrap()
    }

    pub async fn try_run(&self, options: Options) -> anyhow::Result<Report> {
        self.tick();
        let config = self.config();
        let connectors = self.connectors();
        let store = self.store();
        let ahead = Duration::minutes(self.minutes.load(Ordering::SeqCst));
        let clock = move || -> DateTime<Utc> { Utc::now() + ahead };
        let state = self.state();
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
        engine.run(&options).await
    }

    /// `lockstep once`, as the daemon does it: kinds without a feed of changes are swept.
    pub async fn once(&self) -> Report {
        self.run(Options { sweep: true, ..Options::new(RunKind::Delta, "once") }).await
    }

    pub async fn full(&self) -> Report {
        self.run(Options::new(RunKind::Full, "resync")).await
    }

    fn tick(&self) {
        self.minutes.fetch_add(10, Ordering::SeqCst);
        for wire in [&self.pair.salesforce_wire, &self.pair.platform_wire] {
            wire.clock.advance(Duration::minutes(10));
        }
    }

    /// Runs until one has nothing to do.
    pub async fn settle(&self) {
        let mut reports = Vec::new();
        loop {
            let report = self.once().await;
            assert_eq!(report.held, 0, "{report:#?}\n{}", self.changes());
            let still = report.outcome == "ok" && (report.writes.salesforce, report.writes.platform) == (0, 0);
            reports.push(report);
            // Once more, because an absence counts only when it is seen twice.
            if still && reports.len() > 2 {
                return;
            }
            assert!(reports.len() < MOST_RUNS, "no rest: {reports:#?}\n{}", self.changes());
        }
    }

    /// L2, S7: nothing happened, so nothing is written, nor by a full re-sync; both simulators say the same.
    pub async fn quiet(&self) {
        let before = self.picture();
        for report in [self.once().await, self.full().await] {
            let writes = (report.writes.salesforce, report.writes.platform);
            assert_eq!((report.outcome.as_str(), writes), ("ok", (0, 0)), "{report:#?}\n{}", self.changes());
        }
        assert_eq!(self.picture(), before, "written, and not counted");
    }

    fn picture(&self) -> String {
        let mut text = self.partner.picture(&self.pair);
        let config = self.config();
        let world = self.pair.salesforce.world();
        for mapping in &config.rules.mappings {
            for row in world.rows(&mapping.salesforce) {
                text += &format!("{row}\n");
            }
        }
        text
    }

    /// What the history shows, for messages of failed assertions.
    pub fn changes(&self) -> String {
        let table = self.store().view("recent_changes", "1", "", 60).unwrap();
        serde_json::to_string_pretty(&table.to_json()).unwrap()
    }

    // ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    /// A word that no record has yet.
    pub fn word(&self) -> String {
        let n = self.words.fetch_add(1, Ordering::SeqCst);
        let letters: String = [n / 676 % 26, n / 26 % 26, n % 26].iter().map(|n| char::from(b'a' + u8::try_from(*n).unwrap())).collect();
        format!("Word{letters}")
    }

    pub fn sobject(&self, subject: &Subject) -> String {
        subject.mapping(&self.config().rules).salesforce.clone()
    }

    pub fn resource(&self, subject: &Subject) -> String {
        subject.mapping(&self.config().rules).platform.clone()
    }

    /// The platform id of the bystander that is above records of this kind.
    fn above(&self, subject: &Subject) -> Option<String> {
        let parent = subject.parent.as_ref()?;
        let table = self.store().view("links", "object = ?1", parent.object, 1).unwrap();
        let at = table.columns.iter().position(|c| c == "platform_id").unwrap();
        table.rows[0][at].clone()
    }

    /// At the beginning the parent is not linked yet: the first there is.
    pub fn new_in_salesforce(&self, subject: &Subject, word: &str) -> String {
        let mut world = self.pair.salesforce.world();
        let parent = subject.parent.as_ref().map(|parent| {
            let above = self.partner.subjects().iter().find(|s| s.object == parent.object).unwrap();
            let rows = world.rows(&self.sobject(above));
            rows[0]["Id"].as_str().unwrap().to_owned()
        });
        let sobject = self.sobject(subject);
        world.insert(&sobject, &subject.fields(word, parent.as_deref())).unwrap()
    }

    pub fn new_on_platform(&self, subject: &Subject, word: &str) -> String {
        let mut row = Row::new();
        for field in [&subject.name, &subject.other] {
            row.insert(field.platform.to_owned(), (field.value)(word));
        }
        if let (Some(parent), Some(id)) = (&subject.parent, self.above(subject)) {
            row.insert(parent.platform.to_owned(), id);
        }
        self.partner.make(&self.pair, &self.resource(subject), &row)
    }

    /// A record that is linked, and nothing left to do.
    pub async fn linked(&self, subject: &Subject) -> Both {
        let word = self.word();
        let salesforce = self.new_in_salesforce(subject, &word);
        let report = self.once().await;
        assert_eq!(report.outcome, "ok", "{report:#?}\n{}", self.changes());
        let link = self.store().link(subject.object, Side::Salesforce, &salesforce).unwrap();
        let platform = link.unwrap_or_else(|| panic!("not linked: {}", self.changes())).platform_id.to_string();
        Both { salesforce, platform }
    }

    pub fn edit_salesforce(&self, subject: &Subject, id: &str, field: super::Field, word: &str) {
        let sobject = self.sobject(subject);
        let fields = json!({ field.salesforce: (field.value)(word) });
        self.pair.salesforce.world().update(&sobject, id, &fields).unwrap();
    }

    pub fn edit_platform(&self, subject: &Subject, id: &str, field: super::Field, word: &str) {
        self.partner.edit(&self.pair, &self.resource(subject), id, field.platform, &(field.value)(word));
    }

    // ── what both hold ───────────────────────────────────────────────────────────────────────────────────────────────

    pub fn in_salesforce(&self, subject: &Subject) -> Vec<Value> {
        let sobject = self.sobject(subject);
        self.pair.salesforce.world().rows(&sobject)
    }

    pub fn on_platform(&self, subject: &Subject) -> BTreeMap<String, Row> {
        self.partner.rows(&self.pair, &self.resource(subject))
    }

    pub fn salesforce_value(&self, subject: &Subject, id: &str, field: super::Field) -> Option<String> {
        let rows = self.in_salesforce(subject);
        let row = rows.iter().find(|row| row["Id"] == json!(id))?;
        Some(row[field.salesforce].as_str().unwrap_or_default().to_owned())
    }

    pub fn platform_value(&self, subject: &Subject, id: &str, field: super::Field) -> Option<String> {
        Some(self.on_platform(subject).get(id)?.get(field.platform).cloned().unwrap_or_default())
    }

    /// S4, L1: each record of one side is exactly one of the other, with equal values.
    pub fn in_step(&self) {
        for subject in self.partner.subjects() {
            let fields = [subject.name, subject.other];
            let mut here: Vec<Vec<String>> = self
                .in_salesforce(subject)
                .iter()
                .map(|row| fields.iter().map(|f| row[f.salesforce].as_str().unwrap_or_default().to_owned()).collect())
                .collect();
            let mut there: Vec<Vec<String>> = self
                .on_platform(subject)
                .values()
                .map(|row| fields.iter().map(|f| row.get(f.platform).cloned().unwrap_or_default()).collect())
                .collect();
            here.sort();
            there.sort();
            assert_eq!(here, there, "{}: {}", subject.object, self.changes());
            assert_eq!(self.store().link_count(subject.object).unwrap(), here.len() as u64, "{}", subject.object);
        }
        assert_eq!(self.store().soundness().unwrap(), Vec::<String>::new());
    }
}

/// Sets keys in `[objects.<object>]`: a line that is there goes, the new ones stand at the head of the table.
pub fn with_keys(text: &str, object: &str, keys: &[(&str, &str)]) -> String {
    let head = format!("[objects.{object}]");
    let (before, rest) = text.split_once(&format!("\n{head}\n")).unwrap_or_else(|| panic!("no {head}"));
    let end = rest.find("\n[").map_or(rest.len(), |at| at + 1);
    let is_set = |line: &&str| keys.iter().any(|(key, _)| line.split('=').next().is_some_and(|word| word.trim() == *key));
    let kept: Vec<&str> = rest[..end].lines().filter(|line| !is_set(line)).collect();
    let new: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("{before}\n{head}\n{new}{}\n{}", kept.join("\n"), &rest[end..])
}
