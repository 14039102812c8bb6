//! What our user may see and write, from describe: the only source of types and permissions. A field that is not there
//! may not be read, which is never the same as null.
//!
//! Source: REST API guide, "sObject Describe", and SOAP API guide, "DescribeSObjectResult".

use super::error::{self, Doing};
use super::orders;
use super::wire::{Call, Part, PartAnswer, Wire, composite_parts};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, FieldInfo, Schema};
use crate::record::{FieldType, LOCKSTEP_ID};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Parts of one composite call that are no queries.
const PER_CALL: usize = 25;
/// Within one run a describe is asked for once.
const FRESH: Duration = Duration::from_secs(60);
/// Bearer secrets: whoever holds the key holds the license.
const SECRET_FIELDS: [&str; 2] = ["License_Key__c", "Ticket__c"];

/// One sObject as our user sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    pub schema: Schema,
    /// Relationship name (`Account`, `Order__r`) → the sObject it leads to.
    pub(super) relationships: BTreeMap<String, String>,
    /// A fingerprint of what else decides whether a record is taken: picklist values, record types.
    pub(super) facts: i64,
}

impl Described {
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.schema.fields.contains_key(field)
    }

    /// The type of a field or of a path through a relationship.
    pub fn type_of(&self, object: &str, field: &str) -> Result<FieldType, Fault> {
        if let Some(info) = self.schema.fields.get(field) {
            return Ok(info.ty.clone());
        }
        match field.split_once('.') {
            Some((relationship, _)) if self.relationships.contains_key(relationship) => Ok(FieldType::text()),
            _ => {
                let near = self.schema.fields.keys().find(|name| name.eq_ignore_ascii_case(field));
                let hint = near.map_or(String::new(), |name| format!("; did you mean {name}?"));
                let why = format!("{object} has no field {field:?}, or our user may not read it{hint}");
                Err(Fault::new(FaultKind::Setup, "unknown-field", why))
            }
        }
    }

    #[must_use]
    pub fn has_relationship(&self, name: &str) -> bool {
        self.relationships.contains_key(name)
    }
}

/// The describes of this process, kept in memory and asked for again only if they changed.
#[derive(Debug, Default)]
pub struct Describes(Mutex<HashMap<String, Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    /// `None`: no such object, or our user may not see it.
    described: Option<Arc<Described>>,
    modified: Option<String>,
    checked: Instant,
}

impl Describes {
    /// As it is remembered, or asked for. For one that must be there.
    pub async fn of(&self, wire: &Wire, object: &str) -> Result<Arc<Described>, Fault> {
        let mut kept = self.0.lock().await;
        if !kept.contains_key(object) {
            refresh(&mut kept, wire, &[object.to_owned()]).await?;
        }
        kept.get(object).and_then(|k| k.described.clone()).ok_or_else(|| {
            let why = format!("there is no object {object} in this org, or our user may not see it");
            Fault::new(FaultKind::Setup, "unknown-object", why)
        })
    }

    /// What is true now, as far as one question per minute and object can tell.
    pub async fn fresh(&self, wire: &Wire, objects: &[String]) -> Result<BTreeMap<String, Arc<Described>>, Fault> {
        let mut kept = self.0.lock().await;
        let stale = |name: &&String| kept.get(*name).is_none_or(|k| k.checked.elapsed() >= FRESH);
        let ask: Vec<String> = objects.iter().filter(stale).cloned().collect();
        refresh(&mut kept, wire, &ask).await?;
        Ok(objects.iter().filter_map(|name| Some((name.clone(), kept.get(name)?.described.clone()?))).collect())
    }

    /// The org contradicted it: the next question is asked in full.
    pub async fn forget(&self, object: &str) {
        self.0.lock().await.remove(object);
    }
}

