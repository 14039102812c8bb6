//! A few tables behind the API's addresses, for the stories told here: which call is lost, which filter is left out,
//! which row moves. It models no more than that.

#![allow(clippy::unwrap_used)]

use super::list::Row;
use super::{LicenseSpring, Settings};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value as J, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

type Moving = Box<dyn FnOnce(&mut World) + Send>;

pub enum Trick {
    /// It happens, and nobody hears of it.
    LoseAnswer,
    /// So too, and the world moves on at once.
    LoseAnswerThen(Moving),
    /// Nothing happens, and nobody hears of it.
    LoseRequest,
    Answer(u16, &'static str),
    /// The world moves right after the answer was made.
    Then(Moving),
}

#[derive(Default)]
pub struct World {
    pub tables: BTreeMap<&'static str, Vec<Row>>,
    pub calls: Vec<String>,
    /// Applied to the first call whose `METHOD path?query` contains the text, each once.
    pub tricks: Vec<(&'static str, Trick)>,
    pub ignored: HashSet<&'static str>,
    /// Metadata sent as an object is kept as its text; sent as text it is kept as an object.
    pub inverted_metadata: bool,
    pub last_id: i64,
}

pub struct Fake {
    world: Arc<Mutex<World>>,
    pub connector: LicenseSpring,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub async fn start(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(world.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let settings = Settings {
            url,
            api_key: "canary12.secretsecretsecretsecretsecretse".into(),
            requests_per_minute: None,
            company: Some("901".into()),
            connection: "acme".into(),
        };
        let mut connector = LicenseSpring::new(settings).unwrap();
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

    fn id(&mut self) -> i64 {
        self.last_id += 1;
        1000 + self.last_id
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
    if parts.headers.get("authorization").and_then(|h| h.to_str().ok()) != Some("Api-Key canary12.secretsecretsecretsecretsecretse") {
        return reply(403, &json!({"detail": "no key"}).to_string());
    }
    let trick = world.take(&call);
    if let Some(Trick::Answer(status, text)) = trick {
        return reply(status, text);
    }
    if matches!(trick, Some(Trick::LoseRequest)) {
        return broken();
    }
    let path = parts.uri.path().strip_prefix("/api/v1").unwrap().trim_matches('/').to_owned();
    let query: HashMap<String, String> = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    let (status, text) = act(&mut world, parts.method.as_str(), &path, &query, body);
    match trick {
        Some(Trick::LoseAnswer) => broken(),
        Some(Trick::LoseAnswerThen(moving)) => {
            moving(&mut world);
            broken()
        }
        Some(Trick::Then(moving)) => {
            moving(&mut world);
            reply(status, &text.to_string())
        }
        _ => reply(status, &text.to_string()),
    }
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
    let Some(table) = world.tables.keys().copied().find(|t| *t == names[0]) else {
        return (404, json!({"detail": "no such list"}));
    };
    let id = names.get(1).and_then(|id| id.parse::<i64>().ok());
    let at = id.and_then(|id| world.tables[table].iter().position(|row| row["id"] == id));
    match (method, names.as_slice(), at) {
        ("POST", ["orders", "create_order"], _) => create_order(world, &body),
        ("GET", [_], _) => (200, list(world, table, query)),
        ("POST", [_], _) => {
            let mut row = body.as_object().unwrap().clone();
            row.insert("id".into(), world.id().into());
            if table == "customers" {
                row.entry("phone").or_insert_with(|| "".into());
            }
            keep_metadata(world, &mut row);
            world.tables.get_mut(table).unwrap().push(row.clone());
            (200, J::Object(row))
        }
        (_, [_, _, ..], None) => (404, json!({"detail": "Not found."})),
        ("GET", [_, _], Some(at)) => (200, J::Object(world.tables[table][at].clone())),
        ("PATCH", [_, _], Some(at)) => {
            let mut row = world.tables[table][at].clone();
            for (name, value) in body.as_object().unwrap() {
                let linked = name == "customer" && table == "orders" && !value.is_null();
                row.insert(name.clone(), if linked { json!({"id": value}) } else { value.clone() });
            }
            keep_metadata(world, &mut row);
            world.tables.get_mut(table).unwrap()[at] = row.clone();
            (200, J::Object(row))
        }
        ("DELETE", [_, _], Some(at)) => {
            world.tables.get_mut(table).unwrap().remove(at);
            (204, J::Null)
        }
        ("POST", [_, _, verb @ ("enable" | "disable")], Some(at)) => {
            world.tables.get_mut(table).unwrap()[at].insert("enabled".into(), (*verb == "enable").into());
            (200, json!({"message": "fine"}))
        }
        ("POST", [_, _, "reset"], Some(at)) => {
            let row = &mut world.tables.get_mut(table).unwrap()[at];
            row.extend(["times_activated", "total_active_devices"].map(|name| (name.to_owned(), J::from(0))));
            (200, json!({"message": "fine"}))
        }
        _ => (405, json!({"detail": "no"})),
    }
}

fn keep_metadata(world: &World, row: &mut Row) {
    if let Some(text) = row.get("metadata").filter(|_| world.inverted_metadata).cloned() {
        let kept = text.as_str().map_or_else(|| J::String(text.to_string()), |t| serde_json::from_str(t).unwrap());
        row.insert("metadata".into(), kept);
    }
}

/// Licenses of an order that is there: rows of their own, each key once.
fn append(world: &mut World, body: &J) -> (u16, J) {
    let order = world.tables["orders"].iter().find(|row| row["store_id"] == body["id"]).map(|row| row["id"].clone()).unwrap();
    let sent: Vec<J> = body["items"].as_array().unwrap().iter().flat_map(|item| item["licenses"].as_array().unwrap()).cloned().collect();
    if sent.iter().any(|l| world.tables["licenses"].iter().any(|row| row["license_key"] == l["key"])) {
        return (400, json!({"status": 400, "code": "validation_error", "message": "a license key is taken"}));
    }
    for license in sent {
        let row = json!({
            "id": world.id(), "license_key": license["key"], "metadata": license["metadata"], "order": order,
            "order_store_id": body["id"], "enabled": true, "max_activations": license["max_activations"].as_i64().unwrap_or(1)
        });
        world.tables.get_mut("licenses").unwrap().push(row.as_object().unwrap().clone());
    }
    (200, json!({"order_id": order, "new_passwords": []}))
}

fn create_order(world: &mut World, body: &J) -> (u16, J) {
    if body["append"] == true {
        return append(world, body);
    }
    if world.tables["orders"].iter().any(|row| row["store_id"] == body["id"]) {
        return (409, json!({"status": 409, "code": "order_id_exists", "message": "exists"}));
    }
    let id = world.id();
    let items: Vec<J> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let licenses: Vec<J> = item["licenses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|l| json!({"id": world.id(), "license_key": l["key"], "metadata": l["metadata"]}))
                .collect();
            json!({"product_id": 777, "licenses": licenses})
        })
        .collect();
    let metadata: J = serde_json::from_str(body["metadata"].as_str().unwrap()).unwrap();
    let row = json!({"id": id, "store_id": body["id"], "customer": null, "customer_account": body["customer_account_id"], "metadata": metadata, "order_items": items});
    world.tables.get_mut("orders").unwrap().push(row.as_object().unwrap().clone());
    (200, json!({"order_id": id, "new_passwords": []}))
}

fn list(world: &World, table: &str, query: &HashMap<String, String>) -> J {
    let mut rows: Vec<Row> =
        world.tables[table].iter().filter(|row| query.iter().all(|(n, v)| passes(world, row, n, v))).cloned().collect();
    let by = query.get("order_by").filter(|_| !world.ignored.contains("order_by")).map(String::as_str);
    match by {
        Some("updated_at") => rows.sort_by_key(|row| row["updated_at"].to_string()),
        Some("-updated_at") => rows.sort_by_key(|row| std::cmp::Reverse(row["updated_at"].to_string())),
        _ => {}
    }
    let number = |name: &str, or: usize| query.get(name).map_or(or, |n| n.parse().unwrap());
    let (offset, limit, count) = (number("offset", 0), number("limit", 20).min(100), rows.len());
    let next = (offset + limit < count).then(|| format!("https://elsewhere.example/api/v1/{table}/?offset={}", offset + limit));
    let rows: Vec<Row> = rows.into_iter().skip(offset).take(limit).collect();
    json!({"count": count, "next": next, "previous": null, "results": rows})
}

fn passes(world: &World, row: &Row, name: &str, value: &str) -> bool {
    if matches!(name, "limit" | "offset" | "order_by") || world.ignored.contains(name) {
        return true;
    }
    let text = |v: Option<&J>| v.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default();
    match name.split_once("__") {
        Some((column, "icontains")) => text(row.get(column)).to_lowercase().contains(&value.to_lowercase()),
        Some((column, "gte")) => *text(row.get(column)) >= *value,
        Some((column, "lt")) => *text(row.get(column)) < *value,
        Some(("order", "store_id")) => text(row.get("order_store_id")) == value,
        Some(_) => true,
        None => text(row.get(name)) == value,
    }
}
