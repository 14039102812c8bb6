//! Armed faults: which call goes wrong, how, and how often it did.
//!
//! A fault is JSON, so that tests, the control route and a shell can all arm one:
//!
//! | key | meaning |
//! |---|---|
//! | `on` | substring of `METHOD /path?query`, as sent or percent-decoded; absent = every call |
//! | `body` | substring of the request body; absent = any |
//! | `nth` | fires on the n-th matching call; default 1 |
//! | `times` | how many matching calls in a row from then on; default 1, `0` = for ever |
//! | `do` | what happens, below |
//!
//! | `do` | executed | the client sees |
//! |---|---|---|
//! | `{"status":503,"body":"…","content_type":"text/html","headers":{"Retry-After":"1"}}` | no | this |
//! | `{"status_after":502, …same keys}` | yes | this |
//! | `"reset_before"` | no | the connection closes without an answer |
//! | `"reset_after"` | yes | the connection closes without an answer |
//! | `{"hang_ms":500}` | yes, after the wait | the answer |
//! | `{"hang_after_ms":500}` | yes | the answer, after the wait |
//! | `{"truncate":0.5}` | yes | that share of the body, with an honest content-length |
//! | `"html_200"` | no | an HTML page with status 200 |
//! | `{"json_200":…}` | no | that JSON with status 200 |
//! | `"twice"` | twice | the second answer |
//!
//! What it refuses to know: any vendor. Matching is on bytes that went over the wire.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

/// The armed faults of one server. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    table: Arc<Mutex<Table>>,
    armed: Arc<AtomicBool>,
    reads_bodies: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    id: u64,
    written: Value,
    on: Option<String>,
    body: Option<String>,
    nth: u64,
    times: u64,
    action: Action,
    matched: u64,
    hits: u64,
}

/// What a fired fault does to the call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Instead(Canned),
    After(Canned),
    ResetBefore,
    ResetAfter,
    HangMs(u64),
    HangAfterMs(u64),
    Truncate(f64),
    Twice,
}

/// An answer that no simulator made.
#[derive(Clone, Debug, PartialEq)]
pub struct Canned {
    pub status: u16,
    pub body: String,
    pub content_type: String,
    pub headers: BTreeMap<String, String>,
}

impl Faults {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms one fault and returns its number.
    ///
    /// # Errors
    /// The text says which key is wrong; nothing is armed then.
    pub fn add(&self, fault: &Value) -> Result<u64, String> {
        let parsed = parse(fault)?;
        let mut table = self.table();
        table.next += 1;
        let id = table.next;
        table.faults.push(Fault { id, ..parsed });
        self.note(&table);
        Ok(id)
    }

    /// Disarms one fault; false when there is none of that number.
    pub fn remove(&self, id: u64) -> bool {
        let mut table = self.table();
        let before = table.faults.len();
        table.faults.retain(|fault| fault.id != id);
        self.note(&table);
        table.faults.len() != before
    }

    /// Disarms all.
    pub fn clear(&self) {
        let mut table = self.table();
        table.faults.clear();
        self.note(&table);
    }

    /// `[{"id":1,"fault":{…as written},"matched":3,"hits":1}]`
    #[must_use]
    pub fn list(&self) -> Value {
        self.table()
            .faults
            .iter()
            .map(|fault| json!({"id": fault.id, "fault": fault.written, "matched": fault.matched, "hits": fault.hits}))
            .collect()
    }

    /// How often the fault fired; 0 for an unknown number.
    #[must_use]
    pub fn hits(&self, id: u64) -> u64 {
        self.table().faults.iter().find(|fault| fault.id == id).map_or(0, |fault| fault.hits)
    }

    /// Whether any fault is armed: the serve loop skips everything else when not.
    pub(super) fn armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// Whether an armed fault looks at request bodies.
    pub(super) fn reads_bodies(&self) -> bool {
        self.reads_bodies.load(Ordering::Relaxed)
    }

    /// Counts this call against every fault it matches; the first that is due fires.
    pub(super) fn strike(&self, method: &str, target: &str, body: &[u8]) -> Option<Action> {
        let sent = format!("{method} {target}");
        let decoded = decoded(&sent);
        let body = String::from_utf8_lossy(body);
        let mut fired = None;
        for fault in &mut self.table().faults {
            let on = fault.on.as_ref().is_none_or(|on| sent.contains(on) || decoded.contains(on));
            if !on || fault.body.as_ref().is_some_and(|wanted| !body.contains(wanted)) {
                continue;
            }
            fault.matched += 1;
            let due = fault.matched >= fault.nth && (fault.times == 0 || fault.matched < fault.nth.saturating_add(fault.times));
            if due && fired.is_none() {
                fault.hits += 1;
                fired = Some(fault.action.clone());
            }
        }
        fired
    }

