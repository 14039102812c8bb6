//! The company's data on the platform, as plain rows, and the rules that hold whoever writes: links exist, keys are unique,
//! stamps move.
//!
//! Nothing here knows HTTP. Calls are in `route`, what a person does in `hand`, deletions in `removal`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::check::{self, Changes, Writer};
use super::limiter::Limiter;
use super::list::Listing;
use super::reply::{FieldErrors, Refusal};
use super::schema::{Kind, Object};
use super::settings::Settings;
use super::table::{Key, Row, Table};
use crate::sandbox::clock::Clock;

/// First id of the 16-digit family.
const FIRST_LONG_ID: i64 = 1_760_000_000_000_001;
/// First id that a 64-bit float cannot hold.
const FIRST_HUGE_ID: i64 = (1 << 53) + 1;
/// Small ids come from one counter for all objects, so that an id taken for another object's hits nothing.
const FIRST_SMALL_ID: i64 = 101;

/// Everything the platform knows.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    /// The tenant's number, on many rows.
    pub company: i64,
    pub(super) limiter: Limiter,
    pub(super) listing: Listing,
    clock: Clock,
    now: i64,
    version: u64,
    tables: Vec<Table>,
    long_id: i64,
    huge_id: i64,
    small_id: i64,
    random: u64,
    calls: BTreeMap<String, u64>,
}

impl World {
    pub fn new(clock: Clock) -> World {
        let now = clock.now().timestamp_micros();
        World {
            settings: Settings::default(),
            company: 901,
            limiter: Limiter::default(),
            listing: Listing::default(),
            clock,
            now,
            version: 0,
            tables: Object::ALL.into_iter().map(Table::new).collect(),
            long_id: FIRST_LONG_ID,
            huge_id: FIRST_HUGE_ID,
            small_id: FIRST_SMALL_ID,
            random: 0x5DEE_CE66_D1CE_4E5B,
            calls: BTreeMap::new(),
        }
    }

    /// Everything forgotten, rows, switches and counts, but the clock and the company.
    pub fn reset(&mut self) {
        let company = self.company;
        *self = World::new(self.clock.clone());
        self.company = company;
    }

    // ---- time ----

    /// Takes the time of what happens next. Every call and every edit does this first.
    pub fn wake(&mut self) {
        self.now = self.clock.now().timestamp_micros();
    }

    /// The time of what is happening, in microseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// What a stamp of `object` taken now will hold when it is read later: rounded to the nearest second, up or down.
    pub fn stored_now(&self, object: Object) -> i64 {
        const SECOND: i64 = 1_000_000;
        if object.keeps_microseconds() { self.now } else { (self.now + SECOND / 2).div_euclid(SECOND) * SECOND }
    }

    // ---- reading ----

    pub fn table(&self, object: Object) -> &Table {
        &self.tables[object as usize]
    }

    pub fn row(&self, object: Object, id: i64) -> Option<&Row> {
        self.table(object).get(id)
    }

    /// # Errors
    /// 404, as the API answers.
    pub fn need(&self, object: Object, id: i64) -> Result<&Row, Refusal> {
        self.row(object, id).ok_or_else(Refusal::not_found)
    }

    /// Ids of rows whose field `name`, an indexed one, holds `key` exactly.
    pub fn find(&self, object: Object, name: &str, key: &str) -> &[i64] {
        object.position(name).map_or(&[], |at| self.table(object).find(at, Key::from(key)))
    }

    /// Ids of the rows that link to `id` by `name`.
    pub fn linked(&self, object: Object, name: &str, id: i64) -> &[i64] {
        self.table(object).linked(name, id)
    }

    /// Of a license: its order's customer.
    pub fn customer_of(&self, license: &Row) -> Option<i64> {
        let order = self.row(Object::Order, license.int("order")?)?;
        order.int("customer")
    }

