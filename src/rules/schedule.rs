//! When a run is due. Pure: the clock is an argument.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use std::fmt;

/// An interval, or a cron expression in a time zone.
#[derive(Debug, Clone)]
pub enum Schedule {
    Every(Duration),
    Cron { cron: Box<Cron>, zone: Tz, text: String },
}

impl Schedule {
    /// `15m`, `2h`, `30s`, `1d`; at least one second.
    pub fn every(text: &str) -> Result<Self, String> {
        let every = duration(text)?;
        if every < Duration::seconds(1) { Err("the shortest interval is 1s".to_owned()) } else { Ok(Self::Every(every)) }
    }

    /// Five fields (minutes first) or six (seconds first); a day matches by day of month or by weekday, as in cron.
    pub fn cron(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let zone = match zone {
            Some(name) => name.parse::<Tz>().map_err(|_| format!("{name:?} is not a time zone name such as Europe/Berlin"))?,
            None => Tz::UTC,
        };
        let cron = CronParser::builder().seconds(Seconds::Optional).dom_and_dow(false).build().parse(text).map_err(|e| e.to_string())?;
        let schedule = Self::Cron { cron: Box::new(cron), zone, text: text.to_owned() };
        if schedule.next(DateTime::UNIX_EPOCH).is_none() {
            return Err(format!("{text:?} never comes"));
        }
        Ok(schedule)
    }

    /// `off`, an interval, or a cron expression: what has blanks in it is one, and so is `@daily`.
    pub fn census(text: &str, zone: Option<&str>) -> Result<Option<Self>, String> {
        match text.trim() {
            "off" => Ok(None),
            cron if cron.contains(' ') || cron.starts_with('@') => Self::cron(cron, zone).map(Some),
            every => Self::every(every).map(Some),
        }
    }

    /// The first due instant strictly after `after`.
    #[must_use]
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every(every) => Some(after + *every),
            Self::Cron { cron, zone, .. } => {
                cron.find_next_occurrence(&after.with_timezone(zone), false).ok().map(|at| at.with_timezone(&Utc))
            }
        }
    }

    /// Missed ticks collapse into one run; a clock that was set back does not stall us.
    #[must_use]
    pub fn due(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        last > now || self.next(last).is_some_and(|next| next <= now)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(every) => write!(f, "every {}s", every.num_seconds()),
            Self::Cron { zone, text, .. } => write!(f, "at {text} ({zone})"),
        }
    }
}

/// `90s`, `15m`, `2h`, `1d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration such as 90s, 15m, 2h or 1d");
    let unit = text.chars().last().ok_or_else(bad)?;
    let n: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    n.checked_mul(seconds).filter(|s| (0..=366 * 86_400).contains(s)).map(Duration::seconds).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::TimeZone;

    fn nights(from: (i32, u32, u32)) -> Vec<String> {
        let schedule = Schedule::cron("30 2 * * *", Some("Europe/Berlin")).unwrap();
        let mut at = Utc.with_ymd_and_hms(from.0, from.1, from.2, 12, 0, 0).unwrap();
        (0..3)
            .map(|_| {
                at = schedule.next(at).unwrap();
                at.with_timezone(&chrono_tz::Europe::Berlin).to_string()
            })
            .collect()
    }

    #[test]
    fn half_past_two_survives_both_changes_of_the_clock() {
        assert_eq!(nights((2027, 3, 26)), ["2027-03-27 02:30:00 CET", "2027-03-28 03:00:00 CEST", "2027-03-29 02:30:00 CEST"]);
        assert_eq!(nights((2027, 10, 29)), ["2027-10-30 02:30:00 CEST", "2027-10-31 02:30:00 CEST", "2027-11-01 02:30:00 CET"]);
    }

    #[test]
    fn missed_ticks_are_one_and_a_clock_set_back_is_due() {
        let every = Schedule::every("15m").unwrap();
        let noon = Utc.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap();
        assert!(!every.due(noon, noon + Duration::minutes(14)));
        assert!(every.due(noon, noon + Duration::hours(9)));
        assert!(every.due(noon, noon - Duration::hours(1)));
    }

    #[test]
    fn a_census_is_off_or_on_an_interval_or_by_the_clock() {
        assert!(Schedule::census("off", None).unwrap().is_none());
        assert!(matches!(Schedule::census("24h", None), Ok(Some(Schedule::Every(_)))));
        assert!(matches!(Schedule::census("0 3 * * *", Some("Europe/Berlin")), Ok(Some(Schedule::Cron { .. }))));
        assert!(matches!(Schedule::census("@daily", None), Ok(Some(Schedule::Cron { .. }))));
        for bad in ["never", "", "0 99 * * *", "24"] {
            assert!(Schedule::census(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "m", "15", "-1m", "5x", "0s"] {
            assert!(Schedule::every(bad).is_err(), "{bad}");
        }
        for bad in ["61 * * * *", "hello", "0 0 30 2 *"] {
            assert!(Schedule::cron(bad, None).is_err(), "{bad}");
        }
        assert!(Schedule::cron("* * * * *", Some("Mars/Olympus")).is_err());
        assert!(Schedule::cron("@hourly", None).is_ok());
    }
}
