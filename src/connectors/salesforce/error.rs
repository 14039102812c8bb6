//! What Salesforce says when it refuses, sorted by its `errorCode`. The HTTP status decides only where there is no code.
//!
//! Source: REST API guide, "Status Codes and Error Responses"; the same code is seen with different statuses.

use crate::connectors::http::Answer;
use crate::connectors::{Fault, FaultKind};
use crate::seeded::seeded;
use serde::Deserialize;

/// One complaint: `errorCode` in REST bodies, `statusCode` in the rows of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ApiError {
    #[serde(rename = "errorCode", alias = "statusCode")]
    pub code: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    fields: Option<Vec<String>>,
}

impl ApiError {
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        kind_of(&self.code, self.message.as_deref().unwrap_or_default())
    }

    #[must_use]
    pub fn fields(&self) -> &[String] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// The text for an operator: one line, without the statement that SOQL errors quote.
    #[must_use]
    pub fn message(&self) -> String {
        let text = self.message.as_deref().unwrap_or_default();
        let text = text.find("ERROR at Row").map_or(text, |at| &text[at..]);
        let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() > 400 {
            line = line.chars().take(400).chain(['…']).collect();
        }
        if line.is_empty() { "no reason given".to_owned() } else { line }
    }
}

/// Whether the request may be sent again without asking what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Read,
    Write,
}

/// All complaints of a body: an array, a bare object, or nothing that we know.
#[must_use]
pub fn complaints(body: &[u8]) -> Vec<ApiError> {
    if let Ok(errors) = serde_json::from_slice::<Vec<ApiError>>(body) {
        return errors;
    }
    serde_json::from_slice::<ApiError>(body).map(|e| vec![e]).unwrap_or_default()
}

/// The failure that an answer without success stands for.
#[must_use]
pub fn fault(answer: &Answer, doing: Doing) -> Fault {
    Fault { retry_after_s: answer.retry_after_s(), ..fault_of(answer.status.as_u16(), &answer.body, doing) }
}

/// The same for a part of a composite answer.
#[must_use]
pub fn fault_of(status: u16, body: &[u8], doing: Doing) -> Fault {
    match complaints(body).first() {
        Some(error) => {
            let kind = match (error.kind(), doing) {
                // A 5xx with a code that says nothing: a trigger may have run to its end before.
                (FaultKind::Retry, Doing::Write) if status >= 500 && vague(&error.code) => FaultKind::Unknown,
                (kind, _) => kind,
            };
            Fault::new(kind, error.code.clone(), error.message())
        }
        None => Fault::new(bare(status, doing), format!("http-{status}"), bare_text(status)),
    }
}

/// What to do about a code. What is not listed is taken as a refusal of this record: parked and shown, nobody else delayed.
#[must_use]
pub fn kind_of(code: &str, message: &str) -> FaultKind {
    match code {
        "INVALID_SESSION_ID" => FaultKind::Credentials,
        "REQUEST_LIMIT_EXCEEDED" if message.contains("TotalRequests") => FaultKind::Budget,
        "REQUEST_LIMIT_EXCEEDED"
        | "SERVER_UNAVAILABLE"
        | "REQUEST_RUNNING_TOO_LONG"
        | "TOO_MANY_APEX_REQUESTS"
        | "ORG_IN_MAINTENANCE"
        | "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
        | "LIMIT_EXCEEDED" => FaultKind::BackOff,
        // The reader narrows its window or starts it again; the same call again is no use.
        "QUERY_TIMEOUT" | "INVALID_QUERY_LOCATOR" | "OPERATION_TOO_LARGE" | "EXCEEDED_ID_LIMIT" => FaultKind::BackOff,
        "UNABLE_TO_LOCK_ROW"
        | "UNKNOWN_EXCEPTION"
        | "INTERNAL_ERROR"
        | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        | "PROCESSING_HALTED"
        | "BATCH_PROCESSING_HALTED" => FaultKind::Retry,
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" | "CANNOT_EXECUTE_FLOW_TRIGGER" if message.contains("UNABLE_TO_LOCK_ROW") => {
            FaultKind::Retry
        }
        "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "INVALID_AUTH_HEADER"
        | "INSUFFICIENT_ACCESS"
        | "FUNCTIONALITY_NOT_ENABLED"
        | "NOT_FOUND"
        | "QUERY_TOO_COMPLICATED"
        | "MALFORMED_QUERY"
        | "INVALID_TYPE"
        | "INVALID_FIELD"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "FIELD_NOT_UPDATABLE"
        | "UNSUPPORTED_API_VERSION"
        | "JSON_PARSER_ERROR"
        | "STORAGE_LIMIT_EXCEEDED"
        | "METHOD_NOT_ALLOWED" => FaultKind::Setup,
        code if code.starts_with("TXN_SECURITY") => FaultKind::BackOff,
        _ => FaultKind::Record,
    }
}

