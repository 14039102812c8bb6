//! Contacts that live inside their customers, told with the rules of LAC against two sides in memory: what goes with what,
//! what comes back with what, and what never follows from an absence.

#![allow(clippy::unwrap_used)]

use super::{Engine, Options, Report, RunKind};
use crate::connectors::{
    Ask, Calls, Catalogue, DeleteFeed, Fault, Feed, Fetched, FieldInfo, Identity, Page, Polled, ReadEnd, Reader, ResourceSpec, Schema,
    Writer,
};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{FieldType, Fields, Life, Record, RecordId, SalesforceId, Side, Sides, Value};
use crate::rules::{LAC, Limits, Rules, check, parse};
use crate::store::Store;
use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type Tables = BTreeMap<String, BTreeMap<String, Record>>;

/// A side in memory. On the platform contacts are called `<customer>-<n>` and go with their customer.
pub struct Memory {
    side: Side,
    catalogue: Catalogue,
    tables: Mutex<Tables>,
    log: Mutex<Vec<String>>,
    pub last: AtomicI64,
}

impl Memory {
    pub fn new(side: Side, resources: [&'static str; 2]) -> Self {
        let spec = |name: &'static str| ResourceSpec {
            name,
            fields: Vec::new(),
            planted: None,
            feed: Feed::Sweep,
            deletes: if side == Side::Platform { DeleteFeed::Absence } else { DeleteFeed::Reported },
            can_create: true,
            can_update: true,
            can_delete: true,
            stamped: false,
            free_prefix: (name == "customer").then_some("tag."),
        };
        let catalogue = Catalogue { name: "memory", resources: resources.map(spec).into(), open: false };
        let tables = resources.map(|name| (name.to_owned(), BTreeMap::new())).into();
        Self { side, catalogue, tables: Mutex::new(tables), log: Mutex::default(), last: AtomicI64::new(0) }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }

    fn new_id(&self, resource: &str, fields: &Fields) -> String {
        let n = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        match resource {
            "Account" => SalesforceId::parse(&format!("001{n:012}")).unwrap().to_string(),
            "Contact" => SalesforceId::parse(&format!("003{n:012}")).unwrap().to_string(),
            "contact" => format!("{}-{n}", fields["customer"].as_text().unwrap()),
            _ => n.to_string(),
        }
    }

