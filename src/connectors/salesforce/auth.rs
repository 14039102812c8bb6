//! Tokens: four ways to get one, one owner, one at a time, and sent nowhere but to the host they came with.
//!
//! Source: Salesforce Help, "OAuth Authorization Flows". The reply has no `expires_in`: a token is renewed when the org
//! refuses it, never by the clock.

use super::clock::Clock;
use super::settings::{Flow, Settings};
use super::token_file;
use crate::connectors::http::{self, Answer, Counters, Http};
use crate::connectors::{Fault, FaultKind};
use crate::record::SalesforceId;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthType, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse,
    RefreshToken, RequestTokenError, ResourceOwnerPassword, ResourceOwnerUsername, StandardRevocableToken,
    StandardTokenIntrospectionResponse, StandardTokenResponse, TokenResponse, TokenUrl,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// A refusal is remembered this long: asking again with the same secret changes nothing and counts as a login.
const REFUSED_FOR: Duration = Duration::from_secs(300);
/// Far below the 3,600 logins per user and hour above which Salesforce locks us out for an hour.
const MINTS: usize = 30;
const MINTS_WITHIN: Duration = Duration::from_secs(600);
const TOKEN_BODY_MAX_BYTES: usize = 64 * 1024;
/// Salesforce's sample uses 300 s and the page grants three minutes of skew; a client assertion must stay below five.
const ASSERTION_LIVES_S: i64 = 175;

/// A token and where it may go.
#[derive(Debug)]
pub struct Session {
    token: SecretString,
    pub instance: Url,
    pub organization: Option<SalesforceId>,
    number: u64,
}

impl Session {
    pub fn authorization(&self) -> Result<reqwest::header::HeaderValue, Fault> {
        http::secret_header(&format!("Bearer {}", self.token.expose_secret()))
    }
}

#[derive(Debug)]
pub struct Auth {
    mint: Arc<Mint>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    session: Option<Arc<Session>>,
    refused: Option<(Fault, Instant)>,
    /// The one that is good now, for the refresh flow.
    refresh: Option<SecretString>,
    /// A session whose new refresh token could not be written down yet: not used until it is.
    unsaved: Option<Arc<Session>>,
    /// The org behind the first token; another one later is refused.
    organization: Option<SalesforceId>,
    minted: VecDeque<Instant>,
    count: u64,
}

impl Auth {
    pub fn new(settings: &Settings, http: Http, clock: Arc<Clock>, counters: Arc<Counters>) -> Result<Self, Fault> {
        let login = http::base_url(&settings.login_url)?;
        let shared = matches!(login.host_str(), Some("login.salesforce.com" | "test.salesforce.com"));
        if shared && matches!(settings.flow, Flow::ClientCredentials { .. }) {
            let text = "the client credentials flow needs the org's My Domain host (https://….my.salesforce.com) as login URL";
            return Err(Fault::new(FaultKind::Setup, "not-my-domain", text));
        }
        let mut token_url = login;
        token_url.set_path("/services/oauth2/token");
        token_url.set_query(None);
        let refresh = match &settings.flow {
            Flow::RefreshToken { refresh_token, .. } => Some(token_file::load(settings.token_file.as_deref(), refresh_token)?),
            Flow::ClientCredentials { .. } | Flow::Jwt { .. } | Flow::Password { .. } => None,
        };
        let state = State { session: None, refused: None, refresh, unsaved: None, organization: None, minted: VecDeque::new(), count: 0 };
        let mint = Mint { settings: settings.clone(), token_url, wire: OauthHttp { http, clock, counters } };
        Ok(Self { mint: Arc::new(mint), state: Arc::new(Mutex::new(state)) })
    }

    /// The session to use, minted if there is none.
    pub async fn session(&self) -> Result<Arc<Session>, Fault> {
        let state = Arc::clone(&self.state).lock_owned().await;
        match &state.session {
            Some(session) => Ok(Arc::clone(session)),
            None => self.mint(state).await,
        }
    }

