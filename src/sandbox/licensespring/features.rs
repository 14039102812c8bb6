//! Features on a license: single rows, the full replacement, and what a definition hands to a row.
//!
//! By default none of this moves the license's own `updated_at`.

use serde_json::{Map, Value};

use super::check::{self, Changes, Writer};
use super::reply::Refusal;
use super::schema::{FEATURE_LIMITS, Object};
use super::table::Row;
use super::world::{World, as_object};

impl World {
    /// The limits a definition hands to a new row.
    pub(super) fn feature_limits(&self, definition: &Row) -> Changes {
        FEATURE_LIMITS.iter().filter_map(|name| Some((Object::LicenseFeature.position(name)?, definition.get(name).clone()))).collect()
    }

    /// The fields of a row in an object that may hold other things too, such as the code.
    pub(super) fn feature_fields(&self, written: &Map<String, Value>) -> Result<Changes, Refusal> {
        let mut own = written.clone();
        own.retain(|name, _| {
            Object::LicenseFeature.position(name).is_some() && !matches!(name.as_str(), "license" | "product_feature" | "device_features")
        });
        check::fields(Object::LicenseFeature, &own, Writer::Hand, &self.settings).map_err(Refusal::Fields)
    }

    /// A usable definition of the product, or a global one.
    pub(super) fn feature_by_code(&self, product: i64, code: &str) -> Result<&Row, Refusal> {
        self.find(Object::ProductFeature, "code", code)
            .iter()
            .filter_map(|id| self.row(Object::ProductFeature, *id))
            .find(|feature| usable(feature, product))
            .ok_or_else(|| {
                let message = format!("Product feature {code} does not exist on this product.");
                Refusal::coded("unsupported_product_feature", message)
            })
    }

    /// The row of a feature on a license.
    pub fn feature_row(&self, license: i64, feature: i64) -> Option<i64> {
        let rows = self.linked(Object::LicenseFeature, "license", license);
        rows.iter().copied().find(|row| self.row(Object::LicenseFeature, *row).and_then(|row| row.int("product_feature")) == Some(feature))
    }

    /// A new row, with no questions asked.
    pub(super) fn put_feature(&mut self, license: i64, feature: i64, fields: Changes) -> i64 {
        let row = self.insert(Object::LicenseFeature, fields);
        self.set(Object::LicenseFeature, row, "license", license);
        self.set(Object::LicenseFeature, row, "product_feature", feature);
        row
    }

    fn features_edited(&mut self, license: Option<i64>) {
        if let Some(license) = license.filter(|_| self.settings.bump_on_feature_edit) {
            self.touch(Object::License, license);
        }
    }

    /// `POST /license-product-features/`.
    ///
    /// # Errors
    /// Shape D; a feature of another product, or one the license has already.
    pub fn add_feature_row(&mut self, body: &Value) -> Result<i64, Refusal> {
        let body = as_object(body)?;
        let checked = self.checked(Object::LicenseFeature, None, body, Writer::Create)?;
        let number = |name: &str| {
            let at = Object::LicenseFeature.position(name);
            checked.iter().find(|(field, _)| Some(*field) == at).and_then(|(_, value)| value.as_i64())
        };
        let license = number("license").ok_or_else(Refusal::not_found)?;
        let feature = number("product_feature").ok_or_else(Refusal::not_found)?;
        let product = self.need(Object::License, license)?.int("product").unwrap_or_default();
        let definition = self.need(Object::ProductFeature, feature)?;
        if !usable(definition, product) {
            return Err(Refusal::field("product_feature", "The feature does not belong to the license's product."));
        }
        if self.settings.feature_twice_rejected && self.feature_row(license, feature).is_some() {
            return Err(Refusal::field("non_field_errors", "The license has this feature already."));
        }
        let mut fields = self.feature_limits(definition);
        fields.extend(self.feature_fields(body)?);
        let row = self.put_feature(license, feature, fields);
        self.features_edited(Some(license));
        Ok(row)
    }

