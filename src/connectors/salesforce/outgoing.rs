//! Records on their way out: what describe lets us write, in each field's own type, cut into collections.

use super::describe::Described;
use super::soql;
use super::wire::{ALLOW_SAVE, Part};
use crate::connectors::{Fault, FaultKind};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{FieldType, Fields, RecordId, SalesforceId, Value, coerce};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const PER_COLLECTION: usize = 200;
/// Salesforce documents no limit of REST bodies; what is below this has always been taken.
pub const BODY_MAX_BYTES: usize = 3_500_000;

/// Why a record is not sent at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: &'static str,
    message: String,
    fields: Vec<String>,
}

impl Refusal {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, fields: Vec::new() }
    }

    pub fn no_key() -> Self {
        Self::new("no-key", "a create without a key to find it again by is not sent".to_owned())
    }

    pub fn no_id() -> Self {
        Self::new("no-id", "a change without a Salesforce id is not sent".to_owned())
    }

    fn not_writable(resource: &str, field: &str, verb: Verb) -> Self {
        let message = format!("{resource} has no field {field} that our user may {verb}");
        Self { code: "field-not-writable", message, fields: vec![field.to_owned()] }
    }
}

impl From<Refusal> for Outcome {
    fn from(Refusal { code, message, fields }: Refusal) -> Self {
        Self::Rejected { code: code.to_owned(), message, fields }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(FaultKind::Record, refusal.code, refusal.message)
    }
}

/// One record to be written, ready to be sent.
#[derive(Debug)]
pub struct Job<'a> {
    pub index: usize,
    pub write: &'a Write,
    /// `None` for a delete.
    pub body: Option<Box<RawValue>>,
}

impl Job<'_> {
    /// What may stand only once in a collection: its id, or the value it is found again by.
    fn identity(&self) -> String {
        match (&self.write.key, &self.write.id) {
            (Some((_, value)), None) => value.to_lowercase(),
            (_, id) => id.as_ref().map(|id| id.as_str().chars().take(15).collect()).unwrap_or_default(),
        }
    }

    fn operation(&self) -> (Verb, &str, Option<&str>) {
        let key = self.write.key.as_ref().filter(|_| self.write.verb == Verb::Create).map(|(field, _)| field.as_str());
        (self.write.verb, self.write.resource.as_str(), key)
    }
}

/// One collection: one verb, one sObject, at most 200 records.
#[derive(Debug)]
pub struct Batch<'a> {
    pub jobs: Vec<Job<'a>>,
    pub tries: usize,
    /// Sent in a call of its own, to see whose fault it is.
    pub alone: bool,
}

impl Batch<'_> {
    pub fn size(&self) -> usize {
        self.jobs.iter().map(|job| job.body.as_ref().map_or(24, |b| b.get().len() + 2)).sum()
    }

    pub fn part(&self, number: usize, base: &str) -> Result<Part, Fault> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Collection<'b> {
            all_or_none: bool,
            records: Vec<&'b RawValue>,
        }
        let (verb, resource, key) = self.jobs.first().map_or((Verb::Update, "", None), Job::operation);
        let (method, url) = match (verb, key) {
            (Verb::Delete, _) => {
                let ids: Vec<&str> = self.jobs.iter().filter_map(|job| job.write.id.as_ref().map(RecordId::as_str)).collect();
                ("DELETE", format!("{base}/composite/sobjects?allOrNone=false&ids={}", ids.join(",")))
            }
            (Verb::Create, Some(key)) => ("PATCH", format!("{base}/composite/sobjects/{}/{}", soql::name(resource)?, soql::name(key)?)),
            _ => ("PATCH", format!("{base}/composite/sobjects")),
        };
        let body = if verb == Verb::Delete {
            None
        } else {
            let records = self.jobs.iter().filter_map(|job| job.body.as_deref()).collect();
            let bad = |e: serde_json::Error| Fault::new(FaultKind::Setup, "bad-request", e.to_string());
            Some(serde_json::value::to_raw_value(&Collection { all_or_none: false, records }).map_err(bad)?)
        };
        let http_headers = Some(BTreeMap::from([(ALLOW_SAVE.0, ALLOW_SAVE.1.to_owned())]));
        Ok(Part { method, url, reference_id: format!("c{number}"), http_headers, body })
    }
}

