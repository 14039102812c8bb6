//! What one vendor keeps in LAC, as plain rows, and the rules that hold whoever writes.
//!
//! Nothing here knows HTTP. Calls are in `route`, what a person does in `hand`, orders in `order`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::customer::{self, Customer, Moved, Written};
use super::order::Order;
use super::product::Product;
use super::reply::Refusal;
use super::settings::Settings;
use super::token::Tokens;
use crate::sandbox::clock::Clock;

/// Kinds of ids start apart, so that one taken for another hits nothing.
const FIRST_CUSTOMER: i64 = 101;
const FIRST_CONTACT: i64 = 5001;
const FIRST_OTHER: i64 = 90_001;

/// The tag that the former synchronisation wrote; an account that had it has its definition still.
pub const SF_ID: &str = "SF_Id";

/// Everything LAC knows.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    pub(super) customers: BTreeMap<i64, Customer>,
    /// Tag name to display name.
    pub(super) definitions: BTreeMap<String, String>,
    pub(super) orders: BTreeMap<String, Order>,
    pub(super) products: BTreeMap<i64, Product>,
    pub(super) tokens: Tokens,
    pub(super) soap_tokens: Tokens,
    pub(super) next_customer: i64,
    pub(super) next_contact: i64,
    pub(super) next_other: i64,
    clock: Clock,
    now: i64,
    random: u64,
    calls: BTreeMap<String, u64>,
}

impl World {
    /// Without customers; the tag `SF_Id` is defined.
    pub fn new(clock: Clock) -> World {
        let now = clock.now().timestamp();
        World {
            settings: Settings::default(),
            customers: BTreeMap::new(),
            definitions: BTreeMap::from([(SF_ID.to_owned(), "Salesforce Id".to_owned())]),
            orders: BTreeMap::new(),
            products: BTreeMap::new(),
            tokens: Tokens::default(),
            soap_tokens: Tokens::default(),
            next_customer: FIRST_CUSTOMER,
            next_contact: FIRST_CONTACT,
            next_other: FIRST_OTHER,
            clock,
            now,
            random: 0x6C8E_9CF5_70F2_1D3B,
            calls: BTreeMap::new(),
        }
    }

    /// Everything forgotten, rows, switches, tokens and counts, but the clock.
    pub fn reset(&mut self) {
        *self = World::new(self.clock.clone());
    }

    // ---- time and chance ----

    /// Takes the time of what happens next. Every call and every edit does this first.
    pub fn wake(&mut self) {
        self.now = self.clock.now().timestamp();
    }

