//! The connector for LAC under the engine itself, with the rules that are shipped for it: Salesforce in memory, LAC a small
//! fake behind HTTP. What each part promises alone is told beside it; here they meet.

#![allow(clippy::unwrap_used)]

use crate::connectors::Writer;
use crate::connectors::lac::fake::{Fake, World};
use crate::engine::stories_of_nesting::Memory;
use crate::engine::{Engine, Options, Report, RunKind};
use crate::record::{SalesforceId, Side, Sides, Value};
use crate::rules::{LAC, Limits, Rules, check, parse};
use crate::store::Store;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value as J, json};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio_util::sync::CancellationToken;

struct Story {
    salesforce: Memory,
    lac: Fake,
    store: Store,
    rules: Rules,
    minutes: AtomicI64,
}

fn id(prefix: &str, n: u32) -> String {
    SalesforceId::parse(&format!("{prefix}{n:012}")).unwrap().to_string()
}

impl Story {
    /// Two accounts, three contacts, an empty LAC; then in step.
    async fn start() -> Self {
        let text = LAC.replacen("Name = \"name\"", "Name = \"name\"\nTier__c = \"tag.SF_Tier__c\"", 1);
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        let salesforce = Memory::new(Side::Salesforce, ["Account", "Contact"]);
        let lac = Fake::start(World { page: 2, ..World::default() }).await;
        let story = Self { salesforce, lac, store: Store::in_memory().unwrap(), rules, minutes: AtomicI64::new(0) };
        for (n, name) in [(1, "Acme"), (2, "Beta")] {
            story.salesforce.put("Account", &id("001", n), &[("Name", Value::text(name)), ("Tier__c", Value::text("gold"))]);
        }
        for (n, account, first, last) in [(11, 1, "Ada", "Lovelace"), (12, 1, "Eve", "Moore"), (13, 2, "Bob", "Byte")] {
            let email = format!("{}@x.example", first.to_lowercase());
            let pairs = [("FirstName", first), ("LastName", last), ("Email", &email), ("AccountId", &id("001", account))];
            story.salesforce.put("Contact", &id("003", n), &pairs.map(|(n, v)| (n, Value::text(v))));
        }
        story.salesforce.last.store(100, Ordering::Relaxed);
        story.quiet(4).await;
        story
    }

    async fn run(&self, kind: RunKind) -> Report {
        let at = self.minutes.fetch_add(10, Ordering::Relaxed);
        let start: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
        let clock = move || start + Duration::minutes(at);
        let engine = Engine {
            store: &self.store,
            rules: &self.rules,
            limits: Limits::default(),
            sides: Sides::new(&self.salesforce as &dyn Writer, &self.lac.connector as &dyn Writer),
            clock: &clock,
            state_dir: None,
            confirm_after: Duration::seconds(60),
            allow_mixed: true,
            stop: CancellationToken::new(),
        };
        let report = engine.run(&Options::new(kind, "test")).await.unwrap();
        assert!(report.error.is_none() && report.held == 0 && report.quarantined == 0, "{report:?}");
        report
    }

    /// L2: soon nothing is written any more, by our own count and by the wire's.
    async fn quiet(&self, within: u32) {
        for _ in 0..within {
            self.run(RunKind::Delta).await;
        }
        let before = self.lac.writes();
        let report = self.run(RunKind::Delta).await;
        assert_eq!((report.writes.salesforce, report.writes.platform, self.lac.writes() - before), (0, 0, 0), "{report:?}");
    }

    fn customer(&self, name: &str) -> (i64, J) {
        let row = self.lac.world().customers.iter().find(|row| row["name"] == name).cloned().unwrap();
        (row["id"].as_str().unwrap().parse().unwrap(), J::Object(row))
    }

