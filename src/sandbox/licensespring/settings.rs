//! The switches: every behaviour the vendor does not publish, and the ways it is known to surprise.
//!
//! Defaults are the documented behaviour, or where there is none the one that a careful client must survive.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All switches. JSON with the same names at `/__control/settings`; a POST merges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A license's `updated_at` moves when its feature rows are edited.
    pub bump_on_feature_edit: bool,
    /// … when it is enabled, disabled or reset.
    pub bump_on_action: bool,
    /// … when its customer is edited.
    pub bump_on_customer_edit: bool,
    /// `metadata` is answered as JSON inside a string.
    pub metadata_as_string: bool,
    /// PATCH of `metadata` merges its top-level keys instead of replacing the value.
    pub metadata_merge: bool,
    /// Lists end (`next` null) once this many rows were handed out, whatever is left.
    pub next_null_too_early: Option<usize>,
    /// `count` moves by this much with every list call.
    pub count_drift: i64,
    /// Unset `validity_period` is answered as `0000-00-00`.
    pub zero_dates: bool,
    /// Every object carries fields nobody documented.
    pub extra_fields: bool,
    /// New long ids lie above 2^53.
    pub huge_ids: bool,
    /// `DELETE /orders/{id}/` works (204) instead of 405.
    pub order_delete: bool,
    /// Status for a missing or wrong key: 403 or 401.
    pub wrong_key_status: u16,
    /// Resources that the key may not use: `orders`, or `orders:write` for its changes only.
    pub denied: Vec<String>,
    /// Ids of records the key may not see: absent from lists, this status when read.
    pub no_access: Vec<i64>,
    pub no_access_status: u16,
    /// Largest page of every list.
    pub cap: usize,
    /// Page size when none is asked for.
    pub default_limit: usize,
    /// Order of lists: `id`, `-id`, or `shuffled` anew with every call.
    pub list_order: String,
    /// Filters that are silently ignored: `reference`, or `customers:reference` for one resource.
    pub filters_off: Vec<String>,
    /// `order_by` attributes that are silently ignored; `*` for all.
    pub order_by_off: Vec<String>,
    /// Exact text filters compare without case.
    pub exact_ignores_case: bool,
    /// The limiter; null = none.
    pub rate: Option<Rate>,
    /// `create_order` answers `{"order_id","new_passwords"}` instead of the order.
    pub old_create_order_shape: bool,
    /// How `create_order` finds the customer it was given: `email`, `reference`, or `never` (always a new one).
    pub create_order_customer: String,
    /// `append: true` with an unknown id creates the order instead of being refused.
    pub append_unknown_creates: bool,
    /// A license without `key` is refused, as before 2024.
    pub key_required: bool,
    /// Status of a successful create of customers, accounts and orders.
    pub create_status: u16,
    /// A customer account's `code` is unique.
    pub account_code_unique: bool,
    /// … and can be changed.
    pub account_code_mutable: bool,
    /// Customer accounts have `reference` and `metadata`.
    pub account_extras: bool,
    /// What becomes of a deleted customer's orders: `orphan`, `cascade`, or `refuse` the deletion.
    pub customer_delete: String,
    /// A feature added twice is refused with 400 instead of giving a second row.
    pub feature_twice_rejected: bool,
    /// `update_features` without `total_consumptions` sets the total of a kept row to 0.
    pub omitted_total_resets: bool,
    /// PATCH of a feature row also takes `max_overages` and `total_consumptions`.
    pub feature_row_extras: bool,
    /// Enabling an enabled license, or disabling a disabled one, is refused with 400.
    pub action_twice_rejected: bool,
    /// Resetting a license without activations and consumption is refused with 400.
    pub reset_unused_rejected: bool,
    /// The word for a yearly `consumption_period` on licenses and on features.
    pub yearly_license: String,
    pub yearly_feature: String,
    /// The other spelling is refused on write.
    pub yearly_strict: bool,
    /// Longest text, in characters; and of a postcode. `0` = no limit.
    pub text_limit: usize,
    pub postcode_limit: usize,
    /// E-mail addresses must look like one.
    pub email_check: bool,
    /// White space around text is taken off.
    pub trim_text: bool,
    /// null for a text field that has no null is refused with 400 instead of clearing it.
    pub null_text_rejected: bool,
    /// New rows are not seen by reads for this many seconds.
    pub visible_after_seconds: u32,
}

/// The rate limiter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    pub plan: Plan,
    /// Calls of the company in 60 s; null = the plan's figure.
    pub per_minute: Option<usize>,
    /// Calls with one Authorization value in 1 s.
    pub per_key_second: usize,
    /// Calls from one address in 10 s.
    pub per_ip_ten_seconds: usize,
    /// Answer `Retry-After`.
    pub retry_after: bool,
    /// Answer an HTML page instead of JSON.
    pub html: bool,
}

