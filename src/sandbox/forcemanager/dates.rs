//! The vendor's forms of dates: ISO 8601 when read, `2018-06-19 10:42:12` when written, `yy/MM/dd` and `HH:mm` in the calendar.
//!
//! Instants are milliseconds since 1970. Anything that is not exactly of a form is none of it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// 1900-01-01, what stands for no date of creation.
pub const SENTINEL_CREATED_MS: i64 = -2_208_988_800_000;
/// 1899-12-30, what stands for no date of deletion.
pub const SENTINEL_DELETED_MS: i64 = -2_209_161_600_000;

const SPACE: &str = "%Y-%m-%d %H:%M:%S";
const ISO: &str = "%Y-%m-%dT%H:%M:%S";

/// `2018-06-19 10:42:12`
pub fn space(text: &str) -> Option<i64> {
    naive(text, SPACE)
}

/// `2018-06-19T10:42:12`
pub fn iso(text: &str) -> Option<i64> {
    naive(text, ISO)
}

/// ISO 8601 with an offset, any fraction.
pub fn zoned(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
}

fn naive(text: &str, form: &str) -> Option<i64> {
    // The length keeps out one-digit months, which the parser would take.
    if text.len() != "2018-06-19 10:42:12".len() {
        return None;
    }
    NaiveDateTime::parse_from_str(text, form).ok().map(|at| at.and_utc().timestamp_millis())
}

/// `2018-06-19`
pub fn day(text: &str) -> Option<NaiveDate> {
    if text.len() != "2018-06-19".len() {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Midnight, UTC.
pub fn midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
}

/// `15/07/07`: year, month, day of this century.
pub fn short_day(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('/');
    let mut two = || {
        let part = parts.next()?;
        if part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) { part.parse::<u32>().ok() } else { None }
    };
    let (year, month, day) = (two()?, two()?, two()?);
    if parts.next().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(2000 + i32::try_from(year).ok()?, month, day)
}

/// `23:59`
pub fn hour(text: &str) -> Option<NaiveTime> {
    if text.len() != "23:59".len() {
        return None;
    }
    NaiveTime::parse_from_str(text, "%H:%M").ok()
}

/// A kept calendar day (`yyyy-MM-dd`) in the form of the switch.
pub fn shown_day(kept: &str, form: &str) -> String {
    match day(kept) {
        Some(day) if form == "short" => day.format("%y/%m/%d").to_string(),
        Some(day) if form == "iso" => day.format("%Y-%m-%dT00:00:00Z").to_string(),
        _ => kept.to_owned(),
    }
}

/// `2016-02-29T16:22:34.4Z`: so many digits at most, zeros at the end left out.
pub fn shown(at: i64, digits: u8) -> String {
    let Some(at) = DateTime::from_timestamp_millis(at) else {
        return String::new();
    };
    let fraction = format!("{:03}0000", at.timestamp_subsec_millis());
    let fraction = fraction[..usize::from(digits.min(7))].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}Z", at.format(ISO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_with_as_many_digits_as_they_need() {
        let at = zoned("2016-02-29T16:22:34.470Z").expect("an instant");
        assert_eq!(shown(at, 3), "2016-02-29T16:22:34.47Z");
        assert_eq!(shown(at, 1), "2016-02-29T16:22:34.4Z");
        assert_eq!(shown(at, 0), "2016-02-29T16:22:34Z");
        assert_eq!(shown(SENTINEL_CREATED_MS, 3), "1900-01-01T00:00:00Z");
        assert_eq!(shown(SENTINEL_DELETED_MS, 3), "1899-12-30T00:00:00Z");
    }

    #[test]
    fn each_form_takes_only_its_own() {
        for (text, of_space, of_iso, of_day) in [
            ("2018-06-19 10:42:12", true, false, false),
            ("2018-06-19T10:42:12", false, true, false),
            ("2018-06-19", false, false, true),
            ("2018-6-19 10:42:123", false, false, false),
            ("2018-06-19 25:42:12", false, false, false),
            ("2018-02-30", false, false, false),
        ] {
            assert_eq!((space(text).is_some(), iso(text).is_some(), day(text).is_some()), (of_space, of_iso, of_day), "{text}");
        }
    }

    #[test]
    fn calendar_days_are_year_month_day() {
        assert_eq!(short_day("15/07/09"), NaiveDate::from_ymd_opt(2015, 7, 9));
        for wrong in ["2015/07/07", "15/7/7", "15/13/01", "15-07-07", "15/07/07/01", ""] {
            assert_eq!(short_day(wrong), None, "{wrong}");
        }
        assert_eq!(shown_day("2015-07-09", "short"), "15/07/09");
        assert_eq!(shown_day("2015-07-09", "iso"), "2015-07-09T00:00:00Z");
        assert!(hour("23:59").is_some() && hour("9:05").is_none() && hour("24:00").is_none());
    }
}
