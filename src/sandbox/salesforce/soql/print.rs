//! How records print: nested JSON for REST, flat cells for CSV.

use std::sync::Arc;

use super::plan::{Column, Plan};
use super::run::compare;
use crate::sandbox::salesforce::ids::Id;
use crate::sandbox::salesforce::table::Row;
use crate::sandbox::salesforce::value::{Val, push_string};
use crate::sandbox::salesforce::world::World;

/// What printing a record needs besides the world.
pub struct Printer<'a> {
    pub world: &'a World,
    /// `v66.0`
    pub version: &'a str,
    pub all: bool,
    pub page_size: usize,
    /// Child rows that did not fit: their locators, to be kept by the caller.
    pub overflow: Vec<(Id, Arc<Plan>, Vec<Id>)>,
    pub next_locator: &'a mut u64,
}

impl Printer<'_> {
    /// One record with its attributes, in the order of the SELECT.
    pub fn push(&mut self, out: &mut String, object: usize, row: &Row, columns: &[Column]) {
        let shape = &self.world.schema.objects[object];
        out.push_str("{\"attributes\":{\"type\":\"");
        out.push_str(&shape.name);
        out.push_str("\",\"url\":\"/services/data/");
        out.push_str(self.version);
        out.push_str("/sobjects/");
        out.push_str(&shape.name);
        out.push('/');
        out.push_str(row.id.as_str());
        out.push_str("\"}");
        for column in columns {
            out.push_str(",\"");
            match column {
                Column::Field(field) => {
                    out.push_str(&shape.field(*field).name);
                    out.push_str("\":");
                    self.world.val(object, row, *field).push_json(out);
                }
                Column::Parent { lookup, name, columns } => {
                    out.push_str(name);
                    out.push_str("\":");
                    let parent = match self.world.val(object, row, *lookup) {
                        Val::Ref(id) => self.world.row_of(id),
                        _ => None,
                    };
                    match parent {
                        Some((at, parent)) => self.push(out, at, parent, columns),
                        None => out.push_str("null"),
                    }
                }
                Column::Loose(path) => {
                    out.push_str(path);
                    out.push_str("\":");
                    match path.as_str() {
                        kind if kind.eq_ignore_ascii_case("Type") => push_string(out, &shape.name),
                        _ => self.world.along(object, row, path).push_json(out),
                    }
                }
                Column::Child { name, object, lookup, plan } => {
                    out.push_str(name);
                    out.push_str("\":");
                    self.push_children(out, *object, *lookup, plan, row.id);
                }
            }
        }
        out.push('}');
    }

    fn push_children(&mut self, out: &mut String, object: usize, lookup: u16, plan: &Arc<Plan>, parent: Id) {
        let world = self.world;
        let table = &world.tables[object];
        let ids: Vec<Id> = match table.with_parent(lookup, parent) {
            Some(ids) => ids.collect(),
            None => table.rows.values().filter(|row| world.val(object, row, lookup) == Val::Ref(parent)).map(|row| row.id).collect(),
        };
        let mut keyed: Vec<(Vec<Val<'static>>, &Row)> = ids
            .iter()
            .filter_map(|id| table.rows.get(id))
            .filter(|row| world.listed(object, row, self.all) && plan.filter.as_ref().is_none_or(|filter| world.holds(filter, object, row)))
            .map(|row| (world.sort_key(plan, row), row))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| compare(&plan.order, a, b));
        let rows: Vec<&Row> = keyed.into_iter().map(|(_, row)| row).skip(plan.offset).take(plan.limit.unwrap_or(usize::MAX)).collect();
        if rows.is_empty() {
            out.push_str("null");
            return;
        }
        let page = rows.len().min(self.page_size);
        out.push_str(&format!("{{\"totalSize\":{},\"done\":{}", rows.len(), page == rows.len()));
        if page < rows.len() {
            let id = Id::mint("01g", *self.next_locator);
            *self.next_locator += 1;
            out.push_str(&format!(",\"nextRecordsUrl\":\"/services/data/{}/query/{id}-{page}\"", self.version));
            self.overflow.push((id, Arc::clone(plan), rows.iter().map(|row| row.id).collect()));
        }
        out.push_str(",\"records\":[");
        for (at, row) in rows[..page].iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            self.push(out, object, row, &plan.columns);
        }
        out.push_str("]}");
    }
}

impl World {
    /// Texts of one row for CSV: a name and a value per column.
    pub(in crate::sandbox::salesforce) fn flat(&self, plan: &Plan, row: &Row) -> Vec<String> {
        let mut cells = Vec::new();
        self.flatten(plan.object, Some(row), &plan.columns, &mut cells);
        cells
    }

    fn flatten(&self, object: usize, row: Option<&Row>, columns: &[Column], cells: &mut Vec<String>) {
        for column in columns {
            match column {
                Column::Field(field) => cells.push(row.map_or_else(String::new, |row| self.val(object, row, *field).text())),
                Column::Parent { lookup, columns, .. } => {
                    let parent = row.and_then(|row| match self.val(object, row, *lookup) {
                        Val::Ref(id) => self.row_of(id),
                        _ => None,
                    });
                    let target = self.schema.objects[object].field(*lookup).targets.first().copied().unwrap_or(object);
                    let (at, row) = parent.map_or((target, None), |(at, row)| (at, Some(row)));
                    self.flatten(at, row, columns, cells);
                }
                Column::Loose(path) => cells.push(row.map_or_else(String::new, |row| self.along(object, row, path).text())),
                Column::Child { .. } => {}
            }
        }
    }

    /// The header that goes with [`World::flat`].
    pub(in crate::sandbox::salesforce) fn flat_names(&self, plan: &Plan) -> Vec<String> {
        let mut names = Vec::new();
        self.name_columns(plan.object, "", &plan.columns, &mut names);
        names
    }

    fn name_columns(&self, object: usize, path: &str, columns: &[Column], names: &mut Vec<String>) {
        for column in columns {
            match column {
                Column::Field(field) => names.push(format!("{path}{}", self.schema.objects[object].field(*field).name)),
                Column::Parent { lookup, name, columns } => {
                    let target = self.schema.objects[object].field(*lookup).targets.first().copied().unwrap_or(object);
                    self.name_columns(target, &format!("{path}{name}."), columns, names);
                }
                Column::Loose(last) => names.push(format!("{path}{last}")),
                Column::Child { .. } => {}
            }
        }
    }
}
