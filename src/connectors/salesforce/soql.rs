//! SOQL text. Names are checked, values are escaped, and nothing else builds a statement.
//!
//! Source: SOQL and SOSL Reference, "Quoted String Escape Sequences" and "Date Formats".

use crate::connectors::{Fault, FaultKind};
use crate::record::{FieldType, SalesforceId, Value};
use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Salesforce takes 100,000 characters; formula fields are expanded on top of ours.
const STATEMENT_MAX_CHARS: usize = 90_000;
/// One string literal in a WHERE clause.
const LITERAL_MAX_CHARS: usize = 4_000;

/// A quoted string. Both the quote and the backslash: an escaped quote alone lets `\'` through.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// An unquoted date-time of second precision, which is all that Salesforce compares by.
#[must_use]
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A value as a field of this type is compared to; `None` where no record can hold it.
#[must_use]
pub fn literal(value: &Value, ty: &FieldType) -> Option<String> {
    match (ty, value) {
        (FieldType::Boolean, Value::Bool(b)) => Some(if *b { "TRUE" } else { "FALSE" }.to_owned()),
        (FieldType::Integer | FieldType::Decimal { .. }, Value::Int(i)) => Some(i.to_string()),
        (FieldType::Integer | FieldType::Decimal { .. }, Value::Decimal(d)) => Some(d.to_string()),
        // Canonical forms, checked when the value was made canonical.
        (FieldType::Date | FieldType::Instant, Value::Text(t)) => Some(t.clone()),
        (FieldType::Text { .. } | FieldType::Email { .. }, Value::Text(t)) => {
            (!t.is_empty() && t.chars().count() <= LITERAL_MAX_CHARS).then(|| quoted(t))
        }
        // What is no id makes the whole query an error.
        (FieldType::Reference { .. }, Value::Text(t)) => SalesforceId::parse(t).ok().map(|id| quoted(id.as_str())),
        _ => None,
    }
}

/// An sObject or field name, or a path through relationships: the only text that goes into a statement unescaped.
pub fn name(text: &str) -> Result<&str, Fault> {
    let part = |p: &str| p.starts_with(|c: char| c.is_ascii_alphabetic()) && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !text.is_empty() && text.split('.').all(part) && text.split('.').count() <= 6 {
        return Ok(text);
    }
    let shown: String = text.chars().take(60).collect();
    Err(Fault::new(FaultKind::Setup, "bad-name", format!("{shown:?} is not the name of a Salesforce object or field")))
}

/// `SELECT … FROM …`, each field once and in the order given.
#[must_use]
pub fn select(fields: &[String], from: &str) -> String {
    let mut seen = std::collections::HashSet::new();
    let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|f| seen.insert(f.to_ascii_lowercase())).collect();
    format!("SELECT {} FROM {from}", fields.join(", "))
}

/// `<field> IN (…)` conditions over all values: at most `most` values each, and short enough to go behind `before` characters.
#[must_use]
pub fn in_lists(field: &str, literals: &[String], most: usize, before: usize) -> Vec<String> {
    let room = STATEMENT_MAX_CHARS.saturating_sub(before + field.len() + 8);
    let mut lists: Vec<Vec<&str>> = Vec::new();
    let mut used = 0;
    for literal in literals {
        let length = literal.chars().count() + 1;
        match lists.last_mut() {
            Some(list) if list.len() < most && used + length <= room => list.push(literal),
            _ => {
                lists.push(vec![literal]);
                used = 0;
            }
        }
        used += length;
    }
    lists.iter().map(|list| format!("{field} IN ({})", list.join(","))).collect()
}

/// What may stand in a query string as it is; the rest, and above all `+`, `&`, `#` and `%`, is encoded.
const PLAIN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'/');

#[must_use]
pub fn query_path(base: &str, with_deleted: bool, soql: &str) -> String {
    let resource = if with_deleted { "queryAll" } else { "query" };
    format!("{base}/{resource}?q={}", utf8_percent_encode(soql, PLAIN))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// What Salesforce makes of a literal: the inverse of `quoted`, refusing what is not one closed string.
    fn unquoted(literal: &str) -> Option<String> {
        let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
        let (mut out, mut chars) = (String::new(), inner.chars());
        while let Some(c) = chars.next() {
            match c {
                '\'' => return None,
                '\\' => out.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    c @ ('\\' | '\'') => c,
                    _ => return None,
                }),
                c => out.push(c),
            }
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn any_text_is_one_closed_literal(text in "[\\\\'\"a-z \n\r\té%_]{0,40}") {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }
    }

    #[test]
    fn quotes_and_backslashes() {
        for (text, want) in [("O'Neil", r"'O\'Neil'"), (r"\", r"'\\'"), (r"\' OR Name != '", r"'\\\' OR Name != \''")] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn names_are_names() {
        for good in ["Account", "License__c", "Order__r.Account.Name"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "Name FROM Account", "a'b", "1st", "A..B", "A.", "(SELECT Id FROM Contacts)", "COUNT()"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn literals_by_type() {
        let text = FieldType::text();
        assert_eq!(literal(&Value::Bool(true), &FieldType::Boolean).unwrap(), "TRUE");
        assert_eq!(literal(&Value::text("2026-01-02"), &FieldType::Date).unwrap(), "2026-01-02");
        assert_eq!(literal(&Value::text("x"), &text).unwrap(), "'x'");
        let lookup = FieldType::Reference { to: "Account".into() };
        assert_eq!(literal(&Value::text("001D000000IqhSL"), &lookup).unwrap(), "'001D000000IqhSLIAZ'");
        assert!(literal(&Value::text("x' OR Id != '"), &lookup).is_none());
        assert!(literal(&Value::Null, &text).is_none());
        assert!(literal(&Value::text("x".repeat(4001)), &text).is_none());
    }

    #[test]
    fn long_lists_are_cut_by_count_and_by_length() {
        let ids: Vec<String> = (0..1000).map(|i| quoted(&format!("{i:018}"))).collect();
        let lists = in_lists("Id", &ids, 400, 100);
        assert_eq!(lists.len(), 3);
        assert_eq!(lists.iter().map(|l| l.matches('\'').count() / 2).sum::<usize>(), 1000);
        let long: Vec<String> = (0..100).map(|_| quoted(&"x".repeat(3000))).collect();
        let lists = in_lists("Name", &long, 400, 100);
        assert!(lists.len() > 3 && lists.iter().all(|l| l.chars().count() < STATEMENT_MAX_CHARS));
    }

    #[test]
    fn a_url_keeps_every_character_of_the_statement() {
        let path = query_path("/services/data/v66.0", true, "SELECT Id FROM A WHERE T >= 2026-01-01T00:00:00+01:00 AND N = '50% & é#'");
        let query = url::Url::parse(&format!("https://x{path}")).unwrap();
        let (key, value) = query.query_pairs().next().unwrap();
        assert_eq!(key, "q");
        assert_eq!(value, "SELECT Id FROM A WHERE T >= 2026-01-01T00:00:00+01:00 AND N = '50% & é#'");
        assert_eq!(query.fragment(), None);
    }
}
