//! The vendor REST API as a wire: a token in memory that is renewed, one connection, a gentle pace, and what each status
//! means.
//!
//! Source: docs.x-formation.com, License Activation Center, vendor REST API. Knows no resource.

use super::refusal::Refusal;
use crate::connectors::http::{
    Answer, Bucket, Counted, Counters, Http, RESEND_WAIT_MAX_S, base_url, retry_read, retry_reply, secret_header, write_once,
};
use crate::connectors::{Calls, Fault, FaultKind};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as J, json};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

/// The SOAP token lives for three hours; nothing is published of this one, so it is renewed before that.
const TOKEN_FOR: Duration = Duration::from_secs(150 * 60);
/// Wrong credentials do not get better by being sent again: for so long they are not.
const LOGIN_REST: Duration = Duration::from_secs(60);
/// Nothing is published of how many calls at once are welcome.
const IN_FLIGHT: usize = 1;
const BURST: f64 = 4.0;
/// The least wait where the service names none.
const BACK_OFF_S: u64 = 2;
/// Why a call did not give what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// 404: there is no such record.
    Missing,
    /// 403 with a token that is fresh: this user may not, or the object is switched off.
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
            Self::Denied(r) => {
                let text = format!("the LAC user may not read {what}; is its role missing? {}", r.message);
                Fault::new(FaultKind::Credentials, r.code, text)
            }
            Self::Refused(r) => Fault::new(FaultKind::Setup, r.code, format!("{what} was refused: {}", r.message)),
            Self::Fault(f) => f,
        }
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Fault(f) if f.kind == FaultKind::Unknown)
    }
}

/// A fault, which may pass, apart from an answer.
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

/// The connection to one installation.
pub struct Wire {
    http: Http,
    base: Url,
    username: String,
    password: SecretString,
    session: Mutex<Session>,
    pace: Option<Bucket>,
    counters: Counters,
    flights: Semaphore,
}

#[derive(Default)]
struct Session {
    pass: Option<Pass>,
    /// Tokens fetched so far: tells an old pass from a new one.
    fetched: u64,
    refused: Option<(Instant, Fault)>,
}

#[derive(Clone)]
struct Pass {
    header: HeaderValue,
    token: SecretString,
    since: Instant,
    number: u64,
}

impl Wire {
    pub fn new(url: &str, username: &str, password: &SecretString, requests_per_minute: Option<u32>) -> Result<Self, Fault> {
        let mut base = base_url(url.trim())?;
        base.set_query(None);
        base.set_fragment(None);
        if username.trim().is_empty() || password.expose_secret().is_empty() {
            return Err(Fault::new(FaultKind::Credentials, "no-credentials", "the LAC user name or password is empty"));
        }
        let pace = requests_per_minute.map(|n| Bucket::new(f64::from(n.max(1)) / 60.0, BURST));
        Ok(Self {
            http: Http::new()?,
            base,
            username: username.trim().to_owned(),
            password: password.clone(),
            session: Mutex::default(),
            pace,
            counters: Counters::default(),
            flights: Semaphore::new(IN_FLIGHT),
        })
    }

    pub fn base(&self) -> &Url {
        &self.base
    }

    pub fn calls(&self) -> Calls {
        self.counters.snapshot()
    }

    /// Reads, repeating what failed in passing.
    pub async fn get(&self, counted: Counted, path: &str, query: &[(&str, String)]) -> Result<J, Trouble> {
        let reply = retry_reply(async || passing(self.once(counted, Method::GET, path, query, None).await)).await??;
        Ok(reply.json)
    }

    /// Writes once: see [`write_once`].
    pub async fn write(&self, method: Method, path: &str, body: Option<&J>) -> Result<J, Trouble> {
        write_once(async || passing(self.once(Counted::Data, method.clone(), path, &[], body).await)).await?
    }