    pub fn put(&self, resource: &str, id: &str, fields: &[(&str, Value)]) {
        let mut tables = self.tables();
        let record = tables.get_mut(resource).unwrap().entry(id.to_owned()).or_insert_with(|| Record::live(id, Fields::new()));
        record.fields.extend(fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
        if resource == "Account" || resource == "Contact" {
            record.fields.insert("Id".to_owned(), Value::text(id));
        }
    }

    /// A person deletes a record, with what is inside it.
    pub fn delete(&self, resource: &str, id: &str) {
        let mut tables = self.tables();
        if self.side == Side::Salesforce {
            for (name, table) in tables.iter_mut() {
                for record in table.values_mut() {
                    let inside = name == "Contact" && resource == "Account" && record.fields.get("AccountId") == Some(&Value::text(id));
                    if record.id.as_str() == id || inside {
                        record.life = Life::Deleted;
                    }
                }
            }
            return;
        }
        tables.get_mut(resource).unwrap().remove(id);
        if resource == "customer" {
            tables.get_mut("contact").unwrap().retain(|key, _| !key.starts_with(&format!("{id}-")));
        }
    }

    pub fn live(&self, resource: &str) -> Vec<String> {
        self.tables()[resource].values().filter(|r| r.life == Life::Live).map(|r| r.id.to_string()).collect()
    }

    pub fn value(&self, resource: &str, id: &str, field: &str) -> Value {
        self.tables()[resource][id].fields.get(field).cloned().unwrap_or(Value::Null)
    }

    fn shown(record: &Record, wanted: &[String]) -> Record {
        let fields = wanted.iter().map(|n| (n.clone(), record.fields.get(n).cloned().unwrap_or(Value::Null))).collect();
        Record { fields, ..record.clone() }
    }

    fn schema_of(&self, resource: &str) -> Schema {
        let text = || FieldType::text();
        let of = |ty: FieldType| FieldInfo { ty, createable: true, updateable: true, required: false, secret: false, calculated: false };
        let mut fields: BTreeMap<String, FieldInfo> = match resource {
            "Account" => [
                "Name",
                "Phone",
                "Fax",
                "Description",
                "BillingStreet",
                "BillingPostalCode",
                "BillingCity",
                "BillingState",
                "BillingCountry",
                "Tier__c",
            ]
            .map(|n| (n.to_owned(), of(text())))
            .into(),
            "Contact" => ["FirstName", "LastName", "Email", "AccountId"].map(|n| (n.to_owned(), of(text()))).into(),
            "customer" => {
                ["name", "phone_number", "fax_number", "description", "street", "zip_code", "city", "state", "country", "tag.SF_Id"]
                    .map(|n| (n.to_owned(), of(text())))
                    .into()
            }
            _ => ["name", "email", "customer"].map(|n| (n.to_owned(), of(text()))).into(),
        };
        if let Some(parent) = fields.get_mut("customer") {
            parent.required = true;
        }
        if resource == "customer" {
            fields.insert("tag.".to_owned(), of(FieldType::Text { max: None, blank_is_null: false }));
        }
        if self.side == Side::Salesforce {
            let id = FieldInfo { createable: false, updateable: false, ..of(text()) };
            fields.insert("Id".to_owned(), id);
            // A formula, and a phone number with a limit.
            for (name, ty, writable) in [("Score__c", text(), false), ("Fax", FieldType::Text { max: Some(5), blank_is_null: true }, true)]
            {
                if resource == "Account" {
                    fields.insert(name.to_owned(), FieldInfo { createable: writable, updateable: writable, ..of(ty) });
                }
            }
            fields.insert("Lockstep_Id__c".to_owned(), of(text()));
        }
        let planted = match (self.side, resource) {
            (Side::Salesforce, _) => Some("Lockstep_Id__c"),
            (Side::Platform, "customer") => Some("tag.SF_Id"),
            (Side::Platform, _) => None,
        };
        Schema { fields, createable: true, updateable: true, deletable: true, planted: planted.map(str::to_owned) }
    }

    fn carry_out(&self, write: &Write) -> Outcome {
        self.log.lock().unwrap().push(format!("{} {}", write.verb, write.resource));
        let done = |id: &str| {
            let record = self.tables()[&write.resource].get(id).map(|r| Self::shown(r, &write.read));
            Outcome::Done { id: id.into(), record, steps: Vec::new() }
        };
        let pairs: Vec<(&str, Value)> = write.fields.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
        let own = write.id.as_ref().map(RecordId::as_str).unwrap_or_default();
        let there = self.tables()[&write.resource].contains_key(own);
        match write.verb {
            Verb::Create => {
                let parent = write.fields.get("customer").and_then(Value::as_text).map(str::to_owned);
                if parent.is_some_and(|id| !self.tables()["customer"].contains_key(&id)) {
                    return Outcome::Failed { code: "customer-missing".to_owned(), message: String::new() };
                }
                let id = self.new_id(&write.resource, &write.fields);
                self.put(&write.resource, &id, &pairs);
                done(&id)
            }
            _ if !there => Outcome::Missing,
            // It goes to another customer, and is called otherwise there.
            Verb::Update if write.fields.contains_key("customer") => {
                let mut fields = self.tables().get_mut("contact").unwrap().remove(own).unwrap().fields;
                fields.extend(write.fields.clone());
                let id = self.new_id("contact", &fields);
                let pairs: Vec<(&str, Value)> = fields.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                self.put("contact", &id, &pairs);
                done(&id)
            }
            Verb::Update => {
                self.put(&write.resource, own, &pairs);
                done(own)
            }
            _ => {
                self.delete(&write.resource, own);
                Outcome::Done { id: own.into(), record: None, steps: Vec::new() }
            }
        }
    }
}

#[async_trait]
impl Reader for Memory {
    fn side(&self) -> Side {
        self.side
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        Ok(Identity { id: format!("{}-1", self.side), name: String::new(), is_sandbox: true })
    }

    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        Ok(resources.iter().map(|r| (r.clone(), self.schema_of(r))).collect())
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let mut polled = Vec::new();
        for ask in asks {
            let records: Vec<Record> = self.tables()[&ask.resource].values().map(|r| Self::shown(r, &ask.fields)).collect();
            pages.send(Page { object: ask.object.clone(), records }).await.unwrap();
            let watermark = (self.side == Side::Salesforce).then(|| "w".to_owned());
            polled.push(Polled { object: ask.object.clone(), end: Ok(ReadEnd { watermark, complete: ask.sweep }) });
        }
        Ok(polled)
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let tables = self.tables();
        let one = |id: &RecordId| match tables[resource].get(id.as_str()) {
            Some(record) if record.life == Life::Live => Fetched::Here(Self::shown(record, fields)),
            Some(record) => Fetched::Deleted(Self::shown(record, fields)),
            None => Fetched::Missing(id.clone()),
        };
        Ok(ids.iter().map(one).collect())
    }

