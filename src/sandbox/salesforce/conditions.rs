//! Conditional requests: dates on descriptions and records, entity tags on accounts.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::error::SfError;
use super::http::{Call, Reply};
use super::table::Row;
use super::world::Outcome;

pub(super) fn unmodified(call: &Call, changed: i64) -> Outcome<bool> {
    Ok(date_header(call, "if-modified-since")?.is_some_and(|since| changed <= since))
}

fn date_header(call: &Call, name: &str) -> Outcome<Option<i64>> {
    match call.header(name) {
        None => Ok(None),
        Some(text) => {
            parse_http_date(text).map(Some).ok_or_else(|| SfError::bad("INVALID_HTTP_HEADER", format!("invalid date in {name}: {text}")))
        }
    }
}

/// The reply that ends a call whose condition does not hold.
pub(super) fn precondition(call: &Call, object: &str, row: &Row) -> Outcome<Option<Reply>> {
    let reading = call.method == "GET";
    let tagged = |name: &str| {
        let matches = |text: &str| text.split(',').any(|tag| bare_tag(tag) == bare_tag(&etag(row)) || tag.trim() == "*");
        call.header(name).filter(|_| object == "Account").map(matches)
    };
    if date_header(call, "if-unmodified-since")?.is_some_and(|since| row.modified > since) || tagged("if-match") == Some(false) {
        return Ok(Some(Reply::empty(412)));
    }
    let unchanged = date_header(call, "if-modified-since")?.is_some_and(|since| row.modified <= since);
    match tagged("if-none-match") {
        Some(true) => Ok(Some(Reply::empty(if reading { 304 } else { 412 }))),
        _ if unchanged && reading => Ok(Some(Reply::empty(304))),
        _ => Ok(None),
    }
}

pub(super) fn etag(row: &Row) -> String {
    format!("\"{}{}\"", row.id.short(), row.stamp)
}

/// Without quotes and the suffix of a compressed answer.
fn bare_tag(tag: &str) -> &str {
    let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
    tag.trim_end_matches("-gzip").trim_end_matches('-')
}

fn parse_http_date(text: &str) -> Option<i64> {
    let at = NaiveDateTime::parse_from_str(text.trim(), "%a, %d %b %Y %H:%M:%S GMT").ok();
    at.map(|at| at.and_utc().timestamp()).or_else(|| DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.timestamp()))
}

pub(super) fn http_date(seconds: i64) -> String {
    let at: DateTime<Utc> = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_read_both_ways() {
        assert_eq!(http_date(1_767_323_045), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse_http_date("Fri, 02 Jan 2026 03:04:05 GMT"), Some(1_767_323_045));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
