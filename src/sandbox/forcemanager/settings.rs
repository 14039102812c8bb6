//! The switches: every behaviour the vendor does not publish, and the ways it is known to surprise.
//!
//! Defaults are the documented behaviour, or where there is none the one that a careful client must survive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extra::Kind;

/// All switches. JSON with the same names at `/__control/settings`; a POST merges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a token works after log-in.
    pub token_ttl_seconds: u32,
    /// What a call with a token that has ended gets: 401 or 403.
    pub expired_status: u16,
    /// A log-in ends the tokens before it.
    pub one_session: bool,
    /// The request header that asks for a page size: `Count`, `X-FM-Entity-Count`, `both`, or `none` of them.
    pub page_size_header: String,
    /// Rows of a page when nothing is asked for, and at most.
    pub page_size: usize,
    pub page_max: usize,
    /// Every second page is only half full, and another one follows.
    pub short_pages: bool,
    /// `page` is ignored: the first page again and again.
    pub page_ignored: bool,
    /// Order without `order=`: `id`, `-id`, or `shuffled` anew with every call.
    pub list_order: String,
    /// `order=` is ignored.
    pub order_ignored: bool,
    /// Fields whose use makes the whole `where=` ignored; `*`: it is always ignored.
    pub where_ignored: Vec<String>,
    /// The form of instants in `where=`: `space` (`2026-01-31 10:00:00`), `iso` (`2026-01-31T10:00:00`), `any`, or `none`.
    pub where_dates: String,
    /// Instants in `where=` are taken for local time, so many minutes ahead of UTC.
    pub where_ahead_minutes: i32,
    /// `where=` also knows `>=`, `<`, `<=`, `<>`, `IN`, `IS NULL` and parentheses.
    pub where_extended: bool,
    /// Texts in `where=` compare without case.
    pub where_ignores_case: bool,
    /// Lists contain deleted rows.
    pub deleted_in_lists: bool,
    /// A deleted row can be read by its id.
    pub deleted_readable: bool,
    /// After so many seconds a deleted row is gone for good; null = never.
    pub deleted_kept_seconds: Option<u32>,
    /// A deletion moves `dateUpdated` too.
    pub deletion_bumps_updated: bool,
    /// Status for an id that is not there: 400 or 404.
    pub unknown_id_status: u16,
    /// Status of a successful create: 200 or 201.
    pub create_status: u16,
    /// `Message` or `message`, in answers to writes.
    pub message_key: String,
    /// What clears a field: `null`, `empty` (`""`; null changes nothing), or `both`.
    pub clear_with: String,
    /// `""` in a required text is taken.
    pub empty_required: bool,
    /// Fields that are unknown or read-only are dropped without a word; so are unknown query parameters.
    pub lenient: bool,
    /// A reference to a row that is not there, or is deleted, is refused.
    pub links_checked: bool,
    /// How references are read: `object`, `integer`, or `mixed`.
    pub references: String,
    /// How no reference is read: `null`, `zero`, or `object` (of id 0).
    pub no_reference: String,
    /// Records use the capitals of the vendor's other pages: `UseCompanyAddress`, `Completed`.
    pub key_case_drift: bool,
    /// Records use the misspelt names of the vendor's swagger: `lasttName`, `salesForcecastDate`.
    pub swagger_typos: bool,
    /// The name under which an opportunity's type is read: `typeId` or `type_id`.
    pub opportunity_type_key: String,
    /// `deleted` is 0 or 1.
    pub deleted_as_number: bool,
    /// Who shows 1900-01-01 and 1899-12-30 for dates that are not there: `users`, `all`, `none`.
    pub sentinel_dates: String,
    /// Digits after the second of an instant, zeros at the end left out.
    pub stamp_digits: u8,
    /// The form of written instants: `space`, or `any` for ISO 8601 too.
    pub written_dates: String,
    /// A written instant of the documented form is taken for local time, so many minutes ahead of UTC.
    pub written_ahead_minutes: i32,
    /// How calendar days are read: `short` (`yy/MM/dd`), `day` (`yyyy-MM-dd`), `iso`.
    pub calendar_dates: String,
    /// What becomes of a deleted account's children: `orphan`, `cascade`, or `refuse` the deletion.
    pub account_delete: String,
    /// A value of `extId` that another live row has is refused.
    pub ext_id_unique: bool,
    /// The form of descriptions in value lists: `flat` (`descriptionEN`) or `nested` (`{"en":…}`).
    pub value_list_shape: String,
    /// The limiter; null = none.
    pub rate: Option<Rate>,
    /// Extra fields can be created; how many an entity takes; the longest name.
    pub extra_fields_creatable: bool,
    pub extra_field_limit: Option<usize>,
    pub extra_field_name_max: usize,
    /// A new extra field shows up, and can be written, after so many seconds.
    pub extra_field_delay_seconds: u32,
    /// The numbers of the kinds of extra fields.
    pub extra_field_types: BTreeMap<Kind, i64>,
}

