//! `/query` and `/queryAll`: pages, and the locators that go on from them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::locators::Cursor;
use super::soql::plan::{Answer, Column, Plan, plan};
use super::soql::print::Printer;
use super::world::{Outcome, World};

impl World {
    pub(super) fn query(&mut self, call: &Call, all: bool) -> Outcome<Reply> {
        let text = call.parameter("q").ok_or_else(|| SfError::bad("MALFORMED_QUERY", "unexpected token: '<EOF>'"))?.to_owned();
        let plan = Arc::new(plan(self, &text)?);
        if call.parameter("columns") == Some("true") {
            return Ok(self.column_metadata(&plan));
        }
        match &plan.answer {
            Answer::Count => {
                let count = self.select(&plan, all, false).ids.len();
                Ok(Reply::json(200, format!("{{\"totalSize\":{count},\"done\":true,\"records\":[]}}")))
            }
            Answer::Groups(..) => {
                let groups = self.groups(&plan, all);
                Ok(Reply::json(200, format!("{{\"totalSize\":{},\"done\":true,\"records\":[{}]}}", groups.len(), groups.join(","))))
            }
            Answer::Rows => {
                let mut found = self.select(&plan, all, self.settings.shuffle_ties);
                if self.settings.shuffle_ties {
                    self.shuffle_ids(&mut found.ids, &found.ties);
                }
                let user = call.user.unwrap_or(self.integration);
                let size = self.page_size(call);
                // A locator costs a place under the cap only when there is a second page.
                let id = if found.ids.len() > size { Some(self.new_locator()) } else { None };
                let cursor = Cursor { plan, ids: found.ids, ties: found.ties, all, user, used: self.now(), parent: None };
                let reply = self.page(&cursor, id, 0, size, &call.version);
                if let Some(id) = id {
                    self.open_locator(id, cursor);
                }
                Ok(reply)
            }
        }
    }

    pub(super) fn query_more(&mut self, call: &Call, text: &str) -> Outcome<Reply> {
        let user = call.user.unwrap_or(self.integration);
        let (id, offset) = self.locator(text, user)?;
        let size = self.page_size(call);
        let cursor = self.lend_cursor(id).ok_or_else(|| SfError::bad("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
        let reply = self.page(&cursor, Some(id), offset, size, &call.version);
        self.return_cursor(id, cursor);
        Ok(reply)
    }

    fn page_size(&mut self, call: &Call) -> usize {
        let options = call.header("sforce-query-options").unwrap_or_default();
        let asked = options.split([',', ';']).find_map(|option| option.trim().strip_prefix("batchSize=")?.trim().parse::<usize>().ok());
        let size = asked.map_or(self.settings.page_size, |asked| asked.clamp(200, 2000).min(self.settings.page_size));
        let least = self.settings.jitter_min.min(size);
        if self.settings.jitter_pages && least < size {
            return least + usize::try_from(self.random() % (size - least + 1) as u64).unwrap_or(0);
        }
        size
    }

    fn page(&mut self, cursor: &Cursor, id: Option<Id>, offset: usize, size: usize, version: &str) -> Reply {
        let end = offset.saturating_add(size).min(cursor.ids.len());
        let total = cursor.ids.len();
        let mut out = String::with_capacity(256 * (end - offset) + 128);
        out.push_str(&format!("{{\"totalSize\":{total},\"done\":{}", end == total));
        if let Some(id) = id.filter(|_| end < total) {
            out.push_str(&format!(",\"nextRecordsUrl\":\"/services/data/{version}/query/{id}-{end}\""));
        }
        out.push_str(",\"records\":[");
        let mut next = self.locators.next + 1;
        let object = cursor.plan.object;
        let page_size = self.settings.page_size;
        let mut printer = Printer { world: self, version, all: cursor.all, page_size, overflow: Vec::new(), next_locator: &mut next };
        let mut first = true;
        // A page shows rows as they are now: what went meanwhile is missing from it.
        for row in cursor.ids[offset..end].iter().filter_map(|id| printer.world.tables[object].rows.get(id)) {
            if !printer.world.listed(object, row, cursor.all) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            printer.push(&mut out, object, row, &cursor.plan.columns);
        }
        out.push_str("]}");
        let overflow = printer.overflow;
        self.locators.next = next;
        for (child, plan, ids) in overflow {
            let (all, user, used) = (cursor.all, cursor.user, self.now());
            let parent = Some(id.unwrap_or(child));
            self.open_locator(child, Cursor { plan, ids, ties: Vec::new(), all, user, used, parent });
        }
        Reply::json(200, out)
    }

    /// What `sf data query` asks for besides the rows; undocumented.
    fn column_metadata(&self, plan: &Plan) -> Reply {
        let shape = &self.schema.objects[plan.object];
        let group = matches!(plan.answer, Answer::Groups(..));
        let columns: Vec<Value> = match &plan.answer {
            Answer::Groups(columns, _) => columns.iter().map(|column| column_entry(&column.name, "String", true, Vec::new())).collect(),
            Answer::Rows | Answer::Count => self.column_entries(plan.object, &plan.columns),
        };
        let id = plan.columns.iter().any(|column| matches!(column, Column::Field(field) if shape.field(*field).name == "Id"));
        let body =
            json!({"columnMetadata": columns, "entityName": shape.name, "groupBy": group, "idSelected": id, "keyPrefix": shape.prefix});
        Reply::json(200, body.to_string())
    }

    fn column_entries(&self, object: usize, columns: &[Column]) -> Vec<Value> {
        let shape = &self.schema.objects[object];
        let entry = |column: &Column| match column {
            Column::Field(field) => column_entry(&shape.field(*field).name, "String", false, Vec::new()),
            Column::Parent { lookup, name, columns } => {
                let target = shape.field(*lookup).targets.first().copied().unwrap_or(object);
                column_entry(name, "Object", false, self.column_entries(target, columns))
            }
            Column::Loose(name) => column_entry(name, "String", false, Vec::new()),
            Column::Child { name, object, plan, .. } => column_entry(name, "Aggregate", true, self.column_entries(*object, &plan.columns)),
        };
        columns.iter().map(entry).collect()
    }
}

fn column_entry(name: &str, kind: &str, aggregate: bool, joined: Vec<Value>) -> Value {
    json!({"aggregate": aggregate, "apexType": kind, "booleanType": false, "columnName": name, "custom": name.ends_with("__c"), "displayName": name,
           "foreignKeyName": null, "insertable": true, "joinColumns": joined, "numberType": false, "textType": kind == "String", "updatable": true})
}