async fn refresh(kept: &mut HashMap<String, Kept>, wire: &Wire, objects: &[String]) -> Result<(), Fault> {
    for chunk in objects.chunks(PER_CALL) {
        let path = |object: &str| Ok::<_, Fault>(format!("{}/sobjects/{}/describe", wire.base, super::soql::name(object)?));
        let mut parts = Vec::new();
        for (i, object) in chunk.iter().enumerate() {
            let since = kept.get(object).and_then(|k| k.modified.clone());
            parts.push(Part {
                method: "GET",
                url: path(object)?,
                reference_id: format!("d{i}"),
                http_headers: since.map(|since| BTreeMap::from([("If-Modified-Since", since)])),
                body: None,
            });
        }
        let mut call = Call { counted: Counted::Other, ..wire.composite(&parts, Doing::Read)? };
        // One object needs no envelope.
        if let [part] = parts.as_slice() {
            call = Call::get(part.url.clone(), Counted::Other);
            call.header = part.http_headers.as_ref().and_then(|h| Some(("if-modified-since", h.get("If-Modified-Since")?.clone())));
        }
        let answers: Vec<PartAnswer> = match chunk {
            [_] => match wire.read(&call).await {
                Ok(answer) => {
                    let last_modified = answer.header("last-modified").map(str::to_owned);
                    vec![PartAnswer { status: answer.status.as_u16(), body: answer.body, last_modified }]
                }
                Err(fault) if missing(&fault) => vec![PartAnswer { status: 404, body: bytes::Bytes::new(), last_modified: None }],
                Err(fault) => return Err(fault),
            },
            _ => composite_parts(&wire.read(&call).await?, chunk.len())?,
        };
        for (object, PartAnswer { status, body, last_modified }) in chunk.iter().zip(answers) {
            let checked = Instant::now();
            let entry = match status {
                304 => match kept.remove(object) {
                    Some(entry) => Kept { checked, ..entry },
                    None => return Err(Fault::new(FaultKind::Answer, "describe-answer", format!("{object}: unchanged since never"))),
                },
                200 => Kept { described: Some(Arc::new(parse(object, &body)?)), modified: last_modified, checked },
                status => match error::fault_of(status, &body, Doing::Read) {
                    fault if missing(&fault) => Kept { described: None, modified: None, checked },
                    fault => return Err(fault),
                },
            };
            kept.insert(object.clone(), entry);
        }
    }
    Ok(())
}

fn missing(fault: &Fault) -> bool {
    matches!(fault.code.as_str(), "NOT_FOUND" | "INVALID_TYPE" | "http-404")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    deletable: bool,
    fields: Vec<Field>,
    #[serde(default)]
    record_type_infos: Vec<RecordType>,
}

/// Only to tell that something changed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordType {
    #[serde(default)]
    record_type_id: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    available: bool,
}

#[derive(Deserialize)]
struct Pick {
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    active: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: Option<u32>,
    #[serde(default)]
    scale: Option<u32>,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default = "yes")]
    nillable: bool,
    #[serde(default)]
    defaulted_on_create: bool,
    #[serde(default)]
    calculated: bool,
    #[serde(default)]
    auto_number: bool,
    #[serde(default)]
    encrypted: Option<bool>,
    #[serde(default)]
    reference_to: Option<Vec<String>>,
    #[serde(default)]
    relationship_name: Option<String>,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Option<Vec<Pick>>,
    #[serde(default)]
    unique: bool,
}

const fn yes() -> bool {
    true
}

fn parse(object: &str, body: &[u8]) -> Result<Described, Fault> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let body: Body = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let why = format!("the describe of {object} has not the documented shape at {}", e.path());
        Fault::new(FaultKind::Answer, "describe-answer", why)
    })?;
    let mut described = Described::default();
    described.schema.createable = body.createable;
    described.schema.updateable = body.updateable;
    described.schema.deletable = body.deletable;
    for field in &body.fields {
        if let (Some(relationship), Some(to)) = (&field.relationship_name, field.reference_to.as_ref().and_then(|to| to.first())) {
            described.relationships.insert(relationship.clone(), to.clone());
        }
        if let Some(ty) = type_of(object, field) {
            described.schema.fields.insert(field.name.clone(), info(object, field, ty));
        }
    }
    let through: Vec<String> =
        described.relationships.iter().flat_map(|(name, to)| parent_fields(to).iter().map(move |f| format!("{name}.{f}"))).collect();
    for path in through {
        described.schema.fields.entry(path).or_insert_with(read_only_text);
    }
    described.schema.planted = described.has(LOCKSTEP_ID).then(|| LOCKSTEP_ID.to_owned());
    described.facts = facts(&body);
    Ok(described)
}