    /// After the org refused this session: a new one, unless somebody else has made it meanwhile.
    pub async fn renew(&self, stale: &Session) -> Result<Arc<Session>, Fault> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        match &state.session {
            Some(session) if session.number != stale.number => Ok(Arc::clone(session)),
            Some(_) | None => {
                state.session = None;
                self.mint(state).await
            }
        }
    }

    /// In a task of its own: a caller that stops waiting must not lose a refresh token that is already rotated.
    async fn mint(&self, mut state: OwnedMutexGuard<State>) -> Result<Arc<Session>, Fault> {
        let mint = Arc::clone(&self.mint);
        let task = tokio::spawn(async move { state.mint(&mint).await });
        task.await.unwrap_or_else(|e| Err(Fault::new(FaultKind::Retry, "token-task", e.to_string())))
    }
}

impl State {
    async fn mint(&mut self, mint: &Mint) -> Result<Arc<Session>, Fault> {
        if let Some((fault, at)) = &self.refused {
            if at.elapsed() < REFUSED_FOR {
                return Err(fault.clone());
            }
            self.refused = None;
        }
        if self.unsaved.is_none() {
            self.count_mint()?;
            if let Err(fault) = self.ask(mint).await {
                if fault.kind == FaultKind::Credentials {
                    self.refused = Some((fault.clone(), Instant::now()));
                }
                // Nothing of the caller's own request was sent, whatever became of the token's.
                return Err(if matches!(fault.kind, FaultKind::Unknown | FaultKind::Answer) { mint.unknown(fault) } else { fault });
            }
        }
        if let Some(session) = &self.unsaved {
            mint.keep(self.refresh.as_ref()).await?;
            self.session = Some(Arc::clone(session));
            self.unsaved = None;
        }
        self.session.clone().ok_or_else(|| Fault::new(FaultKind::Credentials, "no-session", "no session"))
    }

    async fn ask(&mut self, mint: &Mint) -> Result<(), Fault> {
        let reply = mint.token(self.refresh.as_ref()).await?;
        let rotated = reply.refresh_token().map(|t| SecretString::from(t.secret().clone()));
        let rotated = rotated.filter(|new| self.refresh.as_ref().is_some_and(|old| old.expose_secret() != new.expose_secret()));
        // From here on the old refresh token is dead: the new one is kept even if the rest of the reply is refused.
        let is_new = rotated.is_some();
        if is_new {
            self.refresh = rotated;
        }
        let session = match mint.session(&reply, self.count, self.organization.as_ref()) {
            Ok(session) => Arc::new(session),
            Err(fault) => {
                if is_new {
                    mint.keep(self.refresh.as_ref()).await?;
                }
                return Err(fault);
            }
        };
        self.count += 1;
        self.organization = session.organization.clone().or(self.organization.take());
        if is_new {
            self.unsaved = Some(session);
        } else {
            self.session = Some(session);
        }
        Ok(())
    }

    fn count_mint(&mut self) -> Result<(), Fault> {
        while self.minted.front().is_some_and(|at| at.elapsed() > MINTS_WITHIN) {
            self.minted.pop_front();
        }
        if self.minted.len() >= MINTS {
            let text = format!("{MINTS} tokens were asked for within {} minutes; the org keeps refusing them", MINTS_WITHIN.as_secs() / 60);
            return Err(Fault::new(FaultKind::BackOff, "too-many-tokens", text));
        }
        self.minted.push_back(Instant::now());
        Ok(())
    }
}

/// What Salesforce sends beside the standard fields.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Extra {
    instance_url: Option<String>,
    id: Option<String>,
}
impl ExtraTokenFields for Extra {}

type Reply = StandardTokenResponse<Extra, BasicTokenType>;
type OauthClient<Token = EndpointSet> = Client<
    BasicErrorResponse,
    Reply,
    StandardTokenIntrospectionResponse<Extra, BasicTokenType>,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    Token,