/// Cuts the jobs into collections: equal operations together, in the order in which they first came.
pub fn batches(jobs: Vec<Job<'_>>) -> VecDeque<Batch<'_>> {
    let mut out: Vec<(Batch<'_>, BTreeSet<String>)> = Vec::new();
    for job in jobs {
        let size = job.body.as_ref().map_or(24, |b| b.get().len() + 2);
        let fits = |(batch, taken): &&mut (Batch<'_>, BTreeSet<String>)| {
            batch.jobs.first().is_some_and(|first| first.operation() == job.operation())
                && batch.jobs.len() < PER_COLLECTION
                && batch.size() + size <= BODY_MAX_BYTES
                && !taken.contains(&job.identity())
        };
        match out.iter_mut().rev().find(fits) {
            Some((batch, taken)) => {
                taken.insert(job.identity());
                batch.jobs.push(job);
            }
            None => {
                let taken = BTreeSet::from([job.identity()]);
                out.push((Batch { jobs: vec![job], tries: 0, alone: false }, taken));
            }
        }
    }
    out.into_iter().map(|(batch, _)| batch).collect()
}

pub fn job<'a>(index: usize, write: &'a Write, described: &Described) -> Result<Job<'a>, Refusal> {
    let schema = &described.schema;
    let may = match write.verb {
        Verb::Create => schema.createable,
        Verb::Update => schema.updateable,
        Verb::Delete => schema.deletable,
        Verb::Link | Verb::Advance | Verb::Bury | Verb::Mark | Verb::Forget | Verb::Repoint => false,
    };
    if !may {
        let message = format!("our user may not {} {} records", write.verb, write.resource);
        return Err(Refusal::new("not-permitted", message));
    }
    let id = match (write.verb, &write.id) {
        (Verb::Create, _) => None,
        (_, Some(id)) if SalesforceId::parse(id.as_str()).is_ok() => Some(id.as_str()),
        _ => return Err(Refusal::no_id()),
    };
    if write.verb == Verb::Delete {
        return Ok(Job { index, write, body: None });
    }
    let mut fields = writable(&write.resource, described, &write.fields, write.verb)?;
    if write.verb == Verb::Create {
        let Some((key, value)) = &write.key else { return Err(Refusal::no_key()) };
        match schema.fields.get(key) {
            Some(info) if info.createable => {
                fields.retain(|(name, ..)| name != key);
                fields.push((key.as_str(), Value::text(value.clone()), info.ty.clone()));
            }
            _ => return Err(Refusal::not_writable(&write.resource, key, write.verb)),
        }
        // A checkbox is never null, and a new one has its default.
        fields.retain(|(_, value, ty)| !(*ty == FieldType::Boolean && *value == Value::Null));
    }
    let record = OutRecord { resource: Some(&write.resource), id, fields };
    let body = serde_json::value::to_raw_value(&record).map_err(|e| Refusal::new("bad-value", e.to_string()))?;
    if body.get().len() > BODY_MAX_BYTES {
        return Err(Refusal::new("too-large", format!("the record is {} bytes", body.get().len())));
    }
    Ok(Job { index, write, body: Some(body) })
}

/// The fields as they are sent, each in its field's own type. What describe does not let us write is refused by name.
pub fn writable<'f>(
    resource: &str,
    described: &Described,
    fields: &'f Fields,
    verb: Verb,
) -> Result<Vec<(&'f str, Value, FieldType)>, Refusal> {
    let mut out = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let info = described.schema.fields.get(name);
        let info = info.filter(|info| if verb == Verb::Create { info.createable } else { info.updateable });
        let Some(info) = info else { return Err(Refusal::not_writable(resource, name, verb)) };
        let value = coerce(value, &info.ty)
            .map_err(|e| Refusal { fields: vec![name.clone()], ..Refusal::new("bad-value", format!("{name}: {e}")) })?;
        out.push((name.as_str(), value, info.ty.clone()));
    }
    Ok(out)
}

/// A record on its way out.
pub struct OutRecord<'a> {
    /// Named in collections, known from the URL elsewhere.
    pub resource: Option<&'a str>,
    pub id: Option<&'a str>,
    pub fields: Vec<(&'a str, Value, FieldType)>,
}

impl Serialize for OutRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(resource) = self.resource {
            map.serialize_entry("attributes", &BTreeMap::from([("type", resource)]))?;
        }
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        for (name, value, _) in &self.fields {
            map.serialize_entry(name, &OutValue(value))?;
        }
        map.end()
    }
}

struct OutValue<'a>(&'a Value);

