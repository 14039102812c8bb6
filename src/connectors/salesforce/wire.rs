//! The one way a request reaches the org: headers, budget, token, clock, counters and errors are all dealt with here.

use super::auth::{Auth, Session};
use super::clock::Clock;
use super::error::{self, Doing};
use super::settings::Settings;
use super::soql;
use crate::connectors::http::{Answer, Counted, Counters, Http, USER_AGENT, retry_read};
use crate::connectors::{Fault, FaultKind};
use crate::seeded::seeded;
use bytes::Bytes;
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Queries (or collections) in one composite call; Salesforce's own limit.
pub const PARTS_MAX: usize = 5;
/// Over budget nothing is sent, so nothing is learned either: now and then one call may look whether the window moved.
const PROBE_EVERY: Duration = Duration::from_secs(600);

/// One request, to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// Absolute path with query; always on the session's own host.
    pub path: String,
    pub body: Option<Bytes>,
    pub header: Option<(&'static str, String)>,
    pub counted: Counted,
    pub doing: Doing,
}

impl Call {
    pub fn get(path: impl Into<String>, counted: Counted) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, header: None, counted, doing: Doing::Read }
    }

    /// A body that is JSON already; larger ones than this page says are refused by the caller.
    pub fn json(method: Method, path: impl Into<String>, body: Bytes, doing: Doing) -> Self {
        Self { method, path: path.into(), body: Some(body), header: None, counted: Counted::Data, doing }
    }
}

#[derive(Debug)]
pub struct Wire {
    http: Http,
    auth: Auth,
    pub clock: Arc<Clock>,
    pub counters: Arc<Counters>,
    allowance: Mutex<Option<Allowance>>,
    reserve_percent: u64,
    /// `/services/data/v66.0`
    pub base: String,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    used: u64,
    max: u64,
    told: Instant,
}

