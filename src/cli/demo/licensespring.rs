//! The story with LicenseSpring: orders become licenses, features travel, a machine is changed.

use super::Story;
use super::stage::{Stage, say, text};
use crate::rules::starter;
use crate::sandbox::licensespring::{LicenseSpring, Object};
use crate::sandbox::pair::{Pair, PlatformKind};
use crate::sandbox::sample::{self, Sample};
use crate::store::LinkState;
use anyhow::{Context, bail};
use serde_json::{Value, json};

pub struct Licenses;

impl Story for Licenses {
    type Filled = Sample;
    const KIND: PlatformKind = PlatformKind::LicenseSpring;

    fn rules() -> String {
        starter("demo", "2026-01-01T00:00:00Z").replace("plan = \"free\" ", "plan = \"none\" ")
    }

    fn fill(pair: &Pair) -> anyhow::Result<Sample> {
        let sample = sample::fill(&mut pair.salesforce.world())?;
        println!(
            "  Salesforce      {}   {} accounts, {} contacts, {} orders",
            pair.salesforce.url,
            sample.accounts.len(),
            sample.contacts.len(),
            sample.draft_orders.len() + sample.activated_orders.len()
        );
        println!("  LicenseSpring   {}   empty but for three products", pair.platform_url);
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
    fn licensespring(&self) -> &LicenseSpring {
        self.stage.pair.licensespring().expect("the story starts this platform")
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        self.stage.until(what, || done(self)).await
    }

    async fn tell(mut self, sample: &Sample) -> anyhow::Result<()> {
        say("First synchronisation");
        let due = sample.activated_orders.len();
        self.until("every account and contact is on the platform, and the activated orders have their licenses", |demo| {
            demo.platform_count(Object::Account) == sample.accounts.len()
                && demo.platform_count(Object::Customer) == sample.contacts.len()
                && demo.platform_count(Object::Order) == due
                && demo.stage.salesforce_count("License__c") == demo.platform_count(Object::License)
                && demo.stage.salesforce_count("License__c") > 0
        })
        .await?;
        println!(
            "  {} accounts and {} contacts created; {due} activated orders became {} licenses, which came back as License__c with {} features",
            self.platform_count(Object::Account),
            self.platform_count(Object::Customer),
            self.stage.salesforce_count("License__c"),
            self.stage.salesforce_count("License_Feature__c"),
        );
        self.stage.quiet().await?;
        self.stage.mark()?;

        say("Somebody renames an account in Salesforce");
        let account = sample.accounts[0].clone();
        let platform_account = self.stage.partner("account", &account)?;
        self.stage.edit_salesforce("Account", &account, json!({"Name": "Renamed Holding AB"}))?;
        self.until("the platform shows the new name", |d| {
            d.platform(Object::Account, platform_account)["name"] == json!("Renamed Holding AB")
        })
        .await?;
        self.stage.tell()?;

        say("Somebody corrects a phone number on the platform");
        let contact = sample.contacts[1].clone();
        let customer = self.stage.partner("contact", &contact)?;
        self.edit_platform(Object::Customer, customer, json!({"phone": "+46 8 555 01 02"}))?;
        self.until("Salesforce shows it", |d| d.stage.salesforce("Contact", &contact)["Phone"] == json!("+46 8 555 01 02")).await?;
        self.stage.tell()?;

        say("Both change the same name before either knows of the other");
        let contact = sample.contacts[2].clone();
        let customer = self.stage.partner("contact", &contact)?;
        {
            // At one moment, so that no run sees the one without the other.
            let (mut platform, mut salesforce) = (self.licensespring().world(), self.stage.pair.salesforce.world());
            platform.update(Object::Customer, customer, &json!({"last_name": "Platformsson"})).map_err(|e| anyhow::anyhow!("{e}"))?;
            salesforce.update("Contact", &contact, &json!({"LastName": "Salesforcesson"}))?;
        }
        self.until("Salesforce has won", |d| {
            d.platform(Object::Customer, customer)["last_name"] == json!("Salesforcesson")
                && d.stage.store.conflicts(false, 10).is_ok_and(|c| !c.is_empty())
        })
        .await?;
        self.stage.tell()?;
        self.stage.tell_conflict()?;

        say("An order is activated");
        let order = self.draft_with(sample, "LS-TEAM").context("the sample has no draft order for LS-TEAM")?;
        let before = self.stage.salesforce_count("License__c");
        let number = text(&self.stage.salesforce("Order", &order), "OrderNumber");
        println!("  while it is a draft, order {number} says: {}", text(&self.stage.salesforce("Order", &order), "License_Preview__c"));
        self.stage.pair.salesforce.world().activate_order(&order)?;
        self.until("its licenses are in Salesforce", |d| {
            d.stage.salesforce_count("License__c") > before && d.stage.salesforce_count("License__c") == d.platform_count(Object::License)
        })
        .await?;
        self.stage.tell()?;
        let mine: Vec<Value> =
            self.stage.pair.salesforce.world().rows("License__c").into_iter().filter(|r| r["Order__c"] == json!(order)).collect();
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
        self.stage.pair.salesforce.world().delete("Contact", &contact)?;
        self.until("the deletion was noticed", |d| d.stage.state_of("contact", &contact) == Some(LinkState::DeletedInSalesforce)).await?;
        self.stage.tell()?;
        println!("  reported, as the rules say: the platform still has its {customers} customers");
        self.stage.quiet().await
    }

    async fn features(&mut self, licenses: &[Value]) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (licenses.first(), licenses.last()) else { bail!("the order has no license") };
        let (ids, codes) = {
            let of = |license: &Value| -> anyhow::Result<(i64, String)> {
                let id = self.stage.partner("license", &text(license, "Id"))?;
                Ok((id, self.free_feature(id).context("every feature of the sample product is on its license already")?))
            };
            let (a, b) = (of(first)?, of(last)?);
            ([a.0, b.0], [a.1, b.1])
        };
        println!("  {} gets {} in Salesforce, {} gets {} on the platform", text(first, "Name"), codes[0], text(last, "Name"), codes[1]);
        self.stage.pair.salesforce.world().insert("License_Feature__c", &json!({"License__c": first["Id"], "Code__c": codes[0]}))?;
        self.licensespring().world().add_feature(ids[1], &codes[1], &json!({})).map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("each is on the other side too", |d| {
            let rows = d.stage.pair.salesforce.world().rows("License_Feature__c");
            let in_salesforce = rows.iter().any(|r| r["License__c"] == last["Id"] && r["Code__c"] == json!(codes[1]));
            in_salesforce && d.held_features(ids[0]).contains(&codes[0])
        })
        .await?;
        self.stage.tell()
    }