    /// The time of what is happening, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The same row of numbers in every run.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    pub(super) fn fresh_other(&mut self) -> i64 {
        self.next_other += 1;
        self.next_other - 1
    }

    /// A token for whoever logged in.
    pub(super) fn new_token(&mut self) -> String {
        let token = self.invented_token();
        self.tokens.give(token.clone(), self.now, &self.settings);
        token
    }

    /// The SOAP interface has tokens of its own.
    pub(super) fn new_soap_token(&mut self) -> String {
        let token = self.invented_token();
        self.soap_tokens.give(token.clone(), self.now, &self.settings);
        token
    }

    fn invented_token(&mut self) -> String {
        format!("{:016x}{:016x}{:08x}", self.next_random(), self.next_random(), self.next_random() >> 32)
    }

    pub(super) fn is_good_soap_token(&self, token: &str) -> bool {
        self.soap_tokens.is_good(token, self.now, &self.settings)
    }

    pub(super) fn end_soap_token(&mut self, token: &str) {
        self.soap_tokens.end(token);
    }

    pub(super) fn is_good_token(&self, token: &str) -> bool {
        self.tokens.is_good(token, self.now, &self.settings)
    }

    // ---- reading ----

    /// # Errors
    /// 404.
    pub fn customer(&self, id: i64) -> Result<&Customer, Refusal> {
        self.customers.get(&id).ok_or_else(|| Refusal::not_found("customer"))
    }

    /// Calls by method and route, as `GET /customers/{id}`.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    pub(super) fn count_call(&mut self, route: String) {
        *self.calls.entry(route).or_default() += 1;
    }

    // ---- writing ----

    /// A customer with its contacts and tags; returns its id.
    ///
    /// # Errors
    /// 400 for what may not be written; nothing is then.
    pub fn create_customer(&mut self, body: &Value) -> Result<i64, Refusal> {
        let written = customer::read(body, &self.settings)?;
        let row = Customer {
            id: self.next_customer,
            texts: Map::new(),
            contacts: Vec::new(),
            tags: Vec::new(),
            created: self.now,
            updated: self.now,
        };
        self.write(row, written)?;
        self.next_customer += 1;
        Ok(self.next_customer - 1)
    }

    /// Writes over a customer, as the switches say about what was not sent.
    ///
    /// # Errors
    /// 404, 400; nothing is written then.
    pub fn patch_customer(&mut self, id: i64, body: &Value) -> Result<(), Refusal> {
        let old = self.customer(id)?.clone();
        let mut written = customer::read(body, &self.settings)?;
        if self.settings.patch_without_array == "empty" {
            written.contacts.get_or_insert_default();
            written.tags.get_or_insert_default();
        }
        self.write(old, written)
    }

    fn write(&mut self, mut row: Customer, written: Written) -> Result<(), Refusal> {
        let name = written.texts.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_namesake = |other: &Customer| other.id != row.id && other.text("name").eq_ignore_ascii_case(name);
        if self.settings.name_unique && self.customers.values().any(is_namesake) {
            return Err(Refusal::invalid(format!("there is a customer named {name} already")));
        }
        let mut next_contact = self.next_contact;
        let mut moved = Moved { texts: customer::put_texts(&mut row.texts, &written.texts, &self.settings), ..Moved::default() };
        if let Some(contacts) = written.contacts {
            let mut fresh = || {
                next_contact += 1;
                next_contact - 1
            };
            let put = customer::put_contacts(&row.contacts, &contacts, self.now, &self.settings, &mut fresh)?;
            moved.contacts = put != row.contacts;
            row.contacts = put;
        }
        if let Some(tags) = written.tags {
            let put = customer::put_tags(&row.tags, &self.defined(tags)?, self.now);
            moved.tags = put != row.tags;
            row.tags = put;
        }
        if moved.bumps(&self.settings) {
            row.updated = self.now;
        }
        self.next_contact = next_contact;
        self.customers.insert(row.id, row);
        Ok(())
    }

    /// Tags that have a definition, one way or another.
    fn defined(&mut self, tags: Vec<(String, String)>) -> Result<Vec<(String, String)>, Refusal> {
        let is_known = |name: &String| self.definitions.contains_key(name);
        let unknown: Vec<String> = tags.iter().map(|(name, _)| name.clone()).filter(|name| !is_known(name)).collect();
        match (unknown.first(), self.settings.undefined_tag.as_str()) {
            (None, _) => Ok(tags),
            (Some(_), "ignored") => Ok(tags.into_iter().filter(|(name, _)| is_known(name)).collect()),
            (Some(_), "created") => {
                self.definitions.extend(unknown.into_iter().map(|name| (name.clone(), name)));
                Ok(tags)
            }
            (Some(name), _) => Err(Refusal::invalid(format!("custom tag {name} is not defined"))),
        }
    }

    /// Deletes a customer with its contacts and tags; its orders as the switches say.
    ///
    /// # Errors
    /// 404; a customer that is not let go because of its orders.
    pub fn delete_customer(&mut self, id: i64) -> Result<(), Refusal> {
        self.customer(id)?;
        let has_orders = self.orders.values().any(|order| order.customer == id);
        match self.settings.delete_with_orders.as_str() {
            "refuse" if has_orders => {
                return Err(Refusal::new(self.settings.delete_refused_status, "customer has license orders"));
            }
            "cascade" => self.orders.retain(|_, order| order.customer != id),
            _ => {}
        }
        self.customers.remove(&id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn world() -> World {
        let clock = Clock::system();
        clock.freeze("2026-01-05T06:31:19Z".parse().expect("an instant"));
        World::new(clock)
    }

    #[test]
    fn a_refused_write_leaves_nothing_behind() {
        let mut world = world();
        let id = world.create_customer(&json!({"name": "A", "Contacts": [{"name": "Ada"}]})).expect("a customer");
        let before = world.customer(id).expect("it").clone();
        let body = json!({"name": "B", "Contacts": [{"name": "New"}], "CustomTags": [{"tag_name": "nobody", "value": "1"}]});
        assert_eq!(world.patch_customer(id, &body).expect_err("an undefined tag").status, 400);
        assert!(world.create_customer(&body).is_err());
        assert_eq!(*world.customer(id).expect("it"), before);
        let next = world.create_customer(&json!({"name": "C", "Contacts": [{"name": "Cy"}]})).expect("a customer");
        assert_eq!((next, world.customer(next).expect("it").contacts[0].id), (id + 1, before.contacts[0].id + 1));
    }

    #[test]
    fn tokens_are_forty_hexadecimal_characters_and_differ() {
        let mut world = world();
        let (one, two) = (world.new_token(), world.new_token());
        assert!(one.len() == 40 && one.chars().all(|c| c.is_ascii_hexdigit()) && one != two);
        assert!(world.is_good_token(&one) && !world.is_good_token("x"));
    }
}