impl Wire {
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        let (http, clock, counters) = (Http::new()?, Arc::new(Clock::default()), Arc::new(Counters::default()));
        let auth = Auth::new(settings, http.clone(), Arc::clone(&clock), Arc::clone(&counters))?;
        let reserve_percent = u64::from(settings.reserve_percent.min(100));
        let base = format!("/services/data/v{}", version(&settings.api_version)?);
        Ok(Self { http, auth, clock, counters, allowance: Mutex::new(None), reserve_percent, base })
    }

    pub async fn session(&self) -> Result<Arc<Session>, Fault> {
        retry_read(|| self.auth.session()).await
    }

    /// Sends once, with a fresh token if the org says the old one is spent. Success is 2xx, 300 and 304; every other
    /// answer is a `Fault` by its error code.
    pub async fn call(&self, call: &Call) -> Result<Answer, Fault> {
        self.within_budget()?;
        let session = self.auth.session().await?;
        let answer = self.send(call, &session).await?;
        if !session_is_spent(&answer) {
            return ok(answer, call.doing);
        }
        // Refused before it was looked at, so sending it again is safe, for a write too.
        let session = self.auth.renew(&session).await?;
        let answer = self.send(call, &session).await?;
        if session_is_spent(&answer) {
            let why = "the org refuses a token it has just given out: session policy or IP restriction of the app or user";
            return Err(Fault::new(FaultKind::Credentials, "INVALID_SESSION_ID", why));
        }
        ok(answer, call.doing)
    }

    /// The same for a read: failures in passing are tried again.
    pub async fn read(&self, call: &Call) -> Result<Answer, Fault> {
        retry_read(|| self.call(call)).await
    }

    /// Answers of several queries from one call, in order. Statements may be longer than a URL may be: they travel in a body.
    pub async fn queries(&self, queries: &[Query], counted: Counted) -> Result<Vec<Result<Bytes, Fault>>, Fault> {
        retry_read(|| self.queries_once(queries, counted)).await
    }

    /// The same for one query, which is tried again whether the whole or its part failed in passing.
    pub async fn query(&self, query: &Query, counted: Counted) -> Result<Bytes, Fault> {
        retry_read(async || {
            let mut answers = self.queries_once(std::slice::from_ref(query), counted).await?;
            answers.pop().unwrap_or_else(|| Err(Fault::new(FaultKind::Answer, "composite-answer", "no answer to the query")))
        })
        .await
    }

    async fn queries_once(&self, queries: &[Query], counted: Counted) -> Result<Vec<Result<Bytes, Fault>>, Fault> {
        let parts = queries.iter().enumerate().map(|(i, query)| Part {
            method: "GET",
            url: soql::query_path(&self.base, query.with_deleted, &query.soql),
            reference_id: format!("q{i}"),
            http_headers: None,
            body: None,
        });
        let call = Call { counted, ..self.composite(&parts.collect::<Vec<_>>(), Doing::Read)? };
        let parts = composite_parts(&self.call(&call).await?, queries.len())?;
        Ok(parts
            .into_iter()
            .map(|p| if p.status == 200 { Ok(p.body) } else { Err(error::fault_of(p.status, &p.body, Doing::Read)) })
            .collect())
    }

    /// One composite request; parts are carried out in order and fail alone.
    pub fn composite(&self, parts: &[Part], doing: Doing) -> Result<Call, Fault> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            all_or_none: bool,
            composite_request: &'a [Part],
        }
        let body = serde_json::to_vec(&Body { all_or_none: false, composite_request: parts })
            .map_err(|e| Fault::new(FaultKind::Setup, "bad-request", e.to_string()))?;
        Ok(Call::json(Method::POST, format!("{}/composite", self.base), body.into(), doing))
    }

    async fn send(&self, call: &Call, session: &Session) -> Result<Answer, Fault> {
        let url = on_host(&session.instance, &call.path)?;
        let mut request = self
            .http
            .request(call.method.clone(), url)?
            .header("authorization", session.authorization()?)
            .header("accept", "application/json")
            .header("sforce-call-options", format!("client={USER_AGENT}"))
            .header("sforce-mru", "updateMru=false");
        if call.doing == Doing::Write {
            request = request.header(ALLOW_SAVE.0, ALLOW_SAVE.1);
        }
        if let Some((name, value)) = &call.header {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json; charset=utf-8").body(body.clone());
        }
        self.counters.count(call.counted);
        let answer = self.http.send(request).await?;
        self.clock.observe(answer.date());
        if let Some((used, max)) = answer.header("sforce-limit-info").and_then(api_usage) {
            self.counters.allowance(used, max);
            *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(Allowance { used, max, told: Instant::now() });
        }
        Ok(answer)
    }

    fn within_budget(&self) -> Result<(), Fault> {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Allowance { used, max, told }) = allowance.as_mut() else { return Ok(()) };
        if *used * 100 <= *max * (100 - self.reserve_percent) || seeded!(ReserveSpent) {
            return Ok(());
        }
        if told.elapsed() >= PROBE_EVERY {
            *told = Instant::now();
            return Ok(());
        }
        let why = format!("{used} of the org's {max} API calls a day are used, and {} % are kept for everybody else", self.reserve_percent);
        Err(Fault::new(FaultKind::Budget, "api-budget", why))
    }
}

/// Alert-type duplicate rules must not stop a machine; block-type ones still do.
pub const ALLOW_SAVE: (&str, &str) = ("Sforce-Duplicate-Rule-Header", "allowSave=true");

/// A query to be sent. `with_deleted`: rows in the recycle bin come too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub soql: String,
    pub with_deleted: bool,
}

/// One part of a composite request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    pub method: &'static str,
    pub url: String,
    pub reference_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_headers: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// One part of a composite answer; `body` shares the memory of the whole.
#[derive(Debug)]
pub struct PartAnswer {
    pub status: u16,
    pub body: Bytes,
    pub last_modified: Option<String>,
}

