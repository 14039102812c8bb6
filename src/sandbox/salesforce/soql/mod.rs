//! SOQL, parsed for real: text → [`parse`] → [`plan`] (names resolved, types checked) → [`run`] (rows found, sorted,
//! printed).

pub mod lex;
pub mod parse;
pub mod plan;
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