impl Serialize for OutValue<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        match self.0 {
            Value::Null => s.serialize_unit(),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Int(i) => s.serialize_i64(*i),
            Value::Text(t) => s.serialize_str(t),
            // All digits, which a float would not keep.
            Value::Decimal(d) => RawValue::from_string(d.normalize().to_string()).map_err(S::Error::custom)?.serialize(s),
            Value::List(items) => {
                let words: Vec<&str> = items.iter().filter_map(Value::as_text).collect();
                s.serialize_str(&words.join(";"))
            }
            Value::Rows(_) => Err(S::Error::custom("rows are not written into a field")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{FieldInfo, Schema};

    const ID: &str = "001D000000IqhSLIAZ";

    fn described() -> Described {
        let info =
            |ty, writable| FieldInfo { ty, createable: writable, updateable: writable, required: false, secret: false, calculated: false };
        let fields = [
            ("Name", info(FieldType::text(), true)),
            ("Seats__c", info(FieldType::Integer, true)),
            ("Price__c", info(FieldType::Decimal { scale: 2 }, true)),
            ("Enabled__c", info(FieldType::Boolean, true)),
            ("Tags__c", info(FieldType::List { ordered: false }, true)),
            ("Lockstep_Id__c", info(FieldType::text(), true)),
            ("Total__c", info(FieldType::Integer, false)),
        ];
        let fields = fields.map(|(name, info)| (name.to_owned(), info)).into();
        Described { schema: Schema { fields, createable: true, updateable: true, deletable: true, planted: None }, ..Described::default() }
    }

    fn write(verb: Verb, id: Option<&str>, key: Option<&str>, fields: &[(&str, Value)]) -> Write {
        Write {
            intent: 1,
            object: "license".into(),
            resource: "License__c".into(),
            verb,
            id: id.map(RecordId::from),
            fields: fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            key: key.map(|v| ("Lockstep_Id__c".to_owned(), v.to_owned())),
            read: vec![],
        }
    }

    #[test]
    fn values_go_out_in_their_fields_types() {
        let fields = [
            ("Name", Value::text("O'Neil \"x\"")),
            ("Seats__c", Value::text("7")),
            ("Price__c", Value::Decimal("1234567890123456.78".parse().unwrap())),
            ("Enabled__c", Value::Null),
            ("Tags__c", Value::List(vec![Value::text("b"), Value::text("a")])),
        ];
        let create = write(Verb::Create, None, Some("acme-1"), &fields);
        let job = job(0, &create, &described()).unwrap();
        assert_eq!(
            job.body.unwrap().get(),
            r#"{"attributes":{"type":"License__c"},"Name":"O'Neil \"x\"","Price__c":1234567890123456.78,"Seats__c":7,"Tags__c":"a;b","Lockstep_Id__c":"acme-1"}"#
        );
        let clear = write(Verb::Update, Some(ID), None, &[("Name", Value::text(""))]);
        let job = super::job(0, &clear, &described()).unwrap();
        assert_eq!(job.body.unwrap().get(), format!(r#"{{"attributes":{{"type":"License__c"}},"id":"{ID}","Name":null}}"#));
    }

    #[test]
    fn what_may_not_be_written_is_refused_by_name() {
        for field in ["Total__c", "Hidden__c"] {
            let update = write(Verb::Update, Some(ID), None, &[(field, Value::Int(1))]);
            match job(0, &update, &described()) {
                Err(refusal) => assert_eq!(refusal.fields, [field]),
                other => panic!("{field}: {other:?}"),
            }
        }
        for bad in [write(Verb::Create, None, None, &[]), write(Verb::Update, None, None, &[]), write(Verb::Delete, Some("x"), None, &[])] {
            assert!(job(0, &bad, &described()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_collection_holds_one_operation_and_no_key_twice() {
        let mut writes: Vec<Write> = (0..450).map(|i| write(Verb::Create, None, Some(&format!("k{i}")), &[])).collect();
        writes.push(write(Verb::Create, None, Some("K0"), &[]));
        writes.push(write(Verb::Delete, Some(ID), None, &[]));
        let described = described();
        let jobs = writes.iter().enumerate().map(|(i, w)| job(i, w, &described).unwrap()).collect();
        let sizes: Vec<usize> = batches(jobs).iter().map(|b| b.jobs.len()).collect();
        assert_eq!(sizes, [200, 200, 51, 1], "the repeated key is in another collection than its first");
    }
}