/// The parts of a composite answer, exactly as many as were asked for and in their order.
pub fn composite_parts(answer: &Answer, wanted: usize) -> Result<Vec<PartAnswer>, Fault> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow, rename = "compositeResponse")]
        parts: Vec<One<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct One<'a> {
        #[serde(borrow)]
        body: Option<&'a RawValue>,
        http_status_code: u16,
        #[serde(default)]
        http_headers: Option<BTreeMap<String, serde_json::Value>>,
    }
    answer.must_look_like_json()?;
    let whole: Whole<'_> = serde_json::from_slice(&answer.body).map_err(|e| {
        let what = if e.is_eof() { "is cut off" } else { "has not the documented shape" };
        Fault::new(FaultKind::Answer, "composite-answer", format!("the composite answer {what}, line {} column {}", e.line(), e.column()))
    })?;
    if whole.parts.len() != wanted {
        let why = format!("the composite answer has {} parts of {wanted}", whole.parts.len());
        return Err(Fault::new(FaultKind::Answer, "composite-answer", why));
    }
    let share = |raw: Option<&RawValue>| raw.map_or_else(Bytes::new, |raw| answer.body.slice_ref(raw.get().as_bytes()));
    let modified = |headers: Option<BTreeMap<String, serde_json::Value>>| {
        let found = headers?.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("last-modified"));
        found.and_then(|(_, value)| value.as_str().map(str::to_owned))
    };
    let part = |p: One<'_>| PartAnswer { status: p.http_status_code, body: share(p.body), last_modified: modified(p.http_headers) };
    Ok(whole.parts.into_iter().map(part).collect())
}

/// Two 401s with this very code never get better with a new token, and a client that tries loops for ever.
fn session_is_spent(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED
        && error::complaints(&answer.body).first().is_some_and(|e| {
            let text = e.message();
            e.code == "INVALID_SESSION_ID"
                && !text.contains("not valid for use with the REST API")
                && !text.contains("not attached to Agent")
        })
}

fn ok(answer: Answer, doing: Doing) -> Result<Answer, Fault> {
    match answer.status.as_u16() {
        200..300 | 300 | 304 => Ok(answer),
        _ => Err(error::fault(&answer, doing)),
    }
}

/// A path the org gave us (`nextRecordsUrl`) stays a path: whatever it says, the host is the session's.
fn on_host(instance: &Url, path: &str) -> Result<Url, Fault> {
    let foreign = || Fault::new(FaultKind::Answer, "foreign-url", "the org named an address that is not a path of its REST API");
    if !path.starts_with("/services/") {
        return Err(foreign());
    }
    let url = instance.join(path).map_err(|_| foreign())?;
    if url.origin() == instance.origin() && url.path().starts_with("/services/") { Ok(url) } else { Err(foreign()) }
}

/// `api-usage=10018/100000; per-app-api-usage=…`: used first, then the allowance; unknown parts are passed over.
fn api_usage(header: &str) -> Option<(u64, u64)> {
    let part = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, max) = part.split_once('/')?;
    Some((used.trim().parse().ok()?, max.trim().parse().ok()?))
}

/// Upserts answer with a body from 46 on; older versions are retired anyway.
fn version(text: &str) -> Result<String, Fault> {
    let bad = || Fault::new(FaultKind::Setup, "bad-api-version", format!("API version {text:?} is not like \"66.0\", or below 46.0"));
    let text = text.trim().trim_start_matches('v');
    let (major, minor) = text.split_once('.').ok_or_else(bad)?;
    let digits = |t: &str| !t.is_empty() && t.len() < 4 && t.bytes().all(|b| b.is_ascii_digit());
    if digits(major) && digits(minor) && major.parse::<u16>().is_ok_and(|v| v >= 46) { Ok(format!("{major}.{minor}")) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_limit_header_says_used_first() {
        assert_eq!(api_usage("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"), Some((25, 5000)));
        assert_eq!(api_usage("api-bursts=1/750, api-usage=18/5000"), Some((18, 5000)));
        assert_eq!(api_usage("nonsense"), None);
    }

    #[test]
    fn a_next_url_cannot_lead_away_from_the_host() {
        let host = Url::parse("https://acme.my.salesforce.com").unwrap();
        assert!(on_host(&host, "/services/data/v66.0/query/01g-2000").is_ok());
        for bad in ["https://evil.example/services/x", "//evil.example/services/", "/services/../evil", "/other", "services/data"] {
            assert!(on_host(&host, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(version("66.0").unwrap(), "66.0");
        assert_eq!(version("v66.0").unwrap(), "66.0");
        for bad in ["", "66", "45.0", "66.x", "66.0/../x"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
