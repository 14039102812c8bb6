//! Problems of a rules file: all of them at once, each with its place, its stable code and what to do.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// Where in the file, in bytes.
pub type Place = Range<usize>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable, kebab-case; documented in docs/rules.md.
    pub code: &'static str,
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub help: String,
    #[serde(skip)]
    pub place: Place,
}

impl Problem {
    pub fn new(source: &str, place: Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let (line, column) = line_and_column(source, place.start);
        Self { code, line, column, message: message.into(), help: help.into(), place }
    }
}

fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The problems as a compiler would print them.
#[must_use]
pub fn render(problems: &[Problem], source: &str, path: &str) -> String {
    let renderer = Renderer::plain();
    let mut out = String::new();
    for problem in problems {
        let place = problem.place.start.min(source.len())..problem.place.end.min(source.len());
        let snippet = Snippet::source(source).line_start(1).path(path).annotation(AnnotationKind::Primary.span(place));
        let mut group = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code).element(snippet);
        if !problem.help.is_empty() {
            group = group.element(Level::HELP.message(problem.help.as_str()));
        }
        out.push_str(&renderer.render(&[group]).to_string());
        out.push_str("\n\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_code_line_caret_and_help() {
        let source = "[schedule]\nevery = \"5x\"\n";
        let place = 19..23;
        let problem = Problem::new(source, place, "bad-duration", "\"5x\" is not a duration", "write 15m");
        assert_eq!((problem.line, problem.column), (2, 9));
        let text = render(&[problem], source, "sync-rules.toml");
        for part in ["error[bad-duration]", "sync-rules.toml:2:9", "^^^^", "help: write 15m"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