    fn order_says(&self, order: &str) -> String {
        let order = self.stage.salesforce("Order", order);
        format!("{}. {}", text(&order, "License_Status__c"), text(&order, "License_Message__c"))
    }

    /// A draft again, two more of everything, active again.
    async fn amend(&mut self, order: &str) -> anyhow::Result<()> {
        let before = self.order_says(order);
        let lines: Vec<Value> =
            self.stage.pair.salesforce.world().rows("OrderItem").into_iter().filter(|line| line["OrderId"] == json!(order)).collect();
        {
            let mut world = self.stage.pair.salesforce.world();
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
        self.stage.tell()?;
        println!("  the order says: {}", self.order_says(order));
        Ok(())
    }

    /// One reset, its outcome on the license, and nobody who activates afterwards is thrown out.
    async fn reset(&mut self, licenses: &[Value]) -> anyhow::Result<()> {
        let license = text(licenses.first().context("the order has no license")?, "Id");
        let id = self.stage.partner("license", &license)?;
        self.licensespring().world().activate(id, "old-machine", "cad-07").map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("the activation is in Salesforce", |d| {
            d.stage.salesforce("License__c", &license)["Activations__c"].as_f64() == Some(1.0)
        })
        .await?;
        self.stage.edit_salesforce("License__c", &license, json!({"Reset_Requested__c": true}))?;
        self.until("the box is cleared", |d| {
            let shown = d.stage.salesforce("License__c", &license);
            shown["Reset_Requested__c"] == json!(false) && shown["Reset_Outcome__c"].is_string()
        })
        .await?;
        self.licensespring().world().activate(id, "new-machine", "cad-08").map_err(|e| anyhow::anyhow!("{e}"))?;
        self.until("the new machine is in", |d| d.stage.salesforce("License__c", &license)["Activations__c"].as_f64() == Some(1.0)).await?;
        self.stage.tell()?;
        println!("  the license says: {}", text(&self.stage.salesforce("License__c", &license), "Reset_Outcome__c"));
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
    fn draft_with(&self, sample: &Sample, code: &str) -> Option<String> {
        let world = self.stage.pair.salesforce.world();
        let product = world.rows("Product2").into_iter().find(|p| p["ProductCode"] == json!(code))?["Id"].clone();
        let lines = world.rows("OrderItem");
        sample.draft_orders.iter().find(|o| lines.iter().any(|l| l["OrderId"] == json!(o) && l["Product2Id"] == product)).cloned()
    }

    fn platform(&self, object: Object, id: i64) -> Value {
        self.licensespring().world().get(object, id).unwrap_or(Value::Null)
    }

    fn platform_count(&self, object: Object) -> usize {
        self.licensespring().world().count(object)
    }

    fn edit_platform(&self, object: Object, id: i64, fields: Value) -> anyhow::Result<()> {
        self.licensespring().world().update(object, id, &fields).map_err(|e| anyhow::anyhow!("{e}"))
    }
}

fn masked(key: &str) -> String {
    format!("…{}", key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect::<String>())
}