    async fn find(&self, _: &str, _: &[String], _: &str, _: &[Value]) -> Result<Vec<Record>, Fault> {
        Ok(Vec::new())
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        Ok(self.live(resource).len() as u64)
    }

    fn calls(&self) -> Calls {
        Calls::default()
    }
}

#[async_trait]
impl Writer for Memory {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        writes.iter().map(|w| self.carry_out(w)).collect()
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        Outcome::Unknown { message: format!("nobody asked for {}", write.verb) }
    }
}

struct Story {
    salesforce: Memory,
    platform: Memory,
    store: Store,
    rules: Rules,
    minutes: AtomicI64,
}

const A1: &str = "001000000000001AAA";
const A2: &str = "001000000000002AAA";

impl Story {
    /// Two accounts, three contacts, in step.
    async fn start() -> Self {
        let text = LAC.replacen("Name = \"name\"", "Name = \"name\"\nTier__c = \"tag.SF_Tier__c\"\nScore__c = \"tag.SF_Score__c\"", 1);
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        let story = Self {
            salesforce: Memory::new(Side::Salesforce, ["Account", "Contact"]),
            platform: Memory::new(Side::Platform, ["customer", "contact"]),
            store: Store::in_memory().unwrap(),
            rules,
            minutes: AtomicI64::new(0),
        };
        for (n, (id, name)) in [(A1, "Acme"), (A2, "Beta")].into_iter().enumerate() {
            assert_eq!(SalesforceId::parse(id).unwrap().as_str(), id);
            story.salesforce.put("Account", id, &[("Name", Value::text(name)), ("Tier__c", Value::text("gold"))]);
            story.salesforce.last.store(n as i64 + 1, Ordering::Relaxed);
        }
        for (account, first, last) in [(A1, "Ada", "Lovelace"), (A1, "Eve", "Moore"), (A2, "Bob", "Byte")] {
            story.contact(account, first, last);
        }
        story.quiet(5).await;
        story
    }

    fn contact(&self, account: &str, first: &str, last: &str) -> String {
        let id = self.salesforce.new_id("Contact", &Fields::new());
        let email = format!("{}@x.example", first.to_lowercase());
        let pairs = [("FirstName", first), ("LastName", last), ("Email", &email), ("AccountId", account)];
        self.salesforce.put("Contact", &id, &pairs.map(|(n, v)| (n, Value::text(v))));
        id
    }

