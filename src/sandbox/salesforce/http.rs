//! The thin face: HTTP in, one call on the world, HTTP out.
//!
//! The world is locked for the length of one call and never across a wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::error::SfError;
use super::ids::Id;
use super::world::World;

/// One request, taken apart.
#[derive(Clone, Default)]
pub struct Call {
    pub method: String,
    /// Decoded, without empty ones; of a data call those after the version.
    pub path: Vec<String>,
    /// `v66.0`, where there is one.
    pub version: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub user: Option<Id>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Call {
    /// From the request line; `target` is path and query as sent.
    #[must_use]
    pub fn new(method: &str, target: &str, headers: Vec<(String, String)>, body: Bytes) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Split first, decode afterwards: a slash inside a value stays in it.
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let instead = query.iter().find(|(name, _)| name == "_HttpMethod").map(|(_, method)| method.to_ascii_uppercase());
        Self {
            method: instead.filter(|_| method == "POST").unwrap_or_else(|| method.to_owned()),
            path: path.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            version: String::new(),
            query,
            headers,
            body,
            user: None,
        }
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The API version as a number; 0 when there is none.
    #[must_use]
    pub fn version_number(&self) -> f64 {
        self.version.trim_start_matches(['v', 'V']).parse().unwrap_or(0.0)
    }
}

impl Reply {
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json;charset=UTF-8", headers: Vec::new(), body: body.into() }
    }

    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { content_type: "", ..Self::json(status, "") }
    }

    #[must_use]
    pub fn html(status: u16, body: &str) -> Self {
        Self { content_type: "text/html; charset=UTF-8", ..Self::json(status, body) }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<SfError> for Reply {
    fn from(error: SfError) -> Self {
        Self::json(error.status, error.rest())
    }
}

pub type Shared = Arc<Mutex<World>>;

/// Everything the simulator answers, control routes of its own included.
pub fn router(world: Shared) -> Router {
    Router::new().fallback(answer).with_state(world)
}

pub(super) fn locked(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

const BODY_MAX_BYTES: usize = 160 * 1024 * 1024;
/// Request line and headers together; longer ones never reach the platform.
const HEAD_MAX_BYTES: usize = 16_384;

async fn answer(State(world): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let head = target.len() + parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if head > HEAD_MAX_BYTES {
        let status = if target.len() > HEAD_MAX_BYTES { 414 } else { 431 };
        return respond(Reply::html(status, "<h1>Bad Message</h1><pre>reason: URI Too Long</pre>"));
    }
    let headers = parts.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
        return respond(Reply::html(413, "<h1>Request Entity Too Large</h1>"));
    };
    let call = Call::new(parts.method.as_str(), target, headers, body);
    let control = call.path.first().is_some_and(|first| first == "__control");
    let latency = if control { 0 } else { locked(&world).settings.latency_ms };
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let reply = {
        let mut world = locked(&world);
        world.settle();
        world.answer(call)
    };
    respond(reply)
}

fn respond(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !reply.content_type.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    }
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

impl World {
    /// Sorts a call to whoever answers it.
    pub fn answer(&mut self, call: Call) -> Reply {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["__control", rest @ ..] => {
                let rest: Vec<String> = rest.iter().map(|&part| part.to_owned()).collect();
                self.control(&call, &rest)
            }
            ["services", "oauth2", "token"] => self.token(&call),
            ["services", "oauth2", "revoke"] => self.revoke(&call),
            ["services", "oauth2", "userinfo"] => self.as_user(&call, |world, user| world.userinfo(user)),
            ["id", _org, _user] => self.as_user(&call, |world, user| world.identity(user)),
            ["services", "data"] => super::rest::versions(),
            ["services", "data", version, ..] => {
                let version = (*version).to_owned();
                self.data(call, &version)
            }
            ["services", "Soap", _flavour, version, ..] => {
                let version = (*version).to_owned();
                self.soap(&call, &version)
            }
            _ => Reply::from(SfError::not_found()),
        }
    }

    fn as_user(&mut self, call: &Call, then: impl FnOnce(&Self, Id) -> Reply) -> Reply {
        let token = bearer(call).unwrap_or_default().to_owned();
        match self.session(&token) {
            Ok(user) => then(self, user),
            Err(_) => Reply { content_type: "text/html; charset=UTF-8", ..Reply::json(403, "Bad_OAuth_Token") },
        }
    }

    /// A call under `/services/data/vXX.X`: version, session, allowance, then the resource.
    fn data(&mut self, mut call: Call, version: &str) -> Reply {
        call.path.drain(..3);
        version.clone_into(&mut call.version);
        let number = call.version_number();
        if number < 31.0 && number > 0.0 {
            return SfError::new(410, "UNSUPPORTED_API_VERSION", format!("API version {version} is retired")).into();
        }
        if !super::rest::known_version(version) {
            return SfError::not_found().into();
        }
        let token = bearer(&call).unwrap_or_default().to_owned();
        let user = match self.session(&token) {
            Ok(user) => user,
            Err(error) => return self.limited(error.into()),
        };
        call.user = Some(user);
        if self.used() >= self.settings.daily_max {
            let error = SfError::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
            return self.limited(error.into());
        }
        let (kind, cost) = super::rest::kind_of(&call);
        self.count(kind, cost);
        let reply = self.resource(&call);
        self.limited(reply)
    }

    fn limited(&mut self, reply: Reply) -> Reply {
        let used = self.used();
        reply.with("Sforce-Limit-Info", format!("api-usage={used}/{}", self.settings.daily_max))
    }
}

fn bearer(call: &Call) -> Option<&str> {
    let header = call.header("authorization")?;
    let (scheme, token) = header.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("OAuth");
    known.then(|| token.trim())
}