    fn people(&self, name: &str) -> Vec<String> {
        let (_, row) = self.customer(name);
        let mut names: Vec<String> = row["Contacts"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn everything_goes_there_and_comes_back_changed() {
    let story = Story::start().await;
    let (acme, row) = story.customer("Acme");
    assert_eq!(story.people("Acme"), ["Ada Lovelace", "Eve Moore"]);
    let tags: Vec<(&str, &str)> =
        row["CustomTags"].as_array().unwrap().iter().map(|t| (t["tag_name"].as_str().unwrap(), t["value"].as_str().unwrap())).collect();
    assert_eq!(tags, [("SF_Id", id("001", 1).as_str()), ("SF_Tier__c", "gold")]);

    story.lac.world().edit(acme, |row| {
        row.insert("city".to_owned(), "Bern".into());
        row["Contacts"][0]["name"] = json!("Ada King");
        row["Contacts"].as_array_mut().unwrap().push(json!({"id": "77", "name": "Mo van Dyk", "email": "mo@x.example"}));
        row["CustomTags"].as_array_mut().unwrap().push(json!({"tag_name": "vat_number", "value": "CH1"}));
    });
    story.quiet(2).await;
    assert_eq!(story.salesforce.value("Account", &id("001", 1), "BillingCity"), Value::text("Bern"));
    assert_eq!(story.salesforce.value("Contact", &id("003", 11), "LastName"), Value::text("King"));
    assert_eq!(story.salesforce.live("Contact").len(), 4);
    story.salesforce.put("Account", &id("001", 1), &[("Phone", Value::text("1")), ("Tier__c", Value::Null)]);
    story.quiet(2).await;
    let (_, row) = story.customer("Acme");
    assert_eq!(
        (&row["phone_number"], &row["CustomTags"][1]["value"], &row["CustomTags"][2]["value"]),
        (&json!("1"), &json!(""), &json!("CH1"))
    );
    assert_eq!(story.people("Acme").len(), 3);
    story.run(RunKind::Full).await;
    story.quiet(1).await;
}

#[tokio::test]
async fn l1_l2_a_customer_of_lac_becomes_an_account_and_old_tags_are_taken() {
    let story = Story::start().await;
    let new = crate::connectors::lac::fake::customer(5, "Born in LAC", &json!([]), &[]);
    story.lac.world().customers.push(new.as_object().unwrap().clone());
    story.quiet(1).await;
    let account =
        story.salesforce.live("Account").into_iter().find(|id| story.salesforce.value("Account", id, "Name") == Value::text("Born in LAC"));
    assert_eq!(story.customer("Born in LAC").1["CustomTags"][0]["value"], account.unwrap());
    let (acme, _) = story.customer("Acme");
    let short = id("001", 1)[..15].to_owned();
    story.lac.world().edit(acme, |row| row["CustomTags"][0]["value"] = short.into());
    story.quiet(1).await;
    story.lac.world().edit(acme, |row| drop(row["CustomTags"].as_array_mut().unwrap().remove(0)));
    story.quiet(1).await;
    let tags = story.customer("Acme").1["CustomTags"].clone();
    assert!(tags.as_array().unwrap().contains(&json!({"tag_name": "SF_Id", "value": id("001", 1)})), "{tags}");
}

#[tokio::test]
async fn x2_to_x8_deletions_and_what_comes_back() {
    let story = Story::start().await;
    let (acme, _) = story.customer("Acme");
    story.lac.world().edit(acme, |row| drop(row["Contacts"].as_array_mut().unwrap().remove(1)));
    story.quiet(3).await;
    assert_eq!(story.salesforce.live("Contact"), [id("003", 11), id("003", 13)], "X2");

    story.lac.world().customers.retain(|row| row["name"] != "Acme");
    story.quiet(4).await;
    assert_eq!((story.salesforce.live("Account").len(), story.salesforce.live("Contact").len()), (2, 2), "X3, X5");
    story.salesforce.put("Contact", &id("003", 11), &[("Email", Value::text("ada@new.example"))]);
    story.quiet(4).await;
    assert_eq!(story.people("Acme"), ["Ada Lovelace"], "X4");
    assert_ne!(story.customer("Acme").0, acme);

    story.salesforce.put("Contact", &id("003", 11), &[("AccountId", Value::text(id("001", 2)))]);
    story.quiet(3).await;
    assert_eq!((story.people("Acme").len(), story.people("Beta")), (0, vec!["Ada Lovelace".to_owned(), "Bob Byte".to_owned()]), "X8");
    assert_eq!(story.salesforce.live("Contact").len(), 2);

    // A list of contacts that is empty all at once would not be believed.
    let zed = [("LastName", Value::text("Zed")), ("AccountId", Value::text(id("001", 1)))];
    story.salesforce.put("Contact", &id("003", 14), &zed);
    story.quiet(2).await;
    story.lac.world().customers.retain(|row| row["name"] != "Beta");
    story.quiet(4).await;
    for _ in 0..2 {
        story.run(RunKind::Full).await;
    }
    assert_eq!(story.people("Beta"), ["Ada Lovelace", "Bob Byte"], "Z3");
    story.quiet(1).await;

    story.salesforce.delete("Account", &id("001", 2));
    story.quiet(3).await;
    assert!(story.lac.world().customers.iter().all(|row| row["name"] != "Beta"), "X1");
}
