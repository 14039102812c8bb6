//! Bulk API 2.0: query jobs with CSV results, and ingest jobs.
//!
//! A job does its work when it is closed (a query: when it is created) and then shows `InProgress` for as many polls as
//! the settings say.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::rest::{body_json, not_allowed};
use super::soql::plan::{Answer, Column, plan};
use super::value::stamp;
use super::world::{Outcome, World};
use super::write::Author;

#[derive(Debug, Default)]
pub struct Jobs {
    made: u64,
    jobs: BTreeMap<Id, Job>,
}

#[derive(Debug)]
struct Job {
    query: bool,
    operation: String,
    object: String,
    key: Option<String>,
    version: String,
    delimiter: (String, u8),
    ending: String,
    state: &'static str,
    polls: u32,
    created: i64,
    user: Id,
    /// The header line and the rows of the result.
    header: String,
    lines: Vec<String>,
    upload: Option<Vec<u8>>,
    successful: Vec<String>,
    failed: Vec<String>,
}

impl World {
    pub(super) fn jobs(&mut self, call: &Call, kind: &str, path: &[&str]) -> Outcome<Reply> {
        let query = match kind {
            "query" => true,
            "ingest" => false,
            _ => return Err(SfError::not_found()),
        };
        let method = call.method.as_str();
        let Some(id) = path.get(2) else {
            return match method {
                "POST" if query => self.create_query_job(call),
                "POST" => self.create_ingest_job(call),
                "GET" => {
                    let records: Vec<Value> =
                        self.jobs.jobs.iter().filter(|(_, job)| job.query == query).map(|(id, job)| job.json(*id, true)).collect();
                    Ok(Reply::json(200, json!({"done": true, "nextRecordsUrl": null, "records": records}).to_string()))
                }
                _ => Err(not_allowed(method)),
            };
        };
        let id = Id::parse(id).filter(|id| self.jobs.jobs.get(id).is_some_and(|job| job.query == query)).ok_or_else(SfError::not_found)?;
        let last = path.get(3).map(|last| last.to_ascii_lowercase());
        match (method, last.as_deref()) {
            ("GET", None) => self.poll(id),
            ("PATCH", None) => self.close(id, call),
            ("DELETE", None) => {
                self.jobs.jobs.remove(&id);
                Ok(Reply::empty(204))
            }
            ("GET", Some("results")) if query => self.results(id, call),
            ("PUT", Some("batches")) if !query => self.upload(id, call),
            ("GET", Some("successfulresults")) if !query => self.lists(id, |job| ("\"sf__Id\",\"sf__Created\"", &job.successful)),
            ("GET", Some("failedresults")) if !query => self.lists(id, |job| ("\"sf__Id\",\"sf__Error\"", &job.failed)),
            ("GET", Some("unprocessedrecords")) if !query => {
                let job = self.jobs.jobs.get(&id).ok_or_else(SfError::not_found)?;
                Ok(csv(format!("{}{}", job.header, job.newline())))
            }
            _ => Err(SfError::not_found()),
        }
    }

    fn create_query_job(&mut self, call: &Call) -> Outcome<Reply> {
        let body = body_json(call)?;
        let text = body["query"].as_str().ok_or_else(|| SfError::bad("INVALIDJOB", "the query is missing"))?.to_owned();
        let operation = body["operation"].as_str().unwrap_or("query").to_owned();
        let all = match operation.as_str() {
            "query" => false,
            "queryAll" => true,
            _ => {
                return Err(SfError::bad("INVALIDJOB", format!("operation {operation} is not for query jobs")));
            }
        };
        let plan = plan(self, &text)?;
        let shape = &self.schema.objects[plan.object];
        if shape.name == "OrderStatus" {
            return Err(SfError::bad("INVALIDENTITY", "Entity 'OrderStatus' is not supported by the Bulk API."));
        }
        let compound = |column: &Column| matches!(column, Column::Field(field) if shape.field(*field).kind == super::schema::Kind::Address);
        if plan.columns.iter().any(compound) {
            return Err(SfError::bad("INVALID_FIELD", "Selecting compound data not supported in Bulk Query"));
        }
        let nested = plan.columns.iter().any(|column| matches!(column, Column::Child { .. }));
        if nested || plan.offset > 0 || !matches!(plan.answer, Answer::Rows) {
            return Err(SfError::bad("API_ERROR", "subqueries, GROUP BY and OFFSET are not supported in Bulk Query"));
        }
        let mut job = self.job(call, &body, true, operation, shape.name.clone())?;
        job.state = "UploadComplete";
        job.header = job.line(&self.flat_names(&plan));
        job.lines = self
            .select(&plan, all, false)
            .ids
            .iter()
            .filter_map(|id| self.tables[plan.object].rows.get(id))
            .map(|row| job.line(&self.flat(&plan, row)))
            .collect();
        Ok(self.keep(job))
    }

