//! One call to ForceManager: log-in, session key, pace, and what a status means for the call.
//!
//! Source: developer.forcemanager.com, "Authentication", "Errors"; limits from the vendor's own connector (4 or 13 requests
//! a second, by plan). How long a session lasts is not published: it is renewed before an hour is over, and once when the
//! service stops taking it. Knows no resource and no record.

use super::refusal::Refusal;
use crate::connectors::http::{
    Answer, Bucket, Counted, Counters, Http, RESEND_WAIT_MAX_S, Reply, base_url, retry_read, retry_reply, secret_header, write_once,
};
use crate::connectors::{Calls, Fault, FaultKind};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as J, json};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Before any life time that could reasonably be meant by "a session".
const SESSION: Duration = Duration::from_secs(50 * 60);
/// The least wait where the service names none.
const BACK_OFF_S: u64 = 2;
/// No asked-for silence is believed to be longer.
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// What we ask a page to hold. The header's name is disputed, and whether it is obeyed is not relied on.
const PAGE_ROWS: &str = "200";
const PAGE_HEADERS: [&str; 2] = ["count", "x-fm-entity-count"];

/// Why a call did not give what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// 404.
    Missing,
    /// 401 or 403, also with a fresh session: this key may not.
    Denied(Refusal),
    /// Any other refusal: this request will not do.
    Refused(Refusal),
    /// Nothing to do with the record. `FaultKind::Unknown`: a write may or may not have happened.
    Fault(Fault),
}

impl Trouble {
    /// As a fault of the whole reading of `what`.
    pub fn into_fault(self, what: &str) -> Fault {
        match self {
            Self::Missing => Fault::new(FaultKind::Setup, "http-404", format!("{what} is not there: check `url`")),
            Self::Denied(r) => Fault::new(FaultKind::Credentials, r.code, format!("the key may not read {what}: {}", r.message)),
            Self::Refused(r) => Fault::new(FaultKind::Setup, r.code, format!("{what} was refused: {}", r.message)),
            Self::Fault(f) => f,
        }
    }

    /// A read or write by id that may have met a record that is not there any more.
    #[must_use]
    pub fn may_mean_gone(&self) -> bool {
        matches!(self, Self::Missing) || matches!(self, Self::Refused(r) if r.may_mean_gone())
    }
}

