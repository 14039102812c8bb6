//! What Lockstep says in Salesforce by itself: how an order stands, what a draft will become, how many licenses were sold and
//! are active, how a reset ended. Computed from the memory after every object had its turn; written where it differs.

use super::{
    native::{RESET_REQUESTED, own_fields},
    standing::{OrderFacts, standing},
};
use crate::connectors::Schema;
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, RecordId, Side, Sides, Value};
use crate::rules::{Lens, Mapping, Rules, Translate};
use crate::store::{Counted, Known, Links, ResetDone, Store};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// How many orders are in memory at once.
const BATCH: usize = 500;

/// The longest text of the two text fields of an order.
const MOST_CHARS: usize = 2_000;

pub struct Tell<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub schemas: &'a BTreeMap<String, Schema>,
    pub run: i64,
    pub now: DateTime<Utc>,
    /// Everything is looked at, not only what moved since this run.
    pub since: Option<i64>,
}

impl Tell<'_> {
    /// Plans what is to be said of the records of this object.
    pub fn plan(&self, mapping: &Mapping) -> anyhow::Result<u64> {
        let own: BTreeSet<&str> = own_fields(self.rules, mapping).into_iter().collect();
        let Some(schema) = self.schemas.get(&mapping.salesforce) else { return Ok(0) };
        if own.is_empty() {
            return Ok(0);
        }
        let said = match mapping.object.as_str() {
            _ if mapping.provisions => return self.orders(mapping, schema),
            "account" => self.accounts()?,
            "license" => self.resets()?,
            _ => BTreeMap::new(),
        };
        let ids: Vec<&str> = said.keys().map(String::as_str).collect();
        let mut planned = 0;
        for ids in ids.chunks(BATCH) {
            let known = self.store.known_of(&mapping.object, ids.iter().copied())?;
            let intents: Vec<Intent> = known.iter().filter_map(|k| differing(mapping, schema, k, &said[&k.id])).collect();
            planned += intents.len() as u64;
            self.store.record_plan(self.run, &intents, self.now)?;
        }
        Ok(planned)
    }

    fn today(&self) -> String {
        self.now.format("%Y-%m-%d").to_string()
    }

    fn order_mapping(&self) -> Option<&Mapping> {
        self.rules.mappings.iter().find(|m| m.provisions)
    }

    /// The field of a Salesforce license that names its order.
    fn license_order(&self) -> Option<&str> {
        let orders = &self.order_mapping()?.object;
        let entries = &self.rules.mapping("license")?.entries;
        entries.iter().find(|e| matches!(&e.lens, Lens::Reference { object } if object == orders))?.salesforce.first().map(String::as_str)
    }

    fn orders(&self, mapping: &Mapping, schema: &Schema) -> anyhow::Result<u64> {
        let field = self.license_order();
        let counts = match field {
            Some(field) => Some(self.store.license_counts(field, &self.today())?),
            None => None,
        };
        let held = self.store.holds()?.iter().any(|h| h.object == mapping.object && h.side == "platform" && h.verb == "create");
        let ids: Vec<String> = self.store.orders_to_tell(&mapping.object, field, self.since)?.into_iter().collect();
        let first_contacts = self.store.first_contacts()?;
        let mut planned = 0;
        for ids in ids.chunks(BATCH) {
            let mut intents = Vec::new();
            for known in self.store.known_of(&mapping.object, ids.iter().map(String::as_str))? {
                let counted = counts.as_ref().map(|c| c.get(&known.id).cloned().unwrap_or_default());
                if let Some(said) = self.order(&known, counted, held, &first_contacts)? {
                    intents.extend(differing(mapping, schema, &known, &said));
                }
            }
            planned += intents.len() as u64;
            self.store.record_plan(self.run, &intents, self.now)?;
        }
        Ok(planned)
    }

    fn order(
        &self,
        known: &Known,
        counted: Option<Counted>,
        held: bool,
        first_contacts: &BTreeMap<String, String>,
    ) -> anyhow::Result<Option<Fields>> {
        let text = |name: &str| known.fields.get(name).and_then(Value::as_text);
        let account = text("AccountId").unwrap_or_default();
        let facts = OrderFacts {
            fields: known.fields.clone(),
            platform_id: known.link.as_ref().map(|(_, id)| id.clone()),
            base: known.base.clone(),
            quarantine: known.quarantine.clone(),
            unknown: known.unknown,
            held,
            failed: known.failed.clone(),
            licenses_here: counted.as_ref().map_or(u64::MAX, |c| c.sold),
            first_contact: first_contacts.get(account).cloned(),
            parent_trouble: None,
        };
        let links = self.links(&facts)?;
        let facts = OrderFacts { parent_trouble: self.parent_trouble(&facts, &links)?, ..facts };
        let names = |object: &str, id: &str| self.name(object, id);
        let Some(standing) = standing(&facts, self.rules, &links, &names) else { return Ok(None) };
        let value = |text: Option<String>| text.map_or(Value::Null, |t| Value::Text(whole_or_said(&t)));
        let mut said = Fields::from([
            ("License_Status__c".to_owned(), standing.status.map_or(Value::Null, Value::text)),
            ("License_Message__c".to_owned(), value(standing.message)),
        ]);
        // A draft that nobody has touched since licensing began is left alone.
        let begun = self.rules.orders.as_ref().map(|o| o.provision_from.as_str()).unwrap_or_default();
        let fresh = known.link.is_some() || known.stamp.as_deref().is_some_and(|at| at >= begun);
        let told = known.fields.get("License_Preview__c").is_some_and(|v| !v.is_blank());
        if fresh || told {
            said.insert("License_Preview__c".to_owned(), value(standing.preview));
        }
        if let Some((_, id)) = &known.link {
            said.insert("License_Platform_Id__c".to_owned(), Value::text(id.clone()));
            if let Some(counted) = counted {
                said.insert("Licenses_Sold__c".to_owned(), number(counted.sold));
                said.insert("Licenses_Active__c".to_owned(), number(counted.active));
                said.insert("Last_Activation__c".to_owned(), counted.last_activation.map_or(Value::Null, Value::text));
            }
        }
        Ok(Some(said))
    }

    fn links(&self, facts: &OrderFacts) -> anyhow::Result<Links> {
        let mut wanted: Sides<BTreeSet<(String, String)>> = Sides::default();
        let mut add = |object: &str, id: Option<&str>| wanted.salesforce.extend(id.map(|id| (object.to_owned(), id.to_owned())));
        let text = |name: &str| facts.fields.get(name).and_then(Value::as_text);
        add("account", text("AccountId"));
        for field in self.rules.orders.iter().flat_map(|o| &o.contact).filter_map(|c| c.field()) {
            add("contact", text(field));
        }
        add("contact", facts.first_contact.as_deref());
        self.store.links_for(&wanted)
    }

    /// Why the record an order waits for is not on the platform, if there is a reason but time.
    fn parent_trouble(&self, facts: &OrderFacts, links: &Links) -> anyhow::Result<Option<String>> {
        let text = |name: &str| facts.fields.get(name).and_then(Value::as_text);
        let contact = self.rules.orders.as_ref().and_then(|o| super::provision::contact(&facts.fields, o, facts.first_contact.as_deref()));
        for (object, id) in [("account", text("AccountId")), ("contact", contact.map(|(_, id)| id))] {
            let Some(id) = id.filter(|id| links.to_platform(object, id).is_none()) else { continue };
            let Some(parent) = self.store.known_of(object, std::iter::once(id))?.pop() else {
                return Ok(Some(format!("Salesforce shows no such {object}, or it is not in the rules' scope")));
            };
            let left = parent.situation.as_deref().filter(|s| *s == "out-of-scope").map(|_| format!("the rules leave that {object} out"));
            return Ok(parent.quarantine.map(|(_, message)| message).or(left));
        }
        Ok(None)
    }

    fn name(&self, object: &str, id: &str) -> Option<String> {
        let known = self.store.known_of(object, std::iter::once(id)).ok()?.pop()?;
        let text = |name: &str| known.fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty());
        let person = [text("FirstName"), text("LastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        text("Name").map(str::to_owned).or_else(|| (!person.is_empty()).then_some(person)).or_else(|| text("Email").map(str::to_owned))
    }

    fn accounts(&self) -> anyhow::Result<BTreeMap<String, Fields>> {
        let (Some(field), Some(orders)) = (self.license_order(), self.order_mapping()) else { return Ok(BTreeMap::new()) };
        let mut sums: BTreeMap<String, (u64, u64)> = self.store.accounts_told()?.into_iter().map(|id| (id, (0, 0))).collect();
        let accounts = self.store.accounts_of_orders(&orders.object)?;
        for (order, counted) in self.store.license_counts(field, &self.today())? {
            if let Some(account) = accounts.get(&order) {
                let sum = sums.entry(account.clone()).or_default();
                *sum = (sum.0 + counted.sold, sum.1 + counted.active);
            }
        }
        let said = |(sold, active)| {
            Fields::from([("Licenses_Sold__c".to_owned(), number(sold)), ("Licenses_Active__c".to_owned(), number(active))])
        };
        Ok(sums.into_iter().map(|(id, sum)| (id, said(sum))).collect())
    }

    fn resets(&self) -> anyhow::Result<BTreeMap<String, Fields>> {
        Ok(self.store.resets_to_tell()?.into_iter().map(|done| (done.salesforce_id.clone(), reset_said(&done))).collect())
    }
}

