//! The REST resources of single records, descriptions, queries and change lists.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::locators::Cursor;
use super::soql::plan::{Answer, Column, Plan, plan};
use super::soql::run::Printer;
use super::table::Row;
use super::value::{parse_instant, stamp};
use super::world::{DAY, Outcome, World};
use super::write::Author;

const OLDEST: u32 = 31;
const NEWEST: u32 = 68;

/// The versions there are; no session is needed and nothing is counted.
pub(super) fn versions() -> Reply {
    let all: Vec<Value> = (OLDEST..=NEWEST)
        .map(|number| json!({"label": release(number), "url": format!("/services/data/v{number}.0"), "version": format!("{number}.0")}))
        .collect();
    Reply::json(200, Value::Array(all).to_string())
}

/// Three releases a year; the winter one is named after the next.
fn release(version: u32) -> String {
    let year = 8 + version.saturating_sub(12) / 3;
    match version % 3 {
        0 => format!("Spring '{year}"),
        1 => format!("Summer '{year}"),
        _ => format!("Winter '{}", year + 1),
    }
}

pub(super) fn known_version(version: &str) -> bool {
    let number = version.strip_prefix('v').and_then(|number| number.strip_suffix(".0"));
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| (OLDEST..=NEWEST).contains(&number))
}

/// What a call is counted as, and how many calls it costs.
pub(super) fn kind_of(call: &Call) -> (&'static str, u64) {
    let path: Vec<String> = call.path.iter().map(|part| part.to_ascii_lowercase()).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["query" | "queryall"] => ("query", 1),
        ["query" | "queryall", _] => ("query_more", 1),
        ["sobjects", _, "describe"] => ("describe", 1),
        ["sobjects"] => ("describe_global", 1),
        ["sobjects", _, "updated" | "deleted"] => ("replication", 1),
        ["sobjects", ..] if call.method == "GET" => ("retrieve", 1),
        ["sobjects", ..] => ("record", 1),
        ["composite", "sobjects", ..] => ("collections", 1),
        ["composite", "batch"] => {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let subs = body["batchRequests"].as_array().map_or(1, Vec::len).max(1);
            ("batch", u64::try_from(subs).unwrap_or(1))
        }
        ["composite", "graph"] => ("graph", 1),
        ["composite", "tree", _] => ("tree", 1),
        ["composite"] => ("composite", 1),
        ["jobs", ..] => ("bulk", 1),
        ["limits"] => ("limits", 1),
        _ => ("other", 1),
    }
}

impl World {
    /// A resource of one version; also what the composite resources call for each part.
    pub(super) fn resource(&mut self, call: &Call) -> Reply {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let lower: Vec<String> = call.path.iter().take(2).map(|part| part.to_ascii_lowercase()).collect();
        let method = call.method.as_str();
        let first = lower.first().map_or("", String::as_str);
        let second = lower.get(1).map_or("", String::as_str);
        let reply = match (method, first, path.len()) {
            ("GET", "", _) => Ok(self.resources(call)),
            ("GET", "limits", 1) => Ok(self.limits()),
            ("GET" | "POST", "query" | "queryall", 1) => self.query(call, first == "queryall"),
            ("GET", "query" | "queryall", 2) => self.query_more(call, path[1]),
            ("GET", "sobjects", 1) => Ok(self.describe_global(call)),
            (_, "sobjects", 2..=4) => self.sobject(call, &path),
            (_, "composite", _) => self.composite_family(call, second, &path),
            (_, "jobs", _) => self.jobs(call, second, &path),
            (_, "query" | "queryall" | "sobjects" | "limits", _) => Err(not_allowed(method)),
            _ => Err(SfError::not_found()),
        };
        reply.unwrap_or_else(Reply::from)
    }