/// A refusal is an answer; only a fault is worth another try.
fn passing(told: Result<Answer, Trouble>) -> Result<Result<Answer, Trouble>, Fault> {
    match told {
        Err(Trouble::Fault(fault)) => Err(fault),
        told => Ok(told),
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The connection of one key pair.
pub struct Wire {
    http: Http,
    base: Url,
    public_key: SecretString,
    private_key: SecretString,
    session: Mutex<Option<Session>>,
    bucket: Option<Bucket>,
    closed_until: Mutex<Option<Instant>>,
    counters: Counters,
    /// One call at a time: the limit is on calls, and two at once would only wait for each other.
    turn: Mutex<()>,
}

#[derive(Clone)]
struct Session {
    key: HeaderValue,
    since: Instant,
}

impl Wire {
    pub fn new(url: &str, public_key: &SecretString, private_key: &SecretString, per_second: Option<u32>) -> Result<Self, Fault> {
        let mut base = base_url(url.trim())?;
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        for (key, which) in [(public_key, "public"), (private_key, "private")] {
            if key.expose_secret().trim().is_empty() {
                return Err(Fault::new(FaultKind::Credentials, "no-key", format!("the ForceManager {which} key is empty")));
            }
        }
        // No burst beyond what a second allows.
        let bucket = per_second.map(|n| Bucket::new(f64::from(n.max(1)), 1.0));
        Ok(Self {
            http: Http::new()?,
            base,
            public_key: public_key.clone(),
            private_key: private_key.clone(),
            session: Mutex::default(),
            bucket,
            closed_until: Mutex::default(),
            counters: Counters::default(),
            turn: Mutex::default(),
        })
    }

    pub fn site(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or("?")
    }

    pub fn calls(&self) -> Calls {
        self.counters.snapshot()
    }

    /// Logs in if there is no session; what `check` wants to know.
    pub async fn log_in(&self) -> Result<(), Fault> {
        self.session().await.map(drop)
    }

    /// Reads, repeating what failed in passing.
    pub async fn get(&self, counted: Counted, path: &str, query: &[(&str, String)]) -> Result<Reply, Trouble> {
        self.read(counted, Method::GET, path, query, None).await
    }

    /// A question that the vendor wants posted; it changes nothing.
    pub async fn ask(&self, path: &str, body: &J) -> Result<Reply, Trouble> {
        self.read(Counted::Other, Method::POST, path, &[], Some(body)).await
    }

    async fn read(
        &self,
        counted: Counted,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&J>,
    ) -> Result<Reply, Trouble> {
        retry_reply(async || passing(self.once(counted, method.clone(), path, query, body).await)).await?
    }

    /// Writes once: see [`write_once`].
    pub async fn write(&self, method: Method, path: &str, body: Option<&J>) -> Result<J, Trouble> {
        write_once(async || passing(self.once(Counted::Data, method.clone(), path, &[], body).await)).await?
    }

    /// One call; a session that is not taken any more is renewed once.
    async fn once(
        &self,
        counted: Counted,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&J>,
    ) -> Result<Answer, Trouble> {
        let mut renewed = false;
        loop {
            let session = self.session().await?;
            let mut request = self
                .http
                .request(method.clone(), self.address(path, query))?
                .header(ACCEPT, HeaderValue::from_static("application/json"))
                .header("x-session-key", session.key.clone());
            if method == Method::GET {
                for name in PAGE_HEADERS {
                    request = request.header(name, PAGE_ROWS);
                }
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = self.sent(counted, request).await?;
            if matches!(answer.status.as_u16(), 401 | 403) && !renewed {
                renewed = true;
                self.forget(&session).await;
                continue;
            }
            let told = self.meaning(answer);
            if let Err(Trouble::Fault(fault)) = &told
                && fault.kind == FaultKind::BackOff
            {
                self.hush(Duration::from_secs(fault.retry_after_s.unwrap_or(BACK_OFF_S))).await;
            }
            return told;
        }
    }

    async fn sent(&self, counted: Counted, request: reqwest::RequestBuilder) -> Result<Answer, Fault> {
        let _turn = self.turn.lock().await;
        self.wait().await?;
        self.counters.count(counted);
        self.http.send(request).await
    }

    /// The session, made by whoever comes first; the others wait for it.
    async fn session(&self) -> Result<Session, Fault> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|s| s.since.elapsed() < SESSION) {
            return Ok(session.clone());
        }
        let key = retry_read(|| self.session_key()).await?;
        let session = Session { key, since: Instant::now() };
        *held = Some(session.clone());
        Ok(session)
    }

    async fn session_key(&self) -> Result<HeaderValue, Fault> {
        let body = json!({"username": self.public_key.expose_secret().trim(), "password": self.private_key.expose_secret().trim()});
        let request = self.http.request(Method::POST, self.address("/login", &[]))?.json(&body);
        let answer = self.sent(Counted::Other, request).await?;
        match self.meaning(answer) {
            Ok(answer) => {
                let json: J = answer.json()?;
                let token = json.as_object().and_then(|map| map.iter().find(|(name, _)| name.eq_ignore_ascii_case("token")));
                match token.and_then(|(_, value)| value.as_str()).filter(|t| !t.trim().is_empty()) {
                    Some(token) => secret_header(token.trim()),
                    None => Err(Fault::new(FaultKind::Answer, "no-token", "the answer to the log-in has no token")),
                }
            }
            Err(Trouble::Denied(r) | Trouble::Refused(r)) => {
                Err(Fault::new(FaultKind::Credentials, r.code, format!("ForceManager does not take the key pair: {}", r.message)))
            }
            Err(Trouble::Missing) => Err(Fault::new(FaultKind::Setup, "http-404", "there is no log-in at this address: check `url`")),
            Err(Trouble::Fault(fault)) => Err(fault),
        }
    }

    async fn forget(&self, stale: &Session) {
        let mut held = self.session.lock().await;
        // Somebody else may have renewed it already.
        if held.as_ref().is_some_and(|s| s.since == stale.since) {
            *held = None;
        }
    }

    fn address(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        url
    }

    fn meaning(&self, answer: Answer) -> Result<Answer, Trouble> {
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return Ok(answer);
        }
        let html = answer.must_look_like_json().is_err_and(|f| f.code == "html-body");
        let retry_after_s = answer.retry_after_s();
        let fault = |kind, code: String, message: String| Err(Trouble::Fault(Fault { retry_after_s, ..Fault::new(kind, code, message) }));
        let patient = |message: String| {
            let fault = Fault::new(FaultKind::BackOff, format!("http-{status}"), message);
            Err(Trouble::Fault(Fault { retry_after_s: retry_after_s.or(Some(BACK_OFF_S)), ..fault }))
        };
        let refusal = self.refusal(status, &answer);
        match status {
            // It could not even look: nothing happened.
            400.. if refusal.code == "900" => fault(FaultKind::Retry, refusal.code, refusal.message),
            300..=399 => fault(
                FaultKind::Setup,
                format!("http-{status}"),
                format!("ForceManager answers with a redirect (status {status}): check `url`"),
            ),
            429 => patient("ForceManager asks for fewer calls (status 429)".to_owned()),
            // Sent back unserved where it says for how long.
            503 if retry_after_s.is_some() => patient("ForceManager is not available (status 503)".to_owned()),
            403 if html => patient("a page of HTML refuses the call (status 403)".to_owned()),
            401 | 403 => Err(Trouble::Denied(refusal)),
            404 if html => fault(FaultKind::Answer, "html-body".to_owned(), "a page of HTML says \"not found\" (status 404)".to_owned()),
            404 => Err(Trouble::Missing),
            408 | 425 | 500..=599 => fault(FaultKind::Unknown, format!("http-{status}"), refusal.message),
            _ => Err(Trouble::Refused(refusal)),
        }
    }

    fn refusal(&self, status: u16, answer: &Answer) -> Refusal {
        let mut refusal = Refusal::read(status, &answer.body);
        for secret in [&self.public_key, &self.private_key] {
            let secret = secret.expose_secret().trim();
            if secret.len() >= 4 {
                refusal.message = refusal.message.replace(secret, "…");
            }
        }
        refusal
    }

    /// Waits for its turn; where the service asked for a longer silence than a run should wait, says so instead.
    async fn wait(&self) -> Result<(), Fault> {
        let until = *self.closed_until.lock().await;
        if let Some(until) = until {
            let left = until.saturating_duration_since(Instant::now());
            if left > Duration::from_secs(RESEND_WAIT_MAX_S) {
                let fault = Fault::new(FaultKind::BackOff, "silence-asked", "ForceManager asked for fewer calls and the wait is not over");
                return Err(Fault { retry_after_s: Some(left.as_secs() + 1), ..fault });
            }
            sleep_until(until).await;
        }
        if let Some(bucket) = &self.bucket {
            bucket.take().await;
        }
        Ok(())
    }

    async fn hush(&self, wait: Duration) {
        let mut until = self.closed_until.lock().await;
        *until = until.max(Some(Instant::now() + wait.min(SILENCE_MAX)));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn wire(url: &str) -> Wire {
        Wire::new(url, &"canary-public".into(), &"canary-private".into(), Some(3)).unwrap()
    }

    fn told(status: u16, body: &str) -> Result<(), Trouble> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        wire("https://api.forcemanager.com/api/v4").meaning(answer).map(|_| ())
    }

    #[test]
    fn addresses_are_the_documented_ones_and_everything_in_them_is_encoded() {
        for url in ["https://api.forcemanager.com/api/v4", "https://api.forcemanager.com/api/v4/"] {
            let url = wire(url).address("/accounts", &[("where", "name='a&b''c'".to_owned()), ("page", "0".to_owned())]);
            assert_eq!(url.as_str(), "https://api.forcemanager.com/api/v4/accounts?where=name%3D%27a%26b%27%27c%27&page=0");
        }
    }

    #[test]
    fn a_status_means_one_thing() {
        let fault = |r: Result<(), Trouble>| match r.unwrap_err() {
            Trouble::Fault(f) => f.kind,
            t => panic!("{t:?}"),
        };
        let says = r#"{"message":"no"}"#;
        assert!(told(200, "{}").is_ok() && told(201, "{}").is_ok());
        assert_eq!(told(404, says).unwrap_err(), Trouble::Missing);
        assert_eq!(fault(told(404, "<html>")), FaultKind::Answer, "a proxy's 404 proves nothing");
        assert!(matches!(told(401, says).unwrap_err(), Trouble::Denied(_)));
        assert_eq!(fault(told(403, "<html>")), FaultKind::BackOff);
        assert_eq!(fault(told(429, says)), FaultKind::BackOff);
        assert_eq!(fault(told(302, "")), FaultKind::Setup);
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(fault(told(status, "<html>")), FaultKind::Unknown, "{status}");
        }
        assert_eq!(fault(told(500, r#"{"code":900,"message":"no database connection"}"#)), FaultKind::Retry);
        for (status, body) in [(400, says), (400, r#"{"code":901}"#), (400, r#"{"code":910}"#), (422, says)] {
            assert!(matches!(told(status, body).unwrap_err(), Trouble::Refused(_)), "{status}");
        }
    }

    #[test]
    fn an_echoed_key_is_masked() {
        let Trouble::Denied(refusal) = told(403, r#"{"message":"key canary-private of canary-public"}"#).unwrap_err() else { panic!() };
        assert_eq!(refusal.message, "key … of …");
    }

    #[tokio::test(start_paused = true)]
    async fn three_a_second_and_silence_when_it_is_asked_for() {
        let wire = wire("https://api.forcemanager.com/api/v4");
        let begun = Instant::now();
        for _ in 0..31 {
            wire.wait().await.unwrap();
        }
        let waited = begun.elapsed().as_secs_f64();
        assert!((9.9..10.2).contains(&waited), "{waited}");
        wire.hush(Duration::from_secs(7)).await;
        let begun = Instant::now();
        wire.wait().await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(7));
        wire.hush(Duration::from_secs(600)).await;
        let fault = wire.wait().await.unwrap_err();
        assert_eq!((fault.kind, fault.retry_after_s), (FaultKind::BackOff, Some(601)));
    }
}
