//! What this company sells, by code: read for the rules to be checked against, never kept.
//!
//! Source: docs.licensespring.com, "List Products", "List Product Features", "License Policies". A row without a code
//! cannot be named by a rule and is left out.

use super::LicenseSpring;
use super::list::{Row, Walk, id_of, row_id};
use super::names::feature;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FeatureWord, PolicyWord, ProductWord, Vocabulary};
use serde_json::Value as J;
use std::collections::BTreeMap;

impl LicenseSpring {
    pub(super) async fn words(&self) -> Result<Vocabulary, Fault> {
        let list = async |path: &'static str, query: Vec<(&'static str, String)>, what: &str| {
            Walk::new(&self.wire, Counted::Other, path, query).collect().await.map_err(|t: Trouble| t.into_fault(what))
        };
        let mut products = list("/products/", Vec::new(), "the list of products").await?;
        // Whether the plain list holds archived products is not published; a filter that is left out does no harm here.
        products.extend(list("/products/", vec![("is_archived", "true".to_owned())], "the list of products").await?);
        let policies = list("/license-templates/", Vec::new(), "the list of policies").await?;
        let features = list("/product-features/", Vec::new(), "the list of product features").await?;
        Ok(vocabulary(&products, &policies, &features))
    }
}

fn vocabulary(products: &[Row], policies: &[Row], features: &[Row]) -> Vocabulary {
    let products: BTreeMap<i64, ProductWord> = products.iter().filter_map(|row| Some((row_id(row)?, product(row)?))).collect();
    let owner = |row: &Row| row.get("product").and_then(id_of);
    let code = |id: i64| products.get(&id).map(|p| p.code.clone());
    let mut words = Vocabulary {
        policies: policies
            .iter()
            .filter_map(|row| {
                Some(PolicyWord { code: text(row, "code")?, product: owner(row).and_then(code), archived: is(row, "is_archived") })
            })
            .collect(),
        features: features
            .iter()
            .filter_map(|row| {
                let named = feature(row)?;
                // One of a product that nobody shows is not one that every product has.
                let product = match named.product {
                    Some(id) => Some(code(id)?),
                    None => None,
                };
                Some(FeatureWord { code: named.code, product, retired: named.retired })
            })
            .collect(),
        products: products.values().cloned().collect(),
    };
    words.products.sort_by(|a, b| (&a.code, a.archived).cmp(&(&b.code, b.archived)));
    words.policies.sort_by(|a, b| (&a.product, &a.code).cmp(&(&b.product, &b.code)));
    words.features.sort_by(|a, b| (&a.product, &a.code, a.retired).cmp(&(&b.product, &b.code, b.retired)));
    words
}

fn product(row: &Row) -> Option<ProductWord> {
    Some(ProductWord {
        code: text(row, "short_code")?,
        name: text(row, "product_name").unwrap_or_default(),
        active: row.get("active").and_then(J::as_bool).unwrap_or(true),
        archived: is(row, "is_archived"),
        bundle: is(row, "is_bundle"),
        license_type: text(row, "default_license_type").unwrap_or_default(),
    })
}

fn is(row: &Row, name: &str) -> bool {
    row.get(name).and_then(J::as_bool).unwrap_or(false)
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.get(name)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn rows(list: J) -> Vec<Row> {
        list.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn words_name_their_product_and_say_what_is_over() {
        let products = rows(json!([
            {"id": 2, "short_code": "suite", "product_name": "Suite", "active": false, "is_bundle": true},
            {"id": 1, "short_code": "orbit", "product_name": "Orbit", "active": true, "default_license_type": "perpetual"},
            {"id": 3, "short_code": "orbit", "product_name": "Old Orbit", "is_archived": true},
            {"id": 1, "short_code": "orbit", "product_name": "Orbit", "active": true, "default_license_type": "perpetual"},
            {"id": 4, "product_name": "no code"}
        ]));
        let policies =
            rows(json!([{"id": 7, "code": "std", "product": {"id": 1}}, {"id": 8, "code": "any", "is_archived": true}, {"id": 9}]));
        let features = rows(json!([
            {"id": 1, "code": "pdf", "product": 1},
            {"id": 2, "code": "sso", "product": null},
            {"id": 3, "code": "old", "product": 1, "is_deleted": true},
            {"id": 4, "code": "stray", "product": 99}
        ]));
        let words = vocabulary(&products, &policies, &features);
        let shown: Vec<(&str, bool, bool, bool)> =
            words.products.iter().map(|p| (p.name.as_str(), p.active, p.archived, p.bundle)).collect();
        assert_eq!(shown, [("Orbit", true, false, false), ("Old Orbit", true, true, false), ("Suite", false, false, true)]);
        assert_eq!(words.products[0].license_type, "perpetual");
        let of =
            |code: &str, product: Option<&str>, retired| FeatureWord { code: code.into(), product: product.map(str::to_owned), retired };
        assert_eq!(words.features, [of("sso", None, false), of("old", Some("orbit"), true), of("pdf", Some("orbit"), false)]);
        let of =
            |code: &str, product: Option<&str>, archived| PolicyWord { code: code.into(), product: product.map(str::to_owned), archived };
        assert_eq!(words.policies, [of("any", None, true), of("std", Some("orbit"), false)]);
    }
}