    fn resources(&self, call: &Call) -> Reply {
        let names = ["analytics", "composite", "jobs", "limits", "query", "queryAll", "sobjects", "tooling"];
        let mut map: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!(format!("/services/data/{}/{name}", call.version)))).collect();
        map.insert("identity".to_owned(), json!(self.identity_url()));
        Reply::json(200, Value::Object(map).to_string())
    }

    fn limits(&mut self) -> Reply {
        let max = self.settings.daily_max;
        let left = max.saturating_sub(self.used());
        let body = json!({
            "DailyApiRequests": {"Max": max, "Remaining": left}, "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyAsyncApexExecutions": {"Max": 250_000, "Remaining": 250_000}, "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
            "FileStorageMB": {"Max": 10_240, "Remaining": 10_240}, "HourlyTimeBasedWorkflow": {"Max": 1000, "Remaining": 1000},
        });
        Reply::json(200, body.to_string())
    }

    // ---- query ------------------------------------------------------------------------------------------------------

    fn query(&mut self, call: &Call, all: bool) -> Outcome<Reply> {
        let text = call.parameter("q").ok_or_else(|| SfError::bad("MALFORMED_QUERY", "unexpected token: '<EOF>'"))?.to_owned();
        let plan = Arc::new(plan(self, &text)?);
        if call.parameter("columns") == Some("true") {
            return Ok(self.column_metadata(&plan));
        }
        match &plan.answer {
            Answer::Count => {
                let count = self.select(&plan, all, false).ids.len();
                Ok(Reply::json(200, format!("{{\"totalSize\":{count},\"done\":true,\"records\":[]}}")))
            }
            Answer::Groups(..) => {
                let groups = self.groups(&plan, all);
                Ok(Reply::json(200, format!("{{\"totalSize\":{},\"done\":true,\"records\":[{}]}}", groups.len(), groups.join(","))))
            }
            Answer::Rows => {
                let mut found = self.select(&plan, all, self.settings.shuffle_ties);
                if self.settings.shuffle_ties {
                    self.shuffle_ids(&mut found.ids, &found.ties);
                }
                let user = call.user.unwrap_or(self.integration);
                let size = self.page_size(call);
                // A locator costs a place under the cap only when there is a second page.
                let id = if found.ids.len() > size { Some(self.new_locator()) } else { None };
                let cursor = Cursor { plan, ids: found.ids, ties: found.ties, all, user, used: self.now(), parent: None };
                let reply = self.page(&cursor, id, 0, size, &call.version);
                if let Some(id) = id {
                    self.open_locator(id, cursor);
                }
                Ok(reply)
            }
        }
    }

    fn query_more(&mut self, call: &Call, text: &str) -> Outcome<Reply> {
        let user = call.user.unwrap_or(self.integration);
        let (id, offset) = self.locator(text, user)?;
        let size = self.page_size(call);
        let cursor = self.lend_cursor(id).ok_or_else(|| SfError::bad("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
        let reply = self.page(&cursor, Some(id), offset, size, &call.version);
        self.return_cursor(id, cursor);
        Ok(reply)
    }

    fn page_size(&mut self, call: &Call) -> usize {
        let options = call.header("sforce-query-options").unwrap_or_default();
        let asked = options.split([',', ';']).find_map(|option| option.trim().strip_prefix("batchSize=")?.trim().parse::<usize>().ok());
        let size = asked.map_or(self.settings.page_size, |asked| asked.clamp(200, 2000).min(self.settings.page_size));
        let least = self.settings.jitter_min.min(size);
        if self.settings.jitter_pages && least < size {
            return least + usize::try_from(self.random() % (size - least + 1) as u64).unwrap_or(0);
        }
        size
    }

    fn page(&mut self, cursor: &Cursor, id: Option<Id>, offset: usize, size: usize, version: &str) -> Reply {
        let end = offset.saturating_add(size).min(cursor.ids.len());
        let total = cursor.ids.len();
        let mut out = String::with_capacity(256 * (end - offset) + 128);
        out.push_str(&format!("{{\"totalSize\":{total},\"done\":{}", end == total));
        if let Some(id) = id.filter(|_| end < total) {
            out.push_str(&format!(",\"nextRecordsUrl\":\"/services/data/{version}/query/{id}-{end}\""));
        }
        out.push_str(",\"records\":[");
        let mut next = self.locators.next + 1;
        let object = cursor.plan.object;
        let page_size = self.settings.page_size;
        let mut printer = Printer { world: self, version, all: cursor.all, page_size, overflow: Vec::new(), next_locator: &mut next };
        let mut first = true;
        // A page shows rows as they are now: what went meanwhile is missing from it.
        for row in cursor.ids[offset..end].iter().filter_map(|id| printer.world.tables[object].rows.get(id)) {
            if !printer.world.listed(object, row, cursor.all) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            printer.push(&mut out, object, row, &cursor.plan.columns);
        }
        out.push_str("]}");
        let overflow = printer.overflow;
        self.locators.next = next;
        for (child, plan, ids) in overflow {
            let (all, user, used) = (cursor.all, cursor.user, self.now());
            let parent = Some(id.unwrap_or(child));
            self.open_locator(child, Cursor { plan, ids, ties: Vec::new(), all, user, used, parent });
        }
        Reply::json(200, out)
    }

    /// What `sf data query` asks for besides the rows; undocumented.
    fn column_metadata(&self, plan: &Plan) -> Reply {
        let shape = &self.schema.objects[plan.object];
        let group = matches!(plan.answer, Answer::Groups(..));
        let columns: Vec<Value> = match &plan.answer {
            Answer::Groups(columns, _) => columns.iter().map(|column| column_entry(&column.name, "String", true, Vec::new())).collect(),
            Answer::Rows | Answer::Count => self.column_entries(plan.object, &plan.columns),
        };
        let id = plan.columns.iter().any(|column| matches!(column, Column::Field(field) if shape.field(*field).name == "Id"));
        let body =
            json!({"columnMetadata": columns, "entityName": shape.name, "groupBy": group, "idSelected": id, "keyPrefix": shape.prefix});
        Reply::json(200, body.to_string())
    }

    fn column_entries(&self, object: usize, columns: &[Column]) -> Vec<Value> {
        let shape = &self.schema.objects[object];
        let entry = |column: &Column| match column {
            Column::Field(field) => column_entry(&shape.field(*field).name, "String", false, Vec::new()),
            Column::Parent { lookup, name, columns } => {
                let target = shape.field(*lookup).targets.first().copied().unwrap_or(object);
                column_entry(name, "Object", false, self.column_entries(target, columns))
            }
            Column::Loose(name) => column_entry(name, "String", false, Vec::new()),
            Column::Child { name, object, plan, .. } => column_entry(name, "Aggregate", true, self.column_entries(*object, &plan.columns)),
        };
        columns.iter().map(entry).collect()
    }

    // ---- sobjects ---------------------------------------------------------------------------------------------------

    fn describe_global(&self, call: &Call) -> Reply {
        let changed = self.schema.objects.iter().map(|object| object.changed).max().unwrap_or(0);
        if unmodified(call, changed) {
            return Reply::empty(304);
        }
        let all: Vec<Value> = (0..self.schema.objects.len()).map(|at| Value::Object(self.brief(at, &call.version))).collect();
        Reply::json(200, json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all}).to_string())
            .with("Last-Modified", http_date(changed))
    }

    fn sobject(&mut self, call: &Call, path: &[&str]) -> Outcome<Reply> {
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
                if unmodified(call, changed) {
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

    // ---- what changed -----------------------------------------------------------------------------------------------

    fn window(&self, call: &Call, days: i64) -> Outcome<(i64, i64)> {
        let read = |name: &str| {
            // An unencoded plus sign arrives as a blank.
            let text = call.parameter(name).unwrap_or_default().replace(' ', "+");
            parse_instant(&text).ok_or_else(|| SfError::bad("INVALID_REPLICATION_DATE", format!("{name} is no date")))
        };
        let (start, end) = (read("start")?, read("end")?);
        if start >= end {
            return Err(SfError::bad("INVALID_REPLICATION_DATE", "startDate must chronologically precede endDate"));
        }
        if start < self.now() - days * DAY {
            return Err(SfError::bad("INVALID_REPLICATION_DATE", format!("startDate cannot be more than {days} days ago")));
        }
        Ok((start, end))
    }

    fn covered(&self, end: i64) -> String {
        stamp(end.min(self.now()).min(self.oldest_open().unwrap_or(i64::MAX)))
    }

    fn updated(&self, object: usize, call: &Call) -> Outcome<Reply> {
        let (start, end) = self.window(call, 30)?;
        let table = &self.tables[object];
        let range = table.by_stamp.range((start, Id::MIN)..(end, Id::MIN));
        let live = range.filter(|(_, id)| table.rows.get(id).is_some_and(|row| row.deleted.is_none()));
        let ids: Vec<&str> = live.map(|(_, id)| id.as_str()).collect();
        Ok(Reply::json(200, json!({"ids": ids, "latestDateCovered": self.covered(end)}).to_string()))
    }

    fn deleted(&self, object: usize, call: &Call) -> Outcome<Reply> {
        let (start, end) = self.window(call, 15)?;
        let range = self.tables[object].log.range((start, Id::MIN)..(end, Id::MIN));
        let records: Vec<Value> = range.map(|(at, id)| json!({"id": id.as_str(), "deletedDate": stamp(*at)})).collect();
        let earliest = stamp(self.log_purged);
        let body = json!({"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": self.covered(end)});
        Ok(Reply::json(200, body.to_string()))
    }
}

/// `{"id":…,"success":true,"errors":[]}`, with `created` where it belongs.
pub(super) fn saved(id: Id, created: Option<bool>) -> String {
    let created = created.map_or(String::new(), |created| format!(",\"created\":{created}"));
    format!("{{\"id\":\"{id}\",\"success\":true,\"errors\":[]{created}}}")
}

pub(super) fn not_allowed(method: &str) -> SfError {
    SfError::new(405, "METHOD_NOT_ALLOWED", format!("HTTP Method '{method}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE"))
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

pub(super) fn body_json(call: &Call) -> Outcome<Value> {
    serde_json::from_slice(&call.body).map_err(|error| {
        let text = format!("Unexpected character at [line:{}, column:{}]", error.line(), error.column());
        SfError::bad("JSON_PARSER_ERROR", text)
    })
}

fn body_object(call: &Call) -> Outcome<Map<String, Value>> {
    match body_json(call)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(SfError::bad("JSON_PARSER_ERROR", "Can not deserialize SObject out of START_ARRAY token at [line:1, column:1]")),
    }
}

fn column_entry(name: &str, kind: &str, aggregate: bool, joined: Vec<Value>) -> Value {
    json!({"aggregate": aggregate, "apexType": kind, "booleanType": false, "columnName": name, "custom": name.ends_with("__c"), "displayName": name,
           "foreignKeyName": null, "insertable": true, "joinColumns": joined, "numberType": false, "textType": kind == "String", "updatable": true})
}

// ---- conditional requests -------------------------------------------------------------------------------------------

fn unmodified(call: &Call, changed: i64) -> bool {
    call.header("if-modified-since").and_then(parse_http_date).is_some_and(|since| changed <= since)
}

/// The reply that ends a call whose condition does not hold.
fn precondition(call: &Call, object: &str, row: &Row) -> Outcome<Option<Reply>> {
    let date = |name: &str| match call.header(name) {
        None => Ok(None),
        Some(text) => {
            parse_http_date(text).map(Some).ok_or_else(|| SfError::bad("INVALID_HTTP_HEADER", format!("invalid date in {name}: {text}")))
        }
    };
    let reading = call.method == "GET";
    let tagged = |name: &str| {
        let matches = |text: &str| text.split(',').any(|tag| bare_tag(tag) == bare_tag(&etag(row)) || tag.trim() == "*");
        call.header(name).filter(|_| object == "Account").map(matches)
    };
    if date("if-unmodified-since")?.is_some_and(|since| row.modified > since) || tagged("if-match") == Some(false) {
        return Ok(Some(Reply::empty(412)));
    }
    let unchanged = date("if-modified-since")?.is_some_and(|since| row.modified <= since);
    match tagged("if-none-match") {
        Some(true) => Ok(Some(Reply::empty(if reading { 304 } else { 412 }))),
        _ if unchanged && reading => Ok(Some(Reply::empty(304))),
        _ => Ok(None),
    }
}

fn etag(row: &Row) -> String {
    format!("\"{}{}\"", row.id.short(), row.stamp)
}

/// Without quotes and the suffix of a compressed answer.
fn bare_tag(tag: &str) -> &str {
    let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
    tag.trim_end_matches("-gzip").trim_end_matches('-')
}

fn parse_http_date(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text.trim(), "%a, %d %b %Y %H:%M:%S GMT").ok();
    at.map(|at| at.and_utc().timestamp()).or_else(|| DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.timestamp()))
}

fn http_date(seconds: i64) -> String {
    let at: DateTime<Utc> = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_their_names() {
        for (version, name) in [(65, "Winter '26"), (66, "Spring '26"), (67, "Summer '26"), (68, "Winter '27"), (31, "Summer '14")] {
            assert_eq!(release(version), name);
        }
        assert!(known_version("v66.0") && !known_version("v30.0") && !known_version("66.0") && !known_version("v99.0"));
    }

    #[test]
    fn http_dates_read_both_ways() {
        assert_eq!(http_date(1_767_323_045), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse_http_date("Fri, 02 Jan 2026 03:04:05 GMT"), Some(1_767_323_045));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
