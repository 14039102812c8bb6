//! How to reach one License Activation Center, and what may be done there.

use chrono_tz::Tz;
use secrecy::SecretString;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Base address of the vendor REST API: the vendor publishes none, its pages show paths below it (`/customers`).
    pub url: String,
    pub username: String,
    pub password: SecretString,
    /// No limit is published; `None`: none of our own (loopback).
    pub requests_per_minute: Option<u32>,
    /// The zone of the service's times, which name none.
    pub time_zone: Tz,
    /// `DELETE /customers/{id}` may be tried. Its page is not published.
    pub delete_customers: bool,
    /// A customer that has license orders may be deleted, with whatever becomes of them.
    pub delete_with_orders: bool,
}
