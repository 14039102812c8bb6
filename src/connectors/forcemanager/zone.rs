//! The zone of the calendar's hours: the operator's, or the branch's.
//!
//! Source: developer.forcemanager.com, "Branches" (`timeZoneId`), "Timezones" (`idIanaZone`). That the hours are the
//! branch's is our safest reading; the setting goes before it.

use super::list::{Row, Walk, id_of, row_id, value};
use super::wire::Wire;
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind};
use chrono_tz::Tz;
use serde_json::Value as J;
use tokio::sync::OnceCell;

pub struct Zone(OnceCell<Tz>);

impl Zone {
    #[must_use]
    pub fn new(given: Option<Tz>) -> Self {
        Self(given.map_or_else(OnceCell::new, |tz| OnceCell::new_with(Some(tz))))
    }

    /// Asked once.
    pub async fn of(&self, wire: &Wire, branch: Option<i64>) -> Result<Tz, Fault> {
        self.0.get_or_try_init(|| look(wire, branch)).await.copied()
    }
}

async fn look(wire: &Wire, branch: Option<i64>) -> Result<Tz, Fault> {
    let list = async |path: &'static str| {
        Walk::new(wire, Counted::Other, path, None).collect().await.map_err(|t| t.into_fault(&format!("the list {path}")))
    };
    let branches = list("/branches").await?;
    let zones = list("/timezones").await?;
    zone_of(&branches, &zones, branch).ok_or_else(|| {
        let text = "ForceManager does not say in which time zone its calendar is meant: say time-zone under [platform.forcemanager]";
        Fault::new(FaultKind::Setup, "no-time-zone", text)
    })
}

/// The zone of the branch the operator named; without a name, the one that all branches share.
fn zone_of(branches: &[Row], zones: &[Row], branch: Option<i64>) -> Option<Tz> {
    let meant = branches.iter().filter(|row| branch.is_none_or(|id| row_id(row) == Some(id)));
    let mut ids: Vec<i64> = meant.filter_map(|row| id_of(value(row, "timeZoneId")?)).collect();
    ids.sort_unstable();
    ids.dedup();
    let [id] = ids.as_slice() else { return None };
    let zone = zones.iter().find(|row| row_id(row) == Some(*id))?;
    value(zone, "idIanaZone").and_then(J::as_str)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_branch_says_the_zone_unless_there_are_two() {
        let rows = |v: J| -> Vec<Row> { v.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect() };
        let branches = rows(json!([{"id": 1, "timeZoneId": {"id": 5, "value": "x"}}, {"id": 2, "timeZoneId": 6}]));
        let zones = rows(json!([{"id": 5, "idIanaZone": "Europe/Madrid"}, {"id": 6, "idIanaZone": "America/Bogota"}]));
        assert_eq!(zone_of(&branches, &zones, Some(2)), Some(chrono_tz::America::Bogota));
        assert_eq!(zone_of(&branches[..1], &zones, None), Some(chrono_tz::Europe::Madrid));
        assert_eq!(zone_of(&branches, &zones, None), None);
        assert_eq!(zone_of(&branches, &zones[..1], Some(2)), None);
    }
}
