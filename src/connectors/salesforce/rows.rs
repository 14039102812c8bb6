//! From a page's bytes to canonical records, one row at a time: a page is never built as one big JSON value.

use super::describe::Described;
use super::soql;
use crate::connectors::{Fault, FaultKind};
use crate::record::{FieldType, Fields, Life, Record, RecordId, SalesforceId, Value, canonical};
use crate::seeded::seeded;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

/// The frame around the rows of a query answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    pub total_size: u64,
    pub done: bool,
    #[serde(default)]
    pub next_records_url: Option<String>,
    #[serde(borrow)]
    pub records: Vec<&'a RawValue>,
}

/// Reads the frame; the rows stay raw.
pub fn envelope(body: &[u8]) -> Result<Envelope<'_>, Fault> {
    serde_json::from_slice(body).map_err(|e| {
        let (code, what) = match body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => ("empty-body", "is empty"),
            Some(b'<') => ("html-body", "is a page of HTML"),
            Some(_) if e.is_eof() => ("truncated-json", "is cut off"),
            Some(_) => ("unexpected-json", "has not the documented shape"),
        };
        let why = format!("a page of a query {what} ({} bytes, line {} column {})", body.len(), e.line(), e.column());
        Fault::new(FaultKind::Answer, code, why)
    })
}

/// One field of a row: what it is called in the record, where it stands in the row, and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub name: String,
    pub path: String,
    pub ty: FieldType,
}

/// What a query selects, and how its rows become records.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub wanted: Vec<Wanted>,
    id: String,
    stamp: Option<String>,
    pub deleted: Option<String>,
    master: Option<String>,
}

impl Shape {
    /// These fields of an sObject; id, stamp and life come by themselves where the sObject has them.
    pub fn of<'f>(object: &str, described: &Described, fields: impl IntoIterator<Item = &'f str>) -> Result<Self, Fault> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for field in fields {
            let ty = described.type_of(object, field)?;
            if wanted.iter().all(|w| w.name != field) {
                wanted.push(Wanted { name: field.to_owned(), path: soql::name(field)?.to_owned(), ty });
            }
        }
        let own = |field: &str| described.has(field).then(|| field.to_owned());
        Ok(Self { wanted, id: "Id".to_owned(), stamp: own("SystemModstamp"), deleted: own("IsDeleted"), master: own("MasterRecordId") })
    }

    /// The same fields seen from a child row: through `relationship`, with the record's id in the child's `lookup`.
    #[must_use]
    pub fn through(self, relationship: &str, lookup: &str) -> Self {
        let path = |p: String| format!("{relationship}.{p}");
        Self {
            wanted: self.wanted.into_iter().map(|w| Wanted { path: path(w.path), ..w }).collect(),
            id: lookup.to_owned(),
            stamp: self.stamp.map(path),
            deleted: self.deleted.map(path),
            master: self.master.map(path),
        }
    }

    /// The SELECT list.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let system = [Some(&self.id), self.stamp.as_ref(), self.deleted.as_ref(), self.master.as_ref()];
        let system: Vec<String> = system.into_iter().flatten().cloned().collect();
        // No column may stand there twice: `Id` may be a mapped field too.
        let own = self.wanted.iter().map(|w| w.path.clone()).filter(|path| !system.contains(path));
        system.iter().cloned().chain(own).collect()
    }

    /// One row as a record. A value that is not what describe said stays out of it, as if it could not be read.
    pub fn record(&self, row: &mut Row<'_>) -> Result<Record, Fault> {
        let id = self.id(row)?;
        let stamp = match &self.stamp {
            Some(path) => system(row, path, &FieldType::Instant)?.and_then(|v| v.as_text().map(str::to_owned)),
            None => None,
        };
        let deleted = match &self.deleted {
            Some(path) => system(row, path, &FieldType::Boolean)? == Some(Value::Bool(true)),
            None => false,
        };
        let master = match &self.master {
            Some(path) if deleted => row.text(path)?,
            _ => None,
        };
        let life = match (deleted, master) {
            (false, _) => Life::Live,
            (true, None) => Life::Deleted,
            (true, Some(_)) if seeded!(MasterUnread) => Life::Deleted,
            (true, Some(master)) => Life::MergedInto(salesforce_id(&master)?),
        };
        let mut fields = Fields::new();
        for wanted in &self.wanted {
            match row.value(&wanted.path, &wanted.ty)? {
                Cell::Absent => {}
                Cell::Value(value) => {
                    fields.insert(wanted.name.clone(), value);
                }
                Cell::Unfit => {
                    tracing::warn!(id = %id, field = %wanted.path, wanted = wanted.ty.as_str(), "a value does not fit its field's type; it is left as it is")
                }
            }
        }
        Ok(Record { id, fields, stamp, life, partial: Vec::new() })
    }

    pub fn id(&self, row: &mut Row<'_>) -> Result<RecordId, Fault> {
        let text = row
            .text(&self.id)?
            .ok_or_else(|| Fault::new(FaultKind::Answer, "row-without-id", format!("a row of a query has no {}", self.id)))?;
        salesforce_id(&text)
    }
}