    async fn run(&self, kind: RunKind) -> Report {
        let at = self.minutes.fetch_add(10, Ordering::Relaxed);
        let start: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
        let clock = move || start + Duration::minutes(at);
        let engine = Engine {
            store: &self.store,
            rules: &self.rules,
            limits: Limits::default(),
            sides: Sides::new(&self.salesforce as &dyn Writer, &self.platform as &dyn Writer),
            clock: &clock,
            state_dir: None,
            confirm_after: Duration::seconds(60),
            allow_mixed: true,
            stop: CancellationToken::new(),
        };
        engine.run(&Options::new(kind, "test")).await.unwrap()
    }

    async fn delta(&self) -> u64 {
        let report = self.run(RunKind::Delta).await;
        assert!(report.error.is_none() && report.held == 0, "{report:?}");
        report.writes.salesforce + report.writes.platform
    }

    /// L2: soon nothing is written any more.
    async fn quiet(&self, within: u32) {
        for _ in 0..within {
            if self.delta().await == 0 {
                break;
            }
        }
        assert_eq!(self.delta().await, 0, "{:?} {:?}", self.salesforce.log.lock().unwrap(), self.platform.log.lock().unwrap());
        self.salesforce.log.lock().unwrap().clear();
        self.platform.log.lock().unwrap().clear();
    }

    fn customer(&self, name: &str) -> String {
        let tables = self.platform.tables();
        let found: Vec<_> = tables["customer"].values().filter(|r| r.fields["name"] == Value::text(name)).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].id.to_string()
    }

    fn people(&self, customer: &str) -> Vec<String> {
        let tables = self.platform.tables();
        let of = tables["contact"].values().filter(|r| r.fields["customer"] == Value::text(customer));
        let mut names: Vec<String> = of.map(|r| r.fields["name"].as_text().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn deletes(&self, side: &Memory) -> usize {
        side.log.lock().unwrap().iter().filter(|l| l.starts_with("delete")).count()
    }
}

#[tokio::test]
async fn d3_additions_go_both_ways_and_the_next_run_writes_nothing() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    assert_eq!(story.people(&acme), ["Ada Lovelace", "Eve Moore"]);
    assert_eq!(story.platform.value("customer", &acme, "tag.SF_Id"), Value::text(A1), "L1");
    assert_eq!(story.platform.value("customer", &acme, "tag.SF_Tier__c"), Value::text("gold"), "T1");
    story.platform.put("contact", &format!("{acme}-900"), &[("name", Value::text("Mo van Dyk")), ("customer", Value::text(&*acme))]);
    story.quiet(2).await;
    let tables = story.salesforce.tables();
    let mo = tables["Contact"].values().find(|r| r.fields.get("LastName") == Some(&Value::text("Dyk"))).unwrap();
    assert_eq!((&mo.fields["FirstName"], &mo.fields["AccountId"]), (&Value::text("Mo van"), &Value::text(A1)), "L7, N3");
}

#[tokio::test]
async fn l2_a_customer_becomes_an_account_and_is_tagged_in_the_same_run() {
    let story = Story::start().await;
    story.platform.put("customer", "77", &[("name", Value::text("Born in LAC"))]);
    assert_eq!(story.delta().await, 2);
    let id = story.salesforce.live("Account").pop().unwrap();
    assert_eq!(story.salesforce.value("Account", &id, "Name"), Value::text("Born in LAC"));
    assert_eq!(story.platform.value("customer", "77", "tag.SF_Id"), Value::text(&*id));
    assert_eq!(story.delta().await, 0);
}

#[tokio::test]
async fn l3_the_tag_is_put_back() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    for edit in [Value::Null, Value::text("by hand")] {
        story.platform.put("customer", &acme, &[("tag.SF_Id", edit)]);
        story.quiet(1).await;
        assert_eq!(story.platform.value("customer", &acme, "tag.SF_Id"), Value::text(A1));
    }
}

