//! The serve loop of every simulator: HTTP/1.1 with keep-alive, the virtual `Date`, armed faults, common control routes.
//!
//! It speaks to hyper directly because a fault must be able to end a connection without an answer.
//!
//! | control route | body | does |
//! |---|---|---|
//! | `GET /__control/faults` | | lists what is armed, with hits |
//! | `POST /__control/faults` | one fault or an array | arms; `{"ids":[…]}` |
//! | `DELETE /__control/faults[?id=n]` | | disarms one or all |
//! | `GET /__control/clock` | | `{"now","offset_seconds","frozen"}` |
//! | `POST /__control/clock` | `{"advance_seconds":n}` `{"offset_seconds":n}` `{"freeze":"…Z"}` `{"unfreeze":true}` | sets, answers as GET |
//!
//! Control calls (all of `/__control/`) are never faulted. What it refuses to know: any vendor.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::clock::Clock;
use super::faults::{Action, Canned, Faults};

/// What a server shares with whoever controls it.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    pub clock: Clock,
    pub faults: Faults,
}

/// Larger bodies are cut off with a reset; the largest honest one is a Bulk upload.
const BODY_MAX_BYTES: usize = 160 * 1024 * 1024;
/// What a connection in flight gets once `stop` is cancelled.
const LEAVE_MS: u64 = 250;

/// Binds loopback; port 0 takes any free one.
///
/// # Errors
/// When the port cannot be bound.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

/// A running server; it ends when this is dropped.
pub struct Running {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<io::Result<()>>,
    _guard: DropGuard,
}

impl Running {
    /// Serves `router` on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start(port: u16, router: Router, wire: Wire) -> io::Result<Self> {
        let listener = listen(port).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, wire, stop.clone()));
        Ok(Self { url, _guard: stop.clone().drop_guard(), stop, served })
    }

    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    /// When the listener had failed.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.cancel();
        self.served.await.map_err(io::Error::other)?
    }
}

/// Serves `router` until `stop` is cancelled; calls in flight get a quarter of a second.
///
/// # Errors
/// When the listener itself fails; a broken connection only ends itself.
pub async fn serve(listener: TcpListener, router: Router, wire: Wire, stop: CancellationToken) -> io::Result<()> {
    let connections = TaskTracker::new();
    let ended = loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, router.clone(), wire.clone(), stop.clone()));
            }
            Err(error) if passing(&error) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => break Err(error),
        }
    };
    connections.close();
    connections.wait().await;
    ended
}

async fn converse(stream: TcpStream, router: Router, wire: Wire, stop: CancellationToken) {
    // Small answers on a kept connection must not wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, router.clone(), wire.clone()));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(512 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(Duration::from_millis(LEAVE_MS), connection).await;
}

/// Nobody reads this: returning it is what makes hyper drop the connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection was ended on purpose")]
struct Ended;

async fn answer(request: Request<Incoming>, router: Router, wire: Wire) -> Result<Response<Body>, Ended> {
    let path = request.uri().path();
    let mut response = if path.starts_with("/__control/") {
        control(request, router, &wire).await?
    } else if wire.faults.armed() {
        faulted(request, router, &wire).await?
    } else {
        route(router, request.map(Body::new)).await
    };
    response.headers_mut().insert(DATE, http_date(wire.clock.now()));
    Ok(response)
}

async fn route(router: Router, request: Request<Body>) -> Response<Body> {
    let Ok(response): Result<_, Infallible> = router.oneshot(request).await;
    response
}

async fn faulted(request: Request<Incoming>, router: Router, wire: &Wire) -> Result<Response<Body>, Ended> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    if !wire.faults.reads_bodies() {
        return match wire.faults.strike(parts.method.as_str(), &target, b"") {
            None => Ok(route(router, Request::from_parts(parts, Body::new(body))).await),
            Some(Action::ResetBefore) => Err(Ended),
            Some(action) => {
                let body = whole(Body::new(body)).await?;
                carry_out(action, parts, body, router).await
            }
        };
    }
    let body = whole(Body::new(body)).await?;
    match wire.faults.strike(parts.method.as_str(), &target, &body) {
        None => Ok(route(router, Request::from_parts(parts, Body::from(body))).await),
        Some(action) => carry_out(action, parts, body, router).await,
    }
}