    /// One call. A token that is refused is renewed once and the call repeated once: it was not let in, so it did nothing.
    async fn once(
        &self,
        counted: Counted,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&J>,
    ) -> Result<Answer, Trouble> {
        let mut pass = self.pass(None).await?;
        let mut renewed = false;
        loop {
            let mut request = self
                .http
                .request(method.clone(), self.address(path, query))?
                .header(AUTHORIZATION, pass.header.clone())
                .header(ACCEPT, HeaderValue::from_static("application/json"));
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = self.send(counted, request).await?;
            if matches!(answer.status.as_u16(), 401 | 403) && !renewed {
                renewed = true;
                pass = self.pass(Some(pass.number)).await?;
                continue;
            }
            return self.meaning(answer, &pass);
        }
    }

    async fn send(&self, counted: Counted, request: reqwest::RequestBuilder) -> Result<Answer, Fault> {
        let flight = self.flights.acquire().await.map_err(|_| Fault::new(FaultKind::Retry, "closed", "the connector is shutting down"))?;
        if let Some(pace) = &self.pace {
            pace.take().await;
        }
        self.counters.count(counted);
        let answer = self.http.send(request).await;
        drop(flight);
        if let (Ok(answer), Some(pace)) = (&answer, &self.pace)
            && matches!(answer.status.as_u16(), 429 | 503)
        {
            pace.pause(Duration::from_secs(answer.retry_after_s().unwrap_or(BACK_OFF_S).min(RESEND_WAIT_MAX_S))).await;
        }
        answer
    }

    /// A token that is still young, and not the one of this number.
    async fn pass(&self, stale: Option<u64>) -> Result<Pass, Fault> {
        let mut session = self.session.lock().await;
        if let Some((at, fault)) = &session.refused
            && at.elapsed() < LOGIN_REST
        {
            return Err(fault.clone());
        }
        if let Some(pass) = session.pass.as_ref().filter(|p| Some(p.number) != stale && p.since.elapsed() < TOKEN_FOR) {
            return Ok(pass.clone());
        }
        match retry_read(|| self.login()).await {
            Ok(token) => {
                session.fetched += 1;
                let header = secret_header(&format!("Bearer {}", token.expose_secret()))?;
                let pass = Pass { header, token, since: Instant::now(), number: session.fetched };
                session.refused = None;
                session.pass = Some(pass.clone());
                Ok(pass)
            }
            Err(fault) => {
                session.pass = None;
                if fault.kind == FaultKind::Credentials {
                    session.refused = Some((Instant::now(), fault.clone()));
                }
                Err(fault)
            }
        }
    }

    async fn login(&self) -> Result<SecretString, Fault> {
        let body = json!({"username": self.username, "password": self.password.expose_secret()});
        let request = self.http.request(Method::POST, self.address("/auth/tokens", &[]))?.json(&body);
        let answer = self.send(Counted::Other, request).await?;
        let status = answer.status.as_u16();
        let refusal = || Refusal::read(status, &answer.body).mask([self.password.expose_secret()]);
        match status {
            200..=299 => {
                // The body holds the token: no complaint quotes it.
                let body: J = answer.json()?;
                match body.get("token").and_then(J::as_str).map(str::trim).filter(|t| !t.is_empty()) {
                    Some(token) => Ok(SecretString::from(token)),
                    None => Err(Fault::new(FaultKind::Answer, "no-token", "the answer to the login has no token")),
                }
            }
            400 | 401 | 403 => {
                let text = format!("LAC refuses the user name or password: {}", refusal().message);
                Err(Fault::new(FaultKind::Credentials, "login-refused", text))
            }
            404 => Err(Fault::new(FaultKind::Setup, "http-404", "there is no /auth/tokens below `url`: check it")),
            429 => Err(patient(Fault::new(FaultKind::BackOff, "http-429", "LAC asks for fewer calls"), &answer)),
            300..=399 => Err(Fault::new(FaultKind::Setup, format!("http-{status}"), "LAC answers the login with a redirect: check `url`")),
            _ => Err(Fault::new(FaultKind::Retry, format!("http-{status}"), refusal().message)),
        }
    }

    fn address(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        url
    }

