//! The REST resources: versions, what each call is counted as, and who answers it.

use serde_json::{Map, Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::world::{Outcome, World};

const OLDEST: u32 = 31;
const NEWEST: u32 = 68;

/// The versions there are; no session is needed and nothing is counted.
pub(super) fn versions() -> Reply {
    let all: Vec<Value> = (OLDEST..=NEWEST)
        .map(|number| json!({"label": release(number), "url": format!("/services/data/v{number}.0"), "version": format!("{number}.0")}))
        .collect();
    Reply::json(200, Value::Array(all).to_string())
}

/// Three releases a year; the winter one is named after the next.
fn release(version: u32) -> String {
    let year = 8 + version.saturating_sub(12) / 3;
    match version % 3 {
        0 => format!("Spring '{year}"),
        1 => format!("Summer '{year}"),
        _ => format!("Winter '{}", year + 1),
    }
}

pub(super) fn known_version(version: &str) -> bool {
    let number = version.strip_prefix('v').and_then(|number| number.strip_suffix(".0"));
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| (OLDEST..=NEWEST).contains(&number))
}

/// What a call is counted as, and how many calls it costs.
pub(super) fn kind_of(call: &Call) -> (&'static str, u64) {
    let path: Vec<String> = call.path.iter().map(|part| part.to_ascii_lowercase()).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["query" | "queryall"] => ("query", 1),
        ["query" | "queryall", _] => ("query_more", 1),
        ["sobjects", _, "describe"] => ("describe", 1),
        ["sobjects"] => ("describe_global", 1),
        ["sobjects", _, "updated" | "deleted"] => ("replication", 1),
        ["sobjects", ..] if call.method == "GET" => ("retrieve", 1),
        ["sobjects", ..] => ("record", 1),
        ["composite", "sobjects", ..] => ("collections", 1),
        ["composite", "batch"] => {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let subs = body["batchRequests"].as_array().map_or(1, Vec::len).max(1);
            ("batch", u64::try_from(subs).unwrap_or(1))
        }
        ["composite", "graph"] => ("graph", 1),
        ["composite", "tree", _] => ("tree", 1),
        ["composite"] => ("composite", 1),
        ["jobs", ..] => ("bulk", 1),
        ["limits"] => ("limits", 1),
        _ => ("other", 1),
    }
}

impl World {
    /// A resource of one version; also what the composite resources call for each part.
    pub(super) fn resource(&mut self, call: &Call) -> Reply {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let lower: Vec<String> = call.path.iter().take(2).map(|part| part.to_ascii_lowercase()).collect();
        let method = call.method.as_str();
        let first = lower.first().map_or("", String::as_str);
        let second = lower.get(1).map_or("", String::as_str);
        let reply = match (method, first, path.len()) {
            ("GET", "", _) => Ok(self.resources(call)),
            ("GET", "limits", 1) => Ok(self.limits()),
            ("GET" | "POST", "query" | "queryall", 1) => self.query(call, first == "queryall"),
            ("GET", "query" | "queryall", 2) => self.query_more(call, path[1]),
            ("GET", "sobjects", 1) => self.describe_global(call),
            (_, "sobjects", 2..=4) => self.sobject(call, &path),
            (_, "composite", _) => self.composite_family(call, second, &path),
            (_, "jobs", _) => self.jobs(call, second, &path),
            (_, "query" | "queryall" | "sobjects" | "limits", _) => Err(not_allowed(method)),
            _ => Err(SfError::not_found()),
        };
        reply.unwrap_or_else(Reply::from)
    }

    fn resources(&self, call: &Call) -> Reply {
        let names = ["analytics", "composite", "jobs", "limits", "query", "queryAll", "sobjects", "tooling"];
        let mut map: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!(format!("/services/data/{}/{name}", call.version)))).collect();
        map.insert("identity".to_owned(), json!(self.identity_url()));
        Reply::json(200, Value::Object(map).to_string())
    }

    fn limits(&mut self) -> Reply {
        let max = self.settings.daily_max;
        let left = max.saturating_sub(self.used());
        let body = json!({
            "DailyApiRequests": {"Max": max, "Remaining": left}, "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyAsyncApexExecutions": {"Max": 250_000, "Remaining": 250_000}, "DataStorageMB": {"Max": 10_240, "Remaining": 10_000},
            "FileStorageMB": {"Max": 10_240, "Remaining": 10_240}, "HourlyTimeBasedWorkflow": {"Max": 1000, "Remaining": 1000},
        });
        Reply::json(200, body.to_string())
    }
}

/// `{"id":…,"success":true,"errors":[]}`, with `created` where it belongs.
pub(super) fn saved(id: Id, created: Option<bool>) -> String {
    let created = created.map_or(String::new(), |created| format!(",\"created\":{created}"));
    format!("{{\"id\":\"{id}\",\"success\":true,\"errors\":[]{created}}}")
}

pub(super) fn not_allowed(method: &str) -> SfError {
    SfError::new(405, "METHOD_NOT_ALLOWED", format!("HTTP Method '{method}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE"))
}

pub(super) fn body_json(call: &Call) -> Outcome<Value> {
    serde_json::from_slice(&call.body).map_err(|error| {
        let text = format!("Unexpected character at [line:{}, column:{}]", error.line(), error.column());
        SfError::bad("JSON_PARSER_ERROR", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_their_names() {
        for (version, name) in [(65, "Winter '26"), (66, "Spring '26"), (67, "Summer '26"), (68, "Winter '27"), (31, "Summer '14")] {
            assert_eq!(release(version), name);
        }
        assert!(known_version("v66.0") && !known_version("v30.0") && !known_version("66.0") && !known_version("v99.0"));
    }
}