#[tokio::test]
async fn x9_a_blank_tag_travels_and_a_missing_one_is_put_back() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    story.platform.put("customer", &acme, &[("tag.SF_Tier__c", Value::Null)]);
    story.quiet(1).await;
    assert_eq!(story.salesforce.value("Account", A1, "Tier__c"), Value::text("gold"), "left alone");
    assert_eq!(story.platform.value("customer", &acme, "tag.SF_Tier__c"), Value::text("gold"), "T6: and the tag is written");
    story.platform.put("customer", &acme, &[("tag.SF_Tier__c", Value::text(""))]);
    story.quiet(1).await;
    assert_eq!(story.salesforce.value("Account", A1, "Tier__c"), Value::Null);
    story.salesforce.put("Account", A1, &[("Tier__c", Value::text("tin"))]);
    story.platform.put("customer", &acme, &[("tag.SF_Tier__c", Value::Null)]);
    story.quiet(1).await;
    assert_eq!(story.platform.value("customer", &acme, "tag.SF_Tier__c"), Value::text("tin"));
}

#[tokio::test]
async fn l4_a_copy_with_the_tag_of_another_customer_is_reported_and_made_into_nothing() {
    let story = Story::start().await;
    // A tag of an account that is linked, and one of an account Salesforce does not know.
    let unknown = SalesforceId::parse("001000000000900").unwrap();
    for (id, tag) in [("98", A1), ("99", unknown.as_str())] {
        story.platform.put("customer", id, &[("name", Value::text(format!("Copy {id}"))), ("tag.SF_Id", Value::text(tag))]);
    }
    for _ in 0..3 {
        assert_eq!(story.delta().await, 0);
    }
    assert_eq!((story.salesforce.live("Account").len(), story.platform.live("customer").len()), (2, 4));
}

#[tokio::test]
async fn t5_what_salesforce_computes_goes_to_its_tag_and_never_back() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    story.salesforce.put("Account", A1, &[("Score__c", Value::text("10"))]);
    story.quiet(1).await;
    assert_eq!(story.platform.value("customer", &acme, "tag.SF_Score__c"), Value::text("10"));
    story.platform.put("customer", &acme, &[("tag.SF_Score__c", Value::text("99"))]);
    story.quiet(1).await;
    assert_eq!(story.salesforce.value("Account", A1, "Score__c"), Value::text("10"));
}

#[tokio::test]
async fn f3_a_value_that_is_too_long_is_an_error_of_its_record_and_never_cut() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    story.platform.put("customer", &acme, &[("fax_number", Value::text("123456"))]);
    for _ in 0..2 {
        let report = story.run(RunKind::Delta).await;
        assert_eq!((report.quarantined, report.writes.salesforce), (1, 0), "{report:?}");
    }
    assert_eq!(story.salesforce.value("Account", A1, "Fax"), Value::Null);
    story.platform.put("customer", &acme, &[("fax_number", Value::text("12345"))]);
    story.quiet(2).await;
    assert_eq!(story.salesforce.value("Account", A1, "Fax"), Value::text("12345"));
}

#[tokio::test]
async fn x1_an_account_takes_its_customer_along_and_a_contact_its_contact() {
    let story = Story::start().await;
    let (acme, beta) = (story.customer("Acme"), story.customer("Beta"));
    let eve = story.salesforce.live("Contact")[1].clone();
    story.salesforce.delete("Contact", &eve);
    story.quiet(2).await;
    assert_eq!(story.people(&acme), ["Ada Lovelace"]);
    story.salesforce.delete("Account", A1);
    story.quiet(3).await;
    assert_eq!((story.platform.live("customer"), story.people(&acme).len()), (vec![beta], 0));
}

#[tokio::test]
async fn x2_a_contact_deleted_in_lac_while_its_customer_stays_is_deleted() {
    let story = Story::start().await;
    let (acme, gone) = (story.customer("Acme"), story.platform.live("contact")[1].clone());
    story.platform.delete("contact", &gone);
    assert_eq!(story.delta().await, 0, "not seen once is not gone");
    story.delta().await;
    assert_eq!(story.salesforce.live("Contact").len(), 2);
    assert_eq!(story.people(&acme).len(), 1);
    story.quiet(2).await;
}

