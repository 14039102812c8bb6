//! One license of a `create_order` request, read and judged before anything is written.
//!
//! Its fields come from the policy, or without one from the product, and then from what the request says.

use serde_json::{Map, Value};

use super::check::{Changes, Writer};
use super::issue::shape_c;
use super::reply::Refusal;
use super::schema::{ENTITLEMENTS, Object};
use super::table::Row;
use super::world::World;

/// A license to be made.
pub struct License {
    pub fields: Changes,
    pub features: Vec<(i64, Changes)>,
    pub users: Vec<String>,
    pub by_user: bool,
}

impl World {
    fn policy(&self, product: &Row, license: &Map<String, Value>, at: &str) -> Result<Option<&Row>, Refusal> {
        let of_product = |id: &i64| {
            let policy = self.row(Object::Policy, *id)?;
            let own = policy.int("product").is_none_or(|owner| owner == product.id);
            own.then_some(policy)
        };
        let code = ["policy_code", "license_template_code"].iter().find_map(|name| license.get(*name)?.as_str());
        let named = match (code, license.get("license_template").and_then(Value::as_i64)) {
            (Some(code), _) => self.find(Object::Policy, "code", code).iter().find_map(of_product),
            (None, Some(id)) => of_product(&id),
            (None, None) => {
                let policies = self.linked(Object::Policy, "product", product.id);
                return Ok(policies.iter().filter_map(of_product).find(|policy| policy.flag("is_default")));
            }
        };
        match named {
            Some(policy) if !policy.flag("is_archived") => Ok(Some(policy)),
            Some(_) | None => Err(Refusal::coded("validation_error", format!("{at}policy_code: no such policy of this product."))),
        }
    }

    /// One entry of `licenses`; `at` says where it stands, `keys` are those of the entries before it.
    pub(super) fn license(
        &self,
        body: &Map<String, Value>,
        product: &Row,
        license: &Map<String, Value>,
        at: &str,
        keys: &mut Vec<String>,
    ) -> Result<License, Refusal> {
        let policy = self.policy(product, license, at)?;
        let source = policy.unwrap_or(product);
        let mut fields: Changes = ENTITLEMENTS
            .iter()
            .filter_map(|name| Some((Object::License.position(name)?, source.at(source.object.position(name)?).clone())))
            .collect();
        let mut put = |name: &str, value: Value| fields.extend(Object::License.position(name).map(|at| (at, value)));
        put("license_type", source.get("default_license_type").clone());
        put("product", product.id.into());
        put("license_template", policy.map_or(Value::Null, |policy| policy.id.into()));
        if let Some(prevent_vm) = body.get("prevent_vm").and_then(Value::as_bool) {
            put("prevent_vm", prevent_vm.into());
        }

        let mut own = license.clone();
        for (wire, name) in [("key", "license_key"), ("allow_unlimited_activation", "allow_unlimited_activations")] {
            if let Some(value) = own.remove(wire) {
                own.insert(name.into(), value);
            }
        }
        // Links and features have their own ways in.
        for name in ["order", "product_features", "total_consumptions"] {
            own.remove(name);
        }
        let own = self.checked(Object::License, None, &own, Writer::Create).map_err(|refusal| shape_c(at, refusal))?;
        fields.extend(own);
        let by_user = product.text("authorization_method") == "user";
        judge(&mut fields, at)?;
        self.judge_key(&fields, by_user, at, keys)?;
        let features = self.features(product, policy, license, at)?;
        Ok(License { fields, features, users: users(license, by_user, at)?, by_user })
    }

    fn judge_key(&self, fields: &Changes, by_user: bool, at: &str, keys: &mut Vec<String>) -> Result<(), Refusal> {
        let key = last(fields, "license_key").as_str().filter(|key| !key.is_empty());
        match key {
            None if self.settings.key_required && !by_user => {
                Err(Refusal::coded("missing_parameters", format!("Missing parameters: {at}key")))
            }
            Some(key) if keys.iter().any(|other| other == key) => {
                Err(Refusal::coded("validation_error", format!("{at}key: license key {key} is used twice.")))
            }
            Some(key) => {
                keys.push(key.to_owned());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What the policy brings, overridden and added to by the request.
    fn features(
        &self,
        product: &Row,
        policy: Option<&Row>,
        license: &Map<String, Value>,
        at: &str,
    ) -> Result<Vec<(i64, Changes)>, Refusal> {
        let mut all: Vec<(i64, Changes)> = Vec::new();
        let templates = policy.map(|policy| policy.get("license_product_feature_templates"));
        for template in templates.and_then(Value::as_array).into_iter().flatten() {
            let Some(feature) = template["product_feature"].as_i64().and_then(|id| self.row(Object::ProductFeature, id)) else {
                continue;
            };
            let mut limits = self.feature_limits(feature);
            for (place, value) in &mut limits {
                if let Some(own) = template.get(Object::LicenseFeature.field(*place).name) {
                    *value = own.clone();
                }
            }
            all.push((feature.id, limits));
        }
        let written = license.get("product_features").and_then(Value::as_array);
        for (n, written) in written.into_iter().flatten().enumerate() {
            let at = format!("{at}product_features[{n}].");
            let written = written.as_object().ok_or_else(|| Refusal::coded("validation_error", format!("{at} An object is expected.")))?;
            let code = written.get("code").and_then(Value::as_str).unwrap_or_default();
            let feature = self.feature_by_code(product.id, code)?;
            let own = self.feature_fields(written).map_err(|refusal| shape_c(&at, refusal))?;
            match all.iter_mut().find(|(id, _)| *id == feature.id) {
                Some((_, limits)) => limits.extend(own),
                None => {
                    let mut limits = self.feature_limits(feature);
                    limits.extend(own);
                    all.push((feature.id, limits));
                }
            }
        }
        Ok(all)
    }
}

/// Later values override earlier ones.
pub fn last<'a>(fields: &'a Changes, name: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    let at = Object::License.position(name);
    fields.iter().rev().find(|(field, _)| Some(*field) == at).map_or(&NULL, |(_, value)| value)
}

/// What a license type asks for, and what makes no sense on it.
fn judge(fields: &mut Changes, at: &str) -> Result<(), Refusal> {
    let kind = last(fields, "license_type").as_str().unwrap_or_default().to_owned();
    let (duration, period) = (last(fields, "valid_duration").is_null(), last(fields, "validity_period").is_null());
    if kind == "time-limited" && duration && period {
        let message = format!("{at}valid_duration: a time-limited license needs one.");
        return Err(Refusal::coded("validation_error", message));
    }
    if matches!(kind.as_str(), "perpetual" | "consumption") || !period {
        fields.extend(Object::License.position("valid_duration").map(|at| (at, Value::Null)));
    }
    Ok(())
}

fn users(license: &Map<String, Value>, by_user: bool, at: &str) -> Result<Vec<String>, Refusal> {
    if !by_user {
        return Ok(Vec::new());
    }
    let written = license.get("users").and_then(Value::as_array);
    written
        .into_iter()
        .flatten()
        .map(|user| {
            let email = user["email"].as_str().map(str::to_owned);
            email.ok_or_else(|| Refusal::coded("missing_parameters", format!("Missing parameters: {at}users.email")))
        })
        .collect()
}
