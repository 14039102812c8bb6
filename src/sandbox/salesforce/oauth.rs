//! Logging in: the token endpoint with its four grants, revocation, identity, SOAP login, and the sessions they make.
//!
//! Errors here are an object with `error` and `error_description`, unlike everywhere else.

use std::collections::HashMap;

use aws_lc_rs::{digest, hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::world::{Outcome, World};

#[derive(Default)]
pub struct Sessions {
    open: HashMap<String, Session>,
    refresh: HashMap<String, Refresh>,
    made: u64,
}

struct Session {
    user: Id,
    used: i64,
    /// The family of the refresh token that made it.
    family: Option<u64>,
}

struct Refresh {
    family: u64,
    spent: bool,
}

impl Sessions {
    pub fn end_all(&mut self) {
        self.open.clear();
    }
}

/// An OAuth error: `error`, `error_description`.
type Denied = (&'static str, String);

impl World {
    /// The user behind an access token; using it keeps it alive.
    pub(super) fn session(&mut self, token: &str) -> Outcome<Id> {
        let ended = || SfError::new(401, "INVALID_SESSION_ID", "Session expired or invalid");
        if self.settings.static_token.as_deref() == Some(token) {
            return Ok(self.integration);
        }
        let (now, ttl) = (self.now(), self.settings.token_ttl);
        let session = self.sessions.open.get_mut(token).ok_or_else(ended)?;
        if session.used + ttl <= now {
            self.sessions.open.remove(token);
            return Err(ended());
        }
        session.used = now;
        Ok(session.user)
    }

    /// A token for tests and the demo that need no login.
    pub fn mint_token(&mut self) -> String {
        self.open_session(None)
    }

    pub(super) fn token(&mut self, call: &Call) -> Reply {
        self.count("token", 0);
        match self.grant(call) {
            Ok(reply) => Reply::json(200, reply.to_string()).with("Cache-Control", "no-store"),
            Err((error, description)) => denied(error, &description),
        }
    }

    fn grant(&mut self, call: &Call) -> Result<Value, Denied> {
        let form = Form::of(call);
        if let Some(description) = self.settings.fail_grant.clone() {
            return Err(("invalid_grant", description));
        }
        match form.get("grant_type") {
            Some("client_credentials") => {
                self.client(&form, true)?;
                if self.settings.login_host {
                    return Err(("invalid_grant", "request not supported on this domain".to_owned()));
                }
                Ok(self.token_reply(None, None))
            }
            Some("password") => {
                self.client(&form, true)?;
                self.password(form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default())?;
                Ok(self.token_reply(None, None))
            }
            Some("refresh_token") => self.refresh(&form),
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                self.assertion(form.get("assertion").unwrap_or_default())?;
                let mut reply = self.token_reply(None, None);
                if let Some(reply) = reply.as_object_mut() {
                    reply.remove("signature");
                    reply.remove("issued_at");
                }
                Ok(reply)
            }
            _ => Err(("unsupported_grant_type", "grant type not supported".to_owned())),
        }
    }

    fn client(&self, form: &Form, secret: bool) -> Result<(), Denied> {
        if form.get("client_id") != Some(self.options.client_id.as_str()) {
            return Err(("invalid_client_id", "client identifier invalid".to_owned()));
        }
        if secret && form.get("client_secret") != Some(self.options.client_secret.as_str()) {
            return Err(("invalid_client", "invalid client credentials".to_owned()));
        }
        Ok(())
    }

    fn password(&self, username: &str, password: &str) -> Result<(), Denied> {
        // A security token may be appended to the password.
        let known = username == self.options.username && password.starts_with(&self.options.password);
        if known { Ok(()) } else { Err(("invalid_grant", "authentication failure".to_owned())) }
    }

    fn refresh(&mut self, form: &Form) -> Result<Value, Denied> {
        self.client(form, form.get("client_secret").is_some())?;
        let expired = || ("invalid_grant", "expired access/refresh token".to_owned());
        let token = form.get("refresh_token").unwrap_or_default();
        if token == self.options.refresh_token && !self.sessions.refresh.contains_key(token) {
            self.sessions.refresh.insert(token.to_owned(), Refresh { family: 0, spent: false });
        }
        let known = self.sessions.refresh.get_mut(token).ok_or_else(expired)?;
        let family = known.family;
        if known.spent {
            // A spent token that comes again was stolen, or its successor was lost: the whole family ends.
            self.end_family(family);
            return Err(expired());
        }
        if !self.settings.rotate_refresh {
            return Ok(self.token_reply(Some(family), None));
        }
        known.spent = true;
        let next = format!("5Aep861{}", self.secret("refresh", 43));
        self.sessions.refresh.insert(next.clone(), Refresh { family, spent: false });
        Ok(self.token_reply(Some(family), Some(next)))
    }

    fn end_family(&mut self, family: u64) {
        for refresh in self.sessions.refresh.values_mut().filter(|refresh| refresh.family == family) {
            refresh.spent = true;
        }
        self.sessions.open.retain(|_, session| session.family != Some(family));
    }

    fn assertion(&self, assertion: &str) -> Result<(), Denied> {
        let invalid = |text: &str| ("invalid_grant", text.to_owned());
        let mut parts = assertion.split('.');
        let (Some(header), Some(claims), Some(signed), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(invalid("invalid assertion"));
        };
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let (head, body) = (part(header), part(claims));
        let (Some(head), Some(body)) = (head, body) else {
            return Err(invalid("invalid assertion"));
        };
        if head["alg"] != "RS256" {
            return Err(invalid("algorithm not supported"));
        }
        if let Some(pem) = &self.settings.jwt_public_key {
            let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| invalid("invalid assertion"))?;
            let message = format!("{header}.{claims}");
            let verified = public_key(pem).is_some_and(|key| {
                let key = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key);
                key.verify(message.as_bytes(), &signed).is_ok()
            });
            if !verified {
                return Err(invalid("invalid assertion"));
            }
        }
        if body["iss"] != self.options.client_id.as_str() {
            return Err(("invalid_client_id", "client identifier invalid".to_owned()));
        }
        let audience = body["aud"].as_str().unwrap_or_default().trim_end_matches('/');
        let own = self.base_url.as_str();
        if !["https://login.salesforce.com", "https://test.salesforce.com", own].contains(&audience) {
            return Err(invalid("audience is invalid"));
        }
        let expires = body["exp"].as_i64().or_else(|| body["exp"].as_str()?.parse().ok());
        if expires.is_none_or(|expires| expires + SKEW_SECONDS < self.now()) {
            return Err(invalid("expired authorization code"));
        }
        if body["sub"] != self.options.username.as_str() {
            return Err(invalid("user hasn't approved this consumer"));
        }
        Ok(())
    }

    fn token_reply(&mut self, family: Option<u64>, refresh: Option<String>) -> Value {
        let access = self.open_session(family);
        let id = self.identity_url();
        let issued = self.clock().now().timestamp_millis().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.options.client_secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, format!("{id}{issued}").as_bytes()));
        let mut reply = json!({
            "access_token": access, "signature": signature, "scope": "api refresh_token", "instance_url": self.base_url, "id": id,
            "token_type": "Bearer", "issued_at": issued,
        });
        if let Some(refresh) = refresh {
            reply["refresh_token"] = json!(refresh);
        }
        reply
    }

    fn open_session(&mut self, family: Option<u64>) -> String {
        let secret = self.secret("access", 90);
        let token = format!("{}!AQ0{secret}", self.org.short());
        let (user, used) = (self.integration, self.now());
        let session = Session { user, used, family };
        self.sessions.open.insert(token.clone(), session);
        token
    }

    /// Text that cannot be guessed from another, and is the same in every run.
    fn secret(&mut self, purpose: &str, length: usize) -> String {
        self.sessions.made += 1;
        let mut text = String::new();
        for block in 0..2 {
            let seed = format!("{purpose} {block} {} {} {}", self.sessions.made, self.org, self.options.client_secret);
            text += &URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, seed.as_bytes()));
            text += &URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
        }
        text.truncate(length);
        text.replace('-', ".")
    }

    pub(super) fn revoke(&mut self, call: &Call) -> Reply {
        let form = Form::of(call);
        let token = form.get("token").unwrap_or_default().to_owned();
        if self.sessions.open.remove(&token).is_some() {
            return Reply::empty(200);
        }
        let first = token == self.options.refresh_token && !self.sessions.refresh.contains_key(&token);
        if first {
            self.sessions.refresh.insert(token.clone(), Refresh { family: 0, spent: false });
        }
        match self.sessions.refresh.get(&token).map(|refresh| refresh.family) {
            Some(family) => {
                self.end_family(family);
                Reply::empty(200)
            }
            None => denied("invalid_token", "invalid token"),
        }
    }

    pub(super) fn identity_url(&self) -> String {
        format!("{}/id/{}/{}", self.base_url, self.org, self.integration)
    }

    pub(super) fn identity(&self, user: Id) -> Reply {
        let seen = |name: &str| {
            self.schema.find("User").and_then(|at| Some(self.along(at, self.tables[at].rows.get(&user)?, name).text())).unwrap_or_default()
        };
        let rest = format!("{}/services/data/v{{version}}/", self.base_url);
        let urls = json!({
            "enterprise": format!("{}/services/Soap/c/{{version}}/{}", self.base_url, self.org.short()),
            "partner": format!("{}/services/Soap/u/{{version}}/{}", self.base_url, self.org.short()),
            "rest": rest, "sobjects": format!("{rest}sobjects/"), "query": format!("{rest}query/"), "profile": format!("{}/{user}", self.base_url),
            "custom_domain": self.base_url,
        });
        let body = json!({
            "id": self.identity_url(), "asserted_user": true, "user_id": user.as_str(), "organization_id": self.org.as_str(),
            "username": seen("Username"), "nick_name": seen("CommunityNickname"), "display_name": seen("Name"), "email": seen("Email"),
            "email_verified": true, "first_name": seen("FirstName"), "last_name": seen("LastName"), "timezone": "GMT", "active": true,
            "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": 0, "urls": urls, "is_app_installed": true,
        });
        Reply::json(200, body.to_string())
    }

    pub(super) fn userinfo(&self, user: Id) -> Reply {
        let seen = |name: &str| {
            self.schema.find("User").and_then(|at| Some(self.along(at, self.tables[at].rows.get(&user)?, name).text())).unwrap_or_default()
        };
        let body = json!({
            "sub": self.identity_url(), "user_id": user.as_str(), "organization_id": self.org.as_str(), "preferred_username": seen("Username"),
            "nickname": seen("CommunityNickname"), "name": seen("Name"), "email": seen("Email"), "email_verified": true,
            "given_name": seen("FirstName"), "family_name": seen("LastName"), "zoneinfo": "GMT", "active": true, "user_type": "STANDARD",
            "language": "en_US", "locale": "en_US", "utcOffset": 0, "profile": format!("{}/{user}", self.base_url),
        });
        Reply::json(200, body.to_string())
    }

    /// `login()` of the partner API, which ended with v65.
    pub(super) fn soap(&mut self, call: &Call, version: &str) -> Reply {
        let number: f64 = version.parse().unwrap_or(0.0);
        if !(31.0..65.0).contains(&number) {
            return soap_fault("UNSUPPORTED_API_VERSION", "login() is not available in this API version");
        }
        self.count("token", 0);
        let text = String::from_utf8_lossy(&call.body);
        let element = |name: &str| {
            let open = text.find(&format!("{name}>"))? + name.len() + 1;
            let close = open + text[open..].find("</")?;
            quick_xml::escape::unescape(&text[open..close]).ok().map(std::borrow::Cow::into_owned)
        };
        let known = self.password(&element("username").unwrap_or_default(), &element("password").unwrap_or_default());
        if known.is_err() {
            return soap_fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.");
        }
        let session = self.open_session(None);
        let server = format!("{}/services/Soap/u/{version}/{}", self.base_url, self.org.short());
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns=\"urn:partner.soap.sforce.com\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body><loginResponse><result>\
             <metadataServerUrl>{}</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>{}</sandbox><serverUrl>{server}</serverUrl>\
             <sessionId>{session}</sessionId><userId>{user}</userId><userInfo><organizationId>{}</organizationId><organizationName>{}</organizationName>\
             <sessionSecondsValid>{}</sessionSecondsValid><userEmail>{name}</userEmail><userFullName>Lockstep Integration</userFullName>\
             <userId>{user}</userId><userName>{name}</userName></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>",
            server.replace("/u/", "/m/"),
            self.settings.is_sandbox,
            self.org,
            quick_xml::escape::escape(self.options.org_name.as_str()),
            self.settings.token_ttl,
            user = self.integration,
            name = quick_xml::escape::escape(self.options.username.as_str()),
        );
        Reply { content_type: "text/xml; charset=utf-8", ..Reply::json(200, body) }
    }
}