/// The rate limiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// 4 or 13, by plan.
    pub per_second: usize,
    /// In 60 s; null = no such window.
    pub per_minute: Option<usize>,
    /// 429 is expected, 503 possible.
    pub status: u16,
    /// Answer `Retry-After`.
    pub retry_after: bool,
}

impl Default for Rate {
    fn default() -> Self {
        Rate { per_second: 4, per_minute: None, status: 429, retry_after: true }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            token_ttl_seconds: 3_600,
            expired_status: 401,
            one_session: false,
            page_size_header: "Count".into(),
            page_size: 50,
            page_max: 200,
            short_pages: false,
            page_ignored: false,
            list_order: "id".into(),
            order_ignored: false,
            where_ignored: Vec::new(),
            where_dates: "space".into(),
            where_ahead_minutes: 0,
            where_extended: false,
            where_ignores_case: true,
            deleted_in_lists: true,
            deleted_readable: true,
            deleted_kept_seconds: None,
            deletion_bumps_updated: false,
            unknown_id_status: 400,
            create_status: 200,
            message_key: "Message".into(),
            clear_with: "null".into(),
            empty_required: false,
            lenient: false,
            links_checked: true,
            references: "object".into(),
            no_reference: "null".into(),
            key_case_drift: false,
            swagger_typos: false,
            opportunity_type_key: "typeId".into(),
            deleted_as_number: false,
            sentinel_dates: "users".into(),
            stamp_digits: 3,
            written_dates: "space".into(),
            written_ahead_minutes: 0,
            calendar_dates: "short".into(),
            account_delete: "orphan".into(),
            ext_id_unique: false,
            value_list_shape: "flat".into(),
            rate: None,
            extra_fields_creatable: true,
            extra_field_limit: None,
            extra_field_name_max: 50,
            extra_field_delay_seconds: 0,
            extra_field_types: Kind::ALL.into_iter().zip([1, 3, 4, 6, 7, 11]).collect(),
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
        merged.proved()
    }

    fn proved(self) -> Result<Settings, String> {
        let words: [(&str, &str, &[&str]); 13] = [
            ("page_size_header", &self.page_size_header, &["Count", "X-FM-Entity-Count", "both", "none"]),
            ("list_order", &self.list_order, &["id", "-id", "shuffled"]),
            ("where_dates", &self.where_dates, &["space", "iso", "any", "none"]),
            ("message_key", &self.message_key, &["Message", "message"]),
            ("clear_with", &self.clear_with, &["null", "empty", "both"]),
            ("references", &self.references, &["object", "integer", "mixed"]),
            ("no_reference", &self.no_reference, &["null", "zero", "object"]),
            ("opportunity_type_key", &self.opportunity_type_key, &["typeId", "type_id"]),
            ("sentinel_dates", &self.sentinel_dates, &["users", "all", "none"]),
            ("written_dates", &self.written_dates, &["space", "any"]),
            ("calendar_dates", &self.calendar_dates, &["short", "day", "iso"]),
            ("account_delete", &self.account_delete, &["orphan", "cascade", "refuse"]),
            ("value_list_shape", &self.value_list_shape, &["flat", "nested"]),
        ];
        for (name, word, allowed) in words {
            if !allowed.contains(&word) {
                return Err(format!("{name} is one of {}", allowed.join(", ")));
            }
        }
        if !self.types_differ() {
            return Err("extra_field_types has a number of its own for each kind".to_owned());
        }
        if self.page_size == 0 || self.page_max == 0 {
            return Err("a page has at least one row".to_owned());
        }
        let statuses = [self.expired_status, self.unknown_id_status, self.create_status];
        let limited = self.rate.iter().map(|rate| rate.status);
        match statuses.into_iter().chain(limited).find(|status| !(200..600).contains(status)) {
            Some(status) => Err(format!("{status} is not an HTTP status")),
            None => Ok(self),
        }
    }

    fn types_differ(&self) -> bool {
        let mut numbers: Vec<i64> = self.extra_field_types.values().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len() == Kind::ALL.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_a_merge_changes_what_it_names() {
        let merged = Settings::default().merged(&json!({"page_max": 7, "rate": {"per_second": 13}})).expect("good settings");
        assert_eq!((merged.page_max, merged.rate.clone().map(|rate| rate.per_second)), (7, Some(13)));
        let back = merged.merged(&json!({"page_max": 200, "rate": null})).expect("good settings");
        assert_eq!(back, Settings::default());
    }

    #[test]
    fn a_wrong_switch_is_refused() {
        for wrong in [
            json!({"page_maxx": 7}),
            json!({"page_max": 0}),
            json!([]),
            json!({"where_dates": "epoch"}),
            json!({"create_status": 7}),
            json!({"rate": {"per_hour": 1}}),
            json!({"extra_field_types": {"text": 1, "bit": 1}}),
        ] {
            assert!(Settings::default().merged(&wrong).is_err(), "{wrong}");
        }
    }
}
