//! The branch of what is made without one: the operator's, or the only one there is.
//!
//! Source: developer.forcemanager.com, "Branches". The vendor wants a branch for companies and opportunities. Where there is
//! one branch there is nothing to choose; where there are more, which is meant only the operator knows.

use super::list::{Row, Walk, flag, row_id};
use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use tokio::sync::OnceCell;

pub struct Branch(OnceCell<Option<i64>>);

impl Branch {
    #[must_use]
    pub fn new(given: Option<i64>) -> Self {
        Self(given.map_or_else(OnceCell::new, |id| OnceCell::new_with(Some(Some(id)))))
    }

    /// Asked once. `None`: there are several, and none was named.
    pub async fn of(&self, wire: &Wire) -> Result<Option<i64>, Trouble> {
        let look = async || Ok(only(&Walk::new(wire, Counted::Other, "/branches", None).collect().await?));
        self.0.get_or_try_init(look).await.copied()
    }
}

fn only(rows: &[Row]) -> Option<i64> {
    let mut ids = rows.iter().filter(|row| flag(row, "deleted") != Some(true)).filter_map(row_id);
    ids.next().filter(|_| ids.next().is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value as J, json};

    #[test]
    fn the_only_branch_is_meant_and_of_two_none() {
        let rows = |v: J| -> Vec<Row> { v.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect() };
        let branches = rows(json!([{"id": 16, "deleted": false}, {"id": 17, "deleted": true}, {"id": 18}]));
        assert_eq!(only(&branches[..2]), Some(16));
        assert_eq!(only(&branches), None);
        assert_eq!(only(&[]), None);
    }
}
