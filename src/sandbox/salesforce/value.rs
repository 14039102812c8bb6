//! Values as they are stored and as they go over the wire.
//!
//! A stored value is a [`Cell`]; absence is null. A value on its way out is a [`Val`], borrowed where it can be. Instants
//! are whole seconds, as in the real thing, and print as `2026-01-02T03:04:05.000+0000`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::ids::Id;

/// A stored value that is not null.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(Box<str>),
    Bool(bool),
    Num(f64),
    Date(NaiveDate),
    /// Seconds since 1970.
    Time(i64),
    Ref(Id),
}

/// A value that is read, null included.
#[derive(Clone, Debug, PartialEq)]
pub enum Val<'a> {
    Null,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Num(f64),
    Date(NaiveDate),
    Time(i64),
    Ref(Id),
    /// A compound value, already JSON.
    Json(String),
}

impl<'a> From<&'a Cell> for Val<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Text(text) => Self::Text(Cow::Borrowed(text)),
            Cell::Bool(bool) => Self::Bool(*bool),
            Cell::Num(num) => Self::Num(*num),
            Cell::Date(date) => Self::Date(*date),
            Cell::Time(time) => Self::Time(*time),
            Cell::Ref(id) => Self::Ref(*id),
        }
    }
}

impl Val<'_> {
    #[must_use]
    pub fn owned(self) -> Val<'static> {
        match self {
            Val::Null => Val::Null,
            Val::Text(text) => Val::Text(Cow::Owned(text.into_owned())),
            Val::Bool(bool) => Val::Bool(bool),
            Val::Int(int) => Val::Int(int),
            Val::Num(num) => Val::Num(num),
            Val::Date(date) => Val::Date(date),
            Val::Time(time) => Val::Time(time),
            Val::Ref(id) => Val::Ref(id),
            Val::Json(json) => Val::Json(json),
        }
    }

    /// As it stands in a text, a CSV cell or a group key; null is empty.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Val::Null => String::new(),
            Val::Text(text) => text.to_string(),
            Val::Bool(bool) => bool.to_string(),
            Val::Int(int) => int.to_string(),
            Val::Num(num) => decimal(*num),
            Val::Date(date) => date.to_string(),
            Val::Time(time) => {
                let mut out = String::new();
                push_stamp(&mut out, *time, "Z");
                out
            }
            Val::Ref(id) => id.to_string(),
            Val::Json(json) => json.clone(),
        }
    }

    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
            Val::Int(int) => Some(*int as f64),
            Val::Num(num) => Some(*num),
            Val::Null | Val::Text(_) | Val::Bool(_) | Val::Date(_) | Val::Time(_) | Val::Ref(_) | Val::Json(_) => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Val::Null)
    }

    pub fn push_json(&self, out: &mut String) {
        match self {
            Val::Null => out.push_str("null"),
            Val::Text(text) => push_string(out, text),
            Val::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Val::Int(int) => {
                let _ = write!(out, "{int}");
            }
            Val::Num(num) => out.push_str(&decimal(*num)),
            Val::Date(date) => {
                let _ = write!(out, "\"{date}\"");
            }
            Val::Time(time) => {
                out.push('"');
                push_stamp(out, *time, "+0000");
                out.push('"');
            }
            Val::Ref(id) => {
                out.push('"');
                out.push_str(id.as_str());
                out.push('"');
            }
            Val::Json(json) => out.push_str(json),
        }
    }

    /// For ORDER BY, MIN and MAX: null first, text without regard to case.
    #[must_use]
    pub fn order(&self, other: &Val<'_>) -> Ordering {
        match (self, other) {
            (Val::Null, Val::Null) => Ordering::Equal,
            (Val::Null, _) => Ordering::Less,
            (_, Val::Null) => Ordering::Greater,
            (Val::Text(a), Val::Text(b)) => fold(a).cmp(&fold(b)),
            (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
            (Val::Date(a), Val::Date(b)) => a.cmp(b),
            (Val::Time(a), Val::Time(b)) => a.cmp(b),
            (Val::Ref(a), Val::Ref(b)) => a.cmp(b),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => a.text().cmp(&b.text()),
            },
        }
    }
}

/// Text for comparison without regard to case.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// `5.0`, `0.25`: numbers of double kind always show a fraction.
#[must_use]
pub fn decimal(num: f64) -> String {
    format!("{num:?}")
}

pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if escaped.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escaped);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// `2026-01-02T03:04:05.000` and the zone as wanted.
pub fn push_stamp(out: &mut String, seconds: i64, zone: &str) {
    let at = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
    let mut digits = *b"0000-00-00T00:00:00.000";
    let mut put = |from: usize, width: usize, number: u32| {
        let mut rest = number;
        for slot in digits[from..from + width].iter_mut().rev() {
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    };
    put(0, 4, at.year().unsigned_abs());
    put(5, 2, at.month());
    put(8, 2, at.day());
    put(11, 2, at.hour());
    put(14, 2, at.minute());
    put(17, 2, at.second());
    out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    out.push_str(zone);
}

#[must_use]
pub fn stamp(seconds: i64) -> String {
    let mut out = String::with_capacity(28);
    push_stamp(&mut out, seconds, "+0000");
    out
}

/// An instant with `Z`, `+00:00` or `+0000`, with or without a fraction; the fraction is dropped.
#[must_use]
pub fn parse_instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp());
    }
    if let Ok(at) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return Some(at.timestamp());
    }
    let bare = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
    bare.map(|at| at.and_utc().timestamp())
}

#[must_use]
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let date = text.trim().get(..10)?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()
}

#[must_use]
pub fn midnight(date: NaiveDate) -> i64 {
    date.and_hms_opt(0, 0, 0).map_or(0, |at| at.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_without_a_colon_in_the_zone_and_read_in_every_form() {
        assert_eq!(stamp(1_767_323_045), "2026-01-02T03:04:05.000+0000");
        for text in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.999Z", "2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05.000+0000"] {
            assert_eq!(parse_instant(text), Some(1_767_323_045), "{text}");
        }
        assert_eq!(parse_instant("yesterday"), None);
    }

    #[test]
    fn json_strings_are_escaped() {
        let mut out = String::new();
        push_string(&mut out, "a\"b\\c\n\u{1}é😀");
        assert_eq!(serde_json::from_str::<String>(&out).expect("valid JSON"), "a\"b\\c\n\u{1}é😀");
    }

    #[test]
    fn doubles_show_a_fraction() {
        assert_eq!((decimal(5.0), decimal(0.25)), ("5.0".to_owned(), "0.25".to_owned()));
    }

    #[test]
    fn order_puts_null_first_and_ignores_case() {
        let text = |text: &'static str| Val::Text(Cow::Borrowed(text));
        assert_eq!(Val::Null.order(&text("a")), Ordering::Less);
        assert_eq!(text("b").order(&text("A")), Ordering::Greater);
        assert_eq!(text("É").order(&text("é")), Ordering::Equal);
    }
}
