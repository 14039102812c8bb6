//! `lockstep demo`: the whole thing on this machine in one command.
//!
//! Two simulators, the daemon's real loop on a short interval between them, and a few people who edit both sides. What
//! is printed is what the systems and the state file show, not what ought to be there.

use super::Exit;
use crate::config::Config;
use crate::daemon::{self, Lock, Session};
use crate::rules::starter;
use crate::sandbox::{
    licensespring::{LicenseSpring, Object},
    pair::{Pair, PlatformKind},
    sample,
};
use crate::store::{RunRow, Store};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leaves everything running at the end
    #[arg(long)]
    pub keep: bool,
}

/// A chapter that takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(40);
/// A chapter names this many changes one by one.
const MOST_TOLD: u32 = 6;

pub fn run(args: &Args, state: Option<&Path>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(show(args, state));
    runtime.shutdown_background();
    exit
}

async fn show(args: &Args, state: Option<&Path>) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let state = place(state)?;
    let pair = Pair::start(PlatformKind::LicenseSpring, 0, 0).await.context("starting the simulators")?;
    let sample = sample::fill(&mut pair.salesforce.world())?;
    let rules = write_rules(&pair, &state)?;
    let config = Config::load(&rules, &state)?;
    let store = Arc::new(Store::open(&state)?);
    let demo = Demo { pair, store: store.clone(), seen: 0 };

    say("Two systems on this machine");
    println!(
        "  Salesforce      {}   {} accounts, {} contacts, {} orders",
        demo.pair.salesforce.url,
        sample.accounts.len(),
        sample.contacts.len(),
        sample.draft_orders.len() + sample.activated_orders.len()
    );
    println!("  LicenseSpring   {}   empty but for three products", demo.pair.platform_url);
    println!("  rules           {}", rules.display());

    let stop = CancellationToken::new();
    let _lock = Lock::take(&state, "demo")?;
    let session = Arc::new(Session::new(config, store.clone(), &state)?);
    let worker = tokio::spawn(daemon::start(session, stop.clone()));

    let ended = tokio::select! {
        ended = demo.chapters(&sample) => ended,
        () = stop.cancelled() => return Ok(Exit::InStep),
    };
    if ended.is_ok() {
        summary(&store, &state, began)?;
        if args.keep {
            println!("\nEverything is left running; Ctrl-C ends it.");
            stop.cancelled().await;
        }
    }
    stop.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(10), worker).await;
    ended.map(|()| Exit::InStep)
}

struct Demo {
    pair: Pair,
    store: Arc<Store>,
    /// The newest change that was shown.
    seen: i64,
}

impl Demo {
    fn licensespring(&self) -> &LicenseSpring {
        self.pair.licensespring().expect("the demo starts this platform")
    }