fn reset_said(done: &ResetDone) -> Fields {
    let step = done.steps.iter().rev().find(|s| s.name == "reset").map(|s| s.outcome.as_str());
    let outcome = match (done.local, step) {
        (true, _) => "this platform cannot release activations",
        (false, Some(outcome)) => outcome,
        (false, None) => "done",
    };
    let released = outcome.strip_prefix("released ").and_then(|rest| rest.split(' ').next()?.parse::<i64>().ok());
    let minute = done.at.get(..16).unwrap_or(&done.at).replace('T', " ");
    let text: String = format!("{minute} UTC: {outcome}").chars().take(255).collect();
    Fields::from([
        (RESET_REQUESTED.to_owned(), Value::Bool(false)),
        ("Reset_Outcome__c".to_owned(), Value::Text(text)),
        ("Reset_At__c".to_owned(), Value::text(done.at.clone())),
        ("Reset_Count__c".to_owned(), released.map_or(Value::Null, Value::Int)),
    ])
}

fn number(n: u64) -> Value {
    Value::Int(super::provision::int(n))
}

/// A text that is too long for its field says that it goes on.
fn whole_or_said(text: &str) -> String {
    let length = text.chars().count();
    if length <= MOST_CHARS {
        return text.to_owned();
    }
    let end = format!(" … ({length} characters in all: `lockstep why`)");
    text.chars().take(MOST_CHARS - end.chars().count()).chain(end.chars()).collect()
}

