//! Query locators: where a reader left off, how long that is remembered, and how many of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::SfError;
use super::ids::Id;
use super::soql::plan::Plan;
use super::world::{Outcome, World};

#[derive(Debug, Default)]
pub struct Locators {
    open: HashMap<Id, Cursor>,
    pub(super) next: u64,
}

#[derive(Debug)]
pub(super) struct Cursor {
    pub plan: Arc<Plan>,
    /// The rows by number, as they were when the query ran.
    pub ids: Vec<Id>,
    pub ties: Vec<u32>,
    pub all: bool,
    pub user: Id,
    pub used: i64,
    /// The outer query of a child's locator.
    pub parent: Option<Id>,
}

impl World {
    /// Keeps a cursor; beyond the cap of its user the one that was used longest ago ends.
    pub(super) fn open_locator(&mut self, id: Id, cursor: Cursor) {
        let user = cursor.user;
        self.locators.open.insert(id, cursor);
        while self.locators.open.values().filter(|open| open.user == user && open.parent.is_none()).count()
            > self.settings.max_cursors.max(1)
        {
            let own = self.locators.open.iter().filter(|(_, open)| open.user == user && open.parent.is_none());
            let Some(oldest) = own.min_by_key(|(id, open)| (open.used, **id)).map(|(id, _)| *id) else {
                break;
            };
            self.locators.open.remove(&oldest);
            self.locators.open.retain(|_, open| open.parent != Some(oldest));
        }
    }

    pub(super) fn new_locator(&mut self) -> Id {
        self.locators.next += 1;
        Id::mint("01g", self.locators.next)
    }

    /// The cursor and the offset of `01g…-2000`; being used keeps it alive.
    pub(super) fn locator(&mut self, text: &str, user: Id) -> Outcome<(Id, usize)> {
        let gone = || SfError::bad("INVALID_QUERY_LOCATOR", "invalid query locator");
        let (id, offset) = text.split_once('-').ok_or_else(gone)?;
        let id = Id::parse(id).ok_or_else(gone)?;
        let offset: usize = offset.parse().map_err(|_| gone())?;
        let (now, ttl) = (self.now(), self.settings.locator_ttl);
        let cursor = self.locators.open.get_mut(&id).filter(|cursor| cursor.user == user).ok_or_else(gone)?;
        if cursor.used + ttl <= now || offset > cursor.ids.len() {
            self.locators.open.remove(&id);
            return Err(gone());
        }
        cursor.used = now;
        // Going on with the outer query ends the locators of its children.
        self.locators.open.retain(|_, open| open.parent != Some(id));
        if self.settings.shuffle_ties {
            self.shuffle(id);
        }
        Ok((id, offset))
    }

    /// Takes a cursor out for the length of one page.
    pub(super) fn lend_cursor(&mut self, id: Id) -> Option<Cursor> {
        self.locators.open.remove(&id)
    }

    pub(super) fn return_cursor(&mut self, id: Id, cursor: Cursor) {
        self.locators.open.insert(id, cursor);
    }

    /// Rows that ORDER BY leaves tied change places, also across the page boundary.
    fn shuffle(&mut self, id: Id) {
        let Some(mut cursor) = self.locators.open.remove(&id) else {
            return;
        };
        self.shuffle_ids(&mut cursor.ids, &cursor.ties);
        self.locators.open.insert(id, cursor);
    }

    pub(super) fn shuffle_ids(&mut self, ids: &mut [Id], ties: &[u32]) {
        let mut from = 0;
        while from < ids.len() {
            let mut to = from + 1;
            while to < ids.len() && ties.get(to) == ties.get(from) {
                to += 1;
            }
            for at in (from + 1..to).rev() {
                let with = from + usize::try_from(self.random() % (at - from + 1) as u64).unwrap_or(0);
                ids.swap(at, with);
            }
            from = to;
        }
    }
}
