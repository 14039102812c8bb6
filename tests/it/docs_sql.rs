//! docs/operating.md is true: every `sqlite3` line runs, and every column of every public view is described.

#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use lockstep::store::{RunCounts, Store};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/operating.md");
const START: &str = "sqlite3 -readonly -box /var/lib/lockstep/lockstep.db \"";

/// The SQL of each fenced block marked `sql`, as the shell hands it to sqlite3.
fn one_liners() -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if line == "```sql" {
            let line = lines.next().unwrap();
            assert_eq!(lines.next(), Some("```"), "not a one-liner: {line}");
            let sql = line.strip_prefix(START).and_then(|rest| rest.strip_suffix('"'));
            let sql = sql.unwrap_or_else(|| panic!("does not begin with {START}: {line}"));
            // Between double quotes of a shell these would not arrive as they are written; `$.` does.
            let dollars = sql.match_indices('$').filter(|(at, _)| !sql[at + 1..].starts_with('.')).count();
            assert!(!sql.contains(['"', '`', '!', '\\']) && dollars == 0, "a shell would change {sql}");
            found.push(sql.to_owned());
        }
    }
    found
}

fn state() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now: DateTime<Utc> = Utc::now();
    let run = store.start_run("delta", "once", now).unwrap();
    let counts = RunCounts { allowance: Some((5, 1_000)), ..RunCounts::default() };
    store.finish_run(run, "ok", None, &counts, now).unwrap();
    let path = store.path().to_owned();
    drop(store);
    (dir, Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap())
}

fn rows(connection: &Connection, sql: &str) -> usize {
    let mut statement = connection.prepare(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
    let mut rows = statement.query([]).unwrap_or_else(|e| panic!("{e}: {sql}"));
    let mut n = 0;
    while rows.next().unwrap_or_else(|e| panic!("{e}: {sql}")).is_some() {
        n += 1;
    }
    n
}

#[test]
fn every_one_liner_runs_on_a_fresh_state_read_only() {
    let list = one_liners();
    assert!(list.len() >= 20, "{} one-liners", list.len());
    let (_dir, connection) = state();
    let answered = list.iter().filter(|sql| rows(&connection, sql) > 0).count();
    // The one run there is, seen by the lines that ask about runs.
    assert!(answered >= 6, "{answered} answered");
}

#[test]
fn they_ask_public_views_only_and_all_of_them() {
    let text = one_liners().join("\n");
    let (_dir, connection) = state();
    for (kind, shall) in [("view", true), ("table", false)] {
        let sql = format!("SELECT name FROM sqlite_schema WHERE type = '{kind}' AND name NOT LIKE 'sqlite_%'");
        let names: Vec<String> = connection.prepare(&sql).unwrap().query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(!names.is_empty());
        for name in names {
            let asked = text.contains(&format!("FROM {name} "))
                || text.contains(&format!("FROM {name}\n"))
                || text.contains(&format!("JOIN {name} "));
            assert_eq!(asked, shall, "{kind} {name}");
        }
    }
}

#[test]
fn every_column_of_every_view_is_described_in_order() {
    let mut described: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut view = String::new();
    let section = DOCUMENT.split_once("\n## The views\n").unwrap().1;
    for line in section.lines() {
        if let Some(name) = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) {
            name.clone_into(&mut view);
        } else if let Some(column) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            described.entry(view.clone()).or_default().push(column.0.to_owned());
        }
    }
    let (_dir, connection) = state();
    let mut real: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = "SELECT v.name, c.name FROM sqlite_schema v, pragma_table_info(v.name) c WHERE v.type = 'view' ORDER BY v.name, c.cid";
    let mut statement = connection.prepare(sql).unwrap();
    for pair in statement.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?))).unwrap() {
        let (view, column) = pair.unwrap();
        real.entry(view).or_default().push(column);
    }
    assert_eq!(described, real);
}
