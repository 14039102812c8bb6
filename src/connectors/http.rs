//! One way to speak HTTP for all connectors: bounded, never redirected, never silently repeated, and honest about
//! whether a failed request can have reached the server.
//!
//! Refuses to know any vendor: statuses and error bodies are read by the connector that asked.

use super::{Calls, Fault, FaultKind};
use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value as J;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// What we call ourselves to every server.
pub const USER_AGENT: &str = concat!("lockstep/", env!("CARGO_PKG_VERSION"));

const CONNECT: Duration = Duration::from_secs(10);
/// Silence on an open connection. Salesforce may think for minutes over a big write, so this is long.
const READ: Duration = Duration::from_secs(120);
const TOTAL: Duration = Duration::from_secs(300);
/// Below the idle time-outs of the servers we know, so that a pooled connection is rarely a dead one.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// No page of any vendor comes near this; what is larger is not an answer we asked for.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// All waiting for one read together; a run must end, and the next one reads again anyway.
const READ_RETRY_TOTAL: Duration = Duration::from_secs(30);
const READ_RETRIES: usize = 4;

/// A client of one connector. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub struct Http {
    /// Through the system's proxy, if there is one.
    outside: reqwest::Client,
    /// A proxy must never see, nor be asked for, a loopback address.
    loopback: reqwest::Client,
}

impl Http {
    pub fn new() -> Result<Self, Fault> {
        let build = |b: reqwest::ClientBuilder| b.build().map_err(|e| Fault::new(FaultKind::Setup, "http-client", chain(&e.without_url())));
        Ok(Self { outside: build(builder())?, loopback: build(builder().no_proxy())? })
    }

    /// A request to be filled in and given to `send`. Plain http is refused unless the host is loopback.
    pub fn request(&self, method: Method, url: Url) -> Result<reqwest::RequestBuilder, Fault> {
        permitted(&url)?;
        Ok(self.client(&url).request(method, url))
    }

    /// Sends once. `FaultKind::Retry` with code `not-sent`: it cannot have reached the server. `FaultKind::Unknown`:
    /// it may have. Any status is an `Answer`.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Fault> {
        let request = request.build().map_err(|e| Fault::new(FaultKind::Setup, "bad-request", chain(&e.without_url())))?;
        permitted(request.url())?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let named = |mut fault: Fault| {
            // The host only: paths and queries hold people's data.
            fault.message = format!("{host}: {}", fault.message);
            fault
        };
        let mut response = self.client(request.url()).execute(request).await.map_err(|e| named(broken(e.without_url())))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| broken(e.without_url()))? {
            if body.len() + chunk.len() > BODY_MAX_BYTES {
                let text = format!("the answer (status {}) is larger than {} MiB", status.as_u16(), BODY_MAX_BYTES / 1024 / 1024);
                return Err(Fault::new(FaultKind::Answer, "answer-too-large", text));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) { &self.loopback } else { &self.outside }
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .timeout(TOTAL)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(Duration::from_secs(30))
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
}

/// One answer, whole and bounded.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON of this shape. The complaint never quotes the body: it may hold keys or people's data.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.must_look_like_json()?;
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| self.not_json(&e.path().to_string(), e.inner()))?;
        json.end().map_err(|e| self.not_json(".", &e))?;
        Ok(value)
    }

    /// Refuses what cannot be JSON: nothing at all, or a page of HTML.
    pub fn must_look_like_json(&self) -> Result<(), Fault> {
        let status = self.status.as_u16();
        match self.body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => Err(Fault::new(FaultKind::Answer, "empty-body", format!("the answer (status {status}) has no body"))),
            Some(b'<') => {
                Err(Fault::new(FaultKind::Answer, "html-body", format!("the answer (status {status}) is a page of HTML, not JSON")))
            }
            Some(_) => Ok(()),
        }
    }

    fn not_json(&self, path: &str, e: &serde_json::Error) -> Fault {
        use serde_json::error::Category;
        let (status, bytes, line, column) = (self.status.as_u16(), self.body.len(), e.line(), e.column());
        let (code, what) = match e.classify() {
            Category::Eof => ("truncated-json", "is cut off"),
            Category::Data => ("unexpected-json", "has not the documented shape"),
            Category::Syntax | Category::Io => ("bad-json", "is not JSON"),
        };
        let text = format!("the answer (status {status}, {bytes} bytes) {what} at {path}, line {line} column {column}");
        Fault::new(FaultKind::Answer, code, text)
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The server's clock, to the second.
    #[must_use]
    pub fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.header("date")?)
    }

    /// `Retry-After`, given in seconds or as a date (measured from the server's own `Date`).
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        let text = self.header("retry-after")?.trim();
        if let Ok(s) = text.parse() {
            return Some(s);
        }
        u64::try_from((http_date(text)? - self.date()?).num_seconds()).ok()
    }
}