fn salesforce_id(text: &str) -> Result<RecordId, Fault> {
    SalesforceId::parse(text).map(RecordId::from).map_err(|e| Fault::new(FaultKind::Answer, "bad-id", e.to_string()))
}

/// A system field must be there and be what it is everywhere: without it nothing can be said about the row.
fn system(row: &mut Row<'_>, path: &str, ty: &FieldType) -> Result<Option<Value>, Fault> {
    match row.value(path, ty)? {
        Cell::Value(Value::Null) => Ok(None),
        Cell::Value(value) => Ok(Some(value)),
        Cell::Absent | Cell::Unfit => {
            Err(Fault::new(FaultKind::Answer, "bad-row", format!("a row of a query has no {} in {path}", ty.as_str())))
        }
    }
}

type Columns<'a> = BTreeMap<String, &'a RawValue>;

/// One raw row; parents are taken apart once, however many of their fields are asked for.
pub struct Row<'a> {
    columns: Columns<'a>,
    parents: HashMap<String, Option<Columns<'a>>>,
}

enum Cell {
    /// Not in the answer.
    Absent,
    Value(Value),
    Unfit,
}

enum Place<'a> {
    Absent,
    /// The parent is null, and so is everything in it.
    NoParent,
    At(&'a RawValue),
}

impl<'a> Row<'a> {
    pub fn new(raw: &'a RawValue) -> Result<Self, Fault> {
        Ok(Self { columns: columns(raw)?, parents: HashMap::new() })
    }

    fn value(&mut self, path: &str, ty: &FieldType) -> Result<Cell, Fault> {
        let raw = match self.at(path)? {
            Place::Absent => return Ok(Cell::Absent),
            Place::NoParent => return Ok(Cell::Value(Value::Null)),
            Place::At(raw) => raw.get(),
        };
        // Numbers as text keep all their digits; floating point does not.
        if matches!(ty, FieldType::Integer | FieldType::Decimal { .. })
            && raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            && let Ok(value) = canonical(&serde_json::Value::String(raw.to_owned()), ty)
        {
            return Ok(Cell::Value(value));
        }
        let json: serde_json::Value = serde_json::from_str(raw).map_err(|_| shape())?;
        Ok(canonical(&json, ty).map_or(Cell::Unfit, Cell::Value))
    }

    /// The text in a column; `None` for null and for what is not there.
    pub fn text(&mut self, path: &str) -> Result<Option<String>, Fault> {
        match self.at(path)? {
            Place::Absent | Place::NoParent => Ok(None),
            Place::At(raw) => serde_json::from_str(raw.get()).map_err(|_| shape()),
        }
    }

    fn at(&mut self, path: &str) -> Result<Place<'a>, Fault> {
        let Some((parent, leaf)) = path.rsplit_once('.') else { return Ok(place(&self.columns, path)) };
        if !self.parents.contains_key(parent) {
            let opened = match self.at(parent)? {
                Place::Absent => return Ok(Place::Absent),
                Place::NoParent => None,
                Place::At(raw) if raw.get() == "null" => None,
                Place::At(raw) => Some(columns(raw)?),
            };
            self.parents.insert(parent.to_owned(), opened);
        }
        Ok(match self.parents.get(parent) {
            Some(Some(columns)) => place(columns, leaf),
            Some(None) => Place::NoParent,
            None => Place::Absent,
        })
    }
}

/// Answers use the names of the metadata; a path may have been written otherwise.
fn place<'a>(columns: &Columns<'a>, name: &str) -> Place<'a> {
    let found = columns.get(name).or_else(|| columns.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, raw)| raw));
    found.map_or(Place::Absent, |raw| Place::At(raw))
}

fn columns(raw: &RawValue) -> Result<Columns<'_>, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| shape())
}