    async fn chapters(mut self, sample: &sample::Sample) -> anyhow::Result<()> {
        say("First synchronisation");
        let due = sample.activated_orders.len();
        self.until("every account and contact is on the platform, and the activated orders have their licenses", |demo| {
            demo.platform_count(Object::Account) == sample.accounts.len()
                && demo.platform_count(Object::Customer) == sample.contacts.len()
                && demo.platform_count(Object::Order) == due
                && demo.salesforce_count("License__c") == demo.platform_count(Object::License)
                && demo.salesforce_count("License__c") > 0
        })
        .await?;
        println!(
            "  {} accounts and {} contacts created; {due} activated orders became {} licenses, which came back as License__c with {} features",
            self.platform_count(Object::Account),
            self.platform_count(Object::Customer),
            self.salesforce_count("License__c"),
            self.salesforce_count("License_Feature__c"),
        );
        self.quiet().await?;
        // A run that is still going may yet be the one that finds the first edit.
        self.seen = self.store.runs(5)?.into_iter().find(|r| r.finished_at.is_some()).map_or(0, |r| r.run);

        say("Somebody renames an account in Salesforce");
        let account = sample.accounts[0].clone();
        let platform_account = self.partner("account", &account)?;
        self.edit_salesforce("Account", &account, json!({"Name": "Renamed Holding AB"}))?;
        self.until("the platform shows the new name", |d| {
            d.platform(Object::Account, platform_account)["name"] == json!("Renamed Holding AB")
        })
        .await?;
        self.tell()?;

        say("Somebody corrects a phone number on the platform");
        let contact = sample.contacts[1].clone();
        let customer = self.partner("contact", &contact)?;
        self.edit_platform(Object::Customer, customer, json!({"phone": "+46 8 555 01 02"}))?;
        self.until("Salesforce shows it", |d| d.salesforce("Contact", &contact)["Phone"] == json!("+46 8 555 01 02")).await?;
        self.tell()?;

        say("Both change the same name before either knows of the other");
        let contact = sample.contacts[2].clone();
        let customer = self.partner("contact", &contact)?;
        {
            // At one moment, so that no run sees the one without the other.
            let (mut platform, mut salesforce) = (self.licensespring().world(), self.pair.salesforce.world());
            platform.update(Object::Customer, customer, &json!({"last_name": "Platformsson"})).map_err(|e| anyhow::anyhow!("{e}"))?;
            salesforce.update("Contact", &contact, &json!({"LastName": "Salesforcesson"}))?;
        }
        self.until("Salesforce has won", |d| {
            d.platform(Object::Customer, customer)["last_name"] == json!("Salesforcesson")
                && d.store.conflicts(false, 10).is_ok_and(|c| !c.is_empty())
        })
        .await?;
        self.tell()?;
        if let Some(conflict) = self.store.conflicts(false, 1)?.first() {
            println!(
                "  the losing value {} is kept: `lockstep conflicts restore {}` would put it back",
                conflict.value.platform, conflict.id
            );
        }

        say("An order is activated");
        let order = self.draft_with(sample, "LS-TEAM").context("the sample has no draft order for LS-TEAM")?;
        let before = self.salesforce_count("License__c");
        let number = text(&self.salesforce("Order", &order), "OrderNumber");
        println!("  while it is a draft, order {number} says: {}", text(&self.salesforce("Order", &order), "License_Preview__c"));
        self.pair.salesforce.world().activate_order(&order)?;
        self.until("its licenses are in Salesforce", |d| {
            d.salesforce_count("License__c") > before && d.salesforce_count("License__c") == d.platform_count(Object::License)
        })
        .await?;
        self.tell()?;
        let mine: Vec<Value> =
            self.pair.salesforce.world().rows("License__c").into_iter().filter(|r| r["Order__c"] == json!(order)).collect();
        for license in &mine {
            println!(
                "  order {number}: {} {} with key {}",
                text(license, "Name"),
                text(license, "Product__c"),
                masked(&text(license, "License_Key__c"))
            );
        }

        println!("  and the order says: {}", self.order_says(&order));

        say("A feature is added on each side");
        self.features(&mine).await?;

        say("The customer wants more: the order is amended");
        self.amend(&order).await?;

        say("A new machine: somebody ticks \"Reset Requested\" on the license");
        self.reset(&mine).await?;

        say("A contact is deleted in Salesforce");
        let contact = sample.contacts[3].clone();
        let customers = self.platform_count(Object::Customer);
        self.pair.salesforce.world().delete("Contact", &contact)?;
        self.until("the deletion was noticed", |d| {
            d.store
                .link("contact", crate::record::Side::Salesforce, &contact)
                .is_ok_and(|l| l.is_some_and(|l| l.state == crate::store::LinkState::DeletedInSalesforce))
        })
        .await?;
        self.tell()?;
        println!("  reported, as the rules say: the platform still has its {customers} customers");
        self.quiet().await
    }

