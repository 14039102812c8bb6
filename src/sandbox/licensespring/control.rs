//! The control routes: look at everything, edit as people do, turn the switches, start over.

use serde_json::{Map, Value, json};

use super::list;
use super::reply::{Refusal, Reply};
use super::route::Call;
use super::sample;
use super::schema::Object;
use super::world::World;

/// Answers a call under `/__control/`.
pub fn answer(world: &mut World, call: &Call) -> Reply {
    let body = if call.body.is_empty() {
        Ok(json!({}))
    } else {
        serde_json::from_slice::<Value>(&call.body).map_err(|error| format!("body: {error}"))
    };
    let done = body.and_then(|body| carry_out(world, call, &body));
    match done {
        Ok(value) => Reply::ok(&value),
        Err(error) => Reply::json(400, &json!({ "error": error })),
    }
}

fn carry_out(world: &mut World, call: &Call, body: &Value) -> Result<Value, String> {
    let said = |refusal: Refusal| refusal.to_string();
    match (call.method.as_str(), call.path.trim_end_matches('/')) {
        ("GET", "/__control/settings") => serde_json::to_value(&world.settings).map_err(|error| error.to_string()),
        ("POST", "/__control/settings") => {
            world.settings = world.settings.merged(body)?;
            serde_json::to_value(&world.settings).map_err(|error| error.to_string())
        }
        ("GET", "/__control/state") => match list::value_of(&call.query, "object") {
            None => Ok(state(world)),
            Some(name) => rows(world, name, call),
        },
        ("POST", "/__control/edit") => match body {
            Value::Array(edits) => {
                let mut done = Vec::new();
                for edit in edits {
                    done.push(world.edit(edit).map_err(said)?);
                }
                Ok(done.into())
            }
            edit => world.edit(edit).map_err(said),
        },
        ("POST", "/__control/reset") => {
            world.reset();
            if body["products"] == true {
                sample::seed_products(world).map_err(said)?;
            }
            Ok(state(world))
        }
        (method, path) => Err(format!("there is no {method} {path}")),
    }
}

fn state(world: &World) -> Value {
    let counts: Map<String, Value> = Object::ALL.into_iter().map(|object| (object.name().to_owned(), world.count(object).into())).collect();
    let total: u64 = world.calls().values().sum();
    json!({"counts": counts, "calls": world.calls(), "calls_total": total})
}

fn rows(world: &World, name: &str, call: &Call) -> Result<Value, String> {
    let object = Object::parse(name).ok_or_else(|| format!("there is no object {name}"))?;
    let number = |name: &str| list::value_of(&call.query, name).and_then(|text| text.parse::<usize>().ok());
    let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    let one = list::value_of(&call.query, "id").and_then(|text| text.parse::<i64>().ok());
    let ids = world.table(object).ids().iter().filter(|id| one.is_none_or(|one| **id == one));
    let rows: Vec<Value> = ids.skip(offset).take(limit).filter_map(|id| world.get(object, *id)).collect();
    Ok(json!({"object": name, "count": world.count(object), "rows": rows}))
}
