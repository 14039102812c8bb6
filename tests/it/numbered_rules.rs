//! Each numbered rule of a partner's synchronization has a test that is named after it, and the partner's page says which.
//! The rules are told in docs/lac.md and docs/forcemanager.md in the project's own words; here stand their numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Letter and how many there are.
const LAC: [(char, u32); 8] = [('L', 9), ('F', 4), ('N', 5), ('T', 6), ('D', 5), ('X', 13), ('I', 6), ('Z', 5)];
const FORCEMANAGER: [(char, u32); 7] = [('A', 7), ('S', 4), ('R', 4), ('C', 5), ('U', 6), ('F', 7), ('M', 5)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Every function of the sources that stands under a test attribute.
fn tests() -> BTreeSet<String> {
    let mut text = String::new();
    for dir in ["src", "tests"] {
        sources(&root().join(dir), &mut text);
    }
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")).filter(|_| marked) {
            found.insert(rest.split(['(', '<']).next().unwrap().to_owned());
            marked = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marked = false;
        }
    }
    found
}

/// `| X1 | …tests, each in back quotes… |`, one row a rule, under the page's last heading.
fn table(page: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let (_, rows) = text.rsplit_once("| rule | tests |").unwrap_or_else(|| panic!("{page} has no table of rules and tests"));
    let row = |line: &str| {
        let (rule, tests) = line.strip_prefix("| ")?.split_once(" | ")?;
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((rule.to_owned(), tests))
    };
    rows.lines().skip(1).filter_map(row).collect()
}

/// Whether a name says the rule: `x1_an_account…`, `l1_l2_a_customer…`.
fn is_named_after(test: &str, rule: &str) -> bool {
    test.split('_').any(|word| word == rule.to_lowercase())
}

fn check(page: &str, rules: &[(char, u32)]) {
    let (tests, table) = (tests(), table(page));
    let all: BTreeSet<String> = rules.iter().flat_map(|(letter, n)| (1..=*n).map(move |i| format!("{letter}{i}"))).collect();
    let mut wrong = Vec::new();
    for rule in &all {
        let shown = table.get(rule).map(Vec::as_slice).unwrap_or_default();
        if !shown.iter().any(|test| is_named_after(test, rule)) {
            wrong.push(format!("{rule}: none of its tests is named after it"));
        }
        wrong.extend(shown.iter().filter(|test| !tests.contains(*test)).map(|test| format!("{rule}: there is no test {test}")));
    }
    wrong.extend(table.keys().filter(|rule| !all.contains(*rule)).map(|rule| format!("{rule}: there is no such rule")));
    assert!(wrong.is_empty(), "docs/{page}:\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_of_lac_has_a_test_named_after_it() {
    check("lac.md", &LAC);
}

#[test]
fn every_rule_of_forcemanager_has_a_test_named_after_it() {
    check("forcemanager.md", &FORCEMANAGER);
}

#[test]
fn a_name_says_its_rule_and_no_other() {
    assert!(is_named_after("l1_l2_a_customer", "L2") && is_named_after("x1_an_account", "X1"));
    assert!(!is_named_after("x11_a_merge", "X1") && !is_named_after("the_tax1_story", "X1"));
    assert!(tests().contains("a_name_says_its_rule_and_no_other") && !tests().contains("is_named_after"));
}
