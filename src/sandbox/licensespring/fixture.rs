//! A small world for tests.

use serde_json::{Value, json};

use super::schema::Object;
use super::seed_products;
use super::world::World;
use crate::sandbox::clock::Clock;

/// One `orbit-pro` license with `export_pdf` and `render_min`, issued at 2026-01-05T00:00:00Z; its id; the clock, which
/// stands still.
pub fn licensed() -> (World, i64, Clock) {
    let clock = Clock::system();
    clock.freeze("2026-01-05T00:00:00Z".parse().expect("an instant"));
    let mut world = World::new(clock.clone());
    seed_products(&mut world).expect("an empty world");
    let order = json!({"id": "a", "items": [{"product_code": "orbit-pro", "licenses": [{}]}]});
    world.issue(&order).expect("an order");
    let license = world.table(Object::License).ids()[0];
    (world, license, clock)
}

/// Asserts the named values of a row.
pub fn has(world: &World, object: Object, id: i64, expected: &Value) {
    let row = world.get(object, id).expect("the row");
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(row[name], *value, "{name}");
    }
}
