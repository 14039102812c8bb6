//! The switches: every behaviour the vendor does not publish, and the ways it is known to surprise.
//!
//! Defaults are the documented behaviour, or where there is none the one that a careful client must survive.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All switches. JSON with the same names at `/__control/settings`; a POST merges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds a token lives from its login. The SOAP interface documents three hours, REST nothing.
    pub token_seconds: i64,
    /// Status for a missing, wrong or expired token: 403 is documented, 401 nowhere.
    pub token_status: u16,
    /// A login ends the tokens of earlier ones.
    pub one_token: bool,
    /// Resources that the user may not use: `customers`, or `customers:write` for its changes only.
    pub denied: Vec<String>,
    /// What an error looks like: `message`, `code` (with a number beside it), `text`, `html` or `empty`.
    pub error_shape: String,

    /// Rows of a full page, of every list.
    pub page_size: usize,
    /// Every page is the first one.
    pub offset_ignored: bool,
    /// Order of lists: `id`, `-id`, or `shuffled` anew with every call.
    pub list_order: String,
    /// Query parameters nobody documented are ignored instead of being refused.
    pub unknown_parameters_ignored: bool,
    /// A search for a tag that is not defined: an empty list, or refused.
    pub unknown_tag_search_refused: bool,

    /// Whole numbers, ids included, are told as strings.
    pub numbers_as_strings: bool,
    /// Text without a value is told `stored` (null if never set, `""` if cleared), `null`, `empty` or not at all (`missing`).
    pub blank_as: String,
    /// Every object carries fields nobody documented.
    pub extra_fields: bool,
    /// Minutes by which stamps are ahead of UTC; nothing in them says so.
    pub utc_offset_minutes: i32,

    /// Members nobody documented are ignored in a body instead of being refused.
    pub unknown_fields_ignored: bool,
    /// `id`, `creation_time` and other members that only LAC sets are ignored in a body instead of being refused.
    pub read_only_ignored: bool,
    /// A second customer of the same name is refused.
    pub name_unique: bool,
    /// A tag without a definition is `refused`, `created` by writing it, or `ignored`.
    pub undefined_tag: String,
    /// PATCH without a field: `clear` it or `keep` it. `name` is needed always.
    pub patch_without_field: String,
    /// PATCH without `Contacts` or `CustomTags`: `empty` them or `keep` them.
    pub patch_without_array: String,
    /// A contact sent without its id is `created` anew, or an existing one of the same e-mail is `matched`.
    pub contact_without_id: String,
    /// A contact needs a name.
    pub contact_name_required: bool,
    /// E-mail addresses must look like one.
    pub email_check: bool,
    /// White space around text is taken off.
    pub trim_text: bool,
    /// Line ends come back as CR LF.
    pub crlf: bool,
    /// Longest text, in characters, and longest `description`; 0 for no limit.
    pub text_limit: usize,
    pub description_limit: usize,
    /// Longer text is cut instead of refused.
    pub too_long_cut: bool,
    /// Status of a successful create; the vendor documents 200.
    pub create_status: u16,

    /// A customer's `update_time` moves when only its contacts change; only its tags; when nothing changes at all.
    pub bump_on_contact_edit: bool,
    pub bump_on_tag_edit: bool,
    pub bump_on_nothing: bool,

    /// `DELETE /customers/{id}` exists; otherwise it is answered with `delete_off_status`.
    pub customer_delete: bool,
    pub delete_off_status: u16,
    /// Status of a successful deletion.
    pub delete_status: u16,
    /// What becomes of a deleted customer's license orders: `cascade`, `orphan`, or `refuse` the deletion.
    pub delete_with_orders: String,
    pub delete_refused_status: u16,

    /// The SOAP interface answers.
    pub soap: bool,
    /// One license order is told in the end user's form (`hal`) or as in lists (`plain`).
    pub order_shape: String,
    /// `GET /products` exists.
    pub product_list: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            token_seconds: 3 * 3600,
            token_status: 403,
            one_token: false,
            denied: Vec::new(),
            error_shape: "message".into(),
            page_size: 100,
            offset_ignored: false,
            list_order: "id".into(),
            unknown_parameters_ignored: false,
            unknown_tag_search_refused: false,
            numbers_as_strings: true,
            blank_as: "stored".into(),
            extra_fields: false,
            utc_offset_minutes: 0,
            unknown_fields_ignored: false,
            read_only_ignored: false,
            name_unique: false,
            undefined_tag: "refused".into(),
            patch_without_field: "clear".into(),
            patch_without_array: "empty".into(),
            contact_without_id: "created".into(),
            contact_name_required: true,
            email_check: true,
            trim_text: true,
            crlf: false,
            text_limit: 255,
            description_limit: 65_535,
            too_long_cut: false,
            create_status: 200,
            bump_on_contact_edit: false,
            bump_on_tag_edit: false,
            bump_on_nothing: true,
            customer_delete: true,
            delete_off_status: 405,
            delete_status: 204,
            delete_with_orders: "cascade".into(),
            delete_refused_status: 400,
            soap: true,
            order_shape: "hal".into(),
            product_list: false,
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
        let words: [(&str, &str, &[&str]); 9] = [
            ("error_shape", &merged.error_shape, &["message", "code", "text", "html", "empty"]),
            ("list_order", &merged.list_order, &["id", "-id", "shuffled"]),
            ("blank_as", &merged.blank_as, &["stored", "null", "empty", "missing"]),
            ("undefined_tag", &merged.undefined_tag, &["refused", "created", "ignored"]),
            ("patch_without_field", &merged.patch_without_field, &["clear", "keep"]),
            ("patch_without_array", &merged.patch_without_array, &["empty", "keep"]),
            ("contact_without_id", &merged.contact_without_id, &["created", "matched"]),
            ("delete_with_orders", &merged.delete_with_orders, &["cascade", "orphan", "refuse"]),
            ("order_shape", &merged.order_shape, &["hal", "plain"]),
        ];
        for (name, word, allowed) in words {
            if !allowed.contains(&word) {
                return Err(format!("{name} is one of {}", allowed.join(", ")));
            }
        }
        let statuses =
            [merged.token_status, merged.create_status, merged.delete_off_status, merged.delete_status, merged.delete_refused_status];
        for status in statuses {
            if !(200..600).contains(&status) {
                return Err(format!("{status} is not an HTTP status"));
            }
        }
        if merged.page_size == 0 {
            return Err("page_size is at least 1".into());
        }
        Ok(merged)
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
        let merged = Settings::default().merged(&json!({"page_size": 7, "list_order": "-id"})).expect("good settings");
        assert_eq!((merged.page_size, merged.list_order.as_str()), (7, "-id"));
        let back = merged.merged(&json!({"page_size": 100, "list_order": "id"})).expect("good settings");
        assert_eq!(back, Settings::default());
    }

    #[test]
    fn a_wrong_switch_is_refused() {
        for wrong in [
            json!({"page": 7}),
            json!({"page_size": "x"}),
            json!({"page_size": 0}),
            json!([]),
            json!({"undefined_tag": "maybe"}),
            json!({"token_status": 7}),
        ] {
            assert!(Settings::default().merged(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_resource_can_be_denied_for_changes_only() {
        let settings = Settings { denied: vec!["customers:write".into(), "licenses".into()], ..Settings::default() };
        assert!(settings.is_denied("customers", true) && !settings.is_denied("customers", false));
        assert!(settings.is_denied("licenses", false));
    }
}