/// The vendor's plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    Free,
    BusinessStarter,
    BusinessPlus,
    Enterprise,
}

impl Plan {
    /// Management API calls in 60 s.
    pub fn per_minute(self) -> usize {
        match self {
            Plan::Free => 600,
            Plan::BusinessStarter => 900,
            Plan::BusinessPlus => 1_200,
            Plan::Enterprise => 2_400,
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Rate { plan: Plan::Free, per_minute: None, per_key_second: 50, per_ip_ten_seconds: 200, retry_after: true, html: false }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bump_on_feature_edit: false,
            bump_on_action: true,
            bump_on_customer_edit: false,
            metadata_as_string: false,
            metadata_merge: false,
            next_null_too_early: None,
            count_drift: 0,
            zero_dates: false,
            extra_fields: false,
            huge_ids: false,
            order_delete: false,
            wrong_key_status: 403,
            denied: Vec::new(),
            no_access: Vec::new(),
            no_access_status: 403,
            cap: 100,
            default_limit: 20,
            list_order: "id".into(),
            filters_off: Vec::new(),
            order_by_off: Vec::new(),
            exact_ignores_case: false,
            rate: None,
            old_create_order_shape: false,
            create_order_customer: "email".into(),
            append_unknown_creates: true,
            key_required: false,
            create_status: 200,
            account_code_unique: true,
            account_code_mutable: false,
            account_extras: true,
            customer_delete: "orphan".into(),
            feature_twice_rejected: true,
            omitted_total_resets: false,
            feature_row_extras: false,
            action_twice_rejected: false,
            reset_unused_rejected: false,
            yearly_license: "annualy".into(),
            yearly_feature: "annually".into(),
            yearly_strict: false,
            text_limit: 255,
            postcode_limit: 50,
            email_check: true,
            trim_text: true,
            null_text_rejected: true,
            visible_after_seconds: 0,
        }
    }
}

impl Settings {
    /// These settings with the named ones replaced.
    ///
    /// # Errors
    /// An unknown name or a value of the wrong kind; nothing changes then.
    pub fn merged(&self, changes: &Value) -> Result<Settings, String> {
        let changes = changes.as_object().ok_or("settings are a JSON object")?;
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in changes {
            all[name.as_str()] = value.clone();
        }
        let merged: Settings = serde_json::from_value(all).map_err(|error| error.to_string())?;
        let words: [(&str, &str, &[&str]); 3] = [
            ("list_order", &merged.list_order, &["id", "-id", "shuffled"]),
            ("create_order_customer", &merged.create_order_customer, &["email", "reference", "never"]),
            ("customer_delete", &merged.customer_delete, &["orphan", "cascade", "refuse"]),
        ];
        for (name, word, allowed) in words {
            if !allowed.contains(&word) {
                return Err(format!("{name} is one of {}", allowed.join(", ")));
            }
        }
        for status in [merged.wrong_key_status, merged.no_access_status, merged.create_status] {
            if !(200..600).contains(&status) {
                return Err(format!("{status} is not an HTTP status"));
            }
        }
        Ok(merged)
    }

    pub fn filter_off(&self, resource: &str, name: &str) -> bool {
        self.filters_off.iter().any(|off| off == name || off.split_once(':') == Some((resource, name)))
    }

    pub fn is_denied(&self, resource: &str, write: bool) -> bool {
        self.denied.iter().any(|denied| denied == resource || (write && denied.strip_suffix(":write") == Some(resource)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_changes_what_it_names_and_nothing_else() {
        let merged = Settings::default().merged(&json!({"cap": 7, "rate": {"plan": "enterprise"}})).expect("good settings");
        assert_eq!(merged.cap, 7);
        let rate = merged.rate.clone().expect("a limiter");
        assert_eq!((rate.plan.per_minute(), rate.per_key_second), (2_400, 50));
        let back = merged.merged(&json!({"cap": 100, "rate": null})).expect("good settings");
        assert_eq!(back, Settings::default());
    }

    #[test]
    fn a_wrong_switch_is_refused() {
        for wrong in [json!({"capp": 7}), json!({"cap": "x"}), json!([]), json!({"list_order": "up"}), json!({"create_status": 7})] {
            assert!(Settings::default().merged(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_can_be_meant_for_one_resource() {
        let settings = Settings {
            filters_off: vec!["customers:reference".into(), "email".into()],
            denied: vec!["orders:write".into()],
            ..Settings::default()
        };
        assert!(settings.filter_off("customers", "reference"));
        assert!(!settings.filter_off("customer-accounts", "reference"));
        assert!(settings.filter_off("customer-accounts", "email"));
        assert!(settings.is_denied("orders", true) && !settings.is_denied("orders", false));
    }
}
