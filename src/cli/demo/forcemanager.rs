//! The story with ForceManager: what it held is replaced at a person's word, then a sales team works on both sides.

use super::Story;
use super::stage::{Stage, say, text};
use crate::config::Config;
use crate::daemon::Session;
use crate::rules::{FORCEMANAGER, starter_of};
use crate::sandbox::forcemanager::{ForceManager, Object, fill_sample};
use crate::sandbox::pair::{Pair, PlatformKind};
use crate::sandbox::sample::{self, Sample};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub struct Sales;

pub struct Filled {
    sample: Sample,
    sales: sample::Sales,
}

impl Story for Sales {
    type Filled = Filled;
    const KIND: PlatformKind = PlatformKind::ForceManager;

    fn rules() -> String {
        starter_of(FORCEMANAGER, "demo", "").replace("requests-per-second = 3 ", "first-load = \"replace\"\nrequests-per-second = 3 ")
    }

    fn fill(pair: &Pair) -> anyhow::Result<Filled> {
        let mut world = pair.salesforce.world();
        let sample = sample::fill(&mut world)?;
        let sales = sample::fill_sales(&mut world, &sample)?;
        let platform = platform_of(pair);
        fill_sample(&mut platform.world()).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        println!(
            "  Salesforce      {}   {} accounts, {} contacts, {} opportunities, {} calls, {} tasks, {} events",
            pair.salesforce.url,
            sample.accounts.len(),
            sample.contacts.len(),
            sales.opportunities.len(),
            sales.calls.len(),
            sales.tasks.len(),
            sales.events.len()
        );
        println!(
            "  ForceManager    {}   {} companies of before, who will be replaced",
            pair.platform_url,
            platform.world().count(Object::Account)
        );
        Ok(Filled { sample, sales })
    }

    /// Nothing runs before somebody has said that what ForceManager holds may go.
    async fn prepare(session: &Session, config: &Config) -> anyhow::Result<()> {
        say("Somebody consents that what ForceManager holds is replaced");
        for one in session.replacement().await? {
            println!("  {}: {} to be deleted, at most {} to be created", one.object, one.deleted, one.created);
        }
        let first = config.first_load.as_ref().context("the story's rules ask for a first load")?;
        let report = session.replace(first, "…demo", CancellationToken::new()).await?;
        ensure!(report.outcome == "ok", "the first load ended {}: {:?}", report.outcome, report.error);
        println!(
            "  run {}: {} writes to ForceManager; what was deleted is kept in first-load-….jsonl beside the state",
            report.run, report.writes.platform
        );
        Ok(())
    }

    async fn tell(stage: &mut Stage, filled: &Filled) -> anyhow::Result<()> {
        Demo { stage }.tell(filled).await
    }
}

struct Demo<'a> {
    stage: &'a mut Stage,
}

