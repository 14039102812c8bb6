//! Keeps docs/rules.md and docs/sync-rules.schema.json what the types say. `LOCKSTEP_WRITE_DOCS=1 cargo test` writes them.

#![allow(clippy::unwrap_used)]

use super::problem_codes;
use crate::rules::{FILTERS, TESTS, fits, schema};
use serde_json::Value as J;
use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

fn doc(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// Compares a file with what it should be, or writes it.
fn keep(name: &str, wanted: &str) {
    if std::env::var_os("LOCKSTEP_WRITE_DOCS").is_some() {
        std::fs::write(doc(name), wanted).unwrap();
    }
    let found = std::fs::read_to_string(doc(name)).unwrap_or_default();
    let first = found.lines().zip(wanted.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(found == wanted, "docs/{name} is not what the types say; run LOCKSTEP_WRITE_DOCS=1 cargo test. {first:?}");
}

fn definition<'j>(schema: &'j J, name: &str) -> &'j J {
    if name == "RulesFile" { schema } else { &schema["$defs"][name] }
}

fn target(schema: &J) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The type in the words of an operator.
fn kind(root: &J, schema: &J) -> String {
    if let Some(name) = target(schema) {
        return match name {
            "SecretRef" => "secret".to_owned(),
            "TextValue" => "text or secret".to_owned(),
            "FieldValue" => "text or table".to_owned(),
            "ProductValue" => "`\"none\"`, table or `\"&is_…\"`".to_owned(),
            other => match words(definition(root, other)).as_slice() {
                [] => "table".to_owned(),
                words => words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" "),
            },
        };
    }
    if let Some(kind) = schema["x-kind"].as_str() {
        return kind.to_owned();
    }
    match &schema["type"] {
        J::Array(types) => types.iter().map(|t| plain(t.as_str().unwrap())).collect::<Vec<_>>().join(", "),
        J::String(ty) if ty == "array" => format!("list of {}", kind(root, &schema["items"])),
        J::String(ty) if ty == "object" => match &schema["additionalProperties"] {
            J::Object(_) => format!("table of {}", kind(root, &schema["additionalProperties"])),
            _ => "table".to_owned(),
        },
        J::String(ty) => plain(ty).to_owned(),
        other => panic!("{other} in {schema}"),
    }
}

fn plain(ty: &str) -> &str {
    match ty {
        "string" => "text",
        "integer" => "number",
        "boolean" => "true or false",
        other => other,
    }
}

/// The words of an enumeration, with what each means.
fn words(schema: &J) -> Vec<(String, String)> {
    let says = |s: &J| s["description"].as_str().unwrap_or_default().to_owned();
    let mut out = Vec::new();
    for form in schema["oneOf"].as_array().into_iter().flatten().chain([schema]) {
        out.extend(form["const"].as_str().map(|word| (word.to_owned(), says(form))));
        out.extend(form["enum"].as_array().into_iter().flatten().filter_map(J::as_str).map(|word| (word.to_owned(), String::new())));
    }
    out
}

fn as_toml(json: &J) -> String {
    toml::Value::try_from(json).unwrap().to_string()
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The table of the keys of one type.
fn keys(root: &J, name: &str) -> String {
    let schema = definition(root, name);
    let required: BTreeSet<&str> = schema["required"].as_array().into_iter().flatten().filter_map(J::as_str).collect();
    let mut out = String::from("| key | type | default | example | meaning |\n|---|---|---|---|---|\n");
    for (key, part) in schema["properties"].as_object().unwrap() {
        let default = match (&part["default"], required.contains(key.as_str())) {
            (_, true) => "**needed**".to_owned(),
            (J::Null, false) => "–".to_owned(),
            (J::Object(o), false) if o.is_empty() => "–".to_owned(),
            (value, false) => format!("`{}`", as_toml(value)),
        };
        let example = part["examples"].as_array().and_then(|e| e.first()).map_or("–".to_owned(), |e| format!("`{}`", as_toml(e)));
        let says = part["description"].as_str().unwrap_or_else(|| panic!("{name}.{key} has no description"));
        writeln!(out, "| `{key}` | {} | {} | {} | {} |", cell(&kind(root, part)), cell(&default), cell(&example), cell(says)).unwrap();
    }
    out
}

fn codes() -> String {
    let rows = problem_codes().into_iter().map(|(code, what)| format!("| `{code}` | {what} |\n")).collect::<String>();
    format!("| code | what is wrong |\n|---|---|\n{rows}")
}

fn meanings(root: &J, name: &str) -> String {
    let rows = words(definition(root, name)).into_iter().filter(|(_, says)| !says.is_empty());
    rows.map(|(word, says)| format!("* `\"{word}\"`: {}\n", cell(&says))).collect()
}

/// Replaces what stands between `<!-- keys X -->` and `<!-- end -->` by what the types say.
fn filled(text: &str, root: &J) -> (String, BTreeSet<String>) {
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("<!-- ") {
        let (before, from) = rest.split_at(at);
        let (mark, behind) = from.split_once("-->\n").unwrap();
        let (_, behind) = behind.split_once("<!-- end -->").unwrap();
        let mut order = mark.trim_start_matches("<!-- ").split_whitespace();
        let (what, name) = (order.next().unwrap(), order.next().unwrap_or_default());
        let body = match what {
            "keys" => keys(root, name),
            "words" => meanings(root, name),
            "codes" => codes(),
            other => panic!("{other}"),
        };
        seen.insert(name.to_owned());
        write!(out, "{before}{mark}-->\n{body}<!-- end -->").unwrap();
        rest = behind;
    }
    out.push_str(rest);
    (out, seen)
}

#[test]
fn the_reference_says_what_the_types_say() {
    let root = schema();
    let text = std::fs::read_to_string(doc("rules.md")).unwrap();
    let (wanted, seen) = filled(&text, &root);
    for (name, part) in root["$defs"].as_object().unwrap() {
        assert!(part["properties"].is_null() || seen.contains(name), "docs/rules.md has no table for {name}");
    }
    assert!(seen.contains("RulesFile"));
    keep("rules.md", &wanted);
    for word in FILTERS.iter().chain(TESTS) {
        assert!(text.contains(&format!("`{word}`")), "docs/rules.md does not mention {word}");
    }
    for (lens, _) in words(&root["$defs"]["LensWord"]) {
        assert!(text.contains(&format!("| `{lens}` |")), "docs/rules.md does not explain the lens {lens}");
    }
}

#[test]
fn the_schema_for_editors_is_the_one_of_the_types() {
    keep("sync-rules.schema.json", &(serde_json::to_string_pretty(&schema()).unwrap() + "\n"));
}

#[test]
fn every_default_and_every_example_may_stand_where_it_is_shown() {
    let root = schema();
    let parts = root["$defs"].as_object().unwrap().values().chain([&root]);
    let mut looked = 0;
    for (key, part) in parts.filter_map(|p| p["properties"].as_object()).flatten() {
        let examples = part["examples"].as_array().into_iter().flatten().chain(part.get("default"));
        for value in examples {
            // `fields` and its like are shown with a part of a table only.
            let problems = fits(part, &as_toml(value));
            assert!(problems.is_empty(), "{key} = {value}: {problems:?}");
            looked += 1;
        }
    }
    assert!(looked > 60, "{looked}");
}

#[test]
fn codes_are_unique_and_kebab_case() {
    let codes: Vec<&str> = problem_codes().into_iter().map(|(code, _)| code).collect();
    let unique: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(unique.len(), codes.len());
    for code in codes {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
    }
}