    /// Moves with every change of any row.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// API calls by method and route, as `GET /customers/{id}/`.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    pub(super) fn count_call(&mut self, route: &str) {
        match self.calls.get_mut(route) {
            Some(count) => *count += 1,
            None => {
                self.calls.insert(route.to_owned(), 1);
            }
        }
    }

    // ---- writing ----

    /// Makes a row out of a written object.
    ///
    /// # Errors
    /// Fields that do not validate, a link to nothing, a key that is taken.
    pub fn create(&mut self, object: Object, body: &Value, writer: Writer) -> Result<i64, Refusal> {
        let changes = self.checked(object, None, as_object(body)?, writer)?;
        Ok(self.insert(object, changes))
    }

    /// Changes a row; its `updated_at` moves even when no value does.
    ///
    /// # Errors
    /// As [`World::create`], and 404.
    pub fn patch(&mut self, object: Object, id: i64, body: &Value, writer: Writer) -> Result<(), Refusal> {
        self.need(object, id)?;
        let changes = self.checked(object, Some(id), as_object(body)?, writer)?;
        self.amend(object, id, changes);
        Ok(())
    }

    /// Input that may be written as it stands.
    pub(super) fn checked(&self, object: Object, id: Option<i64>, body: &Map<String, Value>, writer: Writer) -> Result<Changes, Refusal> {
        let mut changes = check::fields(object, body, writer, &self.settings).map_err(Refusal::Fields)?;
        let mut errors = FieldErrors::new();
        for (at, value) in &changes {
            let field = object.field(*at);
            if let (Kind::Link(target), Some(linked)) = (field.kind, value.as_i64())
                && !self.table(target).contains(linked)
            {
                let reason = format!("Invalid pk \"{linked}\" - object does not exist.");
                errors.insert(field.name.into(), vec![reason]);
            }
        }
        if !errors.is_empty() {
            return Err(Refusal::Fields(errors));
        }
        self.unique(object, id, &changes)?;
        if self.settings.metadata_merge
            && let Some(id) = id
        {
            self.merge_metadata(object, id, &mut changes);
        }
        Ok(changes)
    }

    fn merge_metadata(&self, object: Object, id: i64, changes: &mut Changes) {
        for (at, value) in changes {
            if object.field(*at).kind == Kind::Json
                && let Some(old) = self.row(object, id).map(|row| row.value(*at))
                && let Some(old) = old.as_object()
                && let Value::Object(new) = value
            {
                let mut merged = old.clone();
                merged.append(new);
                *new = merged;
            }
        }
    }

    fn unique(&self, object: Object, id: Option<i64>, changes: &Changes) -> Result<(), Refusal> {
        let name = match object {
            Object::Account if self.settings.account_code_unique => "code",
            Object::Order => "store_id",
            Object::License => "license_key",
            Object::Product => "short_code",
            Object::ProductFeature | Object::Policy => "code",
            _ => return Ok(()),
        };
        let Some(at) = object.position(name) else {
            return Ok(());
        };
        let Some((_, value)) = changes.iter().find(|(field, _)| *field == at) else {
            return Ok(());
        };
        let Some(key) = Key::of(value) else {
            return Ok(());
        };
        let product = changed_or_old(self, object, id, changes, "product");
        let taken = self.table(object).find(at, key).iter().any(|other| {
            Some(*other) != id
                && self.row(object, *other).is_some_and(|other| match object {
                    Object::Product => !other.flag("is_archived"),
                    Object::ProductFeature => !other.flag("is_deleted") && *other.get("product") == product,
                    Object::Policy => *other.get("product") == product,
                    _ => true,
                })
        });
        if !taken {
            return Ok(());
        }
        Err(if object == Object::Order {
            let message = format!("An order with id {} exists already.", value.as_str().unwrap_or_default());
            Refusal::Coded(409, "order_id_exists", message)
        } else {
            Refusal::field(name, format!("{} with this {name} already exists.", object.name().replace('_', " ")))
        })
    }

    /// A new row with checked values.
    pub(super) fn insert(&mut self, object: Object, changes: Changes) -> i64 {
        let id = self.next_id(object);
        self.insert_as(object, id, changes);
        id
    }

    pub(super) fn insert_as(&mut self, object: Object, id: i64, changes: Changes) {
        let now = self.now;
        self.tables[object as usize].insert(Row::new(object, id, now));
        for name in ["created_at", "updated_at"] {
            if object.position(name).is_some() {
                let stamp = self.stored_now(object);
                self.set(object, id, name, stamp);
            }
        }
        for (at, value) in changes {
            self.tables[object as usize].set(id, at, value);
        }
        self.version += 1;
    }

    /// Checked values into a row that is there.
    pub(super) fn amend(&mut self, object: Object, id: i64, changes: Changes) {
        self.touch(object, id);
        for (at, value) in changes {
            self.tables[object as usize].set(id, at, value);
        }
        self.version += 1;
        if object == Object::Customer && self.settings.bump_on_customer_edit {
            for license in self.licenses_of_customer(id) {
                self.touch(Object::License, license);
            }
        }
    }

    /// One value, without moving any stamp.
    pub(super) fn set(&mut self, object: Object, id: i64, name: &str, value: impl Into<Value>) {
        if let Some(at) = object.position(name) {
            self.tables[object as usize].set(id, at, value.into());
            self.version += 1;
        }
    }

    pub(super) fn drop_row(&mut self, object: Object, id: i64) {
        self.tables[object as usize].remove(id);
        self.version += 1;
    }

    /// `updated_at` = now, where the object has it.
    pub(super) fn touch(&mut self, object: Object, id: i64) {
        if object.position("updated_at").is_some() {
            let stamp = self.stored_now(object);
            self.set(object, id, "updated_at", stamp);
        }
    }

    pub fn licenses_of_customer(&self, customer: i64) -> Vec<i64> {
        let orders = self.linked(Object::Order, "customer", customer);
        orders.iter().flat_map(|order| self.linked(Object::License, "order", *order)).copied().collect()
    }

    // ---- new ids and keys ----

    fn next_id(&mut self, object: Object) -> i64 {
        loop {
            let id = if !object.has_long_ids() {
                self.small_id += 1;
                self.small_id - 1
            } else if self.settings.huge_ids {
                self.huge_id += 2;
                self.huge_id - 2
            } else {
                self.long_id += 1;
                self.long_id - 1
            };
            if !self.table(object).contains(id) {
                return id;
            }
        }
    }

    /// The next of a fixed sequence of random-looking numbers (xorshift): two worlds with one history are equal.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// A license key that no license has: groups of four from `alphabet`.
    pub(super) fn new_key(&mut self, length: usize, alphabet: &[char]) -> String {
        loop {
            let mut key = String::with_capacity(length + length / 4);
            for n in 0..length {
                if n > 0 && n % 4 == 0 {
                    key.push('-');
                }
                let pick = self.next_random() % alphabet.len().max(1) as u64;
                key.extend(usize::try_from(pick).ok().and_then(|pick| alphabet.get(pick)));
            }
            if self.find(Object::License, "license_key", &key).is_empty() {
                return key;
            }
        }
    }
}

