//! Answers: the two shapes of an error body, the message of a write, and how they go on the wire.
//!
//! Documented statuses are 400, 401, 408 and 500. Three application codes are published: 900, 901 and 910.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

/// A call that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `{"message":…}`
    Plain(u16, String),
    /// `{"error":…,"code":…,"message":…}`
    Coded(u16, i64, String),
}

/// The filter could not be made into SQL.
pub const BAD_SQL: i64 = 901;
/// There is no such resource.
pub const NO_RESOURCE: i64 = 910;

impl Refusal {
    /// A body or parameter that is not taken.
    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::Plain(400, message.into())
    }

    pub fn sql(message: impl Into<String>) -> Refusal {
        Refusal::Coded(400, BAD_SQL, message.into())
    }

    pub fn no_resource(path: &str) -> Refusal {
        Refusal::Coded(400, NO_RESOURCE, format!("there is no resource {path}"))
    }

    pub fn status(&self) -> u16 {
        match self {
            Refusal::Plain(status, _) | Refusal::Coded(status, _, _) => *status,
        }
    }

    pub fn body(&self) -> Value {
        match self {
            Refusal::Plain(_, message) => json!({ "message": message }),
            Refusal::Coded(_, code, message) => {
                let error = if *code == BAD_SQL { "SQL not generated correctly" } else { "Resource does not exist" };
                json!({"error": error, "code": code, "message": message})
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Plain(status, message) => write!(f, "{status} {message}"),
            Refusal::Coded(status, code, message) => write!(f, "{status}/{code} {message}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// An answer before it goes on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply { status, content_type: "application/json; charset=utf-8", headers: Vec::new(), body: body.to_string() }
    }

    pub fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    /// What a web server says of a path that no application has.
    pub fn no_page() -> Reply {
        let body = "<html><head><title>404 - File or directory not found.</title></head><body><h2>404</h2></body></html>";
        Reply { content_type: "text/html", body: body.to_owned(), ..Reply::json(404, &Value::Null) }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply::json(refusal.status(), &refusal.body())
    }
}

impl From<Reply> for Response<Body> {
    fn from(reply: Reply) -> Response<Body> {
        let mut response = Response::new(Body::from(reply.body));
        *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert("cache-control", HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
