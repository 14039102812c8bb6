//! docs/decisions.md is the table of situations, rendered from the code. `LOCKSTEP_BLESS=1` writes it anew.

use lockstep::plan::Situation;
use std::{fmt::Write as _, fs, path::Path};

fn rendered() -> String {
    let mut text = String::from(
        "# Situations and decisions\n\n\
         Every pair of records is in exactly one of these situations. The name stands in logs, in the history and in `plan`.\n\
         The default decision is what happens unless a policy in the rules file says otherwise (see rules.md).\n\
         This page is rendered from the code by a test.\n\n\
         | situation | when | default decision |\n|---|---|---|\n",
    );
    for situation in Situation::ALL {
        writeln!(text, "| `{situation}` | {} | {} |", situation.when(), situation.default_decision()).unwrap();
    }
    text
}

#[test]
fn the_page_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions.md");
    if std::env::var_os("LOCKSTEP_BLESS").is_some() {
        fs::write(&path, rendered()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), rendered(), "docs/decisions.md is stale: LOCKSTEP_BLESS=1 cargo test");
}
