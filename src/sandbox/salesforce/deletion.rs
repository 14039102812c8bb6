//! Deletion and its relatives: into the bin with what depends on a row, back out of it, and merging.

use serde_json::{Map, Value};

use super::error::SfError;
use super::ids::Id;
use super::orders;
use super::schema::OnParentDelete;
use super::value::Cell;
use super::world::{Outcome, World};
use super::write::Author;

impl World {
    pub(super) fn remove(&mut self, object: usize, id: Id, by: &Author) -> Outcome<()> {
        self.live(object, id)?;
        let shape = &self.schema.objects[object];
        if !shape.deletable || !shape.writable {
            return Err(SfError::bad("INSUFFICIENT_ACCESS_OR_READONLY", format!("entity type cannot be deleted: {}", shape.name)));
        }
        self.unlock(id)?;
        self.atomically(|world| {
            orders::before_remove(world, object, id)?;
            world.bury(object, id, None, None, by.at)
        })
    }

    /// Deletes one row and, first, what hangs on it.
    fn bury(&mut self, object: usize, id: Id, with: Option<Id>, master: Option<Id>, at: i64) -> Outcome<()> {
        let Some(mut row) = self.tables[object].rows.get(&id).filter(|row| row.deleted.is_none()).cloned() else {
            return Ok(());
        };
        row.deleted = Some(at);
        row.deleted_with = with;
        row.master = master;
        row.stamp = at;
        let gone = row.clone();
        self.store(object, id, Some(row));
        self.log_deletion(object, at, id);
        if master.is_none() {
            for (child, field, rows) in self.dependants(object, id) {
                let rule = self.schema.objects[child].field(field).on_parent_delete;
                for child_id in rows {
                    match rule {
                        OnParentDelete::Keep => {}
                        OnParentDelete::Cascade => {
                            orders::before_remove(self, child, child_id)?;
                            self.bury(child, child_id, Some(with.unwrap_or(id)), None, at)?;
                        }
                        OnParentDelete::Restrict => {
                            let text =
                                format!("Your attempt to delete this record could not be completed because it is referenced by {child_id}");
                            return Err(SfError::bad("DELETE_FAILED", text));
                        }
                        OnParentDelete::SetNull => {
                            // No stamp moves: nothing tells of a lookup that was cleared this way.
                            let cleared = self.tables[child].rows.get(&child_id).cloned();
                            if let Some(mut row) = cleared {
                                row.set(field, None);
                                self.store(child, child_id, Some(row));
                            }
                        }
                    }
                }
            }
        }
        // What never enters the bin is gone at once, unless its parent may bring it back.
        if !self.schema.objects[object].bin && with.is_none() {
            self.store(object, id, None);
            orders::after_remove(self, object, &gone, at);
        }
        Ok(())
    }

    /// Live rows that point at this one: `(object, lookup, ids)`.
    fn dependants(&self, object: usize, id: Id) -> Vec<(usize, u16, Vec<Id>)> {
        let mut found = Vec::new();
        for child in &self.schema.objects[object].children {
            let Some(ids) = self.tables[child.object].with_parent(child.field, id) else {
                continue;
            };
            let live = |id: &Id| self.tables[child.object].rows.get(id).is_some_and(|row| row.deleted.is_none());
            let ids: Vec<Id> = ids.filter(live).collect();
            if !ids.is_empty() {
                found.push((child.object, child.field, ids));
            }
        }
        found
    }

    pub(super) fn restore(&mut self, object: usize, id: Id, by: &Author) -> Outcome<()> {
        let row = self.tables[object].rows.get(&id).filter(|row| row.deleted.is_some() && row.master.is_none());
        if row.is_none() {
            return Err(SfError::bad("UNDELETE_FAILED", "entity is not in the recycle bin"));
        }
        self.atomically(|world| {
            let mut back = vec![(object, id)];
            for (at, table) in world.tables.iter().enumerate() {
                let along = table.rows.values().filter(|row| row.deleted_with == Some(id));
                back.extend(along.map(|row| (at, row.id)));
            }
            for (object, id) in back {
                let Some(mut row) = world.tables[object].rows.get(&id).cloned() else {
                    continue;
                };
                if let Some(at) = row.deleted {
                    world.unlog_deletion(object, at, id);
                }
                (row.deleted, row.deleted_with, row.stamp) = (None, None, by.at);
                world.unique(object, &row)?;
                world.store(object, id, Some(row));
            }
            Ok(())
        })
    }

