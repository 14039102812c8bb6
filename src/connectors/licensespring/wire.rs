//! One call to LicenseSpring: address, key, pace, and what its status means for the call.
//!
//! Source: docs.licensespring.com, "Management API", "Rate limits". Knows no resource and no record.

use super::refusal::Refusal;
use crate::connectors::http::{
    Answer, Bucket, Counted, Counters, Http, RESEND_WAIT_MAX_S, Reply, base_url, retry_reply, secret_header, write_once,
};
use crate::connectors::{Calls, Fault, FaultKind};
use crate::seeded::seeded;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as J;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until};

/// More would not be faster: the vendor limits calls, not connections.
const IN_FLIGHT: usize = 4;
/// What one key may do at once is not published beyond 50 a second; a burst this small is far below it.
const BURST: f64 = 20.0;
/// After a refusal for pace, for so long each call costs two.
const HALVED: Duration = Duration::from_secs(300);
/// No asked-for silence is believed to be longer.
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// The least wait where the service names none.
const BACK_OFF_S: u64 = 2;

/// Why a call did not give what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// 404, in the vendor's own words: there is no such record.
    Missing,
    /// 401 or 403 with a readable body: this key may not.
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
            Self::Missing => Fault::new(FaultKind::Setup, "http-404", format!("{what} is not there")),
            Self::Denied(r) => Fault::new(FaultKind::Credentials, r.code, format!("the API key may not read {what}: {}", r.message)),
            Self::Refused(r) => Fault::new(FaultKind::Setup, r.code, format!("{what} was refused: {}", r.message)),
            Self::Fault(f) => f,
        }
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

/// The connection to one company.
pub struct Wire {
    http: Http,
    base: Url,
    authorization: HeaderValue,
    api_key: SecretString,
    pace: Pace,
    counters: Counters,
    flights: Semaphore,
}

impl Wire {
    pub fn new(url: &str, api_key: &SecretString, requests_per_minute: Option<u32>) -> Result<Self, Fault> {
        let mut base = base_url(url.trim())?;
        let path = base.path().trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        if api_key.expose_secret().trim().is_empty() {
            return Err(Fault::new(FaultKind::Credentials, "no-api-key", "the LicenseSpring management API key is empty"));
        }
        let authorization = secret_header(&format!("Api-Key {}", api_key.expose_secret().trim()))?;
        let pace = Pace::new(requests_per_minute);
        let flights = Semaphore::new(IN_FLIGHT);
        Ok(Self { http: Http::new()?, base, authorization, api_key: api_key.clone(), pace, counters: Counters::default(), flights })
    }

    /// Scheme, host and path before the API's own, without a slash at the end: where the vendor's pages are.
    pub fn site(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or("?")
    }

    pub fn calls(&self) -> Calls {
        self.counters.snapshot()
    }

    /// Reads, repeating what failed in passing.
    pub async fn get(&self, counted: Counted, path: &str, query: &[(&str, String)]) -> Result<Reply, Trouble> {
        retry_reply(async || passing(self.once(counted, Method::GET, path, query, None).await)).await?
    }

    /// Writes once: see [`write_once`].
    pub async fn write(&self, method: Method, path: &str, body: Option<&J>) -> Result<J, Trouble> {
        write_once(async || passing(self.once(Counted::Data, method.clone(), path, &[], body).await)).await?
    }

    async fn once(
        &self,
        counted: Counted,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&J>,
    ) -> Result<Answer, Trouble> {
        let mut request = self
            .http
            .request(method, self.address(path, query))?
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let flight = self.flights.acquire().await.map_err(|_| Fault::new(FaultKind::Retry, "closed", "the connector is shutting down"))?;
        self.pace.take().await?;
        self.counters.count(counted);
        let answer = self.http.send(request).await;
        drop(flight);
        let told = self.meaning(answer?);
        if let Err(Trouble::Fault(fault)) = &told
            && fault.kind == FaultKind::BackOff
        {
            self.pace.slow_down(Duration::from_secs(fault.retry_after_s.unwrap_or(BACK_OFF_S))).await;
        }
        told
    }

    fn address(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/v1{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        url
    }

    fn meaning(&self, answer: Answer) -> Result<Answer, Trouble> {
        let status = answer.status.as_u16();
        let html = answer.must_look_like_json().is_err_and(|f| f.code == "html-body");
        let fault = |kind, message: String| {
            let retry_after_s = answer.retry_after_s();
            Err(Trouble::Fault(Fault { retry_after_s, ..Fault::new(kind, format!("http-{status}"), message) }))
        };
        match status {
            200..=299 => Ok(answer),
            300..=399 => fault(FaultKind::Setup, format!("LicenseSpring answers with a redirect (status {status}): check `url`")),
            429 => fault(FaultKind::BackOff, "LicenseSpring asks for fewer calls (status 429)".to_owned()).map_err(patient),
            // A wall before the service; its own refusals are JSON.
            403 if html => fault(FaultKind::BackOff, "a page of HTML refuses the call (status 403)".to_owned()).map_err(patient),
            401 | 403 => Err(Trouble::Denied(self.refusal(status, &answer))),
            // Only the vendor's own "not found" says anything about a record.
            404 if seeded!(ProxyIsBelieved) => Err(Trouble::Missing),
            404 => match answer.must_look_like_json() {
                Ok(()) => Err(Trouble::Missing),
                Err(f) => Err(Trouble::Fault(f)),
            },
            408 | 425 | 500..=599 => fault(FaultKind::Unknown, self.refusal(status, &answer).message),
            _ => Err(Trouble::Refused(self.refusal(status, &answer))),
        }
    }

    fn refusal(&self, status: u16, answer: &Answer) -> Refusal {
        Refusal::read(status, &answer.body).mask([self.api_key.expose_secret()])
    }
}

/// A refusal for pace that names no time still means: wait.
fn patient(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Fault(f) => Trouble::Fault(Fault { retry_after_s: f.retry_after_s.or(Some(BACK_OFF_S)), ..f }),
        Trouble::Missing | Trouble::Denied(_) | Trouble::Refused(_) => trouble,
    }
}

