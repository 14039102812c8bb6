//! An action in words a sales engineer understands: whom licenses are issued to, what becomes of a license.
//!
//! Knows only what the intent and the store's copy hold; where there is no name, the id is said.

use crate::engine::{contact_of, name_of};
use crate::plan::{Intent, Moved, Verb};
use crate::record::{Side, Value};
use crate::rules::Rules;
use crate::store::{Known, Store};

/// What a sales engineer reads, and which fields need not be told besides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub lines: Vec<String>,
    pub covers: Vec<String>,
}

/// Looks names up where the plan was made.
pub(super) struct Names<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
}

pub(super) fn words(intent: &Intent, names: &Names<'_>) -> anyhow::Result<Words> {
    let provisions = names.rules.mapping(&intent.object).is_some_and(|m| m.provisions);
    match (intent.object.as_str(), intent.side, intent.verb) {
        (_, Side::Platform, Verb::Create) if provisions => issue(intent, names),
        ("license", Side::Platform, Verb::Update) => {
            let license = names.license(intent.platform_id.as_ref().map(|id| id.as_str()))?;
            Ok(of_license(&intent.moved, &license))
        }
        ("feature", Side::Platform, Verb::Create | Verb::Update | Verb::Delete) => feature(intent, names),
        _ => Ok(Words::default()),
    }
}

/// `issue 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, Northwind`
fn issue(intent: &Intent, names: &Names<'_>) -> anyhow::Result<Words> {
    let to = match intent.salesforce_id.as_ref() {
        Some(id) => names.recipient(id.as_str())?,
        None => String::new(),
    };
    let mut words = Words::default();
    for moved in intent.moved.iter().filter(|m| m.name.starts_with("line ")) {
        let Some((what, _keys)) = moved.new.as_text().and_then(|text| text.rsplit_once(", key")) else { continue };
        words.lines.push(format!("issue {what}{to}"));
        words.covers.push(moved.name.clone());
    }
    Ok(words)
}

fn of_license(moved: &[Moved], license: &str) -> Words {
    let mut words = Words::default();
    for m in moved {
        let said = match (m.name.as_str(), &m.old, &m.new) {
            ("enabled", _, Value::Bool(true)) => format!("enable {license}"),
            ("enabled", _, Value::Bool(false)) => format!("disable {license}"),
            ("validity_period", Value::Text(old), Value::Text(new)) if new > old => format!("extend {license} from {old} to {new}"),
            ("validity_period", Value::Text(old), Value::Text(new)) => format!("shorten {license} from {old} to {new}"),
            ("validity_period", Value::Text(old), new) if new.is_blank() => format!("let {license} run without end (it ended {old})"),
            ("validity_period", _, Value::Text(new)) => format!("let {license} end on {new}"),
            ("max_activations", Value::Int(old), Value::Int(new)) if new > old => {
                format!("raise activations of {license} from {old} to {new}")
            }
            ("max_activations", Value::Int(old), Value::Int(new)) => format!("lower activations of {license} from {old} to {new}"),
            ("max_activations", _, Value::Int(new)) => format!("set activations of {license} to {new}"),
            ("reset", _, _) => format!("reset {license}: release its activations"),
            _ => continue,
        };
        words.lines.push(said);
        words.covers.push(m.name.clone());
    }
    words
}

fn feature(intent: &Intent, names: &Names<'_>) -> anyhow::Result<Words> {
    let known = match intent.platform_id.as_ref() {
        Some(id) => names.store.known("feature", Side::Platform, id.as_str())?,
        None => None,
    };
    let of = |name: &str| -> Option<String> {
        let moved = intent.moved.iter().find(|m| m.name == name).and_then(|m| m.new.as_text().or(m.old.as_text()));
        moved.or_else(|| known.as_ref()?.platform(name)?.as_text()).map(str::to_owned)
    };
    let Some(code) = of("code") else { return Ok(Words::default()) };
    let license = names.license(of("license").as_deref())?;
    let (said, covers) = match intent.verb {
        Verb::Create => (format!("add feature {code} to {license}"), &["code", "license"][..]),
        Verb::Delete => (format!("remove feature {code} from {license}"), &["code", "license"][..]),
        _ => (format!("change feature {code} of {license}"), &[][..]),
    };
    Ok(Words { lines: vec![said], covers: covers.iter().map(|name| (*name).to_owned()).collect() })
}