async fn carry_out(action: Action, parts: Parts, body: Bytes, router: Router) -> Result<Response<Body>, Ended> {
    let request = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    match action {
        Action::Instead(canned) => Ok(given(&canned)),
        Action::After(canned) => {
            whole(route(router, request()).await.into_body()).await?;
            Ok(given(&canned))
        }
        Action::ResetBefore => Err(Ended),
        Action::ResetAfter => {
            whole(route(router, request()).await.into_body()).await?;
            Err(Ended)
        }
        Action::HangMs(wait) => {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            Ok(route(router, request()).await)
        }
        Action::HangAfterMs(wait) => {
            let response = route(router, request()).await;
            tokio::time::sleep(Duration::from_millis(wait)).await;
            Ok(response)
        }
        Action::Truncate(share) => cut(route(router, request()).await, share).await,
        Action::Twice => {
            whole(route(router.clone(), request()).await.into_body()).await?;
            Ok(route(router, request()).await)
        }
    }
}

async fn cut(response: Response<Body>, share: f64) -> Result<Response<Body>, Ended> {
    let (mut parts, body) = response.into_parts();
    let body = whole(body).await?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a length")]
    let kept = (body.len() as f64 * share) as usize;
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(kept));
    Ok(Response::from_parts(parts, Body::from(body.slice(..kept.min(body.len())))))
}

