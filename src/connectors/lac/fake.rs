//! A list of customers behind the API's addresses, for the stories told here: which call is lost, which token is refused,
//! which row moves. It models no more than that.

#![allow(clippy::unwrap_used)]

use super::list::Row;
use super::{Lac, Settings};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::{Value as J, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

pub const PASSWORD: &str = "canary-password";

type Moving = Box<dyn FnOnce(&mut World) + Send>;

pub enum Trick {
    /// It happens, and nobody hears of it.
    LoseAnswer,
    /// Nothing happens, and nobody hears of it.
    LoseRequest,
    Answer(u16, &'static str),
    /// The world moves right after the answer was made.
    Then(Moving),
    /// The world moves right before the call is looked at.
    First(Moving),
    /// All tokens given out so far end now.
    Expire,
}

pub struct World {
    pub customers: Vec<Row>,
    pub orders: Vec<Row>,
    pub licenses: Vec<Row>,
    pub calls: Vec<String>,
    pub bodies: Vec<J>,
    /// Applied to the first call whose `METHOD path?query` contains the text, each once.
    pub tricks: Vec<(&'static str, Trick)>,
    pub page: usize,
    /// Tag names that exist; `None`: any may be written.
    pub tags: Option<BTreeSet<String>>,
    /// Arrays that are empty and values that are null are left out of every answer.
    pub omits_empty: bool,
    /// Members that rows of the customer list leave out.
    pub hidden: Vec<&'static str>,
    pub password: &'static str,
    /// `PATCH` gives every contact a new number.
    pub renumbers: bool,
    /// `PATCH` without a contact leaves it where it is.
    pub keeps_contacts: bool,
    /// Tags are forgotten when a customer is made.
    pub forgets_tags: bool,
    /// Deletion is answered with this status.
    pub delete: u16,
    /// Given out so far.
    pub tokens: u32,
    /// The first one that still counts.
    pub valid_from: u32,
    pub last_id: i64,
    pub ticks: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            customers: Vec::new(),
            orders: Vec::new(),
            licenses: Vec::new(),
            calls: Vec::new(),
            bodies: Vec::new(),
            tricks: Vec::new(),
            page: 100,
            tags: None,
            omits_empty: false,
            hidden: Vec::new(),
            password: PASSWORD,
            renumbers: false,
            keeps_contacts: false,
            forgets_tags: false,
            delete: 204,
            tokens: 0,
            valid_from: 0,
            last_id: 9000,
            ticks: 0,
        }
    }
}

pub struct Fake {
    world: Arc<Mutex<World>>,
    pub connector: Lac,
    pub url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn settings(url: &str) -> Settings {
    Settings {
        url: url.to_owned(),
        username: "sync".to_owned(),
        password: PASSWORD.into(),
        requests_per_minute: None,
        time_zone: chrono_tz::Tz::UTC,
        delete_customers: true,
        delete_with_orders: false,
    }
}

impl Fake {
    pub async fn start(world: World) -> Self {
        Self::with(world, |_| {}).await
    }

    pub async fn with(world: World, change: impl FnOnce(&mut Settings)) -> Self {
        let world = Arc::new(Mutex::new(world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rest/", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(world.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let mut settings = settings(&url);
        change(&mut settings);
        let mut connector = Lac::new(settings).unwrap();
        connector.looks_s = &[0, 0];
        Self { world, connector, url, server }
    }

    /// Another process against the same world: nothing is remembered.
    pub fn again(&self) -> Lac {
        let mut connector = Lac::new(settings(&self.url)).unwrap();
        connector.looks_s = &[0, 0];
        connector
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// How many calls so far contain the text.
    pub fn calls(&self, part: &str) -> usize {
        self.world().calls.iter().filter(|call| call.contains(part)).count()
    }

    /// Calls that change something.
    pub fn writes(&self) -> usize {
        self.world().calls.iter().filter(|c| !c.starts_with("GET") && !c.contains("/auth/")).count()
    }

    pub fn customer(&self, id: i64) -> Option<Row> {
        self.world().customers.iter().find(|row| super::list::row_id(row) == Some(id)).cloned()
    }
}

impl World {
    pub fn with(mut self, customers: impl IntoIterator<Item = J>) -> Self {
        self.customers.extend(customers.into_iter().map(|r| r.as_object().unwrap().clone()));
        self
    }

    pub fn trick(mut self, call: &'static str, trick: Trick) -> Self {
        self.tricks.push((call, trick));
        self
    }

    pub fn id(&mut self) -> String {
        self.last_id += 1;
        self.last_id.to_string()
    }

    fn take(&mut self, call: &str) -> Option<Trick> {
        let at = self.tricks.iter().position(|(part, _)| call.contains(part))?;
        Some(self.tricks.remove(at).1)
    }

    fn now(&mut self) -> String {
        self.ticks += 1;
        format!("2026-01-02 03:{:02}:{:02}", self.ticks / 60, self.ticks % 60)
    }

    /// A person edits a customer on the vendor's page.
    pub fn edit(&mut self, id: i64, change: impl FnOnce(&mut Row)) {
        let now = self.now();
        let row = self.customers.iter_mut().find(|row| super::list::row_id(row) == Some(id)).unwrap();
        change(row);
        row.insert("update_time".to_owned(), now.into());
    }
}

/// A customer as the list shows it.
pub fn customer(id: i64, name: &str, contacts: &J, tags: &[(&str, &str)]) -> J {
    let tags: Vec<J> = tags.iter().map(|(n, v)| json!({"tag_name": n, "value": v, "creation_time": "2026-01-01 00:00:00"})).collect();
    json!({"id": id.to_string(), "name": name, "street": null, "zip_code": "", "city": "", "state": null, "country": "", "phone_number": "",
        "fax_number": null, "description": "", "creation_time": "2026-01-01 00:00:00", "update_time": "2026-01-01 00:00:00",
        "Contacts": contacts, "CustomTags": tags, "something_new": {"a": [1]}})
}

pub fn person(id: i64, name: &str, email: &str) -> J {
    json!({"id": id.to_string(), "name": name, "email": email, "customer_id": "0", "creation_time": "2026-01-01 00:00:00"})
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().strip_prefix("/rest/").unwrap_or("outside").to_owned();
    let call = format!("{} /{path}?{}", parts.method, parts.uri.query().unwrap_or(""));
    let body: J = serde_json::from_slice(&body).unwrap_or(J::Null);
    let mut world = world.lock().unwrap();
    world.calls.push(call.clone());
    let mut trick = world.take(&call);
    match trick {
        Some(Trick::Answer(status, text)) => return reply(status, text),
        Some(Trick::LoseRequest) => return broken(),
        Some(Trick::Expire) => world.valid_from = world.tokens + 1,
        Some(Trick::First(moving)) => {
            moving(&mut world);
            trick = None;
        }
        _ => {}
    }
    if path == "auth/tokens" {
        let fits = body["username"] == "sync" && body["password"] == world.password;
        if !fits {
            return reply(400, &json!({"message": format!("bad credentials {}", body["password"])}).to_string());
        }
        world.tokens += 1;
        return reply(200, &json!({"token": format!("{:040x}", world.tokens)}).to_string());
    }
    let token = parts.headers.get("authorization").and_then(|h| h.to_str().ok()).and_then(|h| h.strip_prefix("Bearer "));
    let number = token.and_then(|t| u32::from_str_radix(t, 16).ok()).unwrap_or(0);
    if number == 0 || number < world.valid_from {
        return reply(403, "");
    }
    let query: HashMap<String, String> = url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    if parts.method != "GET" {
        world.bodies.push(body.clone());
    }
    let (status, answer) = act(&mut world, parts.method.as_str(), &path, &query, &body);
    let answer = if world.omits_empty { without_empty(answer) } else { answer };
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    match trick {
        Some(Trick::LoseAnswer) => broken(),
        Some(Trick::Then(moving)) => {
            moving(&mut world);
            reply(status, &text)
        }
        _ => reply(status, &text),
    }
}

fn without_empty(answer: J) -> J {
    match answer {
        J::Array(rows) => rows.into_iter().map(without_empty).collect(),
        J::Object(row) => {
            let empty = |v: &J| v.is_null() || v == "" || v.as_array().is_some_and(Vec::is_empty);
            J::Object(row.into_iter().filter(|(_, v)| !empty(v)).collect())
        }
        other => other,
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

fn act(world: &mut World, method: &str, path: &str, query: &HashMap<String, String>, body: &J) -> (u16, J) {
    let (list, id) = path.split_once('/').map_or((path, None), |(list, id)| (list, Some(id.to_owned())));
    let at = world.customers.iter().position(|row| row.get("id").and_then(J::as_str) == id.as_deref());
    match (method, list, &id, at) {
        ("GET", "customers", None, _) => {
            let hidden = world.hidden.clone();
            let rows = world.customers.iter().filter(|row| passes(row, query)).cloned().map(|mut row| {
                row.retain(|name, _| !hidden.contains(&name.as_str()));
                row
            });
            (200, window(rows.collect(), world.page, query))
        }
        ("GET", "license-orders", None, _) => {
            if query.contains_key("customer_ids") != query.contains_key("customer_ids_exclude") {
                return (400, json!({"message": "paired"}));
            }
            let rows = world.orders.iter().filter(|row| query.get("customer_ids").is_none_or(|id| row["customer"]["id"] == **id));
            (200, window(rows.cloned().collect(), world.page, query))
        }
        ("GET", "licenses", None, _) => (200, window(world.licenses.clone(), world.page, query)),
        ("POST", "customers", None, _) => {
            if let Err(answer) = tags_exist(world, body) {
                return answer;
            }
            let mut row = customer(0, "", &json!([]), &[]).as_object().unwrap().clone();
            row.insert("id".to_owned(), world.id().into());
            put(world, &mut row, body);
            if world.forgets_tags {
                row.insert("CustomTags".to_owned(), json!([]));
            }
            world.customers.push(row.clone());
            (200, J::Object(row))
        }
        (_, "customers", Some(_), None) => (404, J::Null),
        ("GET", "customers", Some(_), Some(at)) => (200, J::Object(world.customers[at].clone())),
        ("PATCH", "customers", Some(_), Some(at)) => {
            if body["name"].as_str().is_none_or(str::is_empty) {
                return (400, json!({"message": "name is required"}));
            }
            if let Err(answer) = tags_exist(world, body) {
                return answer;
            }
            let mut row = world.customers[at].clone();
            put(world, &mut row, body);
            world.customers[at] = row.clone();
            (200, J::Object(row))
        }
        ("DELETE", "customers", Some(_), Some(at)) => {
            if (200..300).contains(&world.delete) {
                world.customers.remove(at);
                return (world.delete, J::Null);
            }
            (world.delete, json!({"message": "no"}))
        }
        _ => (405, json!({"message": "no"})),
    }
}

fn tags_exist(world: &World, body: &J) -> Result<(), (u16, J)> {
    let sent = body["CustomTags"].as_array().into_iter().flatten().filter_map(|t| t["tag_name"].as_str());
    match world.tags.as_ref().and_then(|known| sent.into_iter().find(|name| !known.contains(*name))) {
        Some(tag) => Err((400, json!({"message": format!("no tag {tag}")}))),
        None => Ok(()),
    }
}

fn put(world: &mut World, row: &mut Row, body: &J) {
    let held = row["Contacts"].as_array().cloned().unwrap_or_default();
    for (name, value) in body.as_object().unwrap() {
        row.insert(name.clone(), value.clone());
    }
    if let Some(sent) = body["Contacts"].as_array() {
        let mut people: Vec<J> = Vec::new();
        for contact in sent {
            let mut contact = contact.clone();
            if contact.get("id").is_none() || world.renumbers {
                contact["id"] = world.id().into();
            }
            people.push(contact);
        }
        if world.keeps_contacts {
            people.extend(held.into_iter().filter(|h| sent.iter().all(|s| s["id"] != h["id"])));
        }
        row.insert("Contacts".to_owned(), people.into());
    }
    let now = world.now();
    row.insert("update_time".to_owned(), now.into());
}

/// As published: a part of the text in any letter case, but the whole name of a tag.
fn passes(row: &Row, query: &HashMap<String, String>) -> bool {
    let part = |text: Option<&J>, of: &str| text.and_then(J::as_str).unwrap_or_default().to_lowercase().contains(&of.to_lowercase());
    let tag = |name: &str, value: &str| {
        row["CustomTags"].as_array().into_iter().flatten().any(|t| t["tag_name"] == name && part(t.get("value"), value))
    };
    query.get("name").is_none_or(|n| part(row.get("name"), n))
        && query.get("email").is_none_or(|e| row["Contacts"].as_array().into_iter().flatten().any(|c| part(c.get("email"), e)))
        && query.get("custom_tag_name").is_none_or(|n| tag(n, &query["custom_tag_value"]))
}

fn window(rows: Vec<Row>, page: usize, query: &HashMap<String, String>) -> J {
    let offset: usize = query.get("offset").map_or(0, |o| o.parse().unwrap());
    J::Array(rows.into_iter().skip(offset).take(page).map(J::Object).collect())
}