/// The write that brings the record's own fields to what is said; a field that may not be read or written is left out.
fn differing(mapping: &Mapping, schema: &Schema, known: &Known, said: &Fields) -> Option<Intent> {
    let may = |name: &str| schema.fields.get(name).is_some_and(|f| f.updateable);
    let mut fields = Fields::new();
    for (name, value) in said {
        let Some(info) = schema.fields.get(name) else { continue };
        let value = crate::record::coerce(value, &info.ty).unwrap_or_else(|_| value.clone());
        let held = known.fields.get(name);
        let same = held.is_some_and(|held| *held == value || held.is_blank() && value.is_blank());
        if held.is_some() && !same && may(name) {
            fields.insert(name.clone(), value);
        }
    }
    if fields.is_empty() {
        return None;
    }
    let moved = fields
        .iter()
        .map(|(name, new)| Moved { name: name.clone(), old: known.fields.get(name).cloned().unwrap_or(Value::Null), new: new.clone() })
        .collect();
    Some(Intent {
        id: 0,
        object: mapping.object.clone(),
        side: Side::Salesforce,
        verb: Verb::Update,
        situation: Situation::Told,
        link: known.link.as_ref().map(|(id, _)| *id),
        salesforce_id: Some(RecordId::from(known.id.clone())),
        platform_id: known.link.as_ref().map(|(_, id)| RecordId::from(id.clone())),
        fields,
        moved,
        advance: Sides::default(),
        key: None,
        conflicts: Vec::new(),
    })
}
