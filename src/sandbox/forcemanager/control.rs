//! The control routes: look at everything, edit as people do, turn the switches, start over.

use serde_json::{Map, Value, json};

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
    match body.and_then(|body| carry_out(world, call, &body)) {
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
        ("GET", "/__control/state") => match call.parameter("object") {
            None => Ok(state(world, call.parameter("log").is_some())),
            Some(name) => rows(world, name, call),
        },
        ("POST", "/__control/edit") => match body {
            Value::Array(edits) => {
                let mut done = Vec::new();
                for edit in edits {
                    done.push(world.carry_out(edit).map_err(said)?);
                }
                Ok(done.into())
            }
            edit => world.carry_out(edit).map_err(said),
        },
        ("POST", "/__control/reset") => {
            world.reset();
            if body["sample"] == true {
                sample::fill(world).map_err(said)?;
            }
            Ok(state(world, false))
        }
        (method, path) => Err(format!("there is no {method} {path}")),
    }
}

fn state(world: &World, log: bool) -> Value {
    let live = |object: Object| (object.name().to_owned(), Value::from(world.count(object)));
    let gone = |object: Object| {
        let gone = world.table(object).rows().filter(|row| !row.is_live()).count();
        (gone > 0).then(|| (object.name().to_owned(), Value::from(gone)))
    };
    let counts: Map<String, Value> = Object::ALL.into_iter().map(live).collect();
    let deleted: Map<String, Value> = Object::ALL.into_iter().filter_map(gone).collect();
    let total: u64 = world.calls().values().sum();
    let mut state = json!({
        "counts": counts, "deleted": deleted, "extra_fields": world.extras.count(), "calls": world.calls(), "calls_total": total,
        "integration_user": world.integration_user, "person": world.person,
    });
    if log {
        state["log"] = world.log().map(|call| json!({"method": call.method, "path": call.path, "status": call.status})).collect();
    }
    state
}

fn rows(world: &World, name: &str, call: &Call) -> Result<Value, String> {
    let object = Object::parse(name).ok_or_else(|| format!("there is no object {name}"))?;
    let number = |name: &str| call.parameter(name).and_then(|text| text.parse::<usize>().ok());
    let (offset, limit) = (number("offset").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    let one = call.parameter("id").and_then(|text| text.parse::<i64>().ok());
    let ids = world.table(object).rows().map(|row| row.id).filter(|id| one.is_none_or(|one| *id == one));
    let rows: Vec<Value> = ids.skip(offset).take(limit).filter_map(|id| world.get(object, id)).collect();
    Ok(json!({"object": name, "count": world.count(object), "rows": rows}))
}
