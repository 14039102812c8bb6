//! A few tables behind the API's addresses, for the stories told here: which call is lost, which filter is left out, what a
//! written value turns into. It models no more than that.

#![allow(clippy::unwrap_used)]

use super::list::Row;
use super::{ForceManager, Settings};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value as J, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

pub enum Trick {
    /// It happens, and nobody hears of it.
    LoseAnswer,
    /// Nothing happens, and nobody hears of it.
    LoseRequest,
    Answer(u16, &'static str),
    /// No session is known any more, this call's included.
    Expire,
}

pub struct World {
    pub tables: BTreeMap<&'static str, Vec<Row>>,
    pub calls: Vec<String>,
    pub bodies: Vec<J>,
    /// Applied to the first call whose `METHOD path?query` contains the text, each once.
    pub tricks: Vec<(&'static str, Trick)>,
    /// Fields by which filters are left out without a word.
    pub ignored: HashSet<&'static str>,
    /// Fields by which filters are refused.
    pub refused: HashSet<&'static str>,
    /// Whether a date in a filter may have a blank, or a T, in its middle.
    pub literals: (bool, bool),
    pub page: usize,
    /// `page` is not looked at.
    pub endless: bool,
    /// Null leaves a field as it is.
    pub null_keeps: bool,
    /// Hours added to what is written.
    pub shift_h: i64,
    pub sessions: u32,
    pub expired: bool,
    pub last_id: i64,
}

pub struct Fake {
    world: Arc<Mutex<World>>,
    pub connector: ForceManager,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub async fn start(world: World) -> Self {
        Self::with(world, |_| {}).await
    }

    pub async fn with(world: World, change: impl FnOnce(&mut Settings)) -> Self {
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v4", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(world.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut settings = Settings {
            url,
            public_key: "canary-public".into(),
            private_key: "canary-private".into(),
            requests_per_second: None,
            time_zone: Some(chrono_tz::Europe::Madrid),
            branch: Some(16),
            link_field: "extId".into(),
            placeholder: "-".into(),
            users: BTreeMap::new(),
            extra_fields: BTreeMap::new(),
            type_codes: BTreeMap::new(),
        };
        change(&mut settings);
        let mut connector = ForceManager::new(settings).unwrap();
        connector.looks_s = &[0, 0];
        Self { world, connector, server }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// How many calls so far contain the text.
    pub fn calls(&self, part: &str) -> usize {
        self.world().calls.iter().filter(|call| call.contains(part)).count()
    }

    pub fn rows(&self, table: &str) -> Vec<Row> {
        self.world().tables.get(table).cloned().unwrap_or_default()
    }

    /// The bodies of the calls that contain the text.
    pub fn sent(&self, part: &str) -> Vec<J> {
        let world = self.world();
        world.calls.iter().zip(&world.bodies).filter(|(call, _)| call.contains(part)).map(|(_, body)| body.clone()).collect()
    }
}

impl Default for World {
    fn default() -> Self {
        let names = [
            "accounts",
            "contacts",
            "opportunities",
            "activities",
            "calendar",
            "users",
            "branches",
            "timezones",
            "countries",
            "opportunityStatuses",
            "activityTypes",
            "extrafields",
        ];
        Self {
            tables: names.into_iter().map(|name| (name, Vec::new())).collect(),
            calls: Vec::new(),
            bodies: Vec::new(),
            tricks: Vec::new(),
            ignored: HashSet::new(),
            refused: HashSet::new(),
            literals: (true, false),
            page: 50,
            endless: false,
            null_keeps: false,
            shift_h: 0,
            sessions: 0,
            expired: false,
            last_id: 1000,
        }
    }
}

impl World {
    pub fn with(mut self, table: &'static str, rows: impl IntoIterator<Item = J>) -> Self {
        self.tables.entry(table).or_default().extend(rows.into_iter().map(|r| r.as_object().unwrap().clone()));
        self
    }

    pub fn trick(mut self, call: &'static str, trick: Trick) -> Self {
        self.tricks.push((call, trick));
        self
    }

