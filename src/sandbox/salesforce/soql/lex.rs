//! From SOQL text to tokens, each with its place.

use chrono::NaiveDate;

use super::error_at;
use crate::sandbox::salesforce::error::SfError;
use crate::sandbox::salesforce::value::{parse_date, parse_instant};

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Names, keywords and dotted paths.
    Word(String),
    /// Unescaped; `\_` and `\%` stay escaped for LIKE.
    Text(String),
    Num(f64),
    Date(NaiveDate),
    Time(i64),
    /// `( ) , : = != < <= > >=`
    Sign(&'static str),
}

pub type Placed = (Token, usize);

/// # Errors
/// `MALFORMED_QUERY`, with the place.
pub fn tokens(query: &str) -> Result<Vec<Placed>, SfError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(ch) = query[at..].chars().next() {
        let start = at;
        if ch.is_whitespace() {
            at += ch.len_utf8();
            continue;
        }
        let token = match ch {
            '\'' => {
                let (text, end) = string(query, at)?;
                at = end;
                Token::Text(text)
            }
            '0'..='9' | '-' | '+' => {
                let end = end_of(query, at + 1, |ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | ':' | '-' | '+'));
                at = end;
                number_or_date(&query[start..end])
                    .ok_or_else(|| malformed(query, start, &format!("unexpected token: '{}'", &query[start..end])))?
            }
            ch if ch.is_alphabetic() || ch == '_' => {
                at = end_of(query, at, |ch| ch.is_alphanumeric() || matches!(ch, '_' | '.'));
                Token::Word(query[start..at].to_owned())
            }
            _ => {
                const SIGNS: [(&str, &str); 11] = [
                    ("!=", "!="),
                    ("<>", "!="),
                    ("<=", "<="),
                    (">=", ">="),
                    ("<", "<"),
                    (">", ">"),
                    ("=", "="),
                    ("(", "("),
                    (")", ")"),
                    (",", ","),
                    (":", ":"),
                ];
                let sign = SIGNS.iter().find(|(written, _)| query[at..].starts_with(written));
                let Some((written, sign)) = sign else {
                    return Err(malformed(query, at, &format!("line 1:{at} no viable alternative at character '{ch}'")));
                };
                at += written.len();
                Token::Sign(sign)
            }
        };
        found.push((token, start));
    }
    Ok(found)
}

fn end_of(query: &str, from: usize, inside: impl Fn(char) -> bool) -> usize {
    query[from..].find(|ch| !inside(ch)).map_or(query.len(), |length| from + length)
}

fn number_or_date(text: &str) -> Option<Token> {
    if let Ok(number) = text.parse() {
        return Some(Token::Num(number));
    }
    if text.contains(['T', 't']) {
        // A time without a zone is no literal.
        let zoned = text.ends_with(['Z', 'z']) || text.get(11..).is_some_and(|rest| rest.contains(['+', '-']));
        return parse_instant(text).filter(|_| zoned).map(Token::Time);
    }
    parse_date(text).filter(|_| text.len() == 10).map(Token::Date)
}

fn string(query: &str, open: usize) -> Result<(String, usize), SfError> {
    let mut text = String::new();
    let mut rest = query[open + 1..].char_indices();
    while let Some((at, ch)) = rest.next() {
        let place = open + 1 + at;
        match ch {
            '\'' => return Ok((text, place + 1)),
            '\\' => {
                let (_, escaped) = rest.next().ok_or_else(|| malformed(query, place, "Illegal string literal"))?;
                match escaped {
                    'n' | 'N' => text.push('\n'),
                    'r' | 'R' => text.push('\r'),
                    't' | 'T' => text.push('\t'),
                    'b' | 'B' => text.push('\u{8}'),
                    'f' | 'F' => text.push('\u{c}'),
                    '\\' | '\'' | '"' => text.push(escaped),
                    '_' | '%' => text.extend(['\\', escaped]),
                    'u' | 'U' => {
                        let digits: String = rest.by_ref().take(4).map(|(_, ch)| ch).collect();
                        let unit = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        text.push(unit.ok_or_else(|| malformed(query, place, "Illegal unicode sequence in string literal"))?);
                    }
                    _ => {
                        let message = format!(
                            "Invalid string literal '{}'. Illegal character sequence '\\{escaped}' in string literal.",
                            &query[open + 1..place]
                        );
                        return Err(malformed(query, place, &message));
                    }
                }
            }
            _ => text.push(ch),
        }
    }
    Err(malformed(query, open, "unexpected token: '<EOF>'"))
}

fn malformed(query: &str, at: usize, message: &str) -> SfError {
    error_at(query, at, "MALFORMED_QUERY", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_token() {
        let found =
            tokens(r"Account.Name >= 'it\'s \\ \u00e9\n' 5 -2.5 2026-01-02 2026-01-02T03:04:05Z 2026-01-02T04:04:05.000+01:00 <> (:")
                .expect("tokens");
        let kinds: Vec<Token> = found.into_iter().map(|(token, _)| token).collect();
        assert_eq!(
            kinds,
            [
                Token::Word("Account.Name".into()),
                Token::Sign(">="),
                Token::Text("it's \\ é\n".into()),
                Token::Num(5.0),
                Token::Num(-2.5),
                Token::Date(NaiveDate::from_ymd_opt(2026, 1, 2).expect("a date")),
                Token::Time(1_767_323_045),
                Token::Time(1_767_323_045),
                Token::Sign("!="),
                Token::Sign("("),
                Token::Sign(":"),
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_an_error_and_never_a_panic() {
        for query in ["'open", r"'\q'", r"'\u12'", "5x", "2026-01-02T03:04", "a ; b", "2026-1-2", "'\\", "1T", "2T€"] {
            assert!(tokens(query).is_err(), "{query}");
        }
    }
}
