//! Problems of a rules file: all of them at once, each with its place, its stable code and what to do.
//!
//! What is printed shows lines of the file, so whatever looks like a secret in it is blotted out first.

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
    /// In characters, from 1.
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
    let before = &source[..boundary(source, at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The problems as a compiler would print them.
#[must_use]
pub fn render(problems: &[Problem], source: &str, path: &str) -> String {
    let renderer = Renderer::plain();
    let shown = without_secrets(source);
    let mut out = String::new();
    for problem in problems {
        let start = boundary(&shown, problem.place.start);
        // A place without length, at the end of a text that was cut off, still gets its caret.
        let place = start..boundary(&shown, problem.place.end).max(start);
        let snippet = Snippet::source(shown.as_str()).line_start(1).path(path).annotation(AnnotationKind::Primary.span(place));
        let mut group = Level::ERROR.primary_title(problem.message.as_str()).id(problem.code).element(snippet);
        if !problem.help.is_empty() {
            group = group.element(Level::HELP.message(problem.help.as_str()));
        }
        out.push_str(&renderer.render(&[group]).to_string());
        out.push_str("\n\n");
    }
    out
}

/// Keys whose value must never be shown.
const SECRET_KEYS: [&str; 5] = ["client-secret", "refresh-token", "private-key", "password", "api-key"];

/// The same text, byte for byte as long, with a star for each letter of what was written behind a key for a secret, unless it
/// is a table that says where the secret is. More is blotted out than need be: to the end of the line, or of the long text.
fn without_secrets(source: &str) -> String {
    let mut shown = source.as_bytes().to_vec();
    for key in SECRET_KEYS {
        for (at, _) in source.match_indices(key) {
            let behind = &source[at + key.len()..];
            let value = behind.trim_start_matches(['"', '\'', ' ', '\t']);
            let Some(value) = value.strip_prefix('=') else { continue };
            let value = value.trim_start_matches([' ', '\t']);
            if value.starts_with('{') {
                continue;
            }
            let start = source.len() - value.len();
            let long = ["\"\"\"", "'''"].into_iter().find(|quotes| value.starts_with(quotes));
            let length = match long {
                Some(quotes) => value[3..].find(quotes).map_or(value.len(), |end| end + 6),
                None => value.find('\n').unwrap_or(value.len()),
            };
            shown[start..start + length].iter_mut().filter(|b| !b.is_ascii_whitespace()).for_each(|b| *b = b'*');
        }
    }
    // Whole letters were replaced, so this is still text.
    String::from_utf8(shown).unwrap_or_default()
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

    #[test]
    fn a_secret_in_the_file_is_never_shown() {
        for line in [
            "client-secret = \"canary\"",
            "client-secret = canary",
            "\"client-secret\"='canary'",
            "salesforce = { login-url = \"x\", client-secret = \"canary\" }",
            "private-key = \"\"\"\ncanary\ncanary\"\"\" # a comment",
            "api-key = 'canäry' # canary",
            "password\t=\t\"\"\"canary",
        ] {
            let source = format!("[salesforce]\n{line}\n");
            for place in [0..source.len(), 13..20] {
                let text = render(&[Problem::new(&source, place, "syntax", "m", "h")], &source, "x");
                assert!(!text.contains("canary") && !text.contains("canäry"), "{text}");
            }
            assert_eq!(without_secrets(&source).len(), source.len());
        }
        let reference = "client-secret = { env = \"SALESFORCE_CLIENT_SECRET\" }\nnote = 'api-key'\n";
        assert_eq!(without_secrets(reference), reference);
    }

    #[test]
    fn places_outside_the_text_are_survived() {
        for place in [0..0, 3..4, 100..200, 1..2] {
            let problem = Problem::new("né", place, "syntax", "m", "");
            assert!(render(&[problem], "né", "x").contains("error[syntax]"));
        }
    }
}
