//! SOQL, parsed for real: text → [`parse`] → [`plan`] (names resolved, types checked) → [`run`] and [`hold`] (rows
//! found and sorted) → [`groups`] or [`print`].

pub mod groups;
pub mod hold;
pub mod lex;
pub mod parse;
pub mod plan;
pub mod print;
pub mod run;

use super::error::SfError;

/// An error that shows where in the query it is, the way the platform does.
pub(super) fn error_at(query: &str, at: usize, code: &str, message: &str) -> SfError {
    const BEFORE: usize = 60;
    const AFTER: usize = 60;
    let at = at.min(query.len());
    let at = (0..=at).rev().find(|at| query.is_char_boundary(*at)).unwrap_or(0);
    let row = query[..at].matches('\n').count() + 1;
    let column = query[..at].rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let before: String = query[..at].chars().rev().take(BEFORE).collect::<Vec<_>>().into_iter().rev().collect();
    let after: String = query[at..].chars().take(AFTER).collect();
    let line: String = before.chars().chain(after.chars()).map(|ch| if ch == '\n' { ' ' } else { ch }).collect();
    let caret = " ".repeat(before.chars().count());
    SfError::bad(code, format!("\n{line}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{message}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plan::plan;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::{Options, World};

    fn fragment() -> impl Strategy<Value = String> {
        let words = [
            "SELECT",
            "FROM",
            "WHERE",
            "AND",
            "OR",
            "NOT",
            "IN",
            "LIKE",
            "ORDER BY",
            "GROUP BY",
            "LIMIT",
            "OFFSET",
            "NULLS LAST",
            "Id",
            "Name",
            "Account",
            "Contact",
            "Contacts",
            "Account.Name",
            "Owner.Name",
            "What.Name",
            "COUNT()",
            "COUNT(Id)",
            "FIELDS(ALL)",
            "TODAY",
            "LAST_N_DAYS:3",
            "null",
            "TRUE",
            "'a'",
            "'\\'",
            "5",
            "-1",
            "2026-01-02",
            "2026-01-02T03:04:05Z",
            "(",
            ")",
            ",",
            "=",
            "!=",
            "<",
            ">=",
            "SystemModstamp",
            "AccountId",
            "INCLUDES",
            "ASC",
            "é",
            "😀",
        ];
        prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn no_text_makes_it_panic(fragments in proptest::collection::vec(fragment(), 0..14), lead in any::<bool>()) {
            thread_local!(static WORLD: World = World::new(Clock::system(), Options::default()).expect("the shipped metadata"));
            let query = format!("{}{}", if lead { "SELECT Id FROM Account WHERE " } else { "" }, fragments.join(" "));
            WORLD.with(|world| {
                if let Ok(plan) = plan(world, &query) {
                    let _ = world.select(&plan, true, false);
                    let _ = world.groups(&plan, true);
                }
            });
        }
    }
}