fn given(canned: &Canned) -> Response<Body> {
    let mut response = Response::new(Body::from(canned.body.clone()));
    *response.status_mut() = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = HeaderValue::from_str(&canned.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn control(request: Request<Incoming>, router: Router, wire: &Wire) -> Result<Response<Body>, Ended> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    if path != "/__control/faults" && path != "/__control/clock" {
        return Ok(route(router, request.map(Body::new)).await);
    }
    let (parts, body) = request.into_parts();
    let body = whole(Body::new(body)).await?;
    let query = parts.uri.query().unwrap_or_default();
    let done = if path == "/__control/faults" {
        control_faults(&parts.method, query, &body, &wire.faults)
    } else {
        control_clock(&parts.method, &body, &wire.clock)
    };
    Ok(match done {
        Ok(value) => json_response(StatusCode::OK, &value),
        Err(reason) => json_response(StatusCode::BAD_REQUEST, &json!({"error": reason})),
    })
}

fn control_faults(method: &Method, query: &str, body: &[u8], faults: &Faults) -> Result<Value, String> {
    match *method {
        Method::GET => Ok(faults.list()),
        Method::POST => {
            let written: Value = serde_json::from_slice(body).map_err(|error| format!("body: {error}"))?;
            let many = match written {
                Value::Array(many) => many,
                one => vec![one],
            };
            let mut ids = Vec::with_capacity(many.len());
            for fault in &many {
                ids.push(faults.add(fault)?);
            }
            Ok(json!({"ids": ids}))
        }
        Method::DELETE => {
            match query.strip_prefix("id=") {
                None => faults.clear(),
                Some(id) => {
                    let id = id.parse().map_err(|_| format!("no fault is called \"{id}\""))?;
                    if !faults.remove(id) {
                        return Err(format!("no fault {id} is armed"));
                    }
                }
            }
            Ok(faults.list())
        }
        _ => Err(format!("{method} is not for faults")),
    }
}

fn control_clock(method: &Method, body: &[u8], clock: &Clock) -> Result<Value, String> {
    if *method == Method::POST {
        let told: Value = serde_json::from_slice(body).map_err(|error| format!("body: {error}"))?;
        let told = told.as_object().ok_or("body: an object is expected")?;
        for (key, value) in told {
            let seconds =
                || value.as_i64().and_then(chrono::Duration::try_seconds).ok_or_else(|| format!("`{key}` is a whole number of seconds"));
            match key.as_str() {
                "advance_seconds" => clock.advance(seconds()?),
                "offset_seconds" => clock.set_offset(seconds()?),
                "freeze" => {
                    let at: Option<DateTime<Utc>> = value.as_str().and_then(|text| text.parse().ok());
                    clock.freeze(at.ok_or("`freeze` is an instant like 2026-01-02T03:04:05Z")?);
                }
                "unfreeze" => clock.unfreeze(),
                _ => return Err(format!("the clock knows no `{key}`")),
            }
        }
    }
    let (offset_seconds, frozen) = clock.settings();
    Ok(json!({"now": clock.now(), "offset_seconds": offset_seconds, "frozen": frozen}))
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn whole(body: Body) -> Result<Bytes, Ended> {
    let limited = http_body_util::Limited::new(body, BODY_MAX_BYTES);
    limited.collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| Ended)
}

fn http_date(now: DateTime<Utc>) -> HeaderValue {
    let text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Errors of one connection attempt or of a busy machine; the listener itself is fine.
fn passing(error: &io::Error) -> bool {
    const TOO_MANY_OPEN_FILES: i32 = 24;
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
        || error.raw_os_error() == Some(TOO_MANY_OPEN_FILES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::routing::any;

    use super::*;

    struct Server {
        url: String,
        calls: Arc<AtomicU32>,
        wire: Wire,
        _guard: tokio_util::sync::DropGuard,
    }

    async fn start() -> Server {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let router = Router::new().fallback(any(move |body: Bytes| async move {
            let n = counted.fetch_add(1, Ordering::SeqCst) + 1;
            format!("call {n} of {} bytes", body.len())
        }));
        let listener = listen(0).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wire = Wire::default();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, wire.clone(), stop.clone()));
        Server { url, calls, wire, _guard: stop.drop_guard() }
    }

    impl Server {
        fn calls(&self) -> u32 {
            self.calls.load(Ordering::SeqCst)
        }
        async fn post(&self, body: &'static str) -> reqwest::Result<reqwest::Response> {
            reqwest::Client::new().post(format!("{}/a?b=c", self.url)).body(body).send().await
        }
        async fn arm(&self, fault: Value) {
            let client = reqwest::Client::new();
            client.delete(format!("{}/__control/faults", self.url)).send().await.unwrap();
            let armed = client.post(format!("{}/__control/faults", self.url)).json(&fault).send().await.unwrap();
            assert_eq!(armed.status(), 200);
        }
    }

    #[tokio::test]
    async fn the_date_is_the_virtual_clock() {
        let server = start().await;
        server.wire.clock.freeze("2031-02-03T04:05:06Z".parse().unwrap());
        let reply = server.post("x").await.unwrap();
        assert_eq!(reply.headers()["date"], "Mon, 03 Feb 2031 04:05:06 GMT");
        let client = reqwest::Client::new();
        let clock = format!("{}/__control/clock", server.url);
        let told: Value = client.post(&clock).json(&json!({"advance_seconds": 4})).send().await.unwrap().json().await.unwrap();
        assert_eq!(told["now"], "2031-02-03T04:05:10Z");
        assert_eq!(client.post(&clock).json(&json!({"warp": 4})).send().await.unwrap().status(), 400);
    }

    #[tokio::test]
    async fn resets_differ_in_whether_the_call_was_executed() {
        let server = start().await;
        server.arm(json!({"on": "POST /a", "body": "xyz", "do": "reset_before"})).await;
        assert!(server.post("xyz").await.is_err());
        assert_eq!(server.calls(), 0);
        server.arm(json!({"on": "POST /a", "do": "reset_after"})).await;
        assert!(server.post("xyz").await.is_err());
        assert_eq!(server.calls(), 1);
        assert_eq!(server.post("xyz").await.unwrap().text().await.unwrap(), "call 2 of 3 bytes");
    }

    #[tokio::test]
    async fn answers_are_replaced_cut_and_repeated() {
        let server = start().await;
        server.arm(json!({"do": {"status": 503, "headers": {"Retry-After": "1"}}})).await;
        let reply = server.post("x").await.unwrap();
        assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()), (503, "1"));
        assert_eq!(server.calls(), 0);
        server.arm(json!({"do": {"status_after": 502}})).await;
        assert_eq!(server.post("x").await.unwrap().status(), 502);
        assert_eq!(server.calls(), 1);
        server.arm(json!({"do": {"truncate": 0.5}})).await;
        assert_eq!(server.post("x").await.unwrap().text().await.unwrap(), "call 2 o");
        server.arm(json!({"do": "twice"})).await;
        assert_eq!(server.post("x").await.unwrap().text().await.unwrap(), "call 4 of 1 bytes");
        server.arm(json!({"do": {"json_200": {"records": []}}})).await;
        assert_eq!(server.post("x").await.unwrap().text().await.unwrap(), "{\"records\":[]}");
        let listed: Value = reqwest::get(format!("{}/__control/faults", server.url)).await.unwrap().json().await.unwrap();
        assert_eq!(listed[0]["hits"], 1);
    }

    #[tokio::test]
    async fn stopping_ends_the_server_even_with_a_call_that_hangs() {
        let listener = listen(0).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let wire = Wire::default();
        wire.faults.add(&json!({"do": {"hang_ms": 3_600_000}})).unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, Router::new(), wire.clone(), stop.clone()));
        let call = tokio::spawn(reqwest::get(url));
        while wire.faults.hits(1) == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        served.await.unwrap().unwrap();
        assert!(call.await.unwrap().is_err());
    }
}
