//! Products and their templates: what license orders are made from. Three of our own, for a seller of a small CAD suite.

use serde_json::{Map, Value, json};

use super::check::{self, Field, Kind, closed, open, required};
use super::order::{LICENSE_TYPES, LICENSEE_TYPES, read_features, read_hostids};
use super::reply::Refusal;
use super::world::World;

const TEMPLATE: &[Field] = &[
    closed("id"),
    closed("product_id"),
    required("name", Kind::Text),
    open("license_filename", Kind::Text),
    required("license_type", Kind::OneOf(LICENSE_TYPES)),
    required("licensee_type", Kind::OneOf(LICENSEE_TYPES)),
    open("licensee", Kind::Text),
    open("activations_allowed", Kind::Int),
    open("deactivations_allowed", Kind::Int),
    open("description", Kind::Description),
    open("hostid_match_rate", Kind::Int),
    open("min_hostids", Kind::Int),
    open("Hostids", Kind::Array),
    open("Features", Kind::Array),
];

#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub id: i64,
    pub name: String,
    pub version: String,
    pub description: String,
    /// What makes the license text.
    pub generator: String,
    pub templates: Vec<Template>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub id: i64,
    pub product: i64,
    pub fields: Map<String, Value>,
    pub hostids: Vec<Map<String, Value>>,
    pub features: Vec<Map<String, Value>>,
}

impl World {
    /// # Errors
    /// 404.
    pub fn product(&self, id: i64) -> Result<&Product, Refusal> {
        self.products.get(&id).ok_or_else(|| Refusal::not_found("product"))
    }

    /// A template of any product.
    pub fn template(&self, id: i64) -> Option<&Template> {
        self.products.values().flat_map(|product| &product.templates).find(|template| template.id == id)
    }

    /// A product without templates; returns its id.
    pub fn add_product(&mut self, name: &str, version: &str) -> i64 {
        let id = self.fresh_other();
        let (name, version, generator) = (name.to_owned(), version.to_owned(), "LM-X".to_owned());
        self.products.insert(id, Product { id, name, version, description: String::new(), generator, templates: Vec::new() });
        id
    }

    /// A template of a product; returns its id.
    ///
    /// # Errors
    /// 404, 400.
    pub fn create_template(&mut self, product: i64, body: &Value) -> Result<i64, Refusal> {
        self.product(product)?;
        let mut fields = check::fields("product template", TEMPLATE, body, &self.settings)?;
        let sent = |value: Option<Value>| value.filter(|value| !value.is_null()).unwrap_or_else(|| json!([]));
        let hostids = read_hostids(&sent(fields.remove("Hostids")), &self.settings)?;
        let features = sent(fields.remove("Features"));
        let features = read_features(&features, fields["license_type"].as_str().unwrap_or_default(), &self.settings)?;
        let id = self.fresh_other();
        if let Some(product) = self.products.get_mut(&product) {
            product.templates.push(Template { id, product: product.id, fields, hostids, features });
        }
        Ok(id)
    }
}

/// `Orbit Basic`, `Orbit Pro` and `Orbit Team`, each with one template.
///
/// # Errors
/// When the switches refuse what is written here.
pub fn seed_products(world: &mut World) -> Result<(), Refusal> {
    for (name, license_type, features) in [
        ("Orbit Basic", "local", &["export_pdf"][..]),
        ("Orbit Pro", "local", &["export_pdf", "api_access"][..]),
        ("Orbit Team", "network", &["export_pdf", "api_access", "sso"][..]),
    ] {
        let product = world.add_product(name, "2026");
        let feature = |name: &&str| {
            json!({
                "name": name, "version": "2026.0", "expiration_type": "days_from_activation", "days_from_activation": 365,
                "issued_type": "activation_time", "enabled": true, "count": if license_type == "network" { json!(5) } else { Value::Null },
                "maintenance_type": "no_maintenance",
            })
        };
        let template = json!({
            "name": format!("{name}, one year"), "license_filename": "orbit.lic", "license_type": license_type, "licensee_type": "customer",
            "activations_allowed": 1, "deactivations_allowed": 0, "hostid_match_rate": 50, "min_hostids": 1,
            "Hostids": [{"name": "ETHERNET", "min_amount": 1, "max_amount": 4}],
            "Features": features.iter().map(feature).collect::<Vec<_>>(),
        });
        world.create_template(product, &template)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::clock::Clock;

    #[test]
    fn the_sample_products_pass_the_same_checks_as_anybody_s() {
        let mut world = World::new(Clock::system());
        seed_products(&mut world).expect("good products");
        assert_eq!(world.products.len(), 3);
        let template = world.products.values().flat_map(|product| &product.templates).find(|template| template.features.len() == 3);
        assert_eq!(template.expect("the team's").features[0]["count"], 5);
        assert!(world.create_template(1, &json!({})).is_err());
    }
}