#[tokio::test]
async fn x3_x5_x6_a_customer_deleted_in_lac_deletes_nothing_and_stays_away() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    story.platform.delete("customer", &acme);
    for _ in 0..6 {
        assert_eq!(story.delta().await, 0);
    }
    assert_eq!((story.salesforce.live("Account").len(), story.salesforce.live("Contact").len()), (2, 3));
    assert_eq!((story.platform.live("customer").len(), story.platform.live("contact").len()), (1, 1));
}

#[tokio::test]
async fn x4_a_later_change_of_the_account_or_of_a_contact_brings_all_of_it_back() {
    for by_contact in [false, true] {
        for at_once in [false, true] {
            let story = Story::start().await;
            let acme = story.customer("Acme");
            story.platform.delete("customer", &acme);
            if !at_once {
                story.quiet(3).await;
                story.quiet(3).await;
            }
            let ada = story.salesforce.live("Contact")[0].clone();
            match by_contact {
                true => story.salesforce.put("Contact", &ada, &[("LastName", Value::text("King"))]),
                false => story.salesforce.put("Account", A1, &[("Phone", Value::text("1"))]),
            }
            for _ in 0..5 {
                let report = story.run(RunKind::Delta).await;
                assert!(report.error.is_none() && report.held == 0, "{report:?}");
            }
            story.quiet(1).await;
            let again = story.customer("Acme");
            let want = if by_contact { "Ada King" } else { "Ada Lovelace" };
            assert!(again != acme, "{by_contact} {at_once}");
            assert_eq!(story.people(&again), [want, "Eve Moore"], "{by_contact} {at_once}");
            assert_eq!(story.platform.value("customer", &again, "tag.SF_Id"), Value::text(A1));
            assert_eq!((story.salesforce.live("Account").len(), story.salesforce.live("Contact").len()), (2, 3));
        }
    }
}

#[tokio::test]
async fn x7_an_echo_of_our_own_write_brings_nothing_back() {
    let story = Story::start().await;
    let acme = story.customer("Acme");
    story.platform.put("customer", &acme, &[("phone_number", Value::text("7"))]);
    assert_eq!(story.delta().await, 1);
    story.platform.delete("customer", &acme);
    for _ in 0..5 {
        assert_eq!(story.delta().await, 0);
    }
    assert_eq!(story.platform.live("customer").len(), 1);
}

#[tokio::test]
async fn x8_a_contact_that_goes_to_another_account_goes_to_its_customer_and_is_never_missed() {
    let story = Story::start().await;
    let (acme, beta) = (story.customer("Acme"), story.customer("Beta"));
    let ada = story.salesforce.live("Contact")[0].clone();
    story.salesforce.put("Contact", &ada, &[("AccountId", Value::text(A2))]);
    assert_eq!(story.delta().await, 1);
    assert_eq!(
        (story.people(&acme), story.people(&beta)),
        (vec!["Eve Moore".to_owned()], vec!["Ada Lovelace".to_owned(), "Bob Byte".to_owned()])
    );
    for _ in 0..4 {
        assert_eq!(story.delta().await, 0);
    }
    assert_eq!((story.salesforce.live("Contact").len(), story.deletes(&story.salesforce)), (3, 0));
    story.salesforce.put("Contact", &ada, &[("LastName", Value::text("King"))]);
    story.quiet(2).await;
    assert_eq!(story.people(&beta), ["Ada King", "Bob Byte"], "still the same pair");
}