/// IMF-fixdate, the only form servers still send: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text.trim(), "%a, %d %b %Y %H:%M:%S GMT").ok().map(|t| t.and_utc())
}

#[must_use]
pub fn to_http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A header value that no Debug output shows.
pub fn secret_header(value: &str) -> Result<HeaderValue, Fault> {
    let mut header = HeaderValue::from_str(value)
        .map_err(|_| Fault::new(FaultKind::Credentials, "bad-secret", "a secret holds characters that cannot stand in a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Reads a configured address: https, or http to loopback, and nothing in it that would be lost or leaked.
pub fn base_url(text: &str) -> Result<Url, Fault> {
    let bad = |why: &str| Fault::new(FaultKind::Setup, "bad-url", format!("{text:?} {why}"));
    let url = Url::parse(text).map_err(|e| bad(&format!("is not a URL: {e}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(FaultKind::Setup, "bad-url", "a URL must not hold a user name or password"));
    }
    permitted(&url)?;
    Ok(url)
}

fn permitted(url: &Url) -> Result<(), Fault> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        scheme => {
            let host = url.host_str().unwrap_or("?");
            Err(Fault::new(
                FaultKind::Setup,
                "not-https",
                format!("{scheme} to {host} is refused: https only, plain http to loopback alone"),
            ))
        }
    }
}

/// Whether it can have been sent decides everything: only a failed connection proves that it was not.
fn broken(e: reqwest::Error) -> Fault {
    if e.is_builder() {
        return Fault::new(FaultKind::Setup, "bad-request", chain(&e));
    }
    if e.is_connect() {
        return Fault::new(FaultKind::Retry, "not-sent", chain(&e));
    }
    Fault::new(FaultKind::Unknown, if e.is_timeout() { "timed-out" } else { "no-answer" }, chain(&e))
}

/// reqwest's own text says little ("error sending request"); the cause is below it.
fn chain(e: &reqwest::Error) -> String {
    let mut text = e.to_string();
    let mut next = std::error::Error::source(e);
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Repeats a read that failed in passing: a few tries, jittered, `Retry-After` honoured, 30 s of waiting at most.
/// What a write left unknown is for its connector to resolve; here an unknown outcome is simply read again.
pub async fn retry_read<T, F, Fut>(read: F) -> Result<T, Fault>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Fault>>,
{
    let started = Instant::now();
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(8))
        .with_factor(2.0)
        .with_max_times(READ_RETRIES)
        .with_jitter();
    read.retry(delays)
        .when(|e| matches!(e.kind, FaultKind::Retry | FaultKind::Unknown) || (e.kind == FaultKind::BackOff && e.retry_after_s.is_some()))
        .adjust(|e, planned| {
            let wait = planned?.max(Duration::from_secs(e.retry_after_s.unwrap_or(0)));
            (started.elapsed() + wait <= READ_RETRY_TOTAL).then_some(wait)
        })
        .await
        .map_err(|e| if e.kind == FaultKind::Unknown { Fault { kind: FaultKind::Retry, ..e } } else { e })
}

/// A token bucket on tokio's clock. Waiters are served in the order they came.
#[derive(Debug)]
pub struct Bucket {
    capacity: f64,
    per_second: f64,
    state: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Starts full. `capacity` is the largest burst.
    #[must_use]
    pub fn new(per_second: f64, capacity: f64) -> Self {
        Self { capacity, per_second, state: Mutex::new(Level { tokens: capacity, at: Instant::now() }) }
    }

    /// Waits until one call may be made. The lock is held while waiting: that is what makes the queue first come,
    /// first served.
    pub async fn take(&self) {
        let mut level = self.state.lock().await;
        loop {
            let now = Instant::now();
            level.tokens = (level.tokens + now.saturating_duration_since(level.at).as_secs_f64() * self.per_second).min(self.capacity);
            level.at = level.at.max(now);
            if level.tokens >= 1.0 && level.at <= now {
                level.tokens -= 1.0;
                return;
            }
            let refill = ((1.0 - level.tokens).max(0.0) / self.per_second).max(0.001);
            tokio::time::sleep_until(level.at + Duration::from_secs_f64(refill)).await;
        }
    }

    /// The server said to wait: nothing is let through before, and the bucket starts empty then.
    pub async fn pause(&self, wait: Duration) {
        let mut level = self.state.lock().await;
        level.tokens = 0.0;
        level.at = level.at.max(Instant::now() + wait);
    }
}

/// What a read answered, and the server's clock while it did.
#[derive(Debug)]
pub struct Reply {
    pub json: J,
    pub date: Option<DateTime<Utc>>,
}

/// Reads, repeating what failed in passing. A body that is cut off or a proxy's page is usually good a moment later; twice
/// more, then it is the answer. A refusal (`T`) is an answer.
pub async fn retry_reply<T, F, Fut>(once: F) -> Result<Result<Reply, T>, Fault>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Result<Answer, T>, Fault>>,
{
    let read = || {
        let answered = once();
        async {
            match answered.await? {
                Ok(answer) => answer.json().map(|json| Ok(Reply { json, date: answer.date() })),
                Err(refused) => Ok(Err(refused)),
            }
        }
    };
    let mut again = 2;
    loop {
        match retry_read(&read).await {
            Err(fault) if fault.kind == FaultKind::Answer && again > 0 => {
                again -= 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            ended => return ended,
        }
    }
}

/// A write that was certainly not carried out is sent again so often within one call.
const RESENDS: u32 = 3;
/// The longest wait inside a run; what is longer is for the next one.
pub const RESEND_WAIT_MAX_S: u64 = 30;

/// Writes once. What certainly was not carried out (no connection, too many calls) is sent again a few times; what may have
/// been is a `FaultKind::Unknown`. An empty body is null. A refusal (`T`) is an answer.
pub async fn write_once<T, F, Fut>(once: F) -> Result<Result<J, T>, Fault>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Result<Answer, T>, Fault>>,
{
    let mut tries = 0;
    loop {
        let fault = match once().await {
            Ok(Ok(answer)) if answer.body.iter().all(u8::is_ascii_whitespace) => return Ok(Ok(J::Null)),
            // Status and body disagree, so nobody knows who answered.
            Ok(Ok(answer)) => return answer.json().map(Ok).map_err(|f| Fault { kind: FaultKind::Unknown, ..f }),
            Ok(Err(refused)) => return Ok(Err(refused)),
            Err(fault) => fault,
        };
        let wait_s = fault.retry_after_s.unwrap_or(1 << tries);
        let safe = matches!(fault.kind, FaultKind::Retry | FaultKind::BackOff);
        if !safe || tries >= RESENDS || wait_s > RESEND_WAIT_MAX_S {
            return Err(fault);
        }
        tries += 1;
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
    }
}

/// Which counter a call moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Data,
    /// Log-in, identity, preflight, definitions that are kept for a while.
    Other,
}

/// Calls made and the allowance as the side last told it.
#[derive(Debug)]
pub struct Counters {
    data: AtomicU64,
    other: AtomicU64,
    used: AtomicU64,
    max: AtomicU64,
}

const UNTOLD: u64 = u64::MAX;

impl Default for Counters {
    fn default() -> Self {
        Self { data: AtomicU64::new(0), other: AtomicU64::new(0), used: AtomicU64::new(UNTOLD), max: AtomicU64::new(UNTOLD) }
    }
}

impl Counters {
    pub fn count(&self, counted: Counted) {
        match counted {
            Counted::Data => self.data(),
            Counted::Other => self.other(),
        }
    }

    pub fn data(&self) {
        self.data.fetch_add(1, Ordering::Relaxed);
    }

    pub fn other(&self) {
        self.other.fetch_add(1, Ordering::Relaxed);
    }

    pub fn allowance(&self, used: u64, max: u64) {
        self.used.store(used, Ordering::Relaxed);
        self.max.store(max, Ordering::Relaxed);
    }

    #[must_use]
    pub fn snapshot(&self) -> Calls {
        let told = |n: &AtomicU64| Some(n.load(Ordering::Relaxed)).filter(|n| *n != UNTOLD);
        Calls {
            data: self.data.load(Ordering::Relaxed),
            other: self.other.load(Ordering::Relaxed),
            allowance_used: told(&self.used),
            allowance_max: told(&self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn answer(body: &str) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// A server that reads one request and writes these bytes, then closes.
    async fn canned(reply: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/q?q=SELECT+canary", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 4096];
            let _ = stream.read(&mut seen).await.unwrap();
            stream.write_all(reply).await.unwrap();
        });
        url
    }

    async fn get(url: Url) -> Result<Answer, Fault> {
        let http = Http::new().unwrap();
        http.send(http.request(Method::GET, url).unwrap()).await
    }

    #[test]
    fn bodies_that_are_not_the_json_we_wait_for() {
        for (body, code) in [
            ("", "empty-body"),
            (" \n", "empty-body"),
            ("<!DOCTYPE html><html>", "html-body"),
            (r#"{"a":[1,2"#, "truncated-json"),
            (r#"{"a":x}"#, "bad-json"),
            (r#"{"a":1} trailing"#, "bad-json"),
        ] {
            let fault = answer(body).json::<serde_json::Value>().unwrap_err();
            assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Answer, code), "{body}");
        }
        let fault = answer(r#"{"a":"canary"}"#).json::<std::collections::BTreeMap<String, u8>>().unwrap_err();
        assert_eq!(fault.code, "unexpected-json");
        assert!(!fault.to_string().contains("canary") && fault.to_string().contains('a'), "{fault}");
    }

    #[test]
    fn plain_http_only_to_loopback() {
        let http = Http::new().unwrap();
        for (url, fine) in [
            ("https://acme.my.salesforce.com/", true),
            ("http://127.0.0.1:1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost/", true),
            ("http://acme.my.salesforce.com/", false),
            ("http://127.0.0.1.evil.example/", false),
            ("ftp://localhost/", false),
        ] {
            assert_eq!(http.request(Method::GET, Url::parse(url).unwrap()).is_ok(), fine, "{url}");
            assert_eq!(base_url(url).is_ok(), fine, "{url}");
        }
        let fault = base_url("https://user:canary@acme.example/").unwrap_err();
        assert!(!fault.to_string().contains("canary"), "{fault}");
    }

    #[tokio::test]
    async fn only_a_failed_connection_proves_that_nothing_was_sent() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let fault = get(Url::parse(&format!("http://{free}/?q=canary")).unwrap()).await.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Retry, "not-sent"));
        assert!(!fault.to_string().contains("canary"), "{fault}");

        let cut = get(canned(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":").await).await.unwrap_err();
        assert_eq!(cut.kind, FaultKind::Unknown);
        let silent = get(canned(b"").await).await.unwrap_err();
        assert_eq!(silent.kind, FaultKind::Unknown);
        assert!(!silent.to_string().contains("canary"), "{silent}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let url = canned(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(get(url).await.unwrap().status, StatusCode::FOUND);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_repeated_a_few_times_and_not_for_ever() {
        let tries = Cell::new(0);
        let fault = |kind, after| Fault { retry_after_s: after, ..Fault::new(kind, "x", "x") };
        let run = async |kind: FaultKind, after: Option<u64>, good_from: u32| {
            tries.set(0);
            let begun = Instant::now();
            let out = retry_read(|| {
                tries.set(tries.get() + 1);
                let out = if tries.get() >= good_from { Ok(()) } else { Err(fault(kind, after)) };
                async move { out }
            })
            .await;
            (out, tries.get(), begun.elapsed())
        };
        let (out, n, _) = run(FaultKind::Unknown, None, 3).await;
        assert!(out.is_ok() && n == 3);
        let (out, n, waited) = run(FaultKind::Unknown, None, 99).await;
        assert_eq!((out.unwrap_err().kind, n), (FaultKind::Retry, 5));
        assert!(waited < READ_RETRY_TOTAL);
        let (out, n, waited) = run(FaultKind::BackOff, Some(7), 2).await;
        assert!(out.is_ok() && n == 2 && waited >= Duration::from_secs(7));
        let (_, n, waited) = run(FaultKind::BackOff, Some(3600), 2).await;
        assert!(n == 1 && waited.is_zero());
        let (_, n, _) = run(FaultKind::Setup, None, 2).await;
        assert_eq!(n, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_lets_through_its_burst_and_then_its_rate() {
        let bucket = Bucket::new(10.0, 5.0);
        let begun = Instant::now();
        for _ in 0..5 {
            bucket.take().await;
        }
        assert!(begun.elapsed().is_zero());
        for _ in 0..20 {
            bucket.take().await;
        }
        let waited = begun.elapsed().as_secs_f64();
        assert!((1.99..2.1).contains(&waited), "{waited}");
        bucket.pause(Duration::from_secs(30)).await;
        let begun = Instant::now();
        bucket.take().await;
        assert!(begun.elapsed() >= Duration::from_secs(30));
    }

    #[test]
    fn dates_and_waits_come_from_the_server() {
        let mut a = answer("{}");
        a.headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(to_http_date(a.date().unwrap()), "Sun, 06 Nov 1994 08:49:37 GMT");
        a.headers.insert("retry-after", HeaderValue::from_static("Sun, 06 Nov 1994 08:50:07 GMT"));
        assert_eq!(a.retry_after_s(), Some(30));
        a.headers.insert("retry-after", HeaderValue::from_static("5"));
        assert_eq!(a.retry_after_s(), Some(5));
    }

    #[test]
    fn secrets_do_not_show() {
        assert!(!format!("{:?}", secret_header("Bearer canary").unwrap()).contains("canary"));
        assert!(!secret_header("canary\n").unwrap_err().to_string().contains("canary"));
    }
}
