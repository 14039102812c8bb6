//! Finding records by id or by a value, and proving that one is not there.
//!
//! Source: developer.forcemanager.com, "Filtering". An unknown id is answered with 400, not with 404: it is asked for again
//! by a filter, and if that does not work either, looked for in the whole list.

use super::ForceManager;
use super::catalogue::{LINK, is_calendar, list_of, path};
use super::filter;
use super::list::{Row, Walk, is_deleted, row_id, single};
use super::own_id;
use super::row::is_of;
use super::what;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, Fetched, ResourceSpec};
use crate::record::{FieldType, Life, RecordId, Value, coerce};
use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;

impl ForceManager {
    /// The row by its id, confirmed to be absent where it is. Deleted rows are rows.
    pub(super) async fn row(&self, resource: &'static ResourceSpec, id: i64) -> Result<Option<Row>, Trouble> {
        match self.get(resource, id).await {
            Ok(row) => Ok(Some(row)),
            Err(trouble) if trouble.may_mean_gone() => self.confirmed(resource, id).await,
            Err(trouble) => Err(trouble),
        }
    }

    async fn get(&self, resource: &ResourceSpec, id: i64) -> Result<Row, Trouble> {
        let at = format!("{}/{id}", path(resource.name).unwrap_or_default());
        let row = single(&at, self.wire.get(Counted::Data, &at, &[]).await?.json)?;
        if row_id(&row) == Some(id) {
            return Ok(row);
        }
        Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", format!("the answer for {at} is another record"))))
    }

    /// What a read by id refused: whether the list has it.
    async fn confirmed(&self, resource: &'static ResourceSpec, id: i64) -> Result<Option<Row>, Trouble> {
        let at = path(resource.name).unwrap_or_default();
        let here = |rows: Vec<Row>| rows.into_iter().find(|row| row_id(row) == Some(id));
        if self.usable(resource, "id") {
            let mut walk = Walk::new(&self.wire, Counted::Data, at, Some(filter::is_number("id", id)));
            match walk.page().await {
                Ok(None) => return Ok(None),
                Ok(Some(rows)) if rows.iter().all(|row| row_id(row) == Some(id)) => return Ok(here(rows)),
                Ok(Some(_)) | Err(Trouble::Refused(_)) => self.give_up(resource, "id"),
                Err(trouble) => return Err(trouble),
            }
        }
        let mut walk = Walk::new(&self.wire, Counted::Data, at, None);
        while let Some(rows) = walk.page().await? {
            if let Some(row) = here(rows) {
                return Ok(Some(row));
            }
        }
        if walk.complete {
            return Ok(None);
        }
        let text = format!("whether {} {id} is gone cannot be told: the list moved while it was looked through", resource.name);
        Err(Trouble::Fault(Fault::new(FaultKind::Retry, "list-unsteady", text)))
    }

    pub(super) async fn fetch_all(
        &self,
        resource: &'static ResourceSpec,
        fields: &[String],
        ids: &[RecordId],
    ) -> Result<Vec<Fetched>, Fault> {
        let mut fetched = Vec::with_capacity(ids.len());
        for id in ids {
            fetched.push(self.fetch(resource, fields, id).await?);
        }
        Ok(fetched)
    }

    /// What an entry of the calendar is was settled when it was first seen: asked for by id it is what it was.
    async fn fetch(&self, resource: &'static ResourceSpec, fields: &[String], id: &RecordId) -> Result<Fetched, Fault> {
        let Some(number) = own_id(id) else {
            return Ok(Fetched::Refused(id.clone(), "ForceManager ids are whole numbers".to_owned()));
        };
        let found = async {
            match self.row(resource, number).await? {
                Some(row) => self.record(resource, row, fields).await,
                None => Ok(None),
            }
        };
        match found.await {
            Ok(Some(record)) if record.life == Life::Live => Ok(Fetched::Here(record)),
            Ok(Some(record)) => Ok(Fetched::Deleted(record)),
            Ok(None) => Ok(Fetched::Missing(id.clone())),
            Err(Trouble::Denied(r)) => Ok(Fetched::Refused(id.clone(), r.message)),
            Err(trouble) => Err(trouble.into_fault(&format!("{} {id}", resource.name))),
        }
    }

