//! The numbered steps of docs/salesforce-setup.md, each judged by what the org showed.

use super::{fields::Row, online::Seen};
use crate::connectors::{Fault, FaultKind};
use crate::record::Side;
use crate::rules::Rules;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Mark {
    Done,
    Failed,
    /// Cannot be seen from here, or something before it failed.
    NotSeen,
}

impl Mark {
    pub(in crate::cli) const fn sign(self) -> &'static str {
        match self {
            Self::Done => "✓",
            Self::Failed => "✗",
            Self::NotSeen => "–",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Step {
    pub number: usize,
    pub name: &'static str,
    pub mark: Mark,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Step {
    pub(in crate::cli) fn tail(&self) -> String {
        if self.message.is_empty() { String::new() } else { format!(": {}", self.message) }
    }
}

pub(in crate::cli) const NAMES: [&str; 10] = [
    "My Domain and API access",
    "Orders",
    "Integration user",
    "Permission set license",
    "Objects and fields",
    "Permission set",
    "External client app",
    "Key and secret",
    "Page layouts",
    "People",
];

/// Words in Salesforce's own answers, and the step that mends them. The first that fits counts.
const BLAME: &[(&str, usize)] = &[
    ("request not supported on this domain", 1),
    ("not-my-domain", 1),
    ("api_disabled_for_org", 1),
    ("unsupported_api_version", 1),
    ("http-410", 1),
    ("bad-api-version", 1),
    ("functionality_not_enabled", 2),
    ("inactive_user", 3),
    ("api_currently_disabled", 6),
    ("no client credentials user", 7),
    ("unsupported_grant_type", 7),
    ("invalid_scope", 7),
    ("invalid_app_access", 7),
    ("not admin approved", 7),
    ("hasn't approved", 7),
    ("invalid_client", 8),
    ("client identifier invalid", 8),
    ("invalid client credentials", 8),
    ("private-key", 8),
    ("another-org", 8),
    ("invalid_grant", 7),
];

pub(in crate::cli) fn steps(rules: &Rules, seen: &Seen, rows: &[Row]) -> Vec<Step> {
    let fault = seen.identity.as_ref().err().or(seen.schema.as_ref().err());
    let (mut marks, mut messages) = ([Mark::NotSeen; 10], <[String; 10]>::default());
    let mut put = |number: usize, mark: Mark, message: String| {
        marks[number - 1] = mark;
        messages[number - 1] = message;
    };
    put(9, Mark::NotSeen, "cannot be seen from here; Lockstep works without it".to_owned());
    put(10, Mark::NotSeen, "cannot be seen from here; Lockstep works without it".to_owned());
    match fault {
        Some(fault) => {
            let number = blamed(fault);
            // Whoever refuses a login has been reached.
            if matches!(number, 7 | 8) {
                put(1, Mark::Done, String::new());
            }
            put(number, Mark::Failed, fault.to_string());
        }
        None => {
            for number in [1, 3, 7, 8] {
                put(number, Mark::Done, String::new());
            }
            from_rows(rules, rows, &mut put);
        }
    }
    let judged = marks.into_iter().zip(messages).zip(NAMES);
    judged.enumerate().map(|(i, ((mark, message), name))| Step { number: i + 1, name, mark, message }).collect()
}

fn blamed(fault: &Fault) -> usize {
    let text = format!("{} {}", fault.code, fault.message).to_lowercase();
    BLAME.iter().find(|(words, _)| text.contains(words)).map_or(
        match fault.kind {
            FaultKind::Credentials => 8,
            FaultKind::Setup => 6,
            FaultKind::Retry | FaultKind::BackOff | FaultKind::Budget | FaultKind::Answer | FaultKind::Record | FaultKind::Unknown => 1,
        },
        |(_, step)| *step,
    )
}

fn from_rows(rules: &Rules, rows: &[Row], put: &mut impl FnMut(usize, Mark, String)) {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.side == Side::Salesforce).collect();
    let is_missing = |resource: &str| rows.iter().any(|r| r.resource == resource && r.field.is_none() && !r.readable);
    if rules.mappings.iter().any(|m| m.salesforce == "Order") {
        if is_missing("Order") {
            put(2, Mark::Failed, "object Order is not there, or not visible to our user".to_owned());
        } else {
            put(2, Mark::Done, String::new());
        }
    } else {
        put(2, Mark::NotSeen, "the rules keep no orders".to_owned());
    }
    // What we brought: a name of ours that nobody shows us at all was not deployed, or its permission set is not assigned.
    let ours = |row: &&&Row| row.resource.ends_with("__c") || row.field.as_deref().is_some_and(|f| f.ends_with("__c"));
    let (shown, hidden): (Vec<&Row>, Vec<&Row>) = rows.iter().filter(ours).partition(|row| row.readable);
    let names = |rows: &[&Row]| {
        let mut list: Vec<String> = rows.iter().take(5).map(|r| name_of(r)).collect();
        if rows.len() > 5 {
            list.push(format!("and {} more", rows.len() - 5));
        }
        list.join(", ")
    };
    if hidden.is_empty() {
        put(5, Mark::Done, String::new());
    } else {
        let why = if shown.is_empty() { "nothing of it is visible: deploy, then assign the permission set" } else { "not visible" };
        put(5, Mark::Failed, format!("{}: {why}", names(&hidden)));
    }
    let refused: Vec<&Row> = rows.iter().copied().filter(|row| !row.ok).collect();
    if refused.is_empty() {
        put(4, Mark::Done, String::new());
        put(6, Mark::Done, String::new());
    } else {
        put(4, Mark::NotSeen, "needed before the permission set can be assigned".to_owned());
        put(6, Mark::Failed, names(&refused));
    }
}

fn name_of(row: &Row) -> String {
    row.field.as_ref().map_or_else(|| row.resource.clone(), |field| format!("{}.{field}", row.resource))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn salesforces_own_words_lead_to_the_step_that_mends_them() {
        for (code, message, step) in [
            ("invalid_grant", "request not supported on this domain", 1),
            ("invalid_grant", "no client credentials user enabled", 7),
            ("invalid_client", "invalid client credentials", 8),
            ("invalid_client_id", "client identifier invalid", 8),
            ("inactive_user", "user is inactive", 3),
            ("API_CURRENTLY_DISABLED", "API is disabled for this user", 6),
            ("API_DISABLED_FOR_ORG", "API is not enabled", 1),
            ("http-503", "status 503", 1),
        ] {
            assert_eq!(blamed(&Fault::new(FaultKind::Retry, code, message)), step, "{code} {message}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/salesforce-setup.md");
        let document = std::fs::read_to_string(path).unwrap();
        let headings: Vec<String> = document.lines().filter_map(|l| l.strip_prefix("### ")).map(str::to_owned).take(10).collect();
        let ours: Vec<String> = NAMES.iter().enumerate().map(|(i, name)| format!("{}. {name}", i + 1)).collect();
        assert_eq!(headings, ours);
    }
}
