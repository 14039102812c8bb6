//! Two simulators, the shipped rules, and the engine between them: stories run through the real wire.

use chrono::{DateTime, Utc};
use lockstep::{
    config::Config,
    engine::{Engine, Options, Report, RunKind},
    record::Sides,
    sandbox::{
        licensespring::{self, LicenseSpring, Object},
        salesforce::{self, Salesforce},
        serve::Wire,
    },
    store::Store,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

pub const SHIPPED: &str = include_str!("../../sync-rules.toml");

pub struct Rig {
    pub salesforce: Salesforce,
    pub platform: LicenseSpring,
    pub salesforce_wire: Wire,
    pub platform_wire: Wire,
    pub dir: tempfile::TempDir,
    /// Seconds our own clock is ahead.
    pub ahead: Arc<AtomicI64>,
}

impl Rig {
    pub async fn start() -> Self {
        let (salesforce_wire, platform_wire) = (Wire::default(), Wire::default());
        let salesforce = Salesforce::start(0, salesforce_wire.clone(), salesforce::Options::default()).await.unwrap();
        let platform = LicenseSpring::start(0, platform_wire.clone(), licensespring::Options::default()).await.unwrap();
        let rig = Self { salesforce, platform, salesforce_wire, platform_wire, dir: tempfile::tempdir().unwrap(), ahead: Arc::default() };
        rig.write_rules(|text| text);
        rig
    }

    /// The shipped rules, pointed at the simulators, with the test's own changes.
    pub fn write_rules(&self, change: impl FnOnce(String) -> String) {
        let secret = |name: &str, text: &str| {
            let path = self.dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            format!("{{ file = {:?} }}", path.display().to_string())
        };
        let options = salesforce::Options::default();
        let text = SHIPPED
            .replace("{ env = \"SALESFORCE_LOGIN_URL\" }", &format!("{:?}", self.salesforce.url))
            .replace("{ env = \"SALESFORCE_CLIENT_ID\" }", &format!("{:?}", options.client_id))
            .replace("{ env = \"SALESFORCE_CLIENT_SECRET\" }", &secret("client-secret", &options.client_secret))
            .replace("{ env = \"LICENSESPRING_URL\" }", &format!("{:?}", self.platform.url))
            .replace("{ env = \"LICENSESPRING_API_KEY\" }", &secret("api-key", &self.platform.api_key));
        fs::write(self.rules_path(), change(text)).unwrap();
    }

    pub fn rules_path(&self) -> PathBuf {
        self.dir.path().join("sync-rules.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> Config {
        match Config::load(&self.rules_path(), &self.state()) {
            Ok(config) => config,
            Err(lockstep::config::ConfigError::Problems { problems, source_text, .. }) => {
                panic!("{}", lockstep::rules::render(&problems, &source_text, "sync-rules.toml"))
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub fn store(&self) -> Store {
        Store::open(&self.state()).unwrap()
    }

    pub async fn once(&self) -> Report {
        self.run(Options::new(RunKind::Delta, "once")).await
    }

    pub async fn full(&self) -> Report {
        self.run(Options::new(RunKind::Full, "resync")).await
    }

    pub async fn approved(&self) -> Report {
        self.run(Options { approve: true, ..Options::new(RunKind::Delta, "once") }).await
    }

    pub async fn run(&self, options: Options) -> Report {
        let config = self.config();
        let connectors = config.connect().unwrap();
        let store = self.store();
        let ahead = Arc::clone(&self.ahead);
        let clock = move || -> DateTime<Utc> { Utc::now() + chrono::Duration::seconds(ahead.load(Ordering::SeqCst)) };
        let state = self.state();
        let engine = Engine {
            store: &store,
            rules: &config.rules,
            limits: config.limits,
            sides: Sides::new(&*connectors.salesforce, &*connectors.platform),
            clock: &clock,
            state_dir: Some(Path::new(&state)),
            confirm_after: config.confirm_after,
            allow_mixed: config.allow_sandbox_with_production,
            stop: CancellationToken::new(),
        };
        engine.run(&options).await.unwrap()
    }

    // ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

    pub fn sf_insert(&self, object: &str, fields: Value) -> String {
        self.salesforce.world().insert(object, &fields).unwrap()
    }

    pub fn sf_update(&self, object: &str, id: &str, fields: Value) {
        self.salesforce.world().update(object, id, &fields).unwrap();
    }

    pub fn sf_rows(&self, object: &str) -> Vec<Value> {
        self.salesforce.world().rows(object)
    }

    pub fn sf(&self, object: &str, id: &str) -> Value {
        self.salesforce.world().row(object, id).unwrap()
    }

    pub fn account(&self, name: &str) -> String {
        self.sf_insert("Account", json!({ "Name": name }))
    }

    pub fn contact(&self, account: &str, first: &str, last: &str, email: &str) -> String {
        self.sf_insert("Contact", json!({"AccountId": account, "FirstName": first, "LastName": last, "Email": email}))
    }

    /// A product with its standard price, and the standard book's entry id.
    pub fn product(&self, code: &str, name: &str) -> String {
        let product = self.sf_insert("Product2", json!({"Name": name, "ProductCode": code, "IsActive": true}));
        let book = self.standard_book();
        self.sf_insert("PricebookEntry", json!({"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 100, "IsActive": true}))
    }

    fn standard_book(&self) -> String {
        let books = self.sf_rows("Pricebook2");
        books.iter().find(|b| b["IsStandard"] == json!(true)).unwrap()["Id"].as_str().unwrap().to_owned()
    }

    /// A draft order with one line per (price book entry, quantity).
    pub fn order(&self, account: &str, contact: Option<&str>, lines: &[(&str, u32)]) -> String {
        let order = self.sf_insert(
            "Order",
            json!({"AccountId": account, "EffectiveDate": "2026-11-01", "Status": "Draft", "Pricebook2Id": self.standard_book(), "BillToContactId": contact}),
        );
        for (entry, quantity) in lines {
            self.sf_insert("OrderItem", json!({"OrderId": order, "PricebookEntryId": entry, "Quantity": quantity, "UnitPrice": 100}));
        }
        order
    }

    pub fn activate(&self, order: &str) {
        self.salesforce.world().activate_order(order).unwrap();
    }

    pub fn ls_rows(&self, object: Object) -> Vec<Value> {
        self.platform.world().rows(object)
    }

    pub fn ls_update(&self, object: Object, id: i64, fields: Value) {
        self.platform.world().update(object, id, &fields).unwrap();
    }

    pub fn ls_id(&self, object: Object, field: &str, value: &str) -> i64 {
        let rows = self.ls_rows(object);
        rows.iter().find(|r| r[field] == json!(value)).unwrap_or_else(|| panic!("no {field} {value} in {rows:#?}"))["id"].as_i64().unwrap()
    }

    pub fn salesforce_fault(&self, fault: Value) {
        self.salesforce_wire.faults.add(&fault).unwrap();
    }

    pub fn platform_fault(&self, fault: Value) {
        self.platform_wire.faults.add(&fault).unwrap();
    }

    pub fn clear_faults(&self) {
        self.salesforce_wire.faults.clear();
        self.platform_wire.faults.clear();
    }

    /// What `history` shows, for messages of failed assertions.
    pub fn changes(&self) -> String {
        let table = self.store().view("recent_changes", "1", "", 100).unwrap();
        serde_json::to_string_pretty(&table.to_json()).unwrap()
    }

    /// The echo test: nothing happened, so nothing is written; nor by a full re-sync.
    pub async fn quiet(&self) {
        let report = self.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{report:#?}\n{}", self.changes());
        let report = self.full().await;
        assert_eq!(
            (report.writes.salesforce, report.writes.platform),
            (0, 0),
            "a full re-sync of a clean pair: {report:#?}\n{}",
            self.changes()
        );
    }

    pub fn tick(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
        self.salesforce_wire.clock.advance(chrono::Duration::seconds(seconds));
        self.platform_wire.clock.advance(chrono::Duration::seconds(seconds));
    }
}