    /// Living rows whose `key` is one of the values, each once, in order of id.
    pub(super) async fn find_rows(&self, resource: &'static ResourceSpec, key: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        let ty = match (resource.field(key), self.extra(resource.name, key)) {
            (Some(spec), _) => spec.ty.clone(),
            (None, Some(extra)) => extra.ty,
            (None, None) => {
                return Err(Fault::new(FaultKind::Setup, "no-such-field", format!("a {} has no field {key:?}", resource.name)));
            }
        };
        // Null is nobody's key, and what does not fit the type is found nowhere.
        let wanted: Vec<Value> = values.iter().filter_map(|v| coerce(v, &ty).ok()).filter(|v| !v.is_blank()).collect();
        let mut found = BTreeMap::new();
        let mut left: Vec<&Value> = Vec::new();
        for value in &wanted {
            match self.by_filter(resource, key, &ty, value).await.map_err(|t| t.into_fault(&what(resource)))? {
                Some(rows) => found.extend(rows.into_iter().filter_map(|row| Some((row_id(&row)?, row)))),
                None => left.push(value),
            }
        }
        if !left.is_empty() {
            let rows = self.by_scan(resource, key, &left).await.map_err(|t| t.into_fault(&what(resource)))?;
            found.extend(rows.into_iter().filter_map(|row| Some((row_id(&row)?, row))));
        }
        Ok(found.into_values().collect())
    }

    /// `None`: no filter can be relied on for this.
    async fn by_filter(
        &self,
        resource: &'static ResourceSpec,
        key: &str,
        ty: &FieldType,
        value: &Value,
    ) -> Result<Option<Vec<Row>>, Trouble> {
        let Some((name, filter)) = self.documented(resource, key, ty, value) else { return Ok(None) };
        let at = path(resource.name).unwrap_or_default();
        let mut walk = Walk::new(&self.wire, Counted::Data, at, Some(filter));
        let mut hits = Vec::new();
        loop {
            let rows = match walk.page().await {
                Ok(Some(rows)) => rows,
                Ok(None) => return Ok(Some(hits)),
                Err(Trouble::Refused(_)) => {
                    self.give_up(resource, &name);
                    return Ok(None);
                }
                Err(trouble) => return Err(trouble),
            };
            let records = self.records(resource, &rows, &[key.to_owned()]).await?;
            for (row, record) in rows.into_iter().zip(&records) {
                let shown = record.fields.get(key);
                if shown == Some(value) {
                    hits.extend(Some(row).filter(|row| is_of(resource.name, row) && !is_deleted(row)));
                } else if !shown.is_some_and(|shown| alike(shown, value)) {
                    self.give_up(resource, &name);
                    return Ok(None);
                }
            }
        }
    }

    async fn by_scan(&self, resource: &'static ResourceSpec, key: &str, wanted: &[&Value]) -> Result<Vec<Row>, Trouble> {
        let at = path(resource.name).unwrap_or_default();
        let mut walk = Walk::new(&self.wire, Counted::Data, at, None);
        let mut found = Vec::new();
        while let Some(rows) = walk.page().await? {
            let rows: Vec<Row> = rows.into_iter().filter(|row| is_of(resource.name, row) && !is_deleted(row)).collect();
            let records = self.records(resource, &rows, &[key.to_owned()]).await?;
            let fits = |record: &crate::record::Record| record.fields.get(key).is_some_and(|v| wanted.contains(&v));
            found.extend(rows.into_iter().zip(&records).filter(|(_, record)| fits(record)).map(|(row, _)| row));
        }
        if !walk.complete && found.len() < wanted.len() {
            let text = format!("the list {at} moved while it was looked through");
            return Err(Trouble::Fault(Fault::new(FaultKind::Retry, "list-unsteady", text)));
        }
        Ok(found)
    }

    pub(super) async fn count_live(&self, resource: &'static ResourceSpec) -> Result<u64, Fault> {
        let at = path(resource.name).unwrap_or_default();
        let mut walk = Walk::new(&self.wire, Counted::Data, at, None);
        let mut live = 0;
        while let Some(rows) = walk.page().await.map_err(|t| t.into_fault(&what(resource)))? {
            live += rows.iter().filter(|row| is_of(resource.name, row) && !is_deleted(row)).count() as u64;
        }
        Ok(live)
    }

    /// Only fields that are on the wire as they are, and only values whose equality the service cannot see otherwise.
    fn documented(&self, resource: &'static ResourceSpec, key: &str, ty: &FieldType, value: &Value) -> Option<(String, String)> {
        if is_ours(resource, key) {
            return None;
        }
        let name = if key == LINK { self.link_field.clone() } else { key.to_owned() };
        let filter = match (ty, value) {
            (FieldType::Text { .. } | FieldType::Email { .. }, Value::Text(text)) if text.is_ascii() => filter::equals(&name, text).ok()?,
            (FieldType::Integer, Value::Int(n)) => filter::is_number(&name, *n),
            _ => return None,
        };
        self.usable(resource, &name).then_some((name, filter))
    }

    fn usable(&self, resource: &'static ResourceSpec, field: &str) -> bool {
        let unusable = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        !unusable.contains(&(path(resource.name).unwrap_or_default(), field.to_owned()))
    }

    fn give_up(&self, resource: &'static ResourceSpec, field: &str) {
        let at = path(resource.name).unwrap_or_default();
        tracing::warn!(path = at, field, "ForceManager does not filter by this as documented: everything is looked through instead");
        let mut unusable: std::sync::MutexGuard<'_, HashSet<_>> = self.unusable.lock().unwrap_or_else(PoisonError::into_inner);
        unusable.insert((at, field.to_owned()));
    }
}

/// Fields that are on the wire under another name, or computed from several.
fn is_ours(resource: &ResourceSpec, key: &str) -> bool {
    let ours = matches!(key, "fullName" | "about" | "start" | "end" | "day") || list_of(resource.name, key).is_some();
    ours || (is_calendar(resource.name) && key == "completed")
}

/// Whether lists of a resource are filtered by this field.
pub fn is_searched(resource: &ResourceSpec, field: &str) -> bool {
    let filtered = |ty: &FieldType| matches!(ty, FieldType::Text { .. } | FieldType::Email { .. } | FieldType::Integer);
    !is_ours(resource, field) && resource.field(field).is_some_and(|spec| filtered(&spec.ty))
}

/// Whether a row that shows this could have come through a filter for that: how the service compares letters is not published.
fn alike(shown: &Value, asked: &Value) -> bool {
    match (shown, asked) {
        (Value::Text(a), Value::Text(b)) => a.to_lowercase() == b.to_lowercase(),
        (a, b) => a == b,
    }
}
