//! `updated/` and `deleted/`: which records changed or went in a window, and how far that is certain.

use serde_json::{Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::value::{parse_instant, stamp};
use super::world::{DAY, Outcome, World};

impl World {
    fn window(&self, call: &Call, days: i64) -> Outcome<(i64, i64)> {
        let read = |name: &str| {
            // An unencoded plus sign arrives as a blank.
            let text = call.parameter(name).unwrap_or_default().replace(' ', "+");
            parse_instant(&text).ok_or_else(|| SfError::bad("INVALID_REPLICATION_DATE", format!("{name} is no date")))
        };
        let (start, end) = (read("start")?, read("end")?);
        if start >= end {
            return Err(SfError::bad("INVALID_REPLICATION_DATE", "startDate must chronologically precede endDate"));
        }
        if start < self.now() - days * DAY {
            return Err(SfError::bad("INVALID_REPLICATION_DATE", format!("startDate cannot be more than {days} days ago")));
        }
        Ok((start, end))
    }

    fn covered(&self, end: i64) -> String {
        stamp(end.min(self.now()).min(self.oldest_open().unwrap_or(i64::MAX)))
    }

    pub(super) fn updated(&self, object: usize, call: &Call) -> Outcome<Reply> {
        let (start, end) = self.window(call, 30)?;
        let table = &self.tables[object];
        let range = table.by_stamp.range((start, Id::MIN)..(end, Id::MIN));
        let live = range.filter(|(_, id)| table.rows.get(id).is_some_and(|row| row.deleted.is_none()));
        let ids: Vec<&str> = live.map(|(_, id)| id.as_str()).collect();
        Ok(Reply::json(200, json!({"ids": ids, "latestDateCovered": self.covered(end)}).to_string()))
    }

    pub(super) fn deleted(&self, object: usize, call: &Call) -> Outcome<Reply> {
        let (start, end) = self.window(call, 15)?;
        let range = self.tables[object].log.range((start, Id::MIN)..(end, Id::MIN));
        let records: Vec<Value> = range.map(|(at, id)| json!({"id": id.as_str(), "deletedDate": stamp(*at)})).collect();
        let earliest = stamp(self.log_purged);
        let body = json!({"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": self.covered(end)});
        Ok(Reply::json(200, body.to_string()))
    }
}