    /// `PATCH /license-product-features/{id}`.
    ///
    /// # Errors
    /// 404 or shape D.
    pub fn patch_feature_row(&mut self, row: i64, body: &Value) -> Result<(), Refusal> {
        self.patch(Object::LicenseFeature, row, body, Writer::Patch)?;
        let license = self.need(Object::LicenseFeature, row)?.int("license");
        self.features_edited(license);
        Ok(())
    }

    /// `DELETE /license-product-features/{id}`.
    ///
    /// # Errors
    /// 404.
    pub fn remove_feature_row(&mut self, row: i64) -> Result<(), Refusal> {
        let license = self.need(Object::LicenseFeature, row)?.int("license");
        self.remove(Object::LicenseFeature, row)?;
        self.features_edited(license);
        Ok(())
    }

    /// `POST /licenses/{id}/update_features/`: what is listed is made or changed, what is missing goes.
    ///
    /// # Errors
    /// Nothing is written when any entry is wrong.
    pub fn update_features(&mut self, license: i64, body: &Value) -> Result<(), Refusal> {
        let product = self.need(Object::License, license)?.int("product").unwrap_or_default();
        let written = as_object(body)?.get("product_features").and_then(Value::as_array);
        let written = written.ok_or_else(|| Refusal::field("product_features", "This field is required."))?;
        let mut wanted: Vec<(i64, Changes)> = Vec::new();
        for entry in written {
            let entry = as_object(entry)?;
            let definition = match entry.get("product_feature") {
                Some(Value::Number(id)) => {
                    let definition = id.as_i64().and_then(|id| self.row(Object::ProductFeature, id));
                    let definition = definition.filter(|definition| usable(definition, product));
                    definition.ok_or_else(|| Refusal::coded("unsupported_product_feature", format!("No product feature {id}.")))?
                }
                Some(Value::String(code)) => self.feature_by_code(product, code)?,
                _ => return Err(Refusal::field("product_feature", "This field is required.")),
            };
            let mut fields = Changes::new();
            if self.feature_row(license, definition.id).is_none() {
                fields = self.feature_limits(definition);
            } else if self.settings.omitted_total_resets {
                fields.extend(Object::LicenseFeature.position("total_consumptions").map(|at| (at, 0.into())));
            }
            fields.extend(self.feature_fields(entry)?);
            wanted.push((definition.id, fields));
        }
        for row in self.linked(Object::LicenseFeature, "license", license).to_vec() {
            let feature = self.need(Object::LicenseFeature, row)?.int("product_feature");
            if !wanted.iter().any(|(id, _)| Some(*id) == feature) {
                self.remove(Object::LicenseFeature, row)?;
            }
        }
        for (feature, fields) in wanted {
            match self.feature_row(license, feature) {
                Some(row) => self.amend(Object::LicenseFeature, row, fields),
                None => {
                    self.put_feature(license, feature, fields);
                }
            }
        }
        self.features_edited(Some(license));
        Ok(())
    }
}

