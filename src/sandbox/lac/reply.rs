//! What goes back to the caller: a status and a body; an error in one of the shapes it may have.
//!
//! The vendor documents no error body for these pages. The two older end-user interfaces have `{"message"}` and
//! `{"code","message"}`; a proxy in front may answer a page, or nothing.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::settings::Settings;

/// The number beside the message, where the shape has one.
const CODE: u32 = 1703;

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// 400, about what was sent.
    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }

    pub fn not_found(what: &str) -> Refusal {
        Refusal::new(404, format!("{what} not found"))
    }

    pub fn reply(&self, settings: &Settings) -> Reply {
        let message = &self.message;
        let (content_type, body) = match settings.error_shape.as_str() {
            "code" => ("application/json", json!({"code": CODE, "message": message}).to_string()),
            "text" => ("text/plain; charset=utf-8", message.clone()),
            "html" => ("text/html; charset=utf-8", format!("<html><head><title>Error</title></head><body>{}</body></html>", self.status)),
            "empty" => ("text/html; charset=utf-8", String::new()),
            _ => ("application/json", json!({ "message": message }).to_string()),
        };
        Reply { status: self.status, content_type, body }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.message)
    }
}

impl std::error::Error for Refusal {}

/// An answer before it goes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Reply {
        Reply { status, content_type: "application/json", body: body.to_string() }
    }

    pub fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    pub fn empty(status: u16) -> Reply {
        Reply { body: String::new(), ..Reply::json(status, &Value::Null) }
    }
}

impl From<Reply> for Response<Body> {
    fn from(reply: Reply) -> Response<Body> {
        let mut response = Response::new(Body::from(reply.body));
        *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if reply.status != 204 {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        }
        response
    }
}
