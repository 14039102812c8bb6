//! What goes back to the caller: a status and a body, and the four error shapes of the vendor.
//!
//! | shape | body | used for |
//! |---|---|---|
//! | A | `{"detail":"…"}` | credentials, permissions, unknown records, wrong methods, bodies that are not JSON, 429 |
//! | B | `{"message":"…"}` | refused actions |
//! | C | `{"status":409,"code":"order_id_exists","message":"…"}` | order creation and feature codes |
//! | D | `{"field":["…"]}` | fields that do not validate |

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

/// Why a field, or several, were not accepted: shape D.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// A refused call.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    Detail(u16, String),
    Message(u16, String),
    Coded(u16, &'static str, String),
    Fields(FieldErrors),
}

impl Refusal {
    pub fn not_found() -> Refusal {
        Refusal::Detail(404, "Not found.".into())
    }

    pub fn field(name: &str, reason: impl Into<String>) -> Refusal {
        Refusal::Fields(FieldErrors::from([(name.to_owned(), vec![reason.into()])]))
    }

    pub fn coded(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::Coded(400, code, message.into())
    }

    pub fn status(&self) -> u16 {
        match self {
            Refusal::Detail(status, _) | Refusal::Message(status, _) | Refusal::Coded(status, _, _) => *status,
            Refusal::Fields(_) => 400,
        }
    }

    pub fn body(&self) -> Value {
        match self {
            Refusal::Detail(_, detail) => json!({ "detail": detail }),
            Refusal::Message(_, message) => json!({ "message": message }),
            Refusal::Coded(status, code, message) => {
                json!({"status": status, "code": code, "message": message})
            }
            Refusal::Fields(errors) => json!(errors),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status(), self.body())
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
        Reply { status, content_type: "application/json", headers: Vec::new(), body: body.to_string() }
    }

    pub fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    /// Shape B, the body of every action.
    pub fn message(text: &str) -> Reply {
        Reply::ok(&json!({ "message": text }))
    }

    pub fn empty() -> Reply {
        Reply { body: String::new(), ..Reply::json(204, &Value::Null) }
    }

    pub fn csv(text: String) -> Reply {
        Reply { content_type: "text/csv", body: text, ..Reply::ok(&Value::Null) }
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
        headers.insert("server", HeaderValue::from_static("nginx"));
        headers.insert("vary", HeaderValue::from_static("Accept, Origin, Cookie"));
        if reply.status != 204 {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        }
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