    fn create_ingest_job(&mut self, call: &Call) -> Outcome<Reply> {
        let body = body_json(call)?;
        let object = body["object"].as_str().unwrap_or_default();
        let object = self
            .schema
            .named(object)
            .ok_or_else(|| SfError::bad("INVALIDENTITY", format!("Unable to find object: {object}")))?
            .name
            .clone();
        let operation = body["operation"].as_str().unwrap_or_default().to_owned();
        if !["insert", "update", "upsert", "delete", "hardDelete"].contains(&operation.as_str()) {
            return Err(SfError::bad("INVALIDJOB", format!("operation {operation} is not known")));
        }
        let key = body["externalIdFieldName"].as_str().map(str::to_owned);
        if operation == "upsert" && key.is_none() {
            return Err(SfError::bad("INVALIDJOB", "externalIdFieldName is missing"));
        }
        let mut job = self.job(call, &body, false, operation, object)?;
        job.key = key;
        Ok(self.keep(job))
    }

    fn job(&self, call: &Call, body: &Value, query: bool, operation: String, object: String) -> Outcome<Job> {
        const DELIMITERS: [(&str, u8); 6] =
            [("COMMA", b','), ("SEMICOLON", b';'), ("TAB", b'\t'), ("PIPE", b'|'), ("CARET", b'^'), ("BACKQUOTE", b'`')];
        let name = body["columnDelimiter"].as_str().unwrap_or("COMMA");
        let (name, byte) = DELIMITERS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| SfError::bad("INVALIDJOB", format!("columnDelimiter {name} is not known")))?;
        Ok(Job {
            query,
            operation,
            object,
            key: None,
            version: call.version.clone(),
            delimiter: ((*name).to_owned(), *byte),
            ending: body["lineEnding"].as_str().unwrap_or("LF").to_owned(),
            state: "Open",
            polls: self.settings.bulk_delay_polls,
            created: self.now(),
            user: call.user.unwrap_or(self.integration),
            header: String::new(),
            lines: Vec::new(),
            upload: None,
            successful: Vec::new(),
            failed: Vec::new(),
        })
    }

    fn keep(&mut self, job: Job) -> Reply {
        self.jobs.made += 1;
        let id = Id::mint("750", self.jobs.made);
        let reply = Reply::json(200, job.json(id, false).to_string());
        self.jobs.jobs.insert(id, job);
        reply
    }

    fn poll(&mut self, id: Id) -> Outcome<Reply> {
        let job = self.jobs.jobs.get_mut(&id).ok_or_else(SfError::not_found)?;
        if matches!(job.state, "UploadComplete" | "InProgress") {
            job.state = if job.polls == 0 { "JobComplete" } else { "InProgress" };
            job.polls = job.polls.saturating_sub(1);
        }
        Ok(Reply::json(200, job.json(id, true).to_string()))
    }

    fn close(&mut self, id: Id, call: &Call) -> Outcome<Reply> {
        let state = body_json(call)?["state"].as_str().unwrap_or_default().to_owned();
        let now = self.now();
        let job = self.jobs.jobs.get_mut(&id).ok_or_else(SfError::not_found)?;
        let wrong = || SfError::bad("INVALIDJOBSTATE", format!("the job is {} and cannot become {state}", job.state));
        match (state.as_str(), job.state) {
            ("Aborted", "Open" | "UploadComplete" | "InProgress") => job.state = "Aborted",
            ("UploadComplete", "Open") => {
                let Some(upload) = job.upload.take() else {
                    return Err(SfError::bad("INVALIDJOBSTATE", "nothing was uploaded"));
                };
                job.state = "UploadComplete";
                let (object, operation, key, delimiter, user) =
                    (job.object.clone(), job.operation.clone(), job.key.clone(), job.delimiter.1, job.user);
                let loaded = self.load(&object, &operation, key.as_deref(), &upload, delimiter, &Author::csv(user, now));
                if let Some(job) = self.jobs.jobs.get_mut(&id) {
                    match loaded {
                        Ok((header, successful, failed)) => {
                            job.header = job.line(&header);
                            job.successful = successful.iter().map(|row| job.line(row)).collect();
                            job.failed = failed.iter().map(|row| job.line(row)).collect();
                        }
                        Err(_) => job.state = "Failed",
                    }
                }
            }
            _ => return Err(wrong()),
        }
        let job = self.jobs.jobs.get(&id).ok_or_else(SfError::not_found)?;
        Ok(Reply::json(200, job.json(id, false).to_string()))
    }

    fn upload(&mut self, id: Id, call: &Call) -> Outcome<Reply> {
        let job = self.jobs.jobs.get_mut(&id).ok_or_else(SfError::not_found)?;
        if job.state != "Open" || job.upload.is_some() {
            return Err(SfError::bad("INVALIDJOBSTATE", "the job takes one upload while it is open"));
        }
        job.upload = Some(call.body.to_vec());
        Ok(Reply::empty(201))
    }

    /// Header of the input, then the rows that went well and those that did not, each with two columns in front.
    #[allow(clippy::type_complexity, reason = "three lists of rows")]
    fn load(
        &mut self,
        object: &str,
        operation: &str,
        key: Option<&str>,
        upload: &[u8],
        delimiter: u8,
        author: &Author,
    ) -> Outcome<(Vec<String>, Vec<Vec<String>>, Vec<Vec<String>>)> {
        let at = self.object(object)?;
        let unreadable = |error: csv::Error| SfError::bad("API_ERROR", error.to_string());
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(upload);
        let header: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let mut fields = Map::new();
            for (name, cell) in header.iter().zip(record.iter()) {
                // An empty cell leaves the field alone; #N/A clears it.
                let value = match cell {
                    "" => continue,
                    "#N/A" => Value::Null,
                    cell => json!(cell),
                };
                match name.split_once('.') {
                    Some((path, key)) => fields.insert(path.to_owned(), json!({ key: value })),
                    None => fields.insert(name.clone(), value),
                };
            }
            let done = self.atomically(|world| world.load_row(at, operation, key, fields, author));
            let mut row = match &done {
                Ok((id, created)) => vec![id.to_string(), created.to_string()],
                Err(error) => vec![String::new(), format!("{}:{}:{} --", error.code, error.message, error.fields.join(", "))],
            };
            row.extend(record.iter().map(str::to_owned));
            if done.is_ok() { successful.push(row) } else { failed.push(row) }
        }
        Ok((header, successful, failed))
    }

    fn load_row(
        &mut self,
        object: usize,
        operation: &str,
        key: Option<&str>,
        mut fields: Map<String, Value>,
        author: &Author,
    ) -> Outcome<(Id, bool)> {
        if operation == "insert" {
            return self.create(object, &fields, author).map(|id| (id, true));
        }
        if let Some(name) = key.filter(|name| operation == "upsert" && !name.eq_ignore_ascii_case("Id")) {
            let field = self.seen(object, name).filter(|field| self.schema.objects[object].field(*field).is_key());
            let field = field.ok_or_else(|| SfError::bad("INVALID_FIELD", format!("{name} is no external id")))?;
            let own = fields.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            let value = own.and_then(|own| fields.remove(&own)).unwrap_or_default();
            let value = value.as_str().ok_or_else(|| SfError::bad("MISSING_ARGUMENT", format!("{name} not specified")))?.to_owned();
            return self.upsert(object, field, &value, fields, author);
        }
        let own = fields.keys().find(|key| key.eq_ignore_ascii_case("Id")).cloned();
        let id = own.and_then(|own| fields.remove(&own)).and_then(|id| Id::parse(id.as_str()?));
        let id = id.ok_or_else(|| SfError::bad("MISSING_ARGUMENT", "Id not specified"))?;
        match operation {
            "delete" => self.remove(object, id, author)?,
            "hardDelete" => {
                self.remove(object, id, author)?;
                self.store(object, id, None);
            }
            _ => self.change(object, id, &fields, author)?,
        }
        Ok((id, false))
    }

    fn results(&self, id: Id, call: &Call) -> Outcome<Reply> {
        let job = self.jobs.jobs.get(&id).ok_or_else(SfError::not_found)?;
        if job.version != call.version {
            return Err(SfError::new(409, "API_ERROR", "results are to be fetched with the version that created the job"));
        }
        if job.state != "JobComplete" {
            return Err(SfError::bad("INVALIDJOBSTATE", format!("the job is {}", job.state)));
        }
        let from = match call.parameter("locator") {
            None => 0,
            Some(locator) => locator
                .strip_prefix("MTA")
                .and_then(|at| at.parse::<usize>().ok())
                .ok_or_else(|| SfError::bad("INVALID_QUERY_LOCATOR", "invalid locator"))?,
        };
        let max = call.parameter("maxRecords").and_then(|max| max.parse::<usize>().ok()).unwrap_or(50_000).max(1);
        let to = from.saturating_add(max).min(job.lines.len());
        let lines = job.lines.get(from..to).unwrap_or_default();
        let mut out = format!("{}{}", job.header, job.newline());
        for line in lines {
            out.push_str(line);
            out.push_str(job.newline());
        }
        let next = if to < job.lines.len() { format!("MTA{to}") } else { "null".to_owned() };
        Ok(csv(out).with("Sforce-Locator", next).with("Sforce-NumberOfRecords", lines.len().to_string()))
    }

    fn lists(&self, id: Id, which: impl Fn(&Job) -> (&str, &Vec<String>)) -> Outcome<Reply> {
        let job = self.jobs.jobs.get(&id).ok_or_else(SfError::not_found)?;
        let (front, lines) = which(job);
        let front = front.replace(',', &char::from(job.delimiter.1).to_string());
        let mut out = format!("{front}{}{}{}", char::from(job.delimiter.1), job.header, job.newline());
        for line in lines {
            out.push_str(line);
            out.push_str(job.newline());
        }
        Ok(csv(out))
    }
}