/// The active values of picklists, what is unique, and the record types: what else decides whether a record is taken.
fn facts(body: &Body) -> i64 {
    let mut told = String::new();
    for field in &body.fields {
        let picks = field.picklist_values.iter().flatten().filter(|p| p.active).filter_map(|p| p.value.as_deref());
        told.push_str(&format!("{} {} {} {:?};", field.name, field.restricted_picklist, field.unique, picks.collect::<Vec<_>>()));
    }
    for kind in &body.record_type_infos {
        told.push_str(&format!("{} {} {};", kind.record_type_id, kind.active, kind.available));
    }
    crate::record::fields_hash(&told)
}

fn info(object: &str, field: &Field, ty: FieldType) -> FieldInfo {
    let computed = field.calculated || field.auto_number || says_writable_but_is_not(object, &field.name);
    FieldInfo {
        ty,
        createable: field.createable && !computed,
        updateable: field.updateable && !computed,
        required: field.createable && !computed && !field.nillable && !field.defaulted_on_create,
        secret: field.encrypted == Some(true) || field.kind == "encryptedstring" || SECRET_FIELDS.contains(&field.name.as_str()),
        calculated: field.calculated,
    }
}

/// The category behind the status follows the status; describe may claim otherwise.
fn says_writable_but_is_not(object: &str, field: &str) -> bool {
    object == orders::ORDER && field == "StatusCode"
}

/// `None`: nothing we could hold as one value (binary, compound, JSON).
fn type_of(object: &str, field: &Field) -> Option<FieldType> {
    let max = field.length.filter(|n| *n > 0);
    Some(match field.kind.as_str() {
        "base64" | "address" | "location" | "json" | "complexvalue" => return None,
        "id" => FieldType::Reference { to: object.to_owned() },
        "reference" => FieldType::Reference { to: field.reference_to.as_ref().and_then(|to| to.first()).cloned().unwrap_or_default() },
        "email" => FieldType::Email { max, blank_is_null: true },
        "int" | "long" => FieldType::Integer,
        "double" | "currency" | "percent" => match field.scale.unwrap_or(0) {
            0 => FieldType::Integer,
            scale => FieldType::Decimal { scale },
        },
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "datetime" => FieldType::Instant,
        "multipicklist" => FieldType::List { ordered: false },
        // string, textarea, picklist, combobox, phone, url, time, encryptedstring and whatever comes next.
        _ => FieldType::Text { max, blank_is_null: true },
    })
}

/// Fields of a parent that mappings and messages name; any other path through the relationship may be asked for too.
fn parent_fields(to: &str) -> &'static [&'static str] {
    match to {
        "Order" => &["OrderNumber"],
        "Contract" => &["ContractNumber"],
        "Product2" => &["Name", "ProductCode"],
        "Contact" | "User" => &["Name", "Email"],
        "Account" => &["Name", "AccountNumber"],
        _ => &["Name"],
    }
}