>;
type Refusal = RequestTokenError<Fault, BasicErrorResponse>;

/// How tokens are asked for. Holds no state, so that it can be used from a task.
#[derive(Debug)]
struct Mint {
    settings: Settings,
    token_url: Url,
    wire: OauthHttp,
}

impl Mint {
    async fn token(&self, refresh: Option<&SecretString>) -> Result<Reply, Fault> {
        let reply = match &self.settings.flow {
            Flow::ClientCredentials { client_id, client_secret } => {
                self.client(client_id, Some(client_secret)).exchange_client_credentials().request_async(&self.wire).await
            }
            Flow::RefreshToken { client_id, client_secret, refresh_token } => {
                let token = RefreshToken::new(refresh.unwrap_or(refresh_token).expose_secret().to_owned());
                self.client(client_id, client_secret.as_ref()).exchange_refresh_token(&token).request_async(&self.wire).await
            }
            Flow::Password { client_id, client_secret, username, password } => {
                let (user, word) =
                    (ResourceOwnerUsername::new(username.clone()), ResourceOwnerPassword::new(password.expose_secret().to_owned()));
                self.client(client_id, Some(client_secret)).exchange_password(&user, &word).request_async(&self.wire).await
            }
            Flow::Jwt { client_id, username, private_key, audience } => {
                let before = self.wire.clock.is_known();
                let sign = || assertion(private_key, client_id, username, audience, self.wire.clock.guess().timestamp());
                let mut reply = self.jwt_bearer(&sign()?).await;
                // The first assertion was dated by our own clock; the refusal told us the org's.
                if !before && matches!(reply, Err(RequestTokenError::ServerResponse(_))) && self.skew_s() > 60 {
                    reply = self.jwt_bearer(&sign()?).await;
                }
                reply
            }
        };
        reply.map_err(refused)
    }

    fn skew_s(&self) -> i64 {
        (self.wire.clock.guess() - chrono::Utc::now()).num_seconds().abs()
    }

    fn client(&self, id: &str, secret: Option<&SecretString>) -> OauthClient {
        let mut client: OauthClient<EndpointNotSet> = Client::new(ClientId::new(id.to_owned())).set_auth_type(AuthType::RequestBody);
        if let Some(secret) = secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        client.set_token_uri(TokenUrl::from_url(self.token_url.clone()))
    }