impl Job {
    fn json(&self, id: Id, polled: bool) -> Value {
        let version: f64 = self.version.trim_start_matches('v').parse().unwrap_or(0.0);
        let mut json = json!({
            "id": id.as_str(), "operation": self.operation, "object": self.object, "createdById": self.user.as_str(), "createdDate": stamp(self.created),
            "systemModstamp": stamp(self.created), "state": self.state, "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": version,
            "lineEnding": self.ending, "columnDelimiter": self.delimiter.0,
        });
        let Some(map) = json.as_object_mut() else {
            return json;
        };
        if !self.query {
            map.insert("contentUrl".to_owned(), json!(format!("services/data/{}/jobs/ingest/{id}/batches", self.version)));
            map.insert("externalIdFieldName".to_owned(), json!(self.key));
        }
        if polled {
            let done = self.state == "JobComplete";
            let processed = if self.query { self.lines.len() } else { self.successful.len() + self.failed.len() };
            map.insert("jobType".to_owned(), json!(if self.query { "V2Query" } else { "V2Ingest" }));
            map.insert("numberRecordsProcessed".to_owned(), json!(if done { processed } else { 0 }));
            map.insert("retries".to_owned(), json!(0));
            map.insert("totalProcessingTime".to_owned(), json!(if done { 1 } else { 0 }));
            if self.query {
                map.insert("isPkChunkingSupported".to_owned(), json!(true));
            } else {
                map.insert("numberRecordsFailed".to_owned(), json!(self.failed.len()));
            }
        }
        json
    }

    fn line(&self, cells: &[String]) -> String {
        let quoted: Vec<String> =
            cells.iter().map(|cell| if cell.is_empty() { String::new() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }).collect();
        quoted.join(&char::from(self.delimiter.1).to_string())
    }

    fn newline(&self) -> &'static str {
        if self.ending == "CRLF" { "\r\n" } else { "\n" }
    }
}

fn csv(body: String) -> Reply {
    Reply { content_type: "text/csv", ..Reply::json(200, body) }
}
