//! `/sobjects`: descriptions, single records by id, and by external id.

use serde_json::{Map, Value, json};

use super::conditions::{etag, http_date, precondition, unmodified};
use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::rest::{body_json, not_allowed, saved};
use super::soql::plan::{Column, plan};
use super::soql::print::Printer;
use super::world::{Outcome, World};
use super::write::Author;

impl World {
    pub(super) fn describe_global(&self, call: &Call) -> Outcome<Reply> {
        let changed = self.schema.objects.iter().map(|object| object.changed).max().unwrap_or(0);
        if unmodified(call, changed)? {
            return Ok(Reply::empty(304));
        }
        let all: Vec<Value> = (0..self.schema.objects.len()).map(|at| Value::Object(self.brief(at, &call.version))).collect();
        let body = json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all});
        Ok(Reply::json(200, body.to_string()).with("Last-Modified", http_date(changed)))
    }

    pub(super) fn sobject(&mut self, call: &Call, path: &[&str]) -> Outcome<Reply> {
        let object = self.object(path[1])?;
        let name = self.schema.objects[object].name.clone();
        let key = path.get(2).map(|key| key.to_ascii_lowercase());
        let user = call.user.unwrap_or(self.integration);
        let author = Author::api(user, self.now());
        match (call.method.as_str(), key.as_deref(), path.len()) {
            ("GET", None, _) => {
                let body = json!({"objectDescribe": self.brief(object, &call.version), "recentItems": []});
                Ok(Reply::json(200, body.to_string()))
            }
            ("POST", None | Some("id"), 2 | 3) => {
                let fields = body_object(call)?;
                let id = self.create(object, &fields, &author)?;
                let location = format!("/services/data/{}/sobjects/{name}/{id}", call.version);
                Ok(Reply::json(201, saved(id, None)).with("Location", location))
            }
            ("GET", Some("describe"), 3) => {
                let changed = self.schema.objects[object].changed;
                if unmodified(call, changed)? {
                    return Ok(Reply::empty(304));
                }
                Ok(Reply::json(200, self.describe(object, &call.version).to_string()).with("Last-Modified", http_date(changed)))
            }
            ("GET", Some("updated"), 3) => self.updated(object, call),
            ("GET", Some("deleted"), 3) => self.deleted(object, call),
            ("GET", Some(_), 3) => {
                let id = Id::parse(path[2]).ok_or_else(|| no_such_key(path[2]))?;
                self.retrieve(object, id, call)
            }
            ("PATCH", Some(_), 3) => {
                let id = Id::parse(path[2]).ok_or_else(|| no_such_key(path[2]))?;
                let fields = body_object(call)?;
                refuse_key(&fields, "Id")?;
                if let Some(reply) = precondition(call, &name, self.live(object, id)?)? {
                    return Ok(reply);
                }
                self.change(object, id, &fields, &author)?;
                Ok(Reply::empty(204))
            }
            ("DELETE", Some(_), 3) => {
                let id = Id::parse(path[2]).ok_or_else(|| no_such_key(path[2]))?;
                self.remove(object, id, &author)?;
                Ok(Reply::empty(204))
            }
            (_, Some(_), 4) => self.by_key(object, path[2], path[3], call, &author),
            _ => Err(not_allowed(&call.method)),
        }
    }

    fn retrieve(&mut self, object: usize, id: Id, call: &Call) -> Outcome<Reply> {
        let row = self.live(object, id).map_err(|error| if error.code == "ENTITY_IS_DELETED" { error } else { SfError::not_found() })?;
        let name = &self.schema.objects[object].name;
        if let Some(reply) = precondition(call, name, row)? {
            return Ok(reply);
        }
        let (modified, tag) = (row.modified, etag(row));
        let columns = self.columns(object, call.parameter("fields"))?;
        let reply = Reply::json(200, self.record(object, id, &columns, &call.version)).with("Last-Modified", http_date(modified));
        Ok(if self.schema.objects[object].name == "Account" { reply.with("ETag", tag) } else { reply })
    }

    /// The columns of a `fields` list, Id included, or all.
    pub(super) fn columns(&self, object: usize, fields: Option<&str>) -> Outcome<Vec<Column>> {
        let shape = &self.schema.objects[object];
        let Some(fields) = fields else {
            return Ok(shape.numbered().map(|(at, _)| at).filter(|at| self.visible(object, *at)).map(Column::Field).collect());
        };
        let mut names: Vec<&str> = Vec::new();
        for name in fields.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name);
            }
        }
        let mut columns = plan(self, &format!("SELECT {} FROM {}", names.join(","), shape.name))?.columns;
        let id = |column: &Column| matches!(column, Column::Field(field) if shape.field(*field).name == "Id");
        if !columns.iter().any(id) {
            columns.extend(shape.find("Id").map(Column::Field));
        }
        Ok(columns)
    }

    pub(super) fn record(&self, object: usize, id: Id, columns: &[Column], version: &str) -> String {
        let mut out = String::new();
        let mut next = 0;
        let mut printer =
            Printer { world: self, version, all: false, page_size: usize::MAX, overflow: Vec::new(), next_locator: &mut next };
        match self.tables[object].rows.get(&id) {
            Some(row) => printer.push(&mut out, object, row, columns),
            None => out.push_str("null"),
        }
        out
    }

    fn by_key(&mut self, object: usize, field: &str, value: &str, call: &Call, author: &Author) -> Outcome<Reply> {
        let shape = &self.schema.objects[object];
        let name = shape.name.clone();
        if field.eq_ignore_ascii_case("Id") {
            let direct = Call { path: vec!["sobjects".to_owned(), name, value.to_owned()], ..call.clone() };
            let path: Vec<&str> = direct.path.iter().map(String::as_str).collect();
            return self.sobject(&direct, &path);
        }
        let key =
            self.seen(object, field).filter(|key| self.schema.objects[object].field(*key).is_key()).ok_or_else(|| no_such_key(field))?;
        let field_name = self.schema.objects[object].field(key).name.clone();
        let found = self.live_with_key(object, key, value);
        if found.len() > 1 {
            let urls: Vec<String> = found.iter().map(|id| format!("/services/data/{}/sobjects/{name}/{id}", call.version)).collect();
            return Ok(Reply::json(300, json!(urls).to_string()));
        }
        let one = found.first().copied();
        match (call.method.as_str(), one) {
            ("GET", Some(id)) => self.retrieve(object, id, call),
            ("DELETE", Some(id)) => {
                self.remove(object, id, author)?;
                Ok(Reply::empty(204))
            }
            ("PATCH", _) => {
                let fields = body_object(call)?;
                refuse_key(&fields, "Id")?;
                refuse_key(&fields, &field_name)?;
                if one.is_none() && call.parameter("updateOnly") == Some("true") {
                    return Err(SfError::not_found());
                }
                let (id, created) = self.upsert(object, key, value, fields, author)?;
                // Before v46 an update answered nothing, and nothing told what it was.
                Ok(match (call.version_number() >= 46.0, created) {
                    (true, created) => Reply::json(if created { 201 } else { 200 }, saved(id, Some(created))),
                    (false, true) => Reply::json(201, saved(id, None)),
                    (false, false) => Reply::empty(204),
                })
            }
            ("GET" | "DELETE", None) => Err(SfError::not_found()),
            _ => Err(not_allowed(&call.method)),
        }
    }

    /// Updates the one row that holds this key, or creates it.
    pub(super) fn upsert(
        &mut self,
        object: usize,
        key: u16,
        value: &str,
        mut fields: Map<String, Value>,
        author: &Author,
    ) -> Outcome<(Id, bool)> {
        match self.live_with_key(object, key, value).as_slice() {
            [] => {
                let name = self.schema.objects[object].field(key).name.clone();
                fields.insert(name, json!(value));
                Ok((self.create(object, &fields, author)?, true))
            }
            [one] => {
                self.change(object, *one, &fields, author)?;
                Ok((*one, false))
            }
            many => {
                let field = &self.schema.objects[object].field(key).name;
                Err(SfError::new(300, "DUPLICATE_EXTERNAL_ID", format!("{field}: {value} matches {} records", many.len())))
            }
        }
    }
}

fn no_such_key(field: &str) -> SfError {
    SfError::new(404, "NOT_FOUND", format!("Provided external ID field does not exist or is not accessible: {field}"))
}

fn refuse_key(fields: &Map<String, Value>, key: &str) -> Outcome<()> {
    if fields.keys().any(|name| name.eq_ignore_ascii_case(key)) {
        return Err(SfError::bad("INVALID_FIELD", format!("The {key} field should not be specified in the sobject data.")).on(key));
    }
    Ok(())
}

fn body_object(call: &Call) -> Outcome<Map<String, Value>> {
    match body_json(call)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(SfError::bad("JSON_PARSER_ERROR", "Can not deserialize SObject out of START_ARRAY token at [line:1, column:1]")),
    }
}
