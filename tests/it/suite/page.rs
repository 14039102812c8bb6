//! The tables of docs/platforms.md, from what the connectors declare. `LOCKSTEP_WRITE_DOCS=1 cargo test` writes them.

use super::{PARTNERS, SCENARIOS, Wants, cannot};
use lockstep::connectors::{Catalogue, DeleteFeed, Feed, PLATFORMS, Platform, ResourceSpec};
use lockstep::rules::{check, parse};
use std::{fmt::Write as _, fs, path::PathBuf};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/platforms.md")
}

fn platforms() -> String {
    let mut out = String::from("| platform | in the rules | rules file | setting it up | calls at most |\n|---|---|---|---|---|\n");
    for p in PLATFORMS {
        let file = p.rules_file.strip_prefix("docs/").map_or_else(|| format!("../{}", p.rules_file), str::to_owned);
        let (name, shown, page, pace) = (p.name, p.rules_file, p.page, p.pace);
        writeln!(
            out,
            "| {} | `[platform.{name}]` | [`{shown}`]({file}) | [{page}]({page}) | {} a {} (`{}`) |",
            p.title, pace.calls, pace.per, pace.key
        )
        .unwrap();
    }
    out
}

fn yes(can: bool, word: &'static str) -> Option<&'static str> {
    can.then_some(word)
}

fn or_none(words: Vec<String>) -> String {
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

fn code(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    or_none(names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect())
}

/// What an operations engineer asks of a platform, one row a resource.
fn abilities(p: &Platform) -> String {
    let mut out = String::from(
        "| resource | written | changes are learned | deletions are learned | carries the Salesforce id in | a lost create is known again by | is searched by | fields of your own | `newest` |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for r in &(p.catalogue)().resources {
        let verbs = [yes(r.can_create, "create"), yes(r.can_update, "update"), yes(r.can_delete, "delete")];
        let verbs: Vec<String> = verbs.into_iter().flatten().map(str::to_owned).collect();
        let verbs = if verbs.is_empty() { "only read".to_owned() } else { verbs.join(", ") };
        let changes = match r.feed {
            Feed::Since => "since the last reading",
            Feed::Sweep => "by reading all",
        };
        let deletions = match r.deletes {
            DeleteFeed::Reported => "reported",
            DeleteFeed::Absence => "missing twice, then from a read by id",
        };
        let planted = r.planted.map_or_else(|| "–".to_owned(), |field| format!("`{field}`"));
        let searched = r.fields.iter().map(|f| f.name).filter(|name| (p.searches)(r, name));
        let own = r.free_prefix.map_or_else(|| "–".to_owned(), |prefix| format!("`{prefix}…`"));
        let newest = if r.stamped { "yes" } else { "no" };
        writeln!(
            out,
            "| `{}` | {verbs} | {changes} | {deletions} | {planted} | {} | {} | {own} | {newest} |",
            r.name,
            code(p.known_again(r.name)),
            code(searched)
        )
        .unwrap();
    }
    out
}

/// Which fields the rules may name, by what may be done to them.
fn fields(catalogue: &Catalogue) -> String {
    let mut out =
        String::from("| resource | written | only when it is made | only when it is changed | only read |\n|---|---|---|---|---|\n");
    for r in &catalogue.resources {
        let with = |create: bool, update: bool| {
            let names = r.fields.iter().filter(|f| (f.create, f.update) == (create, update));
            or_none(names.map(|f| format!("`{}`{}", f.name, if f.required { " (needed)" } else { "" })).collect())
        };
        writeln!(out, "| `{}` | {} | {} | {} | {} |", r.name, with(true, true), with(true, false), with(false, true), with(false, false))
            .unwrap();
    }
    out
}

/// What each kind cannot take part in, as its connector declares it. `declared` shows that it is refused.
fn refusals() -> String {
    let mut out = String::from("| platform | resource | cannot |\n|---|---|---|\n");
    for p in PLATFORMS {
        for r in &(p.catalogue)().resources {
            let why: Vec<&str> = [Wants::Create, Wants::Update, Wants::Delete].into_iter().filter_map(|wants| cannot(r, wants)).collect();
            if !why.is_empty() {
                writeln!(out, "| {} | `{}` | {} |", p.title, r.name, why.join(", ")).unwrap();
            }
        }
    }
    out
}

/// Which resources play a scenario.
fn scenarios() -> String {
    let mut out = String::from("| scenario |");
    PARTNERS.iter().for_each(|p| write!(out, " {} |", p.platform().title).unwrap());
    out += "\n|---|";
    PARTNERS.iter().for_each(|_| out += "---|");
    out += "\n";
    for scenario in SCENARIOS {
        write!(out, "| {} |", scenario.what).unwrap();
        for partner in PARTNERS {
            let platform = partner.platform();
            let rules = check(&parse(platform.rules).unwrap(), platform.rules).unwrap();
            let played = |r: &ResourceSpec| {
                partner.subjects().iter().any(|s| {
                    let mapping = s.mapping(&rules);
                    mapping.platform == r.name && (s.merges || !scenario.name.starts_with("merge"))
                })
            };
            let plays = (platform.catalogue)().resources.iter().filter(|r| cannot(r, scenario.wants).is_none() && played(r));
            write!(out, " {} |", code(plays.map(|r| r.name))).unwrap();
        }
        out += "\n";
    }
    out
}

/// Replaces what stands between `<!-- X -->` and `<!-- end -->` by what the connectors say.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (name, after) = after.split_once(" -->\n").expect("a mark ends its line");
        let (_, after) = after.split_once("<!-- end -->\n").unwrap_or_else(|| panic!("{name} has no end"));
        let table = match name.split_once(' ') {
            None if name == "platforms" => platforms(),
            None if name == "scenarios" => scenarios(),
            None if name == "refusals" => refusals(),
            Some(("abilities", of)) => abilities(lockstep::connectors::platform(of).expect(of)),
            Some(("fields", of)) => fields((lockstep::connectors::platform(of).expect(of).catalogue)()),
            _ => panic!("nobody fills {name}"),
        };
        write!(out, "{before}<!-- {name} -->\n{table}<!-- end -->\n").unwrap();
        rest = after;
    }
    out + rest
}

#[test]
fn docs_platforms_says_what_the_connectors_declare() {
    let found = fs::read_to_string(path()).unwrap();
    let wanted = filled(&found);
    for p in PLATFORMS {
        for mark in [format!("<!-- abilities {} -->", p.name), format!("<!-- fields {} -->", p.name)] {
            assert!(found.contains(&mark), "docs/platforms.md has no {mark}");
        }
    }
    if std::env::var_os("LOCKSTEP_WRITE_DOCS").is_some() {
        fs::write(path(), &wanted).unwrap();
        return;
    }
    let first = found.lines().zip(wanted.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(found == wanted, "docs/platforms.md is not what the connectors declare; run LOCKSTEP_WRITE_DOCS=1 cargo test. {first:?}");
}