fn changed_or_old(world: &World, object: Object, id: Option<i64>, changes: &Changes, name: &str) -> Value {
    let Some(at) = object.position(name) else {
        return Value::Null;
    };
    match changes.iter().find(|(field, _)| *field == at) {
        Some((_, value)) => value.clone(),
        None => id.and_then(|id| world.row(object, id)).map_or(Value::Null, |row| row.at(at).clone()),
    }
}

pub(super) fn as_object(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| Refusal::field("non_field_errors", "Invalid data. Expected a dictionary."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn world_at(now: &str) -> World {
        let clock = Clock::system();
        clock.freeze(now.parse().unwrap());
        let mut world = World::new(clock);
        world.wake();
        world
    }

    fn world() -> World {
        world_at("2026-01-05T06:31:19.902517Z")
    }

    #[test]
    fn stored_stamps_are_rounded_to_the_nearest_second() {
        let mut world = world();
        let order = world.create(Object::Order, &json!({"store_id": "a"}), Writer::Create).unwrap();
        assert_eq!(world.row(Object::Order, order).unwrap().int("updated_at"), Some(1_767_594_680_000_000));
        let mut early = world_at("2026-01-05T06:31:19.402517Z");
        let order = early.create(Object::Order, &json!({"store_id": "a"}), Writer::Create).unwrap();
        assert_eq!(early.row(Object::Order, order).unwrap().int("updated_at"), Some(1_767_594_679_000_000));
    }

    #[test]
    fn ids_come_from_two_families() {
        let mut world = world();
        let a = world.create(Object::Customer, &json!({}), Writer::Create).unwrap();
        let b = world.create(Object::Account, &json!({"code": "x", "name": "X"}), Writer::Create).unwrap();
        let order = world.create(Object::Order, &json!({"store_id": "a"}), Writer::Create).unwrap();
        assert_eq!((a, b, order), (101, 102, 1_760_000_000_000_001));
        world.settings.huge_ids = true;
        let huge = world.create(Object::Order, &json!({"store_id": "b"}), Writer::Create).unwrap();
        assert!(huge > 1 << 53 && huge % 2 == 1);
    }

    #[test]
    fn keys_that_must_be_unique_are() {
        let mut world = world();
        world.create(Object::Account, &json!({"code": "x", "name": "X"}), Writer::Create).unwrap();
        let refused = world.create(Object::Account, &json!({"code": "x", "name": "Y"}), Writer::Create).unwrap_err();
        assert_eq!(refused.status(), 400);
        world.settings.account_code_unique = false;
        world.create(Object::Account, &json!({"code": "x", "name": "Y"}), Writer::Create).unwrap();
        world.create(Object::Order, &json!({"store_id": "a"}), Writer::Create).unwrap();
        let other = world.create(Object::Order, &json!({"store_id": "b"}), Writer::Create).unwrap();
        let refused = world.patch(Object::Order, other, &json!({"store_id": "a"}), Writer::Patch).unwrap_err();
        assert_eq!((refused.status(), refused.body()["code"].clone()), (409, json!("order_id_exists")));
        world.patch(Object::Order, other, &json!({"store_id": "b"}), Writer::Patch).unwrap();
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        let mut world = world();
        let refused = world.create(Object::Customer, &json!({"customer_account": 5}), Writer::Create).unwrap_err();
        assert!(refused.body()["customer_account"][0].as_str().unwrap().contains("does not exist"));
    }

    #[test]
    fn metadata_replaces_unless_told_to_merge() {
        let mut world = world();
        let id = world.create(Object::Customer, &json!({"metadata": {"a": 1}}), Writer::Create).unwrap();
        world.settings.metadata_merge = true;
        world.patch(Object::Customer, id, &json!({"metadata": {"b": 2}}), Writer::Patch).unwrap();
        assert_eq!(*world.row(Object::Customer, id).unwrap().metadata(), json!({"a": 1, "b": 2}));
        world.settings.metadata_merge = false;
        world.patch(Object::Customer, id, &json!({"metadata": {"c": 3}}), Writer::Patch).unwrap();
        assert_eq!(*world.row(Object::Customer, id).unwrap().metadata(), json!({"c": 3}));
    }
}