impl Names<'_> {
    /// ` to Mina Okafor, Northwind`: whom the order is licensed to.
    fn recipient(&self, order: &str) -> anyhow::Result<String> {
        let Some(mapping) = self.rules.mappings.iter().find(|m| m.provisions) else { return Ok(String::new()) };
        let fields =
            self.store.known(&mapping.object, Side::Salesforce, order)?.and_then(|known| known.fields.salesforce).unwrap_or_default();
        let account = fields.get("AccountId").and_then(Value::as_text).filter(|id| !id.is_empty());
        let mut parts = Vec::new();
        for (object, id) in [("contact", contact_of(self.rules, &fields).map(|(_, id)| id)), ("account", account)] {
            let Some(id) = id else { continue };
            let known = self.store.known(object, Side::Salesforce, id)?;
            parts.push(known.as_ref().and_then(name_of).unwrap_or_else(|| id.to_owned()));
        }
        Ok(if parts.is_empty() { String::new() } else { format!(" to {}", parts.join(", ")) })
    }

    /// `license …WXYZ`, by the end of its key where that is known.
    fn license(&self, platform_id: Option<&str>) -> anyhow::Result<String> {
        let Some(id) = platform_id else { return Ok("a license".to_owned()) };
        let known = self.store.known("license", Side::Platform, id)?;
        let key = known.as_ref().and_then(|known| self.key_of(known)).map(|key| key.chars().collect::<Vec<_>>());
        Ok(match key {
            Some(key) if key.len() >= 8 => format!("license …{}", key[key.len() - 4..].iter().collect::<String>()),
            Some(_) | None => format!("license {id}"),
        })
    }

    fn key_of<'k>(&self, known: &'k Known) -> Option<&'k str> {
        let entries = self.rules.mapping("license").into_iter().flat_map(|m| &m.entries);
        let entry = entries.into_iter().find(|e| e.salesforce.iter().any(|n| n == "License_Key__c"))?;
        known.platform(entry.platform.first()?).and_then(Value::as_text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::Situation;
    use crate::record::{Fields, Record, Sides};
    use crate::rules::{SHIPPED, check, parse};

    fn moved(name: &str, old: Value, new: Value) -> Moved {
        Moved { name: name.to_owned(), old, new }
    }

    #[test]
    fn what_becomes_of_a_license_is_said_plainly() {
        let text = |t: &str| Value::text(t);
        for (moved, said) in [
            (moved("enabled", Value::Bool(true), Value::Bool(false)), "disable license …WXYZ"),
            (moved("enabled", Value::Bool(false), Value::Bool(true)), "enable license …WXYZ"),
            (moved("validity_period", text("2026-12-31"), text("2027-12-31")), "extend license …WXYZ from 2026-12-31 to 2027-12-31"),
            (moved("validity_period", text("2026-12-31"), text("2026-06-30")), "shorten license …WXYZ from 2026-12-31 to 2026-06-30"),
            (moved("validity_period", text("2026-12-31"), Value::Null), "let license …WXYZ run without end (it ended 2026-12-31)"),
            (moved("validity_period", Value::Null, text("2026-12-31")), "let license …WXYZ end on 2026-12-31"),
            (moved("max_activations", Value::Int(3), Value::Int(5)), "raise activations of license …WXYZ from 3 to 5"),
            (moved("max_activations", Value::Int(5), Value::Int(3)), "lower activations of license …WXYZ from 5 to 3"),
        ] {
            assert_eq!(
                of_license(std::slice::from_ref(&moved), "license …WXYZ"),
                Words { lines: vec![said.to_owned()], covers: vec![moved.name] }
            );
        }
        assert_eq!(of_license(&[moved("note", Value::Null, text("x"))], "license 1"), Words::default());
    }

    fn intent(object: &str, verb: Verb, moved: Vec<Moved>) -> Intent {
        Intent {
            id: 0,
            object: object.to_owned(),
            side: Side::Platform,
            verb,
            situation: Situation::NewInSalesforce,
            link: None,
            salesforce_id: Some("801O".into()),
            platform_id: None,
            fields: Fields::new(),
            moved,
            advance: Sides::default(),
            key: None,
            conflicts: Vec::new(),
        }
    }

    #[test]
    fn an_order_says_what_is_issued_to_whom() {
        let rules = check(&parse(SHIPPED).unwrap(), SHIPPED).unwrap();
        let store = Store::in_memory().unwrap();
        let run = store.start_run("delta", "test", "2026-11-24T12:00:00Z".parse().unwrap()).unwrap();
        let put = |object: &str, side: Side, id: &str, pairs: &[(&str, &str)]| {
            let fields = pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::text(*v))).collect();
            store.stage(run, object, side, &[Record::live(id, fields)], false, &|_| Vec::new()).unwrap();
        };
        put("order", Side::Salesforce, "801O", &[("AccountId", "001A"), ("BillToContactId", "003C")]);
        put("contact", Side::Salesforce, "003C", &[("FirstName", "Mina"), ("LastName", "Okafor")]);
        let names = Names { store: &store, rules: &rules };
        let line = moved("line 802", Value::Null, Value::text("2 licenses of orbit-pro (policy orbit-pro-1y), keys …AB12, …CD34"));
        let create = intent("order", Verb::Create, vec![moved("store_id", Value::Null, Value::text("SF-801O")), line]);
        // Nobody told the account's name: its id stands there.
        let said = words(&create, &names).unwrap();
        assert_eq!(said.lines, ["issue 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, 001A"]);
        assert_eq!(said.covers, ["line 802"]);
        put("account", Side::Salesforce, "001A", &[("Name", "Northwind")]);
        assert!(words(&create, &names).unwrap().lines[0].ends_with(" to Mina Okafor, Northwind"));
        put("license", Side::Platform, "77", &[("license_key", "ABCD-EFGH-JKLM-WXYZ")]);
        let feature = intent(
            "feature",
            Verb::Create,
            vec![moved("code", Value::Null, Value::text("sso")), moved("license", Value::Null, Value::text("77"))],
        );
        assert_eq!(words(&feature, &names).unwrap().lines, ["add feature sso to license …WXYZ"]);
        assert_eq!(words(&intent("account", Verb::Create, Vec::new()), &names).unwrap(), Words::default());
    }
}
