//! `/composite/sobjects`: up to 200 records in one call, each with an outcome of its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::rest::{body_json, not_allowed, saved};
use super::soql::plan::Column;
use super::world::{Outcome, World};
use super::write::Author;

const RECORDS_MAX: usize = 200;
const RETRIEVE_MAX: usize = 2000;
/// Runs of records of one type.
const CHUNKS_MAX: usize = 10;

/// What became of one record: its id, and whether an upsert created it.
type Done = Outcome<(Id, Option<bool>)>;

impl World {
    /// `path` is what follows `composite/sobjects`.
    pub(super) fn collections(&mut self, call: &Call, path: &[&str]) -> Outcome<Reply> {
        let author = Author::api(call.user.unwrap_or(self.integration), self.now());
        match (call.method.as_str(), path) {
            ("POST", []) => self.save_all(call, &author, true),
            ("PATCH", []) => self.save_all(call, &author, false),
            ("DELETE", []) => self.delete_all(call, &author),
            ("GET", [object]) => {
                let ids = call.parameter("ids").unwrap_or_default().split(',').map(|id| id.trim().to_owned()).collect();
                self.retrieve_all(object, ids, call.parameter("fields").unwrap_or_default(), &call.version)
            }
            ("POST", [object]) => {
                let body = body_json(call)?;
                let list = |key: &str| -> Vec<String> {
                    body[key].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
                };
                self.retrieve_all(object, list("ids"), &list("fields").join(","), &call.version)
            }
            ("PATCH", [object, field]) => self.upsert_all(call, &author, object, field),
            _ => Err(not_allowed(&call.method)),
        }
    }

    fn save_all(&mut self, call: &Call, author: &Author, creating: bool) -> Outcome<Reply> {
        let (records, together) = records(call)?;
        chunks(&records)?;
        self.all_or_none(together, records, |world, mut record| {
            let object = world.object_of(&record)?;
            if creating {
                return world.create(object, &record, author).map(|id| (id, None));
            }
            let id = take_id(&mut record)?;
            world.change(object, id, &record, author).map(|()| (id, None))
        })
    }

    fn delete_all(&mut self, call: &Call, author: &Author) -> Outcome<Reply> {
        let ids: Vec<String> =
            call.parameter("ids").unwrap_or_default().split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
        limited(ids.len())?;
        let together = call.parameter("allOrNone") == Some("true");
        self.all_or_none(together, ids, |world, text| {
            let id = Id::parse(&text).ok_or_else(|| malformed(&text))?;
            let object = world.schema.by_prefix(id.prefix()).ok_or_else(SfError::no_such_record)?;
            world.remove(object, id, author).map(|()| (id, None))
        })
    }

    fn upsert_all(&mut self, call: &Call, author: &Author, object: &str, field: &str) -> Outcome<Reply> {
        let object = self.object(object)?;
        let known = self.seen(object, field).filter(|field| {
            let field = self.schema.objects[object].field(*field);
            field.is_key() || field.name == "Id"
        });
        let key = known.ok_or_else(|| {
            SfError::new(404, "NOT_FOUND", format!("Provided external ID field does not exist or is not accessible: {field}"))
        })?;
        let name = self.schema.objects[object].field(key).name.clone();
        let (records, together) = records(call)?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for record in &records {
            if let Some(value) = key_value(record, &name) {
                *seen.entry(value.to_lowercase()).or_default() += 1;
            }
        }
        self.all_or_none(together, records, |world, mut record| {
            if name == "Id" {
                return match take_id(&mut record) {
                    Ok(id) => world.change(object, id, &record, author).map(|()| (id, Some(false))),
                    Err(_) => world.create(object, &record, author).map(|id| (id, Some(true))),
                };
            }
            if record.keys().any(|key| key.eq_ignore_ascii_case("id")) {
                return Err(SfError::bad("INVALID_FIELD", "The Id field should not be specified in the sobject data.").on("Id"));
            }
            let value = key_value(&record, &name).ok_or_else(|| SfError::bad("MISSING_ARGUMENT", format!("{name} not specified")))?;
            if seen.get(&value.to_lowercase()).is_some_and(|count| *count > 1) {
                return Err(SfError::bad("DUPLICATE_VALUE", format!("Duplicate external id specified: {value}")).on(&name));
            }
            record.retain(|key, _| !key.eq_ignore_ascii_case(&name));
            let saved = world.upsert(object, key, &value, record, author);
            saved.map(|(id, created)| (id, Some(created)))
        })
    }

