//! How to reach one LicenseSpring company.

use secrecy::SecretString;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://saas.licensespring.com`; without the `/api/v1` prefix.
    pub url: String,
    pub api_key: SecretString,
    /// What the vendor plan allows the company per 60 s; half of it is used. `None`: no proactive limit (loopback).
    pub requests_per_minute: Option<u32>,
    /// Company number in deep links to the platform's pages.
    pub company: Option<String>,
    /// Planted in each record we create: `metadata.lockstep.connection`.
    pub connection: String,
}
