//! The module arrows of ARCHITECTURE.md, read off the sources themselves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// module → what it may name (`crate::<module>`), besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("rules", &["record"]),
    ("plan", &["record", "rules"]),
    ("connectors", &["record", "rules", "plan"]),
    ("store", &["record", "rules", "plan"]),
    ("engine", &["record", "rules", "plan", "connectors", "store"]),
    ("config", &["record", "rules", "connectors"]),
    ("daemon", &["record", "rules", "plan", "engine", "store", "config", "connectors"]),
    ("cli", &["record", "rules", "plan", "connectors", "engine", "store", "config", "daemon", "sandbox"]),
    ("sandbox", &[]),
    ("simulation", &["record", "rules", "plan", "connectors", "store", "engine"]),
    ("seeded", &[]),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn named(code: &str) -> Vec<String> {
    code.match_indices("crate::")
        .map(|(at, _)| code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| ARROWS.iter().any(|(m, _)| m == name))
        .collect()
}

#[test]
fn modules_point_only_where_they_may() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 40, "the sources were not found");
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for path in files {
        let module = module_of(&path);
        let Some(may) = allowed.get(module.as_str()) else { continue };
        for target in named(&code(&path)) {
            // Bugs to be switched on are asked for everywhere, and are nothing outside of test builds.
            if target != module && target != "seeded" && !may.contains(&target.as_str()) {
                wrong.push(format!("{} names crate::{target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_store_knows_sql_the_core_reads_no_clock_and_names_no_connector() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let (module, code) = (module_of(&path), code(&path));
        if module != "store" && module != "sandbox" && code.contains("rusqlite") {
            wrong.push(format!("{} knows SQLite", path.display()));
        }
        // Salesforce is a side; its connector is not. The platforms' are not even words: see below.
        if module == "engine" && code.contains("connectors::salesforce") {
            wrong.push(format!("{} names a connector", path.display()));
        }
        // No clock is read in the pure core: `now` is an argument.
        if ["engine", "rules", "plan", "record"].contains(&module.as_str()) && code.contains("Utc::now") {
            wrong.push(format!("{} reads the clock", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where the core may name a platform: the rules have a table for each, with its keys and what is checked of them.
const NAMED_IN_RULES: [&str; 7] = [
    "rules/file.rs",
    "rules/file/view.rs",
    "rules/mod.rs",
    "rules/starter.rs",
    "rules/check.rs",
    "rules/check/settings.rs",
    "rules/check/forcemanager.rs",
];

/// The engine sees two sides, and what they can do in their catalogues; which platform it is, it never learns. Modules that
/// are compiled for tests only may tell their stories with a platform's rules.
#[test]
fn the_core_names_no_platform() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let names: Vec<&str> = lockstep::connectors::PLATFORMS.iter().map(|p| p.name).collect();
    let (mut wrong, mut met) = (Vec::new(), Vec::new());
    for path in files {
        let module = module_of(&path);
        let inside = path.strip_prefix(root()).unwrap().display().to_string();
        let core = ["record", "rules", "plan", "store", "engine", "daemon"].contains(&module.as_str());
        if !core || is_for_tests_only(&path) {
            continue;
        }
        let words: Vec<String> = words(&code(&path));
        let named = names.iter().any(|name| words.iter().any(|word| word.to_lowercase().trim_end_matches("table") == *name));
        match (named, NAMED_IN_RULES.contains(&inside.as_str())) {
            (true, false) => wrong.push(inside),
            (true, true) => met.push(inside),
            (false, _) => {}
        }
    }
    assert!(wrong.is_empty(), "these name a platform: {wrong:#?}");
    met.sort();
    let mut allowed = NAMED_IN_RULES.map(str::to_owned);
    allowed.sort();
    assert_eq!(met, allowed, "what names none needs no leave to");
}

/// The module is declared under `#[cfg(test)]`.
fn is_for_tests_only(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    let beside = path.parent().unwrap().join("mod.rs");
    let declares = fs::read_to_string(beside).unwrap_or_default();
    [format!("#[cfg(test)]\nmod {name};"), format!("#[cfg(test)]\npub mod {name};")].iter().any(|text| declares.contains(text))
}

fn words(code: &str) -> Vec<String> {
    code.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_sandbox_shares_no_code_with_the_connectors() {
    let mut files = Vec::new();
    sources(&root().join("sandbox"), &mut files);
    for path in files {
        for (at, _) in code(&path).match_indices("crate::") {
            let rest: String = code(&path)[at..].chars().take(40).collect();
            assert!(rest.starts_with("crate::sandbox"), "{}: {rest}", path.display());
        }
    }
}