impl Demo<'_> {
    async fn tell(&mut self, filled: &Filled) -> anyhow::Result<()> {
        let (sample, sales) = (&filled.sample, &filled.sales);
        say("First synchronisation");
        self.until("every record is on the other side", |d| {
            d.count(Object::Account) == sample.accounts.len()
                && d.count(Object::Contact) == sample.contacts.len()
                && d.count(Object::Opportunity) == sales.opportunities.len()
                && d.count(Object::Activity) == sales.calls.len()
                && d.count(Object::Calendar) == sales.tasks.len() + sales.events.len()
        })
        .await?;
        println!(
            "  {} companies, {} contacts, {} opportunities, {} activities and {} entries of the calendar",
            self.count(Object::Account),
            self.count(Object::Contact),
            self.count(Object::Opportunity),
            self.count(Object::Activity),
            self.count(Object::Calendar)
        );
        self.stage.quiet().await?;
        self.stage.mark()?;

        say("Somebody renames an account in Salesforce");
        let account = sample.accounts[0].clone();
        let company = self.stage.partner("account", &account)?;
        self.stage.edit_salesforce("Account", &account, json!({"Name": "Renamed Holding AB"}))?;
        self.until("ForceManager shows the new name", |d| d.platform(Object::Account, company)["name"] == json!("Renamed Holding AB"))
            .await?;
        self.stage.tell()?;

        say("Somebody corrects a phone number in ForceManager");
        let contact = sample.contacts[1].clone();
        let person = self.stage.partner("contact", &contact)?;
        self.edit(Object::Contact, person, json!({"phone1": "+46 8 555 01 02"}))?;
        self.until("Salesforce shows it", |d| d.stage.salesforce("Contact", &contact)["Phone"] == json!("+46 8 555 01 02")).await?;
        self.stage.tell()?;

        say("Both change the same contact before either knows of the other");
        let contact = sample.contacts[2].clone();
        let person = self.stage.partner("contact", &contact)?;
        {
            // At one moment, so that no run sees the one without the other.
            let (mut platform, mut salesforce) = (self.forcemanager().world(), self.stage.pair.salesforce.world());
            platform.edit(Object::Contact, person, &json!({"lastName": "Platformsson"})).map_err(|e| anyhow::anyhow!("{e}"))?;
            salesforce.update("Contact", &contact, &json!({"LastName": "Salesforcesson"}))?;
        }
        self.until("Salesforce has won", |d| {
            d.platform(Object::Contact, person)["lastName"] == json!("Salesforcesson")
                && d.stage.store.conflicts(false, 10).is_ok_and(|c| !c.is_empty())
        })
        .await?;
        self.stage.tell()?;
        self.stage.tell_conflict()?;

        say("A deal is won");
        let deal = sales.opportunities[0].clone();
        let there = self.stage.partner("opportunity", &deal)?;
        self.stage.edit_salesforce("Opportunity", &deal, json!({"StageName": "Closed Won"}))?;
        self.until("ForceManager shows it", |d| d.platform(Object::Opportunity, there)["salesProbability"].as_f64() == Some(10.0)).await?;
        self.stage.tell()?;
        println!("  a probability of {} in Salesforce is 10 of 10 there", self.stage.salesforce("Opportunity", &deal)["Probability"]);

        say("A visit is logged in ForceManager");
        let (tasks, dana) = (self.stage.salesforce_count("Task"), self.user("dreyes")?);
        let visit = json!({"accountId": company, "salesRepId": dana, "date": "2026-11-20 09:15:00", "comment": "showed the new version"});
        self.forcemanager().world().add(Object::Activity, &visit).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("it is a task in Salesforce", |d| d.stage.salesforce_count("Task") == tasks + 1).await?;
        self.stage.tell()?;
        let task =
            self.stage.pair.salesforce.world().rows("Task").into_iter().find(|t| t["Description"] == json!("showed the new version"));
        let task = task.context("the visit is not in Salesforce")?;
        println!(
            "  in Salesforce: {} of {}, {}",
            text(&task, "Subject"),
            text(&task, "ActivityDate"),
            text(&task, "Status").to_lowercase()
        );

        say("A task is ticked off in ForceManager");
        let task = sales.tasks[1].clone();
        let entry = self.stage.partner("task", &task)?;
        self.edit(Object::Calendar, entry, json!({"completed": true}))?;
        self.until("it is closed in Salesforce", |d| d.stage.salesforce("Task", &task)["IsClosed"] == json!(true)).await?;
        self.stage.tell()?;

        say("An appointment is cancelled in ForceManager");
        let (event, events) = (sales.events[1].clone(), self.stage.salesforce_count("Event"));
        let entry = self.stage.partner("event", &event)?;
        self.forcemanager().world().erase(Object::Calendar, entry).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("it is gone from Salesforce", |d| d.stage.salesforce_count("Event") + 1 == events).await?;
        self.stage.tell()?;
        self.stage.quiet().await
    }

    fn forcemanager(&self) -> &ForceManager {
        platform_of(&self.stage.pair)
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        self.stage.until(what, || done(self)).await
    }

    fn user(&self, nic: &str) -> anyhow::Result<i64> {
        let users = self.forcemanager().world().rows(Object::User);
        users.iter().find(|u| u["nic"] == json!(nic)).and_then(|u| u["id"].as_i64()).with_context(|| format!("nobody is called {nic}"))
    }

    fn platform(&self, object: Object, id: i64) -> Value {
        self.forcemanager().world().get(object, id).unwrap_or(Value::Null)
    }

    fn count(&self, object: Object) -> usize {
        self.forcemanager().world().count(object)
    }

    fn edit(&self, object: Object, id: i64, fields: Value) -> anyhow::Result<()> {
        self.forcemanager().world().edit(object, id, &fields).map_err(|e| anyhow::anyhow!("{e}"))
    }
}

fn platform_of(pair: &Pair) -> &ForceManager {
    pair.forcemanager().expect("the story starts this platform")
}