fn shape() -> Fault {
    Fault::new(FaultKind::Answer, "bad-row", "a row of a query has not the documented shape")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PAGE: &str = r#"{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/v66.0/query/01g-1","records":[
        {"attributes":{"type":"Order","url":"/x"},"Id":"801D000000IqhSLIAZ","SystemModstamp":"2026-01-02T03:04:05.000+0000","IsDeleted":false,
         "Price":1234567890123456.78,"Big":5.0E2,"Account":{"attributes":{},"Name":" Acme ","Owner":{"Name":null}},"Contact":null,"Bad":"x"},
        {"attributes":{},"Id":"801D000000IqhSL","SystemModstamp":"2026-01-02T03:04:05.000+0000","IsDeleted":true,"MasterRecordId":"001D000000IqhSLIAZ"}]}"#;

    fn wanted(name: &str, ty: FieldType) -> Wanted {
        Wanted { name: name.to_owned(), path: name.to_owned(), ty }
    }

    fn shape_of(wanted: Vec<Wanted>) -> Shape {
        let some = |s: &str| Some(s.to_owned());
        Shape { wanted, id: "Id".into(), stamp: some("SystemModstamp"), deleted: some("IsDeleted"), master: some("MasterRecordId") }
    }

    #[test]
    fn rows_become_canonical_records() {
        let shape = shape_of(vec![
            wanted("Price", FieldType::Decimal { scale: 2 }),
            wanted("Big", FieldType::Integer),
            wanted("Account.Name", FieldType::text()),
            wanted("Account.Owner.Name", FieldType::text()),
            wanted("Contact.Email", FieldType::text()),
            wanted("Bad", FieldType::Integer),
            wanted("Hidden", FieldType::text()),
        ]);
        let page = envelope(PAGE.as_bytes()).unwrap();
        assert_eq!((page.total_size, page.done, page.records.len()), (2, false, 2));
        let first = shape.record(&mut Row::new(page.records[0]).unwrap()).unwrap();
        assert_eq!(first.stamp.as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(first.fields["Price"], Value::Decimal("1234567890123456.78".parse().unwrap()));
        assert_eq!(first.fields["Big"], Value::Int(500));
        assert_eq!(first.fields["Account.Name"], Value::text("Acme"));
        assert_eq!(first.fields["Account.Owner.Name"], Value::Null);
        assert_eq!(first.fields["Contact.Email"], Value::Null, "no parent: null");
        assert!(!first.fields.contains_key("Hidden"), "not in the answer: absent, which is not null");
        assert!(!first.fields.contains_key("Bad"), "what does not fit is never written anywhere");
        let second = shape.record(&mut Row::new(page.records[1]).unwrap()).unwrap();
        assert_eq!(second.id.as_str(), "801D000000IqhSLIAZ");
        assert_eq!(second.life, Life::MergedInto("001D000000IqhSLIAZ".into()));
    }

    #[test]
    fn a_row_seen_from_its_child() {
        let shape = shape_of(vec![wanted("Status", FieldType::text())]).through("Order", "OrderId");
        assert_eq!(shape.columns(), ["OrderId", "Order.SystemModstamp", "Order.IsDeleted", "Order.MasterRecordId", "Order.Status"]);
        let raw = r#"{"Id":"802D000000IqhSLIAZ","OrderId":"801D000000IqhSLIAZ","Order":{"SystemModstamp":"2026-01-02T03:04:05.000+0000","IsDeleted":false,"Status":"Draft"}}"#;
        let record = shape.record(&mut Row::new(&RawValue::from_string(raw.to_owned()).unwrap()).unwrap()).unwrap();
        assert_eq!((record.id.as_str(), record.life), ("801D000000IqhSLIAZ", Life::Live));
        assert_eq!(record.fields["Status"], Value::text("Draft"));
    }

    #[test]
    fn no_cut_of_a_page_is_taken_for_a_page() {
        let whole = PAGE.trim_end();
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            assert!(envelope(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn broken_pages_are_named() {
        for (body, code) in [
            ("", "empty-body"),
            ("<html>", "html-body"),
            (&PAGE[..200], "truncated-json"),
            (r#"{"totalSize":1,"done":true}"#, "unexpected-json"),
            (r#"[{"errorCode":"X"}]"#, "unexpected-json"),
        ] {
            assert_eq!(envelope(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
        let shape = shape_of(vec![]);
        for row in [r#"{"IsDeleted":false}"#, r#"{"Id":"nonsense"}"#, r#"{"Id":"801D000000IqhSLIAZ"}"#] {
            let raw = RawValue::from_string(row.to_owned()).unwrap();
            assert!(shape.record(&mut Row::new(&raw).unwrap()).is_err(), "{row}");
        }
    }
}
