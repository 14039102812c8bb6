//! Everything about the simulated org that can be switched at run time.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `page_size` | 2000 | rows on a full page |
//! | `jitter_pages` | false | pages shrink at random, never below `jitter_min` |
//! | `jitter_min` | 200 | |
//! | `shuffle_ties` | false | rows that ORDER BY leaves tied come in another order on each page |
//! | `locator_ttl` | 900 | seconds a query locator lives unused |
//! | `max_cursors` | 10 | open locators per user; one more evicts the oldest |
//! | `token_ttl` | 7200 | seconds a session lives unused |
//! | `rotate_refresh` | false | each refresh gives a new refresh token and kills the old |
//! | `fail_grant` | null | every token request fails with this `error_description` |
//! | `login_host` | false | behave as login.salesforce.com: no client credentials |
//! | `static_token` | null | an access token that always works |
//! | `jwt_public_key` | null | PEM; JWT assertions must be signed with it |
//! | `daily_max` | 100000 | API calls in 24 h |
//! | `latency_ms` | 0 | added to every call |
//! | `is_sandbox` | false | what Organization says |
//! | `lock_activated_orders` | false | the user lacks *Edit Activated Orders* |
//! | `bulk_delay_polls` | 0 | polls a bulk job stays `InProgress` |
//! | `bin_days` | 15 | days a deleted row stays in the recycle bin |

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "a panel of independent switches")]
pub struct Settings {
    pub page_size: usize,
    pub jitter_pages: bool,
    pub jitter_min: usize,
    pub shuffle_ties: bool,
    pub locator_ttl: i64,
    pub max_cursors: usize,
    pub token_ttl: i64,
    pub rotate_refresh: bool,
    pub fail_grant: Option<String>,
    pub login_host: bool,
    pub static_token: Option<String>,
    pub jwt_public_key: Option<String>,
    pub daily_max: u64,
    pub latency_ms: u64,
    pub is_sandbox: bool,
    pub lock_activated_orders: bool,
    pub bulk_delay_polls: u32,
    pub bin_days: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: 2000,
            jitter_pages: false,
            jitter_min: 200,
            shuffle_ties: false,
            locator_ttl: 15 * 60,
            max_cursors: 10,
            token_ttl: 2 * 60 * 60,
            rotate_refresh: false,
            fail_grant: None,
            login_host: false,
            static_token: None,
            jwt_public_key: None,
            daily_max: 100_000,
            latency_ms: 0,
            is_sandbox: false,
            lock_activated_orders: false,
            bulk_delay_polls: 0,
            bin_days: 15,
        }
    }
}

impl Settings {
    /// Changes the one setting of this name.
    ///
    /// # Errors
    /// When there is no such setting or the value is not of its type; nothing is changed then.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let mut whole = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        let slot = whole.get_mut(key).ok_or_else(|| format!("there is no setting `{key}`"))?;
        *slot = value.clone();
        let changed: Self = serde_json::from_value(whole).map_err(|error| format!("setting `{key}`: {error}"))?;
        *self = changed;
        self.page_size = self.page_size.max(1);
        self.jitter_min = self.jitter_min.max(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_setting_changes_and_nonsense_changes_nothing() {
        let mut settings = Settings::default();
        settings.set("page_size", &json!(7)).expect("a setting");
        assert_eq!(settings.page_size, 7);
        assert!(settings.set("page_size", &json!("many")).is_err());
        assert!(settings.set("colour", &json!(1)).is_err());
        assert_eq!(settings.page_size, 7);
    }
}