/// Half of the vendor plan's limit is ours; after a refusal for pace a quarter, for five minutes.
struct Pace {
    bucket: Option<Bucket>,
    closed: Mutex<Closed>,
}

#[derive(Default)]
struct Closed {
    until: Option<Instant>,
    halved_until: Option<Instant>,
}

impl Pace {
    fn new(requests_per_minute: Option<u32>) -> Self {
        let bucket = requests_per_minute.map(|n| Bucket::new((f64::from(n.max(2)) / 2.0) / 60.0, BURST.min(f64::from(n.max(2)) / 2.0)));
        Self { bucket, closed: Mutex::default() }
    }

    /// Waits for its turn; where the service asked for a longer silence than a run should wait, says so instead.
    async fn take(&self) -> Result<(), Fault> {
        let now = Instant::now();
        let (until, halved) = {
            let closed = self.closed.lock().await;
            (closed.until.unwrap_or(now), closed.halved_until.is_some_and(|t| now < t))
        };
        let left = until.saturating_duration_since(now);
        if left > Duration::from_secs(RESEND_WAIT_MAX_S) {
            let fault = Fault::new(FaultKind::BackOff, "silence-asked", "LicenseSpring asked for fewer calls and the wait is not over");
            return Err(Fault { retry_after_s: Some(left.as_secs() + 1), ..fault });
        }
        sleep_until(until).await;
        if let Some(bucket) = &self.bucket {
            bucket.take().await;
            if halved {
                bucket.take().await;
            }
        }
        Ok(())
    }

    async fn slow_down(&self, wait: Duration) {
        let now = Instant::now();
        let mut closed = self.closed.lock().await;
        closed.until = closed.until.max(Some(now + wait.min(SILENCE_MAX)));
        closed.halved_until = Some(now + HALVED);
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
        Wire::new(url, &SecretString::from("canary12.secretsecretsecretsecretsecretse"), Some(600)).unwrap()
    }

    fn told(status: u16, body: &str) -> Result<(), Trouble> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        wire("https://saas.licensespring.com").meaning(answer).map(|_| ())
    }

    #[test]
    fn addresses_are_the_documented_ones_whatever_slashes_were_typed() {
        for url in ["https://saas.licensespring.com", "https://saas.licensespring.com/", "https://saas.licensespring.com/api/v1/"] {
            let wire = wire(url);
            let url = wire.address("/customers/", &[("reference", "a b&c".to_owned()), ("limit", "1".to_owned())]);
            assert_eq!(url.as_str(), "https://saas.licensespring.com/api/v1/customers/?reference=a+b%26c&limit=1");
            assert_eq!(wire.site(), "https://saas.licensespring.com");
        }
    }

    #[test]
    fn a_status_means_one_thing() {
        let fault = |r: Result<(), Trouble>| match r.unwrap_err() {
            Trouble::Fault(f) => f.kind,
            t => panic!("{t:?}"),
        };
        let detail = r#"{"detail":"no"}"#;
        assert!(told(200, "{}").is_ok() && told(204, "").is_ok());
        assert_eq!(told(404, detail).unwrap_err(), Trouble::Missing);
        assert_eq!(fault(told(404, "<html>")), FaultKind::Answer, "a proxy's 404 proves nothing");
        assert_eq!(fault(told(404, "")), FaultKind::Answer);
        for status in [401, 403] {
            assert!(matches!(told(status, detail).unwrap_err(), Trouble::Denied(_)));
        }
        assert_eq!(fault(told(403, "<html>")), FaultKind::BackOff);
        assert_eq!(fault(told(429, detail)), FaultKind::BackOff);
        assert_eq!(fault(told(302, "")), FaultKind::Setup);
        for status in [408, 425, 500, 502, 503, 504] {
            assert_eq!(fault(told(status, "<html>")), FaultKind::Unknown, "{status}");
        }
        for status in [400, 405, 409, 413, 422] {
            assert!(matches!(told(status, detail).unwrap_err(), Trouble::Refused(_)), "{status}");
        }
    }

    #[test]
    fn an_echoed_key_is_masked() {
        let echoed = r#"{"detail":"bad key canary12.secretsecretsecretsecretsecretse"}"#;
        let Trouble::Denied(refusal) = told(403, echoed).unwrap_err() else { panic!("not denied") };
        assert!(!refusal.message.contains("canary12"), "{}", refusal.message);
    }

    #[tokio::test(start_paused = true)]
    async fn half_the_limit_and_a_quarter_after_a_refusal() {
        let pace = Pace::new(Some(600));
        let begun = Instant::now();
        for _ in 0..70 {
            pace.take().await.unwrap();
        }
        let free = begun.elapsed().as_secs_f64();
        assert!((9.9..10.5).contains(&free), "20 at once, 50 more at 5/s: {free}");
        pace.slow_down(Duration::from_secs(7)).await;
        let begun = Instant::now();
        for _ in 0..25 {
            pace.take().await.unwrap();
        }
        let slow = begun.elapsed().as_secs_f64();
        assert!(slow > 9.0, "seven closed, then a quarter of the limit: {slow}");
        pace.slow_down(Duration::from_secs(600)).await;
        let fault = pace.take().await.unwrap_err();
        assert_eq!((fault.kind, fault.retry_after_s), (FaultKind::BackOff, Some(601)));
    }
}
