//! The control routes: look at everything, edit as people do, turn the switches, start over.

use serde_json::{Map, Value, json};

use super::look::{OBJECTS, is_called};
use super::product;
use super::reply::{Refusal, Reply};
use super::route::Call;
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
    let asked = |name: &str| call.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (call.method.as_str(), call.path.trim_end_matches('/')) {
        ("GET", "/__control/settings") => serde_json::to_value(&world.settings).map_err(|error| error.to_string()),
        ("POST", "/__control/settings") => {
            world.settings = world.settings.merged(body)?;
            serde_json::to_value(&world.settings).map_err(|error| error.to_string())
        }
        ("GET", "/__control/state") => match asked("object") {
            None => Ok(state(world)),
            Some(object) if OBJECTS.contains(&object) => {
                let number = |name: &str| asked(name).and_then(|text| text.parse::<usize>().ok());
                let rows = world.rows(object);
                let count = rows.len();
                let one = asked("id").map(Value::from);
                let rows = rows.into_iter().filter(|row| one.as_ref().is_none_or(|id| is_called(row, id)));
                let rows: Vec<Value> = rows.skip(number("offset").unwrap_or(0)).take(number("limit").unwrap_or(usize::MAX)).collect();
                Ok(json!({"object": object, "count": count, "rows": rows}))
            }
            Some(object) => Err(format!("there is no object {object}")),
        },
        ("POST", "/__control/edit") => match body {
            Value::Array(edits) => {
                let done: Result<Vec<Value>, Refusal> = edits.iter().map(|edit| world.edit(edit)).collect();
                done.map(Value::from).map_err(said)
            }
            edit => world.edit(edit).map_err(said),
        },
        ("POST", "/__control/reset") => {
            world.reset();
            if body["products"] == true {
                product::seed_products(world).map_err(said)?;
            }
            Ok(state(world))
        }
        (method, path) => Err(format!("there is no {method} {path}")),
    }
}

fn state(world: &World) -> Value {
    let counts: Map<String, Value> = OBJECTS.iter().map(|object| ((*object).to_owned(), world.count(object).into())).collect();
    let total: u64 = world.calls().values().sum();
    json!({"counts": counts, "calls": world.calls(), "calls_total": total})
}
