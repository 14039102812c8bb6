//! How to reach one ForceManager account, and what its set-up has that no interface tells.

use super::extra::{ExtraField, Kind};
use chrono_tz::Tz;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The vendor's own address.
pub const URL: &str = "https://api.forcemanager.com/api/v4";
/// What every plan allows: the vendor names 4 or 13 requests a second, by plan.
pub const REQUESTS_PER_SECOND: u32 = 3;
/// Stands for a first name that Salesforce does not have where ForceManager does not take an empty one.
pub const PLACEHOLDER: &str = "-";

#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://api.forcemanager.com/api/v4`
    pub url: String,
    pub public_key: SecretString,
    pub private_key: SecretString,
    /// `None`: no proactive limit (loopback).
    pub requests_per_second: Option<u32>,
    /// Zone of the calendar's hours. `None`: the zone of the branch.
    pub time_zone: Option<Tz>,
    /// The branch of accounts and opportunities that name none.
    pub branch: Option<i64>,
    /// The field that carries the Salesforce id: `extId` or an extra field.
    pub link_field: String,
    pub placeholder: String,
    /// Salesforce user id (18 characters) → ForceManager user id: pairs made by hand, before any by name.
    pub users: BTreeMap<String, i64>,
    /// By resource, the extra fields the rules map; they are made if they are not there.
    pub extra_fields: BTreeMap<String, Vec<ExtraField>>,
    /// The vendor's numbers for kinds of extra fields, where no field of that kind is there to learn from.
    pub type_codes: BTreeMap<Kind, i64>,
}