/// Not retired, and of this product or of none.
fn usable(feature: &Row, product: i64) -> bool {
    !feature.flag("is_deleted") && feature.int("product").is_none_or(|owner| owner == product)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::fixture::licensed;
    use super::*;
    use crate::sandbox::clock::Clock;

    /// The fixture an hour later.
    fn rested() -> (World, i64, Clock) {
        let (mut world, license, clock) = licensed();
        clock.advance(chrono::Duration::hours(1));
        world.wake();
        (world, license, clock)
    }

    fn codes(world: &World, license: i64) -> Value {
        world.get(Object::License, license).unwrap()["feature_codes"].clone()
    }

    fn definition(world: &World, license: i64, code: &str) -> i64 {
        let product = world.row(Object::License, license).unwrap().int("product").unwrap();
        world.feature_by_code(product, code).unwrap().id
    }

    fn updated(world: &World, license: i64) -> Value {
        world.get(Object::License, license).unwrap()["updated_at"].clone()
    }

    #[test]
    fn update_features_replaces_the_whole_set() {
        let (mut world, license, _) = rested();
        world.consume(license, Some("render_min"), 40).unwrap();
        let body = json!({"product_features": [{"product_feature": "render_min", "max_consumption": 7, "max_overages": 3}, {"product_feature": "api_access"}]});
        world.update_features(license, &body).unwrap();
        assert_eq!(codes(&world, license), json!(["render_min", "api_access"]));
        let row = world.feature_row(license, definition(&world, license, "render_min")).unwrap();
        let row = world.get(Object::LicenseFeature, row).unwrap();
        assert_eq!(
            (row["max_consumption"].clone(), row["max_overages"].clone(), row["total_consumptions"].clone()),
            (json!(7), json!(3), json!(40))
        );
        world.settings.omitted_total_resets = true;
        world.update_features(license, &body).unwrap();
        assert_eq!(world.rows(Object::LicenseFeature)[0]["total_consumptions"], 0);
        world.update_features(license, &json!({"product_features": []})).unwrap();
        assert_eq!(codes(&world, license), json!([]));
    }

    #[test]
    fn a_wrong_entry_changes_nothing() {
        let (mut world, license, _) = rested();
        for entries in [json!([{"product_feature": "api_access"}, {"product_feature": "sso"}]), json!([{"max_consumption": 1}]), json!("x")]
        {
            assert!(world.update_features(license, &json!({ "product_features": entries })).is_err());
            assert_eq!(codes(&world, license), json!(["export_pdf", "render_min"]));
        }
    }

    #[test]
    fn rows_come_and_go_one_by_one() {
        let (mut world, license, _) = rested();
        let feature = definition(&world, license, "api_access");
        let body = json!({"license": license, "product_feature": feature, "expiry_date": "2027-06-30"});
        let row = world.add_feature_row(&body).unwrap();
        assert_eq!(world.get(Object::LicenseFeature, row).unwrap()["expiry_date"], "2027-06-30");
        assert_eq!(world.add_feature_row(&body).unwrap_err().status(), 400);
        world.settings.feature_twice_rejected = false;
        let second = world.add_feature_row(&body).unwrap();
        world.remove_feature_row(second).unwrap();
        world.patch_feature_row(row, &json!({"max_consumption": 4, "total_consumptions": 9, "max_overages": 9})).unwrap();
        let shown = world.get(Object::LicenseFeature, row).unwrap();
        assert_eq!(
            (shown["max_consumption"].clone(), shown["total_consumptions"].clone(), shown["max_overages"].clone()),
            (json!(4), json!(0), json!(0))
        );
        world.remove_feature_row(row).unwrap();
        assert_eq!(world.remove_feature_row(row).unwrap_err().status(), 404);
    }

    #[test]
    fn features_of_other_products_and_retired_ones_are_refused() {
        let (mut world, license, _) = rested();
        let sso = world.find(Object::ProductFeature, "code", "sso")[0];
        assert_eq!(world.add_feature_row(&json!({"license": license, "product_feature": sso})).unwrap_err().status(), 400);
        let own = definition(&world, license, "api_access");
        world.update(Object::ProductFeature, own, &json!({"is_deleted": true})).unwrap();
        assert!(world.add_feature_row(&json!({"license": license, "product_feature": own})).is_err());
    }

    #[test]
    fn the_license_s_own_stamp_moves_only_when_switched_on() {
        let (mut world, license, clock) = rested();
        let before = updated(&world, license);
        world.add_feature(license, "api_access", &json!({})).unwrap();
        world.remove_feature(license, "export_pdf").unwrap();
        world.update_features(license, &json!({"product_features": [{"product_feature": "render_min"}]})).unwrap();
        assert_eq!(updated(&world, license), before);
        world.settings.bump_on_feature_edit = true;
        clock.advance(chrono::Duration::hours(1));
        world.add_feature(license, "api_access", &json!({})).unwrap();
        assert_eq!(updated(&world, license), "2026-01-05T02:00:00Z");
    }

    #[test]
    fn deleting_a_definition_purges_it_everywhere() {
        let (mut world, license, _) = rested();
        let feature = definition(&world, license, "render_min");
        world.remove(Object::ProductFeature, feature).unwrap();
        assert_eq!(codes(&world, license), json!(["export_pdf"]));
        let templates =
            world.rows(Object::Policy).iter().map(|policy| policy["license_product_feature_templates"].to_string()).collect::<String>();
        assert!(!templates.contains(&feature.to_string()), "{templates}");
    }
}