    fn retrieve_all(&mut self, object: &str, ids: Vec<String>, fields: &str, version: &str) -> Outcome<Reply> {
        let object = self.object(object)?;
        if ids.len() > RETRIEVE_MAX {
            return Err(SfError::bad(
                "EXCEEDED_ID_LIMIT",
                format!("record limit reached. cannot retrieve more than {RETRIEVE_MAX} records in this call"),
            ));
        }
        if fields.is_empty() {
            return Err(SfError::bad("MALFORMED_QUERY", "the fields to retrieve are missing"));
        }
        let columns: Vec<Column> = self.columns(object, Some(fields))?;
        let mut out = String::from("[");
        for (at, text) in ids.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let id = Id::parse(text).ok_or_else(|| malformed(text))?;
            match self.live(object, id) {
                Ok(_) => out.push_str(&self.record(object, id, &columns, version)),
                Err(_) => out.push_str("null"),
            }
        }
        out.push(']');
        Ok(Reply::json(200, out))
    }

    /// Runs `work` over the records; together means that one failure takes all back.
    fn all_or_none<T>(&mut self, together: bool, records: Vec<T>, mut work: impl FnMut(&mut Self, T) -> Done) -> Outcome<Reply> {
        let mut done: Vec<Done> = Vec::with_capacity(records.len());
        let outcome = self.atomically(|world| {
            for record in records {
                let one = world.atomically(|world| work(world, record));
                done.push(one);
            }
            let failed = together && done.iter().any(Result::is_err);
            if failed { Err(rolled_back()) } else { Ok(()) }
        });
        let mut out = String::from("[");
        for (at, one) in done.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match one {
                // An innocent record still shows the id it had for a moment.
                Ok((id, _)) if outcome.is_err() => {
                    out.push_str(&format!("{{\"id\":\"{id}\",\"success\":false,\"errors\":["));
                    rolled_back().push_row(&mut out);
                    out.push_str("]}");
                }
                Ok((id, created)) => out.push_str(&saved(*id, *created)),
                Err(error) => {
                    out.push_str("{\"success\":false,\"errors\":[");
                    error.push_row(&mut out);
                    out.push_str("]}");
                }
            }
        }
        out.push(']');
        Ok(Reply::json(200, out))
    }

    pub(super) fn object_of(&self, record: &Map<String, Value>) -> Outcome<usize> {
        let kind = record.get("attributes").and_then(|attributes| attributes["type"].as_str());
        let kind = kind.ok_or_else(|| SfError::bad("INVALID_INPUT", "the record has no attributes with a type"))?;
        self.schema.find(kind).ok_or_else(|| SfError::bad("INVALID_TYPE", format!("sObject type '{kind}' is not supported.")))
    }
}

fn rolled_back() -> SfError {
    SfError::bad(
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "Record rolled back because not all records were valid and the request was using AllOrNone header",
    )
}

fn malformed(text: &str) -> SfError {
    SfError::bad("MALFORMED_ID", format!("malformed id {text}"))
}

fn records(call: &Call) -> Outcome<(Vec<Map<String, Value>>, bool)> {
    let mut body = body_json(call)?;
    let together = body["allOrNone"].as_bool().unwrap_or(false);
    let Value::Array(records) = body["records"].take() else {
        return Err(SfError::bad("JSON_PARSER_ERROR", "the records are missing"));
    };
    limited(records.len())?;
    let records: Option<Vec<Map<String, Value>>> = records
        .into_iter()
        .map(|record| match record {
            Value::Object(record) => Some(record),
            _ => None,
        })
        .collect();
    Ok((records.ok_or_else(|| SfError::bad("JSON_PARSER_ERROR", "a record is an object"))?, together))
}

fn limited(count: usize) -> Outcome<()> {
    if count > RECORDS_MAX {
        let text = format!("record limit reached. cannot submit more than {RECORDS_MAX} records into this call");
        return Err(SfError::bad("EXCEEDED_ID_LIMIT", text));
    }
    Ok(())
}

fn chunks(records: &[Map<String, Value>]) -> Outcome<()> {
    let kind = |record: &Map<String, Value>| record.get("attributes").map(|attributes| attributes["type"].to_string().to_lowercase());
    let runs = records.windows(2).filter(|two| kind(&two[0]) != kind(&two[1])).count() + 1;
    if runs > CHUNKS_MAX {
        let text =
            format!("Cannot have more than {CHUNKS_MAX} chunks in a single operation. Please rearrange the data to reduce chunking.");
        return Err(SfError::bad("INVALID_INPUT", text));
    }
    Ok(())
}

fn take_id(record: &mut Map<String, Value>) -> Outcome<Id> {
    let key = record.keys().find(|key| key.eq_ignore_ascii_case("id")).cloned();
    let value = key.and_then(|key| record.remove(&key)).unwrap_or_default();
    let text = value.as_str().ok_or_else(|| SfError::bad("MISSING_ARGUMENT", "Id not specified in an update call"))?;
    Id::parse(text).ok_or_else(|| malformed(text))
}

fn key_value(record: &Map<String, Value>, name: &str) -> Option<String> {
    let (_, value) = record.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