    fn note(&self, table: &Table) {
        self.armed.store(!table.faults.is_empty(), Ordering::Relaxed);
        self.reads_bodies.store(table.faults.iter().any(|fault| fault.body.is_some()), Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    on: Option<String>,
    body: Option<String>,
    #[serde(default = "one")]
    nth: u64,
    #[serde(default = "one")]
    times: u64,
    #[serde(rename = "do")]
    action: Value,
}

fn one() -> u64 {
    1
}

fn parse(fault: &Value) -> Result<Fault, String> {
    let written: Written = serde_json::from_value(fault.clone()).map_err(|error| format!("fault: {error}"))?;
    Ok(Fault {
        id: 0,
        written: fault.clone(),
        on: written.on,
        body: written.body,
        nth: written.nth.max(1),
        times: written.times,
        action: parse_action(&written.action)?,
        matched: 0,
        hits: 0,
    })
}

fn parse_action(action: &Value) -> Result<Action, String> {
    if let Some(word) = action.as_str() {
        return match word {
            "reset_before" => Ok(Action::ResetBefore),
            "reset_after" => Ok(Action::ResetAfter),
            "twice" => Ok(Action::Twice),
            "html_200" => Ok(Action::Instead(html(200))),
            _ => Err(format!("fault: `do` knows no \"{word}\"")),
        };
    }
    let Some(object) = action.as_object() else {
        return Err("fault: `do` is a word or an object".to_owned());
    };
    let number = |key: &str| object[key].as_u64().ok_or_else(|| format!("fault: `{key}` is a whole number"));
    if object.contains_key("status") {
        return canned(object, "status").map(Action::Instead);
    }
    if object.contains_key("status_after") {
        return canned(object, "status_after").map(Action::After);
    }
    if object.contains_key("hang_ms") {
        return number("hang_ms").map(Action::HangMs);
    }
    if object.contains_key("hang_after_ms") {
        return number("hang_after_ms").map(Action::HangAfterMs);
    }
    if let Some(share) = object.get("truncate") {
        let share = share.as_f64().filter(|share| (0.0..=1.0).contains(share));
        return share.map(Action::Truncate).ok_or_else(|| "fault: `truncate` is a share from 0 to 1".to_owned());
    }
    if let Some(body) = object.get("json_200") {
        return Ok(Action::Instead(Canned {
            status: 200,
            body: body.to_string(),
            content_type: "application/json;charset=UTF-8".to_owned(),
            headers: BTreeMap::new(),
        }));
    }
    Err("fault: `do` has none of status, status_after, hang_ms, hang_after_ms, truncate, json_200".to_owned())
}

fn canned(object: &serde_json::Map<String, Value>, key: &str) -> Result<Canned, String> {
    let status = object[key]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (200..=599).contains(status))
        .ok_or_else(|| format!("fault: `{key}` is an HTTP status"))?;
    let mut canned = html(status);
    if let Some(body) = object.get("body") {
        canned.body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        if !body.is_string() {
            "application/json;charset=UTF-8".clone_into(&mut canned.content_type);
        }
    }
    if let Some(content_type) = object.get("content_type").and_then(Value::as_str) {
        content_type.clone_into(&mut canned.content_type);
    }
    if let Some(headers) = object.get("headers").and_then(Value::as_object) {
        for (name, value) in headers {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            canned.headers.insert(name.clone(), value);
        }
    }
    Ok(canned)
}

fn html(status: u16) -> Canned {
    Canned {
        status,
        body: "<html><head><title>We are down for maintenance</title></head><body>Please try again.</body></html>".to_owned(),
        content_type: "text/html; charset=UTF-8".to_owned(),
        headers: BTreeMap::new(),
    }
}

fn decoded(sent: &str) -> String {
    percent_encoding::percent_decode_str(&sent.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_on_the_nth_matching_call_for_as_many_as_told() {
        let faults = Faults::new();
        let id = faults.add(&json!({"on": "GET /q", "nth": 2, "times": 2, "do": "reset_before"})).expect("a good fault");
        let fired: Vec<bool> = (0..5).map(|_| faults.strike("GET", "/q?x=1", b"").is_some()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert!(faults.strike("POST", "/q", b"").is_none());
        assert_eq!(faults.hits(id), 2);
        assert_eq!(faults.list()[0]["matched"], 5);
    }

    #[test]
    fn for_ever_means_until_cleared() {
        let faults = Faults::new();
        faults.add(&json!({"times": 0, "do": "html_200"})).expect("a good fault");
        assert!((0..50).all(|_| faults.strike("GET", "/", b"").is_some()));
        faults.clear();
        assert!(!faults.armed());
        assert!(faults.strike("GET", "/", b"").is_none());
    }

    #[test]
    fn matches_the_decoded_query_and_the_body() {
        let faults = Faults::new();
        faults.add(&json!({"on": "FROM Account", "body": "Acme", "times": 0, "do": "twice"})).expect("a good fault");
        assert!(faults.reads_bodies());
        assert_eq!(faults.strike("GET", "/query?q=SELECT+Id%20FROM%20Account", b"{\"Acme\"}"), Some(Action::Twice));
        assert_eq!(faults.strike("GET", "/query?q=SELECT+Id+FROM+Account", b"nothing"), None);
    }

    #[test]
    fn a_wrong_fault_is_refused_with_its_reason() {
        let faults = Faults::new();
        for (fault, reason) in [
            (json!({"do": "explode"}), "knows no \"explode\""),
            (json!({"do": {"status": 7}}), "`status` is an HTTP status"),
            (json!({"do": {"truncate": 2}}), "share from 0 to 1"),
            (json!({"when": 1, "do": "twice"}), "unknown field `when`"),
            (json!({"do": {}}), "has none of"),
            (json!({}), "missing field `do`"),
        ] {
            let error = faults.add(&fault).expect_err("a wrong fault");
            assert!(error.contains(reason), "{error}");
        }
        assert!(!faults.armed());
    }

    #[test]
    fn a_canned_answer_keeps_what_was_written() {
        let action = parse_action(&json!({"status_after": 502, "body": {"a": 1}, "headers": {"Retry-After": 3}})).expect("a good action");
        let Action::After(canned) = action else { panic!("{action:?}") };
        assert_eq!((canned.status, canned.body.as_str()), (502, "{\"a\":1}"));
        assert_eq!(canned.headers["Retry-After"], "3");
    }
}
