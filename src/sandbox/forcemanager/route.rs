//! The calls: log-in, session, limit, and one `match` from method and path to what is done.

use serde_json::{Map, Value, json};

use super::check::Writer;
use super::describe;
use super::list;
use super::login::KeyPair;
use super::reply::{Refusal, Reply};
use super::schema::Object;
use super::settings::Rate;
use super::show;
use super::world::{Logged, World};

/// A request, whole.
#[derive(Debug, Clone, Default)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    /// By its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

const PREFIX: &str = "/api/v4/";
/// Headers of the API of 2014, which signs each call; a client that sends them has mixed the two up.
const OLD_HEADERS: [&str; 4] = ["x-fm-api-version", "x-fm-publickey", "x-fm-unixtimestamp", "x-fm-signature"];

/// Answers one call.
pub fn answer(world: &mut World, keys: &KeyPair, call: &Call) -> Reply {
    world.wake();
    let Some(path) = call.path.strip_prefix(PREFIX) else {
        return Reply::no_page();
    };
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let reply = admitted(world, keys, call, &path);
    let logged = Logged { method: call.method.clone(), path: format!("/{}", path.join("/")), status: reply.status };
    world.note(operation(&call.method, &path), logged);
    reply
}

/// `GET /accounts/{id}`: what calls are counted under.
fn operation(method: &str, path: &[&str]) -> String {
    let mut text = format!("{method} ");
    for part in path {
        text.push('/');
        text.push_str(if part.parse::<i64>().is_ok() { "{id}" } else { part });
    }
    text
}

fn admitted(world: &mut World, keys: &KeyPair, call: &Call, path: &[&str]) -> Reply {
    if let Some(rate) = world.settings.rate.clone() {
        let now = world.now();
        if let Err(wait) = world.limiter.admit(&rate, now) {
            return limited(&rate, wait);
        }
    }
    if let Some(old) = OLD_HEADERS.into_iter().find(|name| call.header(name).is_some()) {
        return Refusal::bad(format!("the header {old} is not of this version")).into();
    }
    if path == ["login"] {
        return log_in(world, keys, call).unwrap_or_else(Reply::from);
    }
    if let Err(refusal) = world.tokens.prove(call.header("x-session-key"), world.now(), &world.settings) {
        return refusal.into();
    }
    carry_out(world, call, path).unwrap_or_else(Reply::from)
}

fn limited(rate: &Rate, wait: i64) -> Reply {
    let mut reply = Reply::json(rate.status, &json!({"message": "too many calls"}));
    if rate.retry_after {
        reply.headers.push(("retry-after", wait.to_string()));
    }
    reply
}

fn log_in(world: &mut World, keys: &KeyPair, call: &Call) -> Result<Reply, Refusal> {
    if call.method != "POST" {
        return Err(Refusal::bad("login is a POST"));
    }
    let body = body(call)?;
    let fresh = format!("{:016x}{:016x}", world.next_random(), world.next_random());
    let now = world.now();
    let token = world.tokens.log_in(keys, &Value::Object(body), fresh, now, &world.settings)?;
    Ok(Reply::ok(&json!({ "token": token })))
}

fn body(call: &Call) -> Result<Map<String, Value>, Refusal> {
    let kind = call.header("content-type").unwrap_or_default();
    if !kind.to_lowercase().starts_with("application/json") {
        return Err(Refusal::bad("Content-Type: application/json is needed"));
    }
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Refusal::bad("the body is not an object")),
        Err(error) => Err(Refusal::bad(format!("the body is not JSON: {error}"))),
    }
}

fn carry_out(world: &mut World, call: &Call, path: &[&str]) -> Result<Reply, Refusal> {
    match path {
        ["extrafields"] | ["extrafields", _] => return extra_fields(world, call, path.get(1).copied()),
        ["procedure", "zapier_schema"] if call.method == "POST" => {
            let body = body(call)?;
            let entity = body.get("entity").and_then(Value::as_str).unwrap_or_default();
            let object = Object::of_entity(entity).ok_or_else(|| Refusal::bad(format!("there is no entity {entity:?}")))?;
            return Ok(Reply::ok(&describe::form(world, object)));
        }
        _ => {}
    }
    let resource = path.first().copied().unwrap_or_default();
    let object = Object::at(resource).ok_or_else(|| Refusal::no_resource(&format!("/{}", path.join("/"))))?;
    if call.method != "GET" && !object.is_writable() {
        return Err(Refusal::bad(format!("{} cannot be written with this key", object.path())));
    }
    let id = path.get(1).and_then(|part| part.parse::<i64>().ok());
    match (call.method.as_str(), path, id) {
        ("GET", [_], _) => Ok(Reply::ok(&list::page(world, object, call)?)),
        ("GET", [_, "schema"], _) => Ok(Reply::ok(&describe::schema(world, object))),
        ("GET", [_, _], Some(id)) => read(world, object, id, call),
        ("POST", [_], _) => {
            let id = world.create(object, &body(call)?, Writer::Key)?;
            Ok(Reply::json(world.settings.create_status, &told(world, Some(id), "entity created")))
        }
        ("PUT", [_, _], Some(id)) => {
            world.change(object, id, &body(call)?, Writer::Key)?;
            Ok(Reply::ok(&told(world, None, "entity updated")))
        }
        ("DELETE", [_, _], Some(id)) => {
            world.delete(object, id, Writer::Key)?;
            Ok(Reply::ok(&told(world, None, "entity deleted")))
        }
        ("GET" | "PUT" | "DELETE", [_, word], None) => Err(Refusal::bad(format!("{word:?} is not an id"))),
        (method, _, _) => Err(Refusal::no_resource(&format!("{method} /{}", path.join("/")))),
    }
}

fn told(world: &World, id: Option<i64>, message: &str) -> Value {
    let mut told = Map::new();
    if let Some(id) = id {
        told.insert("id".into(), id.into());
    }
    told.insert(world.settings.message_key.clone(), message.into());
    told.into()
}

fn read(world: &World, object: Object, id: i64, call: &Call) -> Result<Reply, Refusal> {
    let row = world.row(object, id).filter(|row| row.is_live() || world.settings.deleted_readable);
    let row = row.ok_or_else(|| world.unknown(object, id))?;
    let labels = call.header("extrafielddescription") == Some("1");
    Ok(Reply::ok(&show::record(world, object, row, labels)))
}

/// `GET /extrafields/{resource}`; a definition is posted there or to `/extrafields`, and names its entity.
fn extra_fields(world: &mut World, call: &Call, resource: Option<&str>) -> Result<Reply, Refusal> {
    let at = resource.map(|name| Object::at(name).ok_or_else(|| Refusal::no_resource(&format!("/extrafields/{name}")))).transpose()?;
    match (call.method.as_str(), at) {
        ("GET", Some(object)) if object.takes_extra_fields() => Ok(Reply::ok(&world.extras.listed(object, world.now(), &world.settings))),
        ("POST", at) => {
            let body = body(call)?;
            let entity = body.get("entity").and_then(Value::as_str).ok_or_else(|| Refusal::bad("entity is required"))?;
            let object = Object::of_entity(entity).ok_or_else(|| Refusal::bad(format!("there is no entity {entity:?}")))?;
            if at.is_some_and(|at| at != object) {
                return Err(Refusal::bad("entity is not the resource of the path"));
            }
            let id = world.define(object, &body, Writer::Key)?;
            Ok(Reply::json(world.settings.create_status, &told(world, Some(id), "entity created")))
        }
        (method, _) => Err(Refusal::no_resource(&format!("{method} /extrafields/{}", resource.unwrap_or_default()))),
    }
}
