//! Paths through linked rows, as the vendor's filters and orderings name them: `order.customer.email`, `devices.hostname`.
//!
//! A path may fan out; then it has several values. Parsed once per filter, walked once per row.

use std::fmt::Write as _;

use serde_json::Value;

use super::schema::{Kind, Object};
use super::table::{Key, Row};
use super::world::World;

/// A parsed path.
#[derive(Debug, Clone)]
pub struct Path {
    steps: Vec<Step>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The value of a field: the end of the path.
    Field(u8),
    Id,
    Company,
    /// First and last name of a customer, joined.
    FullName,
    AnyFloating,
    /// Real addresses of the license managers of a license's order.
    Managers,
    /// The orders a license user manages; null without any.
    Managing,
    /// To the row a field links to.
    To(u8, Object),
    /// To all rows that link here.
    Many(Object, u8),
    /// To the license users in a list of ids.
    Users,
}

impl Path {
    /// None when `text` names something the object does not have.
    pub fn parse(object: Object, text: &str) -> Option<Path> {
        let mut steps = Vec::new();
        let mut here = object;
        let mut parts = text.split('.').peekable();
        let mut kind = Kind::Text;
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let (step, next) = if last {
                let (step, its_kind) = end(here, part)?;
                kind = its_kind;
                (step, here)
            } else {
                onward(here, part)?
            };
            steps.push(step);
            here = next;
        }
        Some(Path { steps, kind })
    }

    /// Whether `test` holds for any value of the path; an absent link is one null.
    pub fn any(&self, world: &World, row: &Row, test: &dyn Fn(&Value) -> bool) -> bool {
        walk(&self.steps, world, row, test)
    }

    /// The first value: what rows are ordered by.
    pub fn first(&self, world: &World, row: &Row) -> Value {
        let found = std::cell::RefCell::new(Value::Null);
        self.any(world, row, &|value| {
            *found.borrow_mut() = value.clone();
            true
        });
        found.into_inner()
    }

    /// Ids of the rows of `object` whose path holds `key` exactly, when indexes alone can tell.
    pub fn indexed(&self, world: &World, object: Object, key: &Value) -> Option<Vec<i64>> {
        let mut objects = vec![object];
        for step in &self.steps {
            match step {
                Step::To(_, next) | Step::Many(next, _) => objects.push(*next),
                _ => break,
            }
        }
        let mut steps = self.steps.iter().zip(&objects).rev();
        let (last, target) = steps.next()?;
        let mut ids: Vec<i64> = match last {
            Step::Id => key.as_i64().into_iter().collect(),
            Step::Field(at) if target.field(*at).indexed => world.table(*target).find(*at, Key::of(key)?).to_vec(),
            _ => return None,
        };
        for (step, source) in steps {
            ids = match step {
                Step::To(at, _) if source.field(*at).indexed => {
                    ids.iter().flat_map(|id| world.table(*source).find(*at, Key::Int(*id))).copied().collect()
                }
                Step::Many(target, at) => ids.iter().filter_map(|id| world.row(*target, *id)?.at(*at).as_i64()).collect(),
                _ => return None,
            };
        }
        ids.sort_unstable();
        ids.dedup();
        Some(ids)
    }
}

fn end(object: Object, name: &str) -> Option<(Step, Kind)> {
    Some(match (object, name) {
        (_, "id") => (Step::Id, Kind::Int),
        (_, "company") => (Step::Company, Kind::Int),
        (Object::Customer, "full_name") => (Step::FullName, Kind::Text),
        (Object::License, "any_floating") => (Step::AnyFloating, Kind::Bool),
        (Object::License, "managers") => (Step::Managers, Kind::Text),
        (Object::LicenseUser, "managing") => (Step::Managing, Kind::List),
        _ => {
            let at = object.position(name)?;
            (Step::Field(at), object.field(at).kind)
        }
    })
}

fn onward(object: Object, name: &str) -> Option<(Step, Object)> {
    let many = |target: Object, by: &str| Some((Step::Many(target, target.position(by)?), target));
    match (object, name) {
        (Object::License, "devices") => many(Object::Device, "license"),
        (Object::License, "features") => many(Object::LicenseFeature, "license"),
        (Object::Customer, "labels") => many(Object::CustomerLabel, "customer"),
        (Object::License, "users") => Some((Step::Users, Object::LicenseUser)),
        _ => {
            let at = object.position(name)?;
            match object.field(at).kind {
                Kind::Link(target) => Some((Step::To(at, target), target)),
                _ => None,
            }
        }
    }
}

fn walk(steps: &[Step], world: &World, row: &Row, test: &dyn Fn(&Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return false;
    };
    match step {
        Step::Field(at) => test(&row.value(*at)),
        Step::Id => test(&row.id.into()),
        Step::Company => test(&world.company.into()),
        Step::FullName => {
            let mut name = row.text("first_name").to_owned();
            let _ = write!(name, " {}", row.text("last_name"));
            test(&name.trim().into())
        }
        Step::AnyFloating => test(&(row.flag("is_floating") || row.flag("is_floating_cloud")).into()),
        Step::Managers => managers(world, row.int("order")).iter().any(|user| test(user.get("true_email"))),
        Step::Managing => match row.get("managed_orders") {
            Value::Array(orders) if orders.is_empty() => test(&Value::Null),
            orders => test(orders),
        },
        Step::To(at, target) => match row.at(*at).as_i64().and_then(|id| world.row(*target, id)) {
            Some(next) => walk(rest, world, next, test),
            None => test(&Value::Null),
        },
        Step::Many(target, at) => world
            .table(*target)
            .find(*at, Key::Int(row.id))
            .iter()
            .filter_map(|id| world.row(*target, *id))
            .any(|next| walk(rest, world, next, test)),
        Step::Users => {
            listed(row.get("license_users")).filter_map(|id| world.row(Object::LicenseUser, id)).any(|next| walk(rest, world, next, test))
        }
    }
}

/// License users with manager's rights over an order.
pub fn managers(world: &World, order: Option<i64>) -> Vec<&Row> {
    let Some(order) = order else {
        return Vec::new();
    };
    let users = world.table(Object::LicenseUser);
    users.ids().iter().filter_map(|id| users.get(*id)).filter(|user| listed(user.get("managed_orders")).any(|id| id == order)).collect()
}

/// The ids in a stored list.
pub fn listed(value: &Value) -> impl Iterator<Item = i64> + '_ {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64)
}