    fn meaning(&self, answer: Answer, pass: &Pass) -> Result<Answer, Trouble> {
        let status = answer.status.as_u16();
        let html = answer.must_look_like_json().is_err_and(|f| f.code == "html-body");
        let refusal = || Refusal::read(status, &answer.body).mask([self.password.expose_secret(), pass.token.expose_secret()]);
        let fault = |kind, message: String| Err(Trouble::Fault(Fault::new(kind, format!("http-{status}"), message)));
        match status {
            200..=299 => Ok(answer),
            300..=399 => fault(FaultKind::Setup, format!("LAC answers with a redirect (status {status}): check `url`")),
            429 => Err(Trouble::Fault(patient(Fault::new(FaultKind::BackOff, "http-429", "LAC asks for fewer calls"), &answer))),
            401 | 403 => Err(Trouble::Denied(refusal())),
            // A proxy's page proves nothing of a record.
            404 if html => fault(FaultKind::Answer, "a page of HTML says that the record is not there".to_owned()),
            404 => Err(Trouble::Missing),
            501 => Err(Trouble::Refused(refusal())),
            408 | 425 | 500..=599 => {
                let fault = Fault::new(FaultKind::Unknown, format!("http-{status}"), refusal().message);
                Err(Trouble::Fault(Fault { retry_after_s: answer.retry_after_s(), ..fault }))
            }
            _ => Err(Trouble::Refused(refusal())),
        }
    }
}

/// A refusal for pace that names no time still means: wait.
fn patient(fault: Fault, answer: &Answer) -> Fault {
    Fault { retry_after_s: answer.retry_after_s().or(Some(BACK_OFF_S)), ..fault }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn wire(url: &str) -> Wire {
        Wire::new(url, "sync", &SecretString::from("canary77"), None).unwrap()
    }

    fn told(status: u16, body: &str) -> Result<(), Trouble> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let pass =
            Pass { header: HeaderValue::from_static("x"), token: SecretString::from("tokentoken"), since: Instant::now(), number: 1 };
        wire("https://license.example/api").meaning(answer, &pass).map(|_| ())
    }

    #[tokio::test]
    async fn slashes_are_never_doubled_and_https_is_asked_for() {
        for url in ["https://license.example/rest", "https://license.example/rest/", "https://license.example/rest/?x#y"] {
            let url = wire(url).address("/customers", &[("name", "a b&c".to_owned())]);
            assert_eq!(url.as_str(), "https://license.example/rest/customers?name=a+b%26c");
        }
        assert_eq!(wire("https://license.example").address("/customers", &[]).as_str(), "https://license.example/customers");
        assert!(Wire::new("http://license.example", "u", &SecretString::from("p"), None).is_err());
        assert!(Wire::new("http://127.0.0.1:1", "u", &SecretString::from("p"), None).is_ok());
        assert!(Wire::new("https://license.example", " ", &SecretString::from("p"), None).is_err());
    }

    #[tokio::test]
    async fn a_status_means_one_thing() {
        let fault = |r: Result<(), Trouble>| match r.unwrap_err() {
            Trouble::Fault(f) => f.kind,
            t => panic!("{t:?}"),
        };
        assert!(told(200, "{}").is_ok() && told(204, "").is_ok());
        assert_eq!(told(404, "").unwrap_err(), Trouble::Missing);
        assert_eq!(told(404, r#"{"message":"no"}"#).unwrap_err(), Trouble::Missing);
        assert_eq!(fault(told(404, "<html>")), FaultKind::Answer, "a proxy's 404 proves nothing");
        for status in [401, 403] {
            assert!(matches!(told(status, "").unwrap_err(), Trouble::Denied(_)));
        }
        for status in [400, 405, 409, 422, 501] {
            assert!(matches!(told(status, "").unwrap_err(), Trouble::Refused(_)), "{status}");
        }
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(fault(told(status, "<html>")), FaultKind::Unknown, "{status}");
        }
        assert_eq!(fault(told(429, "")), FaultKind::BackOff);
        assert_eq!(fault(told(302, "")), FaultKind::Setup);
        let Trouble::Denied(r) = told(403, "canary77 tokentoken").unwrap_err() else { panic!("not denied") };
        assert!(!r.message.contains("canary77") && !r.message.contains("tokentoken"), "{}", r.message);
    }
}