#[tokio::test]
async fn z3_a_full_run_brings_back_what_is_gone_in_lac_only_and_deletes_nothing() {
    let story = Story::start().await;
    let (acme, beta) = (story.customer("Acme"), story.customer("Beta"));
    story.platform.delete("customer", &acme);
    story.quiet(3).await;
    story.quiet(3).await;
    assert_eq!(story.platform.live("customer"), std::slice::from_ref(&beta));
    story.run(RunKind::Full).await;
    story.run(RunKind::Full).await;
    let again = story.customer("Acme");
    assert_eq!(story.people(&again), ["Ada Lovelace", "Eve Moore"]);
    story.quiet(1).await;

    // A contact that is gone while a full run is asked for is brought back, not deleted here.
    let bob = story.platform.live("contact").into_iter().find(|id| id.starts_with(&format!("{beta}-"))).unwrap();
    story.platform.delete("contact", &bob);
    story.run(RunKind::Full).await;
    story.run(RunKind::Full).await;
    assert_eq!(story.people(&beta), ["Bob Byte"]);
    assert_eq!((story.salesforce.live("Contact").len(), story.deletes(&story.salesforce)), (3, 0));
    story.quiet(1).await;
    assert_eq!(story.run(RunKind::Full).await.writes.platform, 0, "Z2: on a clean pair nothing is written");
}

#[tokio::test]
async fn x11_a_merge_moves_the_contacts_and_deletes_no_customer() {
    let story = Story::start().await;
    let (acme, beta) = (story.customer("Acme"), story.customer("Beta"));
    {
        let mut tables = story.salesforce.tables();
        tables.get_mut("Account").unwrap().get_mut(A1).unwrap().life = Life::MergedInto(A2.into());
        for contact in tables.get_mut("Contact").unwrap().values_mut() {
            contact.fields.insert("AccountId".to_owned(), Value::text(A2));
        }
    }
    story.quiet(3).await;
    assert_eq!((story.people(&acme), story.people(&beta).len()), (Vec::<String>::new(), 3));
    assert_eq!(story.platform.live("customer"), [acme, beta]);
    assert_eq!((story.salesforce.live("Contact").len(), story.deletes(&story.platform)), (3, 0));
}

#[tokio::test]
async fn both_at_once_salesforce_wins() {
    let story = Story::start().await;
    let (acme, contacts) = (story.customer("Acme"), story.platform.live("contact"));
    let people = story.salesforce.live("Contact");
    // A contact deleted there and edited here: kept. One deleted here and edited there: deleted.
    story.platform.delete("contact", &contacts[0]);
    story.salesforce.put("Contact", &people[0], &[("LastName", Value::text("King"))]);
    story.platform.put("contact", &contacts[1], &[("name", Value::text("Eve More"))]);
    story.salesforce.delete("Contact", &people[1]);
    for _ in 0..3 {
        story.run(RunKind::Delta).await;
    }
    assert_eq!(story.people(&acme), ["Ada King"]);
    assert_eq!(story.salesforce.live("Contact").len(), 2);
    // D4: both changed one field.
    story.platform.put("customer", &acme, &[("city", Value::text("Basel"))]);
    story.salesforce.put("Account", A1, &[("BillingCity", Value::text("Bern"))]);
    story.quiet(1).await;
    assert_eq!(story.platform.value("customer", &acme, "city"), Value::text("Bern"));
}

#[tokio::test]
async fn x12_more_deletions_than_allowed_are_held_and_none_is_made() {
    let story = Story::start().await;
    for n in 0..20 {
        story.contact(A2, &format!("P{n}"), "Many");
    }
    story.quiet(3).await;
    let beta = story.customer("Beta");
    for id in story.platform.live("contact").into_iter().filter(|id| id.starts_with(&format!("{beta}-"))).take(15) {
        story.platform.delete("contact", &id);
    }
    for _ in 0..3 {
        story.run(RunKind::Delta).await;
    }
    assert_eq!((story.salesforce.live("Contact").len(), story.deletes(&story.salesforce)), (23, 0));
    assert!(story.run(RunKind::Delta).await.held > 0);
}

#[tokio::test]
async fn x10_undeleted_is_an_addition() {
    let story = Story::start().await;
    let eve = story.salesforce.live("Contact")[1].clone();
    story.salesforce.delete("Contact", &eve);
    story.quiet(2).await;
    assert_eq!(story.platform.live("contact").len(), 2);
    story.salesforce.tables().get_mut("Contact").unwrap().get_mut(&eve).unwrap().life = Life::Live;
    story.quiet(2).await;
    assert_eq!(story.platform.live("contact").len(), 3);
}
