//! Looking at the world from outside the interface: rows undistorted by switches, and how many there are.

use serde_json::{Value, json};

use super::check::int;
use super::customer::{Customer, Tag};
use super::settings::Settings;
use super::show;
use super::world::World;

/// What can be looked at and edited.
pub const OBJECTS: [&str; 8] =
    ["customer", "contact", "custom_tag", "tag_definition", "license_order", "license", "product", "product_template"];

impl World {
    /// All customers by id.
    pub fn customers(&self) -> impl Iterator<Item = &Customer> {
        self.customers.values()
    }

    /// All rows of an object, undistorted by switches; empty for an object that does not exist.
    pub fn rows(&self, object: &str) -> Vec<Value> {
        let plain = plain();
        let customers = || self.customers.values();
        let orders = || self.orders.values();
        match object {
            "customer" => customers().map(|row| show::customer(row, &plain)).collect(),
            "contact" => customers().flat_map(|row| row.contacts.iter().map(|it| show::contact(it, row.id, &plain))).collect(),
            "custom_tag" => {
                let of = |row: &Customer, tag: &Tag| {
                    let mut shown = show::tag(tag, &plain);
                    shown["customer_id"] = row.id.into();
                    shown
                };
                customers().flat_map(|row| row.tags.iter().map(move |tag| of(row, tag))).collect()
            }
            "tag_definition" => self.definitions.iter().map(|(name, display)| json!({"tag_name": name, "display": display})).collect(),
            "license_order" => orders().map(|row| show::listed_order(self, row, &plain)).collect(),
            "license" => orders().flat_map(|row| row.licenses.iter().map(|it| show::license(it, row, &plain))).collect(),
            "product" => self.products.values().map(|row| show::product(row, &plain)).collect(),
            "product_template" => {
                self.products.values().flat_map(|row| row.templates.iter().map(|it| show::template(it, &plain))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// One row, by id, activation key or tag name.
    pub fn row(&self, object: &str, id: &Value) -> Option<Value> {
        match object {
            // The others are few, or looked for by hand only.
            "customer" => self.customers.get(&int(id)?).map(|row| show::customer(row, &plain())),
            _ => self.rows(object).into_iter().find(|row| is_called(row, id)),
        }
    }

    pub fn count(&self, object: &str) -> usize {
        match object {
            "customer" => self.customers.len(),
            "contact" => self.customers.values().map(|row| row.contacts.len()).sum(),
            "custom_tag" => self.customers.values().map(|row| row.tags.len()).sum(),
            "license_order" => self.orders.len(),
            _ => self.rows(object).len(),
        }
    }
}

fn plain() -> Settings {
    Settings { numbers_as_strings: false, ..Settings::default() }
}

/// Whether `id`, as a number or as text, is the row's id, activation key or tag name.
pub fn is_called(row: &Value, id: &Value) -> bool {
    let same = |own: &Value| own == id || own.as_i64().is_some_and(|own| int(id) == Some(own));
    ["id", "activation_key", "tag_name"].iter().find_map(|name| row.get(name)).is_some_and(same)
}
