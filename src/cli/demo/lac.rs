//! The story with License Activation Center: customers that were there already are found again, then contacts and tags
//! travel inside their customers.

use super::Story;
use super::stage::{Stage, say};
use crate::record::Side;
use crate::rules::{LAC, starter_of};
use crate::sandbox::lac::{self, Lac};
use crate::sandbox::pair::{Pair, PlatformKind};
use crate::sandbox::sample::{self, Sample};
use anyhow::Context;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

pub struct Customers;

impl Story for Customers {
    type Filled = Sample;
    const KIND: PlatformKind = PlatformKind::Lac;

    fn rules() -> String {
        starter_of(LAC, "demo", "")
    }

    fn fill(pair: &Pair) -> anyhow::Result<Sample> {
        let mut world = pair.salesforce.world();
        let sample = sample::fill(&mut world)?;
        let adopted = lac::sample::fill(&mut platform_of(pair).world(), &world.rows("Account"), &world.rows("Contact"))
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        println!("  Salesforce      {}   {} accounts, {} contacts", pair.salesforce.url, sample.accounts.len(), sample.contacts.len());
        println!(
            "  LAC             {}   {} customers with a SF_Id of earlier days, {} of an account's name, {} that only LAC has",
            pair.platform_url,
            adopted.tagged.len(),
            adopted.named.len(),
            adopted.own.len()
        );
        Ok(sample)
    }

    async fn tell(stage: &mut Stage, sample: &Sample) -> anyhow::Result<()> {
        Demo { stage }.tell(sample).await
    }
}

struct Demo<'a> {
    stage: &'a mut Stage,
}

impl Demo<'_> {
    async fn tell(&mut self, sample: &Sample) -> anyhow::Result<()> {
        say("First contact: both systems hold records, so nothing happens unasked");
        self.until("the pairs are laid before somebody", |d| d.stage.store.holds().is_ok_and(|holds| !holds.is_empty())).await?;
        for hold in self.stage.store.holds()? {
            println!("  held: {} {} of {} on {}", hold.count, hold.verb, hold.object, hold.side);
        }
        say("Somebody looks at them and agrees");
        let everything = sample.accounts.len() + 1;
        self.until("every account is a customer, and every customer an account", |d| {
            d.agree();
            d.count("customer") == everything && d.stage.salesforce_count("Account") == everything
        })
        .await?;
        self.until("every contact is on the other side", |d| {
            d.agree();
            d.count("contact") == d.stage.salesforce_count("Contact")
        })
        .await?;
        println!("  {} customers with {} contacts inside them", self.count("customer"), self.count("contact"));
        self.stage.quiet().await?;
        self.stage.mark()?;

        say("Somebody renames an account in Salesforce");
        let account = sample.accounts[10].clone();
        let customer = self.stage.partner("account", &account)?;
        self.stage.edit_salesforce("Account", &account, json!({"Name": "Renamed Holding AB"}))?;
        self.until("LAC shows the new name", |d| d.customer(customer)["name"] == json!("Renamed Holding AB")).await?;
        self.stage.tell()?;

        say("Somebody corrects the address of a contact in LAC");
        let contact = sample.contacts[20].clone();
        let person = self.person(&contact)?;
        self.edit_contact(person, json!({"email": "corrected@contact.example"}))?;
        self.until("Salesforce shows it", |d| d.stage.salesforce("Contact", &contact)["Email"] == json!("corrected@contact.example"))
            .await?;
        self.stage.tell()?;

        say("Both change the name of a contact before either knows of the other");
        let contact = sample.contacts[22].clone();
        let person = self.person(&contact)?;
        {
            // At one moment, so that no run sees the one without the other.
            let (mut platform, mut salesforce) = (self.lac().world(), self.stage.pair.salesforce.world());
            platform.update_contact(person, &json!({"name": "Pat Platformsson"})).map_err(|e| anyhow::anyhow!("{e}"))?;
            salesforce.update("Contact", &contact, &json!({"FirstName": "Sal", "LastName": "Salesforcesson"}))?;
        }
        self.until("Salesforce has won", |d| {
            d.lac().world().row("contact", &json!(person)).is_some_and(|row| row["name"] == json!("Sal Salesforcesson"))
                && d.stage.store.conflicts(false, 10).is_ok_and(|c| !c.is_empty())
        })
        .await?;
        self.stage.tell()?;
        self.stage.tell_conflict()?;

        say("Somebody takes the tag SF_Id off a customer");
        self.lac().world().remove_tag(customer, lac::SF_ID).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("it is put back", |d| d.tag(customer).as_deref() == Some(&*account)).await?;
        self.stage.tell()?;

        say("Somebody deletes a contact in LAC");
        let person = self.person(&sample.contacts[24])?;
        let contacts = self.stage.salesforce_count("Contact");
        self.lac().world().delete_contact(person).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("it is proved gone, and goes in Salesforce too", |d| d.stage.salesforce_count("Contact") + 1 == contacts).await?;
        self.stage.tell()?;
        self.stage.quiet().await
    }

    /// What an operator does with `lockstep hold release`, for all there is.
    fn agree(&self) {
        let store = &self.stage.store;
        let now = Utc::now();
        for hold in store.holds().unwrap_or_default() {
            if store.approval(&hold.object, &hold.side, &hold.verb, now).is_ok_and(|given| given.is_none()) {
                // One that could not be given is given at the next look.
                let _ = store.approve(&hold.object, &hold.side, &hold.verb, hold.count, now, now + TimeDelta::hours(1));
            }
        }
    }

    /// Counted at once: a world that is looked at twice in one expression waits for itself.
    fn count(&self, object: &str) -> usize {
        self.lac().world().count(object)
    }

    fn lac(&self) -> &Lac {
        platform_of(&self.stage.pair)
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        self.stage.until(what, || done(self)).await
    }

    fn customer(&self, id: i64) -> Value {
        self.lac().world().row("customer", &json!(id)).unwrap_or(Value::Null)
    }

    fn tag(&self, id: i64) -> Option<String> {
        self.lac().world().customers().find(|c| c.id == id).and_then(|c| c.tag(lac::SF_ID)).map(str::to_owned)
    }

    /// The number of a contact: its id names its customer first.
    fn person(&self, contact: &str) -> anyhow::Result<i64> {
        let link =
            self.stage.store.link("contact", Side::Salesforce, contact)?.with_context(|| format!("contact {contact} is not linked"))?;
        let (_, number) = link.platform_id.as_str().rsplit_once('-').context("a contact's id names its customer")?;
        number.parse().context("a contact has a number")
    }

    fn edit_contact(&self, id: i64, fields: Value) -> anyhow::Result<()> {
        self.lac().world().update_contact(id, &fields).map_err(|e| anyhow::anyhow!("{e}"))
    }
}

fn platform_of(pair: &Pair) -> &Lac {
    pair.lac().expect("the story starts this platform")
}
