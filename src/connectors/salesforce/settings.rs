//! How to reach one Salesforce org. Secrets are held in types whose Debug prints dots.

use secrecy::SecretString;
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Settings {
    /// My Domain or login host; where tokens come from.
    pub login_url: String,
    /// `66.0`
    pub api_version: String,
    pub flow: Flow,
    /// Hosts a token may be sent to, with a leading `*.` for any subdomain. Loopback is always allowed.
    pub allowed_hosts: Vec<String>,
    /// Where a rotated refresh token is persisted before it is used (0600).
    pub token_file: Option<PathBuf>,
    /// Seconds re-read before the watermark; late commits up to this age are seen at once.
    pub lookback_s: u32,
    /// Part of the org's daily API allowance, in percent, that must stay free for everybody else.
    pub reserve_percent: u8,
    /// Order lines also show `License_Product__c` and `License_Policy__c` of their Product2.
    pub product_fields: bool,
}

#[derive(Debug, Clone)]
pub enum Flow {
    ClientCredentials {
        client_id: String,
        client_secret: SecretString,
    },
    RefreshToken {
        client_id: String,
        client_secret: Option<SecretString>,
        refresh_token: SecretString,
    },
    /// `private_key`: PEM. `audience`: login.salesforce.com, test.salesforce.com or a site URL.
    Jwt {
        client_id: String,
        username: String,
        private_key: SecretString,
        audience: String,
    },
    /// Legacy: password with the security token appended.
    Password {
        client_id: String,
        client_secret: SecretString,
        username: String,
        password: SecretString,
    },
}
