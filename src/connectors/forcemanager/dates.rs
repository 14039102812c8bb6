//! The vendor's dates and hours, in all the forms in which they come, and the ones in which they are sent.
//!
//! Source: developer.forcemanager.com: date-times are read as ISO 8601 and sent as `2018-06-19 10:42:12`; the calendar has
//! two-digit years (`15/07/07`, year first) and hours (`23:59`) of a local clock. What could be read in two ways is not read.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;

/// Live records show 1899 and 1900 where there is no date.
const FIRST_YEAR: i32 = 1971;

/// A date-time of the wire; a sentinel is none.
#[must_use]
pub fn instant(text: &str) -> Option<Result<DateTime<Utc>, Unreadable>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let with_zone = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let bare = || {
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|at| at.and_utc())
    };
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|d| d.and_time(NaiveTime::MIN).and_utc());
    match with_zone.or_else(bare).or_else(day) {
        Some(at) if at.year() < FIRST_YEAR => None,
        Some(at) => Some(Ok(at)),
        None => Some(Err(Unreadable(text.to_owned()))),
    }
}

/// A day of the wire: `yy/MM/dd`, `yyyy-MM-dd`, or the day of a date-time.
#[must_use]
pub fn day(text: &str) -> Option<Result<NaiveDate, Unreadable>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let unreadable = || Some(Err(Unreadable(text.to_owned())));
    if text.contains('/') {
        let parts: Vec<&str> = text.split('/').collect();
        // Four digits anywhere mean another form than the documented one, and then nobody knows which part is the day.
        return match parts.as_slice() {
            [y, m, d] if [y, m, d].iter().all(|p| p.len() == 2) => {
                let number = |p: &str| p.parse::<u32>().ok();
                let date = number(y).and_then(|y| NaiveDate::from_ymd_opt(2000 + y as i32, number(m)?, number(d)?));
                date.map_or_else(unreadable, |d| Some(Ok(d)))
            }
            _ => unreadable(),
        };
    }
    let date = text.get(..10).and_then(|t| NaiveDate::parse_from_str(t, "%Y-%m-%d").ok());
    match date {
        Some(date) if date.year() < FIRST_YEAR => None,
        Some(date) => Some(Ok(date)),
        None => unreadable(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no date in a form that can only be read in one way")]
pub struct Unreadable(pub String);

/// A day and an hour of the calendar as an instant. Of an all-day entry the day counts, and it begins at midnight UTC.
#[must_use]
pub fn calendar_instant(day_text: &str, hour_text: &str, all_day: bool, zone: Tz) -> Option<Result<DateTime<Utc>, Unreadable>> {
    let date = match day(day_text)? {
        Ok(date) => date,
        Err(e) => return Some(Err(e)),
    };
    if all_day {
        return Some(Ok(date.and_time(NaiveTime::MIN).and_utc()));
    }
    let hour = hour_text.trim();
    let time = if hour.is_empty() {
        NaiveTime::MIN
    } else {
        let forms = ["%H:%M", "%H:%M:%S"];
        match forms.iter().find_map(|form| NaiveTime::parse_from_str(hour, form).ok()) {
            Some(time) => time,
            None => return Some(Err(Unreadable(hour.to_owned()))),
        }
    };
    let local = date.and_time(time);
    Some(match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.to_utc()),
        // An hour that the clocks leap over.
        LocalResult::None => Err(Unreadable(local.to_string())),
    })
}

/// What is sent for an instant: day and hour of the calendar.
#[must_use]
pub fn calendar_parts(at: DateTime<Utc>, all_day: bool, zone: Tz) -> (String, String) {
    let local = if all_day { at.naive_utc() } else { at.with_timezone(&zone).naive_local() };
    (calendar_day(local.date()), local.format("%H:%M").to_string())
}

/// `15/07/07`: the seventh of July 2015.
#[must_use]
pub fn calendar_day(day: NaiveDate) -> String {
    day.format("%y/%m/%d").to_string()
}

/// UTC, in the documented form.
#[must_use]
pub fn sent(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// As canonical text.
#[must_use]
pub fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The year of a calendar day has two digits: what lies outside this century cannot be said.
#[must_use]
pub fn in_century(at: DateTime<Utc>) -> bool {
    let near = |days: u64| at.checked_add_days(Days::new(days)).map_or(0, |at| at.year());
    (2000..2100).contains(&at.year()) && near(1) < 2100
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(text: &str) -> Option<String> {
        instant(text).map(|r| r.map_or_else(|_| "?".to_owned(), iso))
    }

    #[test]
    fn date_times_in_every_form_that_was_seen_and_no_sentinel() {
        for (text, want) in [
            ("2016-02-29T16:22:34.4Z", Some("2016-02-29T16:22:34Z")),
            ("2016-02-29T16:22:34Z", Some("2016-02-29T16:22:34Z")),
            ("2016-02-29T16:22:34.1234567Z", Some("2016-02-29T16:22:34Z")),
            ("2016-02-29T18:22:34+02:00", Some("2016-02-29T16:22:34Z")),
            ("2018-06-19 10:42:12", Some("2018-06-19T10:42:12Z")),
            ("2018-06-19T10:42:12", Some("2018-06-19T10:42:12Z")),
            ("2018-06-19", Some("2018-06-19T00:00:00Z")),
            ("1900-01-01T00:00:00Z", None),
            ("1899-12-30T00:00:00Z", None),
            ("", None),
            ("19/06/2018 10:42", Some("?")),
        ] {
            assert_eq!(shown(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn days_are_read_year_first_or_not_at_all() {
        for (text, want) in [
            ("15/07/07", Some("2015-07-07")),
            ("26/12/31", Some("2026-12-31")),
            ("2026-12-31", Some("2026-12-31")),
            ("2026-12-31T23:30:00-08:00", Some("2026-12-31")),
            ("1900-01-01T00:00:00Z", None),
            ("", None),
            ("31/12/2026", Some("?")),
            ("12/31/26", Some("?")),
            ("2026/12/31", Some("?")),
            ("next week", Some("?")),
        ] {
            let found = day(text).map(|r| r.map_or_else(|_| "?".to_owned(), |d| d.to_string()));
            assert_eq!(found.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn calendar_hours_are_local_and_all_day_entries_are_days() {
        let madrid: Tz = "Europe/Madrid".parse().unwrap();
        let at = |d, h, all| calendar_instant(d, h, all, madrid).unwrap().map(iso);
        assert_eq!(at("15/07/07", "23:59", false).unwrap(), "2015-07-07T21:59:00Z");
        assert_eq!(at("15/01/07", "09:00", false).unwrap(), "2015-01-07T08:00:00Z");
        assert_eq!(at("15/07/07", "23:59", true).unwrap(), "2015-07-07T00:00:00Z");
        assert!(at("26/03/29", "02:30", false).is_err(), "the clocks leap over it");
        assert!(at("15/07/07", "25:00", false).is_err());
        let back = |text: &str, all| calendar_parts(instant(text).unwrap().unwrap(), all, madrid);
        assert_eq!(back("2015-07-07T21:59:00Z", false), ("15/07/07".to_owned(), "23:59".to_owned()));
        assert_eq!(back("2015-07-07T00:00:00Z", true), ("15/07/07".to_owned(), "00:00".to_owned()));
    }

    #[test]
    fn a_day_outside_this_century_cannot_be_said() {
        assert!(in_century(instant("2026-01-01").unwrap().unwrap()));
        assert!(!in_century(instant("1999-12-31").unwrap().unwrap()) && !in_century(instant("2099-12-31").unwrap().unwrap()));
    }
}