/// Codes that are no record's fault: halving a batch would only ask the same question 400 times.
#[must_use]
pub fn concerns_all(code: &str) -> bool {
    matches!(
        code,
        "API_DISABLED_FOR_ORG"
            | "API_CURRENTLY_DISABLED"
            | "INVALID_AUTH_HEADER"
            | "INSUFFICIENT_ACCESS"
            | "FUNCTIONALITY_NOT_ENABLED"
            | "NOT_FOUND"
            | "INVALID_TYPE"
            | "UNSUPPORTED_API_VERSION"
            | "STORAGE_LIMIT_EXCEEDED"
            | "METHOD_NOT_ALLOWED"
    )
}

fn vague(code: &str) -> bool {
    matches!(code, "UNKNOWN_EXCEPTION" | "INTERNAL_ERROR")
}

/// No JSON: the edge in front of the org answered. What it turned away was not done; what it lost may have been.
fn bare(status: u16, doing: Doing) -> FaultKind {
    match status {
        401 => FaultKind::Credentials,
        406 | 420 | 429 => FaultKind::BackOff,
        408 | 500.. if doing == Doing::Write && !seeded!(LostIsUndone) => FaultKind::Unknown,
        408 | 500.. => FaultKind::Retry,
        409 | 412 => FaultKind::Record,
        400..500 => FaultKind::Setup,
        _ => FaultKind::Answer,
    }
}

fn bare_text(status: u16) -> String {
    let why = match status {
        300..=399 => "a redirect, which is never followed with a token",
        401 => "not authorised",
        410 => "the API version is retired",
        412 => "the record changed since it was read",
        413 | 414 | 431 => "the request is too large",
        429 | 420 => "too many requests",
        500.. => "the service in front of the org is in trouble",
        _ => "an answer without a Salesforce error in it",
    };
    format!("status {status}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_not_the_status() {
        for (status, body, doing, want) in [
            (400, r#"[{"errorCode":"UNABLE_TO_LOCK_ROW","message":"x"}]"#, Doing::Write, FaultKind::Retry),
            (500, r#"[{"errorCode":"UNABLE_TO_LOCK_ROW","message":"x"}]"#, Doing::Write, FaultKind::Retry),
            (500, r#"[{"errorCode":"UNKNOWN_EXCEPTION","message":"x"}]"#, Doing::Write, FaultKind::Unknown),
            (500, r#"[{"errorCode":"UNKNOWN_EXCEPTION","message":"x"}]"#, Doing::Read, FaultKind::Retry),
            (403, r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]"#, Doing::Read, FaultKind::Budget),
            (
                403,
                r#"[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests Limit exceeded."}]"#,
                Doing::Read,
                FaultKind::BackOff,
            ),
            (404, r#"{"errorCode":"NOT_FOUND","message":"bare object"}"#, Doing::Read, FaultKind::Setup),
            (400, r#"[{"errorCode":"STRING_TOO_LONG","fields":null}]"#, Doing::Write, FaultKind::Record),
            (400, r#"[{"errorCode":"SOMETHING_NEW","duplicateResult":{}}]"#, Doing::Write, FaultKind::Record),
            (503, "<html>", Doing::Read, FaultKind::Retry),
            (503, "<html>", Doing::Write, FaultKind::Unknown),
            (420, "<html>", Doing::Write, FaultKind::BackOff),
            (412, "", Doing::Write, FaultKind::Record),
            (414, "", Doing::Read, FaultKind::Setup),
            (302, "", Doing::Read, FaultKind::Answer),
        ] {
            assert_eq!(fault_of(status, body.as_bytes(), doing).kind, want, "{status} {body}");
        }
    }

    #[test]
    fn a_soql_error_is_shown_without_its_statement() {
        let body = r#"[{"errorCode":"INVALID_FIELD","message":"\nSELECT Foo FROM Contact WHERE Email='canary'\n       ^\nERROR at Row:1:Column:8\nNo such column 'Foo' on entity 'Contact'."}]"#;
        let fault = fault_of(400, body.as_bytes(), Doing::Read);
        assert_eq!(fault.message, "ERROR at Row:1:Column:8 No such column 'Foo' on entity 'Contact'.");
    }

    #[test]
    fn rows_of_collections_name_the_code_differently() {
        let row: ApiError = serde_json::from_str(r#"{"statusCode":"DUPLICATE_VALUE","message":"m","fields":["A"]}"#).expect("a row error");
        assert_eq!((row.code.as_str(), row.fields()), ("DUPLICATE_VALUE", ["A".to_owned()].as_slice()));
    }
}
