//! What Lockstep says in Salesforce by itself: how an order stands, what a draft will become, how many licenses were sold and
//! are active, how a reset ended. Computed from the memory after every object had its turn; written where it differs.

use super::{
    facts::{name_of, order_facts, order_story},
    native::{RESET_REQUESTED, own_fields},
    provision::{Timing, preview, timing},
    standing::{refers_to, short, standing},
};
use crate::connectors::Schema;
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, RecordId, Side, Sides, Value};
use crate::rules::{ContactRule, Mapping, Rules};
use crate::store::{Counted, ResetDone, Shown, Store};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// How many orders are in memory at once.
const BATCH: usize = 500;

/// What `Reset_Outcome__c` holds; the whole outcome stands in the history.
const MOST_OUTCOME_CHARS: usize = 255;

pub struct Tell<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub schemas: &'a BTreeMap<String, Schema>,
    pub run: i64,
    pub now: DateTime<Utc>,
    /// Only what moved since this run is looked at; `None`: everything.
    pub since: Option<i64>,
}

impl Tell<'_> {
    /// Plans what is to be said of the records of this object.
    pub fn plan(&self, mapping: &Mapping) -> anyhow::Result<u64> {
        let Some(schema) = self.schemas.get(&mapping.salesforce) else { return Ok(0) };
        if own_fields(self.rules, mapping).is_empty() {
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
            let known = self.store.shown_of(&mapping.object, ids.iter().copied())?;
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
    fn license_order(&self) -> Option<String> {
        refers_to(self.rules, "license", &self.order_mapping()?.object)?.0.into_iter().next()
    }

    fn orders(&self, mapping: &Mapping, schema: &Schema) -> anyhow::Result<u64> {
        let field = self.license_order();
        let counts = match &field {
            Some(field) => Some(self.store.license_counts(field, &self.today())?),
            None => None,
        };
        let ids: Vec<String> = self.store.orders_to_tell(&mapping.object, field.as_deref(), self.since)?.into_iter().collect();
        let falls_back = self.rules.orders.as_ref().is_some_and(|o| o.contact.contains(&ContactRule::FirstContact));
        let first_contacts = if falls_back { self.store.first_contacts()? } else { BTreeMap::new() };
        let mut planned = 0;
        for ids in ids.chunks(BATCH) {
            let mut intents = Vec::new();
            for shown in self.store.shown_of(&mapping.object, ids.iter().map(String::as_str))? {
                // In a rehearsal nobody knows what will be said of an order that is only pretended.
                if shown.link.as_ref().is_some_and(|(_, id)| id.starts_with('(')) {
                    continue;
                }
                let counted = counts.as_ref().map(|c| c.get(&shown.id).cloned().unwrap_or_default());
                if let Some(said) = self.order(mapping, &shown, counted, &first_contacts)? {
                    intents.extend(differing(mapping, schema, &shown, &said));
                }
            }
            planned += intents.len() as u64;
            self.store.record_plan(self.run, &intents, self.now)?;
        }
        Ok(planned)
    }

    /// What is to stand on one order; `None` for one that is left alone.
    fn order(
        &self,
        mapping: &Mapping,
        shown: &Shown,
        counted: Option<Counted>,
        first_contacts: &BTreeMap<String, String>,
    ) -> anyhow::Result<Option<Fields>> {
        let Some(orders) = &self.rules.orders else { return Ok(None) };
        let at = timing(&shown.fields, orders);
        if shown.link.is_none() && at == Ok(Timing::Historic) {
            return Ok(None);
        }
        let text = |text: String| if text.is_empty() { Value::Null } else { Value::Text(text) };
        let mut said = Fields::new();
        let draft = shown.link.is_none() && matches!(at, Ok(Timing::NotYet | Timing::Cancelled));
        let (status, message) = if draft { (None, String::new()) } else { self.standing(mapping, shown, counted.as_ref())? };
        said.insert("License_Status__c".to_owned(), status.map_or(Value::Null, Value::text));
        said.insert("License_Message__c".to_owned(), text(message));
        // A draft that nobody has touched since licensing began is left alone.
        let fresh = shown.link.is_some() || shown.stamp.as_deref().is_some_and(|at| at >= orders.provision_from.as_str());
        let told = shown.fields.get("License_Preview__c").is_some_and(|v| !v.is_blank());
        if fresh || told {
            let preview = if draft && at == Ok(Timing::NotYet) { self.preview(shown, first_contacts)? } else { None };
            said.insert("License_Preview__c".to_owned(), preview.map_or(Value::Null, |p| text(short(&p))));
        }
        if let Some((_, id)) = &shown.link {
            said.insert("License_Platform_Id__c".to_owned(), Value::text(id.clone()));
            if let Some(counted) = counted {
                said.insert("Licenses_Sold__c".to_owned(), number(counted.sold));
                said.insert("Licenses_Active__c".to_owned(), number(counted.active));
                said.insert("Last_Activation__c".to_owned(), counted.last_activation.map_or(Value::Null, Value::text));
            }
        }
        Ok(Some(said))
    }

    /// The same words as `lockstep why` has.
    fn standing(&self, mapping: &Mapping, shown: &Shown, counted: Option<&Counted>) -> anyhow::Result<(Option<&'static str>, String)> {
        let Some(known) = self.store.known(&mapping.object, Side::Salesforce, &shown.id)? else { return Ok((None, String::new())) };
        // Where licenses are not counted nothing is said of their number.
        let back = counted.map_or(u64::MAX, |c| c.sold);
        let mut standing = standing(self.rules, &order_facts(self.store, self.rules, &known, back)?.facts);
        if standing.status == Some("Partly") {
            standing = super::standing::standing(self.rules, &order_story(self.store, self.rules, &known)?.facts);
        }
        Ok((standing.status, standing.message))
    }

    fn preview(&self, shown: &Shown, first_contacts: &BTreeMap<String, String>) -> anyhow::Result<Option<String>> {
        let text = |name: &str| shown.fields.get(name).and_then(Value::as_text);
        let first = text("AccountId").and_then(|account| first_contacts.get(account)).map(String::as_str);
        let mut wanted: Sides<BTreeSet<(String, String)>> = Sides::default();
        let named = self.rules.orders.iter().flat_map(|o| &o.contact).filter_map(|c| c.field()).filter_map(text);
        wanted.salesforce.extend(named.chain(first).map(|id| ("contact".to_owned(), id.to_owned())));
        let links = self.store.links_for(&wanted)?;
        Ok(preview(&shown.fields, self.rules, &links, first, &|object, id| self.name(object, id)))
    }

    fn name(&self, object: &str, id: &str) -> Option<String> {
        name_of(&self.store.known(object, Side::Salesforce, id).ok()??)
    }

    fn accounts(&self) -> anyhow::Result<BTreeMap<String, Fields>> {
        let (Some(field), Some(orders)) = (self.license_order(), self.order_mapping()) else { return Ok(BTreeMap::new()) };
        let mut sums: BTreeMap<String, (u64, u64)> = self.store.accounts_told()?.into_iter().map(|id| (id, (0, 0))).collect();
        let accounts = self.store.accounts_of_orders(&orders.object)?;
        for (order, counted) in self.store.license_counts(&field, &self.today())? {
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
    let mut text = format!("{minute} UTC: {outcome}");
    if text.chars().count() > MOST_OUTCOME_CHARS {
        text = text.chars().take(MOST_OUTCOME_CHARS - 1).chain(['…']).collect();
    }
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

/// The write that brings the record's own fields to what is said; a field that may not be read or written is left out.
fn differing(mapping: &Mapping, schema: &Schema, known: &Shown, said: &Fields) -> Option<Intent> {
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