    /// RFC 7523. oauth2 has no builder for extension grants, so the form is our own and the documents are the crate's.
    async fn jwt_bearer(&self, assertion: &str) -> Result<Reply, Refusal> {
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)];
        let other = |text: String| RequestTokenError::Other(text);
        let body = serde_urlencoded::to_string(form).map_err(|e| other(e.to_string()))?;
        let request = oauth2::http::Request::post(self.token_url.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body.into_bytes())
            .map_err(|e| other(e.to_string()))?;
        let response = self.wire.call(request).await.map_err(RequestTokenError::Request)?;
        let json = &mut serde_json::Deserializer::from_slice(response.body());
        if response.status().is_success() {
            return serde_path_to_error::deserialize(json).map_err(|e| RequestTokenError::Parse(e, Vec::new()));
        }
        let refusal: BasicErrorResponse = serde_path_to_error::deserialize(json).map_err(|e| RequestTokenError::Parse(e, Vec::new()))?;
        Err(RequestTokenError::ServerResponse(refusal))
    }

    /// Takes a reply apart, and refuses a token that would have to be sent to a stranger or belongs to another org.
    fn session(&self, reply: &Reply, number: u64, pinned: Option<&SalesforceId>) -> Result<Session, Fault> {
        let extra = reply.extra_fields();
        let text = extra.instance_url.as_deref().unwrap_or_default();
        let instance =
            http::base_url(text).map_err(|e| Fault::new(FaultKind::Credentials, "bad-instance", format!("instance_url: {}", e.message)))?;
        if !self.may_go_to(&instance) {
            let host = instance.host_str().unwrap_or("?");
            let allowed = self.settings.allowed_hosts.join(", ");
            let why =
                format!("the token came with the instance host {host}, which is not in allowed-hosts ({allowed}); it was not sent there");
            return Err(Fault::new(FaultKind::Credentials, "foreign-host", why));
        }
        let organization = extra.id.as_deref().and_then(organization_of);
        if let (Some(pinned), Some(now)) = (pinned, &organization)
            && pinned != now
        {
            let why = format!("these credentials led to org {pinned} before and lead to org {now} now");
            return Err(Fault::new(FaultKind::Credentials, "another-org", why));
        }
        Ok(Session { token: SecretString::from(reply.access_token().secret().clone()), instance, organization, number })
    }

    fn may_go_to(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        http::is_loopback(url) || self.settings.allowed_hosts.iter().any(|pattern| host_matches(pattern, host))
    }

    async fn keep(&self, refresh: Option<&SecretString>) -> Result<(), Fault> {
        let (Flow::RefreshToken { refresh_token, .. }, Some(new)) = (&self.settings.flow, refresh) else { return Ok(()) };
        match &self.settings.token_file {
            Some(path) => token_file::save(path.clone(), refresh_token, new).await,
            None => {
                tracing::warn!("the org rotates refresh tokens and there is no file to keep the new one in: it is lost at exit");
                Ok(())
            }
        }
    }

    /// A refresh whose answer was lost may have rotated the token; asking again at once could revoke its family.
    fn unknown(&self, fault: Fault) -> Fault {
        let kind = if matches!(self.settings.flow, Flow::RefreshToken { .. }) { FaultKind::BackOff } else { FaultKind::Retry };
        Fault { kind, message: format!("asking for a token: {}", fault.message), ..fault }
    }
}

/// `*.salesforce.com` stands for any subdomain, at any depth, and not for the domain itself.
fn host_matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
        None => host == pattern,
    }
}

/// `https://login.salesforce.com/id/<organization>/<user>`
fn organization_of(id: &str) -> Option<SalesforceId> {
    let (head, _user) = id.trim_end_matches('/').rsplit_once('/')?;
    SalesforceId::parse(head.rsplit_once('/')?.1).ok()
}

/// `error` and `error_description` are all there is to tell a dozen causes of `invalid_grant` apart: both are kept.
fn refused(refusal: Refusal) -> Fault {
    match refusal {
        RequestTokenError::ServerResponse(e) => {
            let code = e.error().as_ref().to_owned();
            let kind = match code.as_str() {
                "rate_limit_exceeded" | "LOGIN_RATE_EXCEEDED" => FaultKind::BackOff,
                "server_error" | "temporarily_unavailable" => FaultKind::Retry,
                _ => FaultKind::Credentials,
            };
            let why = e.error_description().map_or("no description given", String::as_str);
            Fault::new(kind, code, format!("the org gave no token: {}", why.chars().take(300).collect::<String>()))
        }
        RequestTokenError::Request(fault) => fault,
        RequestTokenError::Parse(e, _) => {
            let why = format!("the token reply has not the documented shape at {}", e.path());
            Fault::new(FaultKind::Answer, "token-reply", why)
        }
        RequestTokenError::Other(why) => Fault::new(FaultKind::Answer, "token-reply", why),
    }
}