fn read_only_text() -> FieldInfo {
    FieldInfo { ty: FieldType::text(), createable: false, updateable: false, required: false, secret: false, calculated: true }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn described(fields: serde_json::Value) -> Described {
        let body = json!({"name": "Order", "createable": true, "updateable": true, "deletable": false, "fields": fields});
        parse("Order", body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn types_follow_describe() {
        let text = |max| FieldType::Text { max, blank_is_null: true };
        for (field, want) in [
            (json!({"name": "F", "type": "string", "length": 80}), Some(text(Some(80)))),
            (json!({"name": "F", "type": "picklist", "length": 255, "restrictedPicklist": true}), Some(text(Some(255)))),
            (json!({"name": "F", "type": "email", "length": 80}), Some(FieldType::Email { max: Some(80), blank_is_null: true })),
            (json!({"name": "F", "type": "double", "scale": 0, "precision": 18, "length": 0}), Some(FieldType::Integer)),
            (json!({"name": "F", "type": "currency", "scale": 2}), Some(FieldType::Decimal { scale: 2 })),
            (json!({"name": "F", "type": "int"}), Some(FieldType::Integer)),
            (json!({"name": "F", "type": "date"}), Some(FieldType::Date)),
            (json!({"name": "F", "type": "datetime"}), Some(FieldType::Instant)),
            (json!({"name": "F", "type": "multipicklist"}), Some(FieldType::List { ordered: false })),
            (json!({"name": "F", "type": "boolean"}), Some(FieldType::Boolean)),
            (
                json!({"name": "F", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"}),
                Some(FieldType::Reference { to: "Account".into() }),
            ),
            (json!({"name": "F", "type": "address"}), None),
        ] {
            let got = described(json!([field])).schema.fields.get("F").map(|f| f.ty.clone());
            assert_eq!(got, want, "{field}");
        }
    }

    #[test]
    fn what_is_computed_is_never_written() {
        let d = described(json!([
            {"name": "Total", "type": "currency", "scale": 2, "calculated": true, "createable": true, "updateable": true},
            {"name": "OrderNumber", "type": "string", "autoNumber": true, "createable": true},
            {"name": "StatusCode", "type": "picklist", "createable": true, "updateable": true},
            {"name": "Status", "type": "picklist", "createable": true, "updateable": true, "nillable": false},
            {"name": "License_Key__c", "type": "string", "updateable": true},
            {"name": LOCKSTEP_ID, "type": "string", "createable": true, "externalId": true},
        ]));
        for name in ["Total", "OrderNumber", "StatusCode"] {
            let f = &d.schema.fields[name];
            assert!(!f.createable && !f.updateable && !f.required, "{name}");
        }
        assert!(d.schema.fields["Total"].calculated);
        assert!(d.schema.fields["Status"].required && d.schema.fields["Status"].updateable);
        assert!(d.schema.fields["License_Key__c"].secret);
        assert_eq!(d.schema.planted.as_deref(), Some(LOCKSTEP_ID));
    }

    /// A value added to a picklist may cure a parked record, so it is another schema.
    #[test]
    fn picklists_and_record_types_are_part_of_the_facts() {
        let of = |values: serde_json::Value, types: serde_json::Value| {
            let field = json!({"name": "Tier__c", "type": "picklist", "restrictedPicklist": true, "picklistValues": values});
            let body = json!({"name": "Order", "fields": [field], "recordTypeInfos": types});
            parse("Order", body.to_string().as_bytes()).unwrap().facts
        };
        let gold = json!({"value": "Gold", "active": true, "label": "Gold"});
        let plain = of(json!([gold]), json!([]));
        assert_eq!(plain, of(json!([gold]), json!([])));
        assert_ne!(plain, of(json!([gold, {"value": "Tin", "active": true}]), json!([])));
        assert_eq!(plain, of(json!([gold, {"value": "Tin", "active": false}]), json!([])), "what is not active is not there");
        assert_ne!(plain, of(json!([gold]), json!([{"recordTypeId": "012", "active": true, "available": true}])));
    }

    #[test]
    fn paths_lead_through_relationships_that_exist() {
        let d = described(json!([{"name": "AccountId", "type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"}]));
        assert_eq!(d.type_of("Order", "Account.Name").unwrap(), FieldType::text());
        assert_eq!(d.type_of("Order", "Account.Site").unwrap(), FieldType::text());
        assert!(!d.schema.fields["Account.Name"].updateable);
        let fault = d.type_of("Order", "accountid").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Setup);
        assert!(fault.message.contains("did you mean AccountId?"), "{fault}");
        assert!(d.type_of("Order", "Nobody.Name").is_err());
    }
}