/// The grace that is given past `exp`.
const SKEW_SECONDS: i64 = 180;

fn soap_fault(code: &str, text: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:sf=\"urn:fault.partner.soap.sforce.com\"><soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {text}</faultstring>\
         </soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    );
    Reply { content_type: "text/xml; charset=utf-8", ..Reply::json(500, body) }
}

fn denied(error: &str, description: &str) -> Reply {
    Reply::json(400, json!({"error": error, "error_description": description}).to_string())
}

/// DER of a PEM public key: the inner `RSAPublicKey` or the whole `SubjectPublicKeyInfo`, both are understood.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(text).ok()
}

/// The parameters of a token request, Basic credentials included.
struct Form(Vec<(String, String)>);

impl Form {
    fn of(call: &Call) -> Self {
        let mut form: Vec<(String, String)> = url::form_urlencoded::parse(&call.body).into_owned().collect();
        form.extend(call.query.iter().cloned());
        let basic = call.header("authorization").and_then(|header| header.strip_prefix("Basic "));
        let pair = basic.and_then(|basic| STANDARD.decode(basic).ok()).and_then(|pair| String::from_utf8(pair).ok());
        if let Some((id, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            form.push(("client_id".to_owned(), plain(id)));
            form.push(("client_secret".to_owned(), plain(secret)));
        }
        Self(form)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