    fn take(&mut self, call: &str) -> Option<Trick> {
        let at = self.tricks.iter().position(|(part, _)| call.contains(part))?;
        Some(self.tricks.remove(at).1)
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let call = format!("{} {}", parts.method, parts.uri);
    let body: J = serde_json::from_slice(&body).unwrap_or(J::Null);
    let mut world = world.lock().unwrap();
    world.calls.push(call.clone());
    world.bodies.push(body.clone());
    let path = parts.uri.path().strip_prefix("/api/v4").unwrap().trim_matches('/').to_owned();
    let trick = world.take(&call);
    match trick {
        Some(Trick::Answer(status, text)) => return reply(status, text),
        Some(Trick::LoseRequest) => return broken(),
        Some(Trick::Expire) => world.expired = true,
        Some(Trick::LoseAnswer) | None => {}
    }
    if path == "login" {
        if body != json!({"username": "canary-public", "password": "canary-private"}) {
            return reply(401, r#"{"message":"wrong key"}"#);
        }
        world.sessions += 1;
        world.expired = false;
        return reply(200, &json!({"token": format!("session-{}", world.sessions)}).to_string());
    }
    let session = format!("session-{}", world.sessions);
    if world.expired || parts.headers.get("x-session-key").and_then(|h| h.to_str().ok()) != Some(session.as_str()) {
        return reply(401, r#"{"message":"session expired"}"#);
    }
    let query: HashMap<String, String> = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    let (status, text) = act(&mut world, parts.method.as_str(), &path, &query, body);
    if matches!(trick, Some(Trick::LoseAnswer)) {
        return broken();
    }
    reply(status, &text.to_string())
}

fn reply(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A connection that breaks in the middle of the body.
fn broken() -> Response<Body> {
    let cut = futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
    Response::new(Body::from_stream(cut))
}

fn act(world: &mut World, method: &str, path: &str, query: &HashMap<String, String>, body: J) -> (u16, J) {
    let names: Vec<&str> = path.split('/').collect();
    if names.len() == 2 && names[1] == "schema" {
        let rows: Vec<J> = world.tables["extrafields"].iter().filter(|r| r["entity"] == names[0]).map(|r| r["shown"].clone()).collect();
        return (200, J::Array(rows));
    }
    if names[0] == "extrafields" {
        return extra(world, method, names[1], &body, query);
    }
    let Some(table) = world.tables.keys().copied().find(|t| *t == names[0]) else {
        return (400, json!({"code": 910, "message": "no such resource"}));
    };
    let id = names.get(1).and_then(|id| id.parse::<i64>().ok());
    let at = id.and_then(|id| world.tables[table].iter().position(|row| row["id"] == id));
    match (method, names.as_slice(), at) {
        ("GET", [_], _) => list(world, table, query),
        ("POST", [_], _) => {
            if table == "contacts" && body["firstName"] == "" && world.refused.contains("firstName") {
                return (400, json!({"Message": "firstName is required"}));
            }
            world.last_id += 1;
            let id = world.last_id;
            let mut row = body.as_object().unwrap().clone();
            row.extend([("id".to_owned(), json!(id)), ("deleted".to_owned(), json!(false)), ("dateUpdated".to_owned(), J::Null)]);
            row.insert("dateCreated".into(), json!("2026-02-01T00:00:00.4Z"));
            shift(world, &mut row);
            world.tables.get_mut(table).unwrap().push(row);
            (200, json!({"id": id, "Message": "entity created"}))
        }
        (_, [_, _], None) => (400, json!({"message": "no such entity"})),
        ("GET", [_, _], Some(at)) => (200, J::Object(world.tables[table][at].clone())),
        ("PUT", [_, _], Some(at)) => {
            if world.tables[table][at].get("readOnly") == Some(&json!(true)) {
                return (400, json!({"message": "not allowed"}));
            }
            let mut row = world.tables[table][at].clone();
            for (name, value) in body.as_object().unwrap() {
                if !value.is_null() || !world.null_keeps {
                    row.insert(name.clone(), if value == "" { J::Null } else { value.clone() });
                }
            }
            row.insert("dateUpdated".into(), json!("2026-02-02T00:00:00Z"));
            shift(world, &mut row);
            world.tables.get_mut(table).unwrap()[at] = row;
            (200, json!({"Message": "entity updated"}))
        }
        ("DELETE", [_, _], Some(at)) => {
            let row = &mut world.tables.get_mut(table).unwrap()[at];
            row.insert("deleted".into(), json!(true));
            row.insert("dateDeleted".into(), json!("2026-02-03T00:00:00Z"));
            (200, json!({"Message": "entity deleted"}))
        }
        _ => (500, json!({"message": "no"})),
    }
}

fn extra(world: &mut World, method: &str, entity: &str, body: &J, query: &HashMap<String, String>) -> (u16, J) {
    if method == "GET" {
        let rows: Vec<J> = world.tables["extrafields"].iter().filter(|r| r["entity"] == entity).cloned().map(J::Object).collect();
        return (200, if query["page"] == "0" { J::Array(rows) } else { json!([]) });
    }
    let kind = match body["type"].as_i64() {
        Some(2) => "text",
        Some(3) => "decimal",
        _ => return (400, json!({"message": "no such type"})),
    };
    let name = format!("Z_{}", body["fieldName"].as_str().unwrap());
    let row =
        json!({"id": 900, "entity": entity, "fieldName": body["fieldName"], "type": body["type"], "shown": {"name": name, "type": kind}});
    world.tables.get_mut("extrafields").unwrap().push(row.as_object().unwrap().clone());
    (200, json!({"id": 900}))
}

fn shift(world: &World, row: &mut Row) {
    if let Some(text) = row.get("date").and_then(J::as_str) {
        let at = super::dates::instant(text).unwrap().unwrap() + chrono::Duration::hours(world.shift_h);
        row.insert("date".into(), json!(super::dates::iso(at)));
    }
}

fn list(world: &World, table: &str, query: &HashMap<String, String>) -> (u16, J) {
    let mut rows = world.tables[table].clone();
    if let Some(filter) = query.get("where") {
        let at = filter.find(['=', '>']).unwrap();
        let (field, sign) = (&filter[..at], &filter[at..=at]);
        let value = filter[at + 1..].trim_matches('\'').replace("''", "'");
        if world.refused.contains(field) {
            return (400, json!({"code": 901, "message": "SQL not generated correctly"}));
        }
        let allowed = if value.contains('T') { world.literals.1 } else { world.literals.0 };
        if sign == ">" && !allowed {
            return (400, json!({"code": 901, "message": "SQL not generated correctly"}));
        }
        if !world.ignored.contains(field) {
            let text = |row: &Row| row.get(field).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default();
            let shows = |row: &Row| match sign {
                "=" => text(row).eq_ignore_ascii_case(&value),
                _ => text(row).trim_end_matches('Z').replace('T', " ") > value.replace('T', " "),
            };
            rows.retain(|row| row.get(field).is_some_and(|v| !v.is_null()) && shows(row));
        }
    }
    if query.get("order").is_some_and(|by| by == "id") {
        rows.sort_by_key(|row| std::cmp::Reverse(super::list::row_id(row)));
    }
    let page: usize = query["page"].parse().unwrap();
    let from = if world.endless { 0 } else { page * world.page };
    (200, J::Array(rows.into_iter().skip(from).take(world.page).map(J::Object).collect()))
}