    pub(super) fn merge_rows(&mut self, object: usize, winner: Id, losers: &[Id], fields: &Map<String, Value>, by: &Author) -> Outcome<()> {
        let shape = &self.schema.objects[object];
        if !shape.mergeable || losers.is_empty() || losers.len() > 2 || losers.contains(&winner) {
            return Err(SfError::bad("INVALID_INPUT", "one or two other records of Account or Contact can be merged into one"));
        }
        for id in losers.iter().chain([&winner]) {
            self.live(object, *id)?;
        }
        self.atomically(|world| {
            for loser in losers {
                for (child, field, rows) in world.dependants(object, *loser) {
                    for id in rows {
                        if let Some(mut row) = world.tables[child].rows.get(&id).cloned() {
                            row.set(field, Some(Cell::Ref(winner)));
                            (row.modified, row.stamp, row.modified_by) = (by.at, by.at, by.user);
                            world.store(child, id, Some(row));
                        }
                    }
                }
                world.bury(object, *loser, None, Some(winner), by.at)?;
            }
            world.change(object, winner, fields, by)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;

    fn world() -> World {
        World::new(Clock::system(), Options::default()).unwrap()
    }

    fn code(outcome: Outcome<impl std::fmt::Debug>) -> String {
        outcome.unwrap_err().code
    }

    #[test]
    fn deletion_takes_dependants_along_and_undelete_brings_them_back() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": account})).unwrap();
        let license = world.insert("License__c", &json!({"Account__c": account, "Contact__c": contact})).unwrap();
        let stamp = world.row("License__c", &license).unwrap()["SystemModstamp"].clone();
        world.clock().advance(chrono::Duration::seconds(100));
        world.delete("Account", &account).unwrap();
        assert_eq!(world.row("Contact", &contact).unwrap()["IsDeleted"], json!(true));
        let left = world.row("License__c", &license).unwrap();
        assert_eq!((&left["Account__c"], &left["IsDeleted"], &left["SystemModstamp"]), (&json!(null), &json!(false), &stamp));
        assert_eq!(code(world.update("Account", &account, &json!({"Name": "C"}))), "ENTITY_IS_DELETED");
        world.undelete("Account", &account).unwrap();
        assert_eq!(world.row("Contact", &contact).unwrap()["IsDeleted"], json!(false));
    }

    #[test]
    fn the_bin_empties_after_fifteen_days() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        world.delete("Account", &account).unwrap();
        world.clock().advance(chrono::Duration::days(14));
        world.settle();
        assert!(world.row("Account", &account).is_some());
        world.clock().advance(chrono::Duration::days(2));
        world.settle();
        assert!(world.row("Account", &account).is_none());
        assert_eq!(code(world.update("Account", &account, &json!({"Name": "C"}))), "INVALID_CROSS_REFERENCE_KEY");
    }

    #[test]
    fn a_merge_moves_the_children_and_names_the_winner() {
        let mut world = world();
        let winner = world.insert("Account", &json!({"Name": "Winner"})).unwrap();
        let loser = world.insert("Account", &json!({"Name": "Loser"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": loser})).unwrap();
        world.merge("Account", &winner, &[&loser], &json!({"Phone": "1"})).unwrap();
        let gone = world.row("Account", &loser).unwrap();
        assert_eq!((&gone["IsDeleted"], &gone["MasterRecordId"]), (&json!(true), &json!(winner)));
        assert_eq!(world.row("Contact", &contact).unwrap()["AccountId"], json!(winner));
        assert_eq!(world.row("Account", &winner).unwrap()["Phone"], json!("1"));
        assert!(world.undelete("Account", &loser).is_err());
    }
}