/// RS256 over the four claims Salesforce reads.
fn assertion(pem: &SecretString, client_id: &str, username: &str, audience: &str, now_s: i64) -> Result<String, Fault> {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    use rustls_pki_types::{PrivateKeyDer, pem::PemObject};

    let bad = |why: &str| Fault::new(FaultKind::Credentials, "private-key", format!("the private key {why}"));
    let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| bad("is not a PEM file"))?;
    let key = match &der {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(bad("is not an RSA key")),
    }
    .map_err(|_| bad("is not an RSA key of at least 2048 bits"))?;
    let claims = serde_json::json!({ "iss": client_id, "sub": username, "aud": audience, "exp": now_s + ASSERTION_LIVES_S });
    let signed = format!("{}.{}", B64.encode(br#"{"alg":"RS256"}"#), B64.encode(claims.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| bad("does not sign"))?;
    Ok(format!("{signed}.{}", B64.encode(signature)))
}

/// The oauth2 crate over our own client.
#[derive(Debug, Clone)]
struct OauthHttp {
    http: Http,
    clock: Arc<Clock>,
    counters: Arc<Counters>,
}

impl<'c> AsyncHttpClient<'c> for OauthHttp {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Fault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string()).map_err(|e| Fault::new(FaultKind::Setup, "bad-url", e.to_string()))?;
            self.counters.other();
            let answer = self.http.send(self.http.request(parts.method, url)?.headers(parts.headers).body(body)).await?;
            self.clock.observe(answer.date());
            readable(&answer)?;
            let mut response = oauth2::http::Response::builder().status(answer.status);
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers;
            }
            response.body(answer.body.to_vec()).map_err(|e| Fault::new(FaultKind::Answer, "token-reply", e.to_string()))
        })
    }
}

/// Only what can be a token document goes on to the parser.
fn readable(answer: &Answer) -> Result<(), Fault> {
    let status = answer.status.as_u16();
    if status >= 500 || status == 429 || status == 420 {
        let fault = Fault::new(FaultKind::Retry, format!("http-{status}"), format!("the token endpoint answered status {status}"));
        return Err(Fault { retry_after_s: answer.retry_after_s(), ..fault });
    }
    if answer.body.len() > TOKEN_BODY_MAX_BYTES {
        return Err(Fault::new(FaultKind::Answer, "token-reply", format!("a token reply of {} bytes", answer.body.len())));
    }
    answer.must_look_like_json()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts_a_token_may_go_to() {
        for (pattern, host, fits) in [
            ("*.salesforce.com", "acme.my.salesforce.com", true),
            ("*.my.salesforce.com", "acme.MY.salesforce.com", true),
            ("*.salesforce.com", "salesforce.com", false),
            ("*.salesforce.com", "evilsalesforce.com", false),
            ("*.salesforce.com", ".salesforce.com", false),
            ("*.salesforce.com", "acme.salesforce.com.evil.example", false),
            ("acme.my.salesforce.com", "acme.my.salesforce.com", true),
            ("acme.my.salesforce.com", "x.acme.my.salesforce.com", false),
        ] {
            assert_eq!(host_matches(pattern, host), fits, "{pattern} {host}");
        }
    }

    #[test]
    fn the_organization_is_in_the_identity_url() {
        let id = organization_of("https://login.salesforce.com/id/00Dxx0000001gPFEAY/005xx000001SwiUAAS").unwrap();
        assert_eq!(id.as_str(), "00Dxx0000001gPFEAY");
        assert!(organization_of("https://login.salesforce.com/").is_none());
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_showing_it() {
        let key = SecretString::from("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----".to_owned());
        let fault = assertion(&key, "id", "user", "aud", 0).unwrap_err();
        assert_eq!(fault.code, "private-key");
        assert!(!format!("{fault} {fault:?}").contains("canary"));
    }

    #[test]
    fn an_assertion_verifies_against_its_public_key() {
        use aws_lc_rs::encoding::AsDer;
        use aws_lc_rs::rsa::KeySize;
        use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
        use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD as B64};
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let jws = assertion(&SecretString::from(pem), "key", "sync@acme.example", "https://login.salesforce.com", 1_800_000_000).unwrap();
        let (signed, signature) = jws.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
        public.verify(signed.as_bytes(), &B64.decode(signature).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&B64.decode(signed.split_once('.').unwrap().1).unwrap()).unwrap();
        assert_eq!(claims["exp"], 1_800_000_175);
        assert_eq!(claims["sub"], "sync@acme.example");
    }
}