    async fn features(&mut self, licenses: &[Value]) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (licenses.first(), licenses.last()) else { bail!("the order has no license") };
        let (ids, codes) = {
            let of = |license: &Value| -> anyhow::Result<(i64, String)> {
                let id = self.partner("license", &text(license, "Id"))?;
                Ok((id, self.free_feature(id).context("every feature of the sample product is on its license already")?))
            };
            let (a, b) = (of(first)?, of(last)?);
            ([a.0, b.0], [a.1, b.1])
        };
        println!("  {} gets {} in Salesforce, {} gets {} on the platform", text(first, "Name"), codes[0], text(last, "Name"), codes[1]);
        self.pair.salesforce.world().insert("License_Feature__c", &json!({"License__c": first["Id"], "Code__c": codes[0]}))?;
        self.licensespring().world().add_feature(ids[1], &codes[1], &json!({})).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("each is on the other side too", |d| {
            let rows = d.pair.salesforce.world().rows("License_Feature__c");
            let in_salesforce = rows.iter().any(|r| r["License__c"] == last["Id"] && r["Code__c"] == json!(codes[1]));
            in_salesforce && d.held_features(ids[0]).contains(&codes[0])
        })
        .await?;
        self.tell()
    }

    fn order_says(&self, order: &str) -> String {
        let order = self.salesforce("Order", order);
        format!("{}. {}", text(&order, "License_Status__c"), text(&order, "License_Message__c"))
    }

    /// A draft again, two more of everything, active again.
    async fn amend(&mut self, order: &str) -> anyhow::Result<()> {
        let before = self.order_says(order);
        let lines: Vec<Value> =
            self.pair.salesforce.world().rows("OrderItem").into_iter().filter(|line| line["OrderId"] == json!(order)).collect();
        {
            let mut world = self.pair.salesforce.world();
            world.update("Order", order, &json!({"Status": "Draft"}))?;
            for line in &lines {
                world.update("OrderItem", &text(line, "Id"), &json!({"Quantity": line["Quantity"].as_f64().unwrap_or_default() + 2.0}))?;
            }
            world.activate_order(order)?;
        }
        self.until("the order says what is licensed now", |d| {
            let said = d.order_says(order);
            said != before && said.starts_with("Provisioned") && !said.contains("draft")
        })
        .await?;
        self.tell()?;
        println!("  the order says: {}", self.order_says(order));
        Ok(())
    }

    /// One reset, its outcome on the license, and nobody who activates afterwards is thrown out.
    async fn reset(&mut self, licenses: &[Value]) -> anyhow::Result<()> {
        let license = text(licenses.first().context("the order has no license")?, "Id");
        let id = self.partner("license", &license)?;
        self.licensespring().world().activate(id, "old-machine", "cad-07").map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("the activation is in Salesforce", |d| d.salesforce("License__c", &license)["Activations__c"].as_f64() == Some(1.0))
            .await?;
        self.edit_salesforce("License__c", &license, json!({"Reset_Requested__c": true}))?;
        self.until("the box is cleared", |d| {
            let shown = d.salesforce("License__c", &license);
            shown["Reset_Requested__c"] == json!(false) && shown["Reset_Outcome__c"].is_string()
        })
        .await?;
        self.licensespring().world().activate(id, "new-machine", "cad-08").map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("the new machine is in", |d| d.salesforce("License__c", &license)["Activations__c"].as_f64() == Some(1.0)).await?;
        self.tell()?;
        println!("  the license says: {}", text(&self.salesforce("License__c", &license), "Reset_Outcome__c"));
        Ok(())
    }

    fn held_features(&self, license: i64) -> Vec<String> {
        let world = self.licensespring().world();
        let definitions = world.rows(Object::ProductFeature);
        world
            .rows(Object::LicenseFeature)
            .iter()
            .filter(|row| row["license"] == json!(license))
            .filter_map(|row| definitions.iter().find(|d| d["id"] == row["product_feature"]).map(|d| text(d, "code")))
            .collect()
    }

    /// A feature of the license's product that the license does not have.
    fn free_feature(&self, license: i64) -> Option<String> {
        let held = self.held_features(license);
        let product = self.platform(Object::License, license)["product"].clone();
        let world = self.licensespring().world();
        world
            .rows(Object::ProductFeature)
            .iter()
            .filter(|f| f["product"] == product)
            .map(|f| text(f, "code"))
            .find(|code| !held.contains(code))
    }

    /// A draft order with a line for this product.
    fn draft_with(&self, sample: &sample::Sample, code: &str) -> Option<String> {
        let world = self.pair.salesforce.world();
        let product = world.rows("Product2").into_iter().find(|p| p["ProductCode"] == json!(code))?["Id"].clone();
        let lines = world.rows("OrderItem");
        sample.draft_orders.iter().find(|o| lines.iter().any(|l| l["OrderId"] == json!(o) && l["Product2Id"] == product)).cloned()
    }

    /// Waits for what a chapter is about. The daemon runs by itself; nobody pushes it.
    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !done(self) {
            if began.elapsed() > PATIENCE {
                let last = self.store.last_run()?;
                bail!("waited {} s in vain until {what}; the last run: {last:?}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.run_over().await
    }

    /// The run that did it has written its row.
    async fn run_over(&self) -> anyhow::Result<()> {
        while self.store.last_run()?.is_some_and(|r| r.finished_at.is_none()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A whole run without a write: the echo test, before everybody's eyes.
    async fn quiet(&self) -> anyhow::Result<()> {
        let since = self.store.last_run()?.map_or(0, |r| r.run);
        let began = Instant::now();
        loop {
            let still = |r: &RunRow| r.run > since && r.finished_at.is_some() && r.writes.salesforce + r.writes.platform == 0;
            if let Some(run) = self.store.runs(5)?.into_iter().find(still) {
                println!("  run {}: nothing changed, 0 writes, {} Salesforce call", run.run, run.calls.salesforce);
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("no run without a write within {} s: {:?}", PATIENCE.as_secs(), self.store.runs(3)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The journal's own words for what was done since the last time.
    fn tell(&mut self) -> anyhow::Result<()> {
        let mut told = 0;
        // A run that is still going is told of with the next chapter.
        let runs: Vec<RunRow> = self.store.runs(50)?.into_iter().filter(|r| r.finished_at.is_some()).collect();
        for run in runs.iter().rev().filter(|r| r.run > self.seen) {
            self.store.each_of_run(run.run, |stored| {
                told += 1;
                if told <= MOST_TOLD {
                    show_intent(run.run, &stored.intent);
                }
                Ok(())
            })?;
        }
        if told > MOST_TOLD {
            println!("  … and {} more", told - MOST_TOLD);
        }
        self.seen = runs.first().map_or(self.seen, |r| r.run);
        Ok(())
    }

    fn partner(&self, object: &str, salesforce_id: &str) -> anyhow::Result<i64> {
        let link = self.store.link(object, crate::record::Side::Salesforce, salesforce_id)?;
        link.with_context(|| format!("{object} {salesforce_id} is not linked"))?
            .platform_id
            .as_str()
            .parse()
            .context("a platform id is a number")
    }

    fn salesforce(&self, object: &str, id: &str) -> Value {
        self.pair.salesforce.world().row(object, id).unwrap_or(Value::Null)
    }

    fn platform(&self, object: Object, id: i64) -> Value {
        self.licensespring().world().get(object, id).unwrap_or(Value::Null)
    }

    fn salesforce_count(&self, object: &str) -> usize {
        self.pair.salesforce.world().counts().get(object).copied().unwrap_or(0)
    }

    fn platform_count(&self, object: Object) -> usize {
        self.licensespring().world().count(object)
    }

    fn edit_salesforce(&self, object: &str, id: &str, fields: Value) -> anyhow::Result<()> {
        Ok(self.pair.salesforce.world().update(object, id, &fields)?)
    }

    fn edit_platform(&self, object: Object, id: i64, fields: Value) -> anyhow::Result<()> {
        self.licensespring().world().update(object, id, &fields).map_err(|e| anyhow::anyhow!("{e}"))
    }
}

/// One line for what was seen and done, and the fields it was about.
fn show_intent(run: i64, intent: &crate::plan::Intent) {
    let name = intent.salesforce_id.as_ref().or(intent.platform_id.as_ref()).map_or("", |id| id.as_str());
    let side = if intent.verb.is_write() { format!(" on {}", intent.side) } else { String::new() };
    println!("  run {run}: {} → {} {} {name}{side}", intent.situation, intent.verb, intent.object);
    for moved in intent.moved.iter().filter(|m| !m.new.is_blank()).take(4) {
        println!("      {}: {} → {}", moved.name, moved.old, moved.new);
    }
}

fn say(title: &str) {
    println!("\n── {title} {}", "─".repeat(90usize.saturating_sub(title.chars().count())));
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

fn masked(key: &str) -> String {
    format!("…{}", key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect::<String>())
}

/// A given directory, or a fresh one that stays for a look afterwards.
fn place(state: Option<&Path>) -> anyhow::Result<PathBuf> {
    match state {
        Some(dir) if dir.join("lockstep.db").exists() => bail!("{} already holds a state; the demo wants a fresh directory", dir.display()),
        Some(dir) => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| dir.display().to_string())?;
            Ok(dir.to_owned())
        }
        None => Ok(tempfile::Builder::new().prefix("lockstep-demo-").tempdir()?.keep()),
    }
}

/// The shipped rules, pointed at the simulators and hurried up.
fn write_rules(pair: &Pair, state: &Path) -> anyhow::Result<PathBuf> {
    let mut text = starter("demo", "2026-01-01T00:00:00Z")
        .replace("every = \"15m\" ", "every = \"1s\" ")
        .replace("confirm-absence-after = \"60s\"", "confirm-absence-after = \"2s\"")
        .replace("plan = \"free\" ", "plan = \"none\" ");
    for (name, value) in pair.environment() {
        let found = format!("{{ env = \"{name}\" }}");
        let secret = matches!(*name, "SALESFORCE_CLIENT_SECRET" | "LICENSESPRING_API_KEY");
        let with = if secret {
            let path = state.join(name.to_lowercase());
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            std::io::Write::write_all(&mut file, value.as_bytes())?;
            format!("{{ file = {:?} }}", path.display().to_string())
        } else {
            format!("{value:?}")
        };
        text = text.replace(&found, &with);
    }
    let path = state.join("sync-rules.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn summary(store: &Store, state: &Path, began: Instant) -> anyhow::Result<()> {
    say("Summary");
    let runs = store.runs(10_000)?;
    let sum = |pick: &dyn Fn(&RunRow) -> u64| runs.iter().map(pick).sum::<u64>();
    println!(
        "  {} runs in {:.0} s: {} writes to the platform and {} to Salesforce, {} conflict(s) decided, {} Salesforce calls",
        runs.len(),
        began.elapsed().as_secs_f64(),
        sum(&|r| r.writes.platform),
        sum(&|r| r.writes.salesforce),
        sum(&|r| r.conflicts),
        sum(&|r| r.calls.salesforce),
    );
    let db = state.join("lockstep.db");
    println!("  the state file: {}\n\n  Try:", db.display());
    for query in [
        "SELECT run, kind, outcome, writes_salesforce, writes_platform FROM runs ORDER BY run DESC LIMIT 5",
        "SELECT at, object, action, direction, situation, outcome FROM recent_changes LIMIT 10",
        "SELECT object, count(*) FROM links GROUP BY object",
    ] {
        println!("    sqlite3 -readonly {} \"{query}\"", db.display());
    }
    Ok(())
}
