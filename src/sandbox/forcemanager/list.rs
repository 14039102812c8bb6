//! Lists: filter, order and pages, as a bare array without a total.
//!
//! The first page is 0, and the end is an empty one. Deleted rows are in lists unless a switch says otherwise.

use std::cmp::Ordering;

use serde_json::Value;

use super::filter::{Cell, Column, Condition};
use super::reply::Refusal;
use super::route::Call;
use super::schema::Object;
use super::show;
use super::table::Row;
use super::world::World;

/// Answers `GET /{resource}`.
///
/// # Errors
/// 400 for parameters that are not taken, 901 for a filter or order that is not SQL.
pub fn page(world: &mut World, object: Object, call: &Call) -> Result<Value, Refusal> {
    let asked = Asked::read(world, object, call)?;
    let shuffle = world.settings.list_order == "shuffled" && asked.order.is_none();
    let salt = if shuffle { world.next_random() } else { 0 };
    let rows = found(world, object, &asked, salt);
    let (from, size) = window(world, &asked);
    let labels = call.header("extrafielddescription") == Some("1");
    Ok(rows.into_iter().skip(from).take(size).map(|row| show::record(world, object, row, labels)).collect())
}

/// What a call asks for.
struct Asked {
    condition: Option<Condition>,
    order: Option<Column>,
    page: usize,
    size: usize,
}

impl Asked {
    fn read(world: &World, object: Object, call: &Call) -> Result<Asked, Refusal> {
        let settings = &world.settings;
        let mut asked = Asked { condition: None, order: None, page: 0, size: page_size(world, call)? };
        for (name, value) in &call.query {
            match name.as_str() {
                "page" => {
                    let page = value.parse().map_err(|_| Refusal::bad(format!("page: {value:?} is not a whole number from 0")))?;
                    asked.page = if settings.page_ignored { 0 } else { page };
                }
                "order" => {
                    let column = Column::find(world, object, value);
                    let column = column.ok_or_else(|| Refusal::sql(format!("invalid column name {value} of {}", object.path())))?;
                    asked.order = Some(column).filter(|_| !settings.order_ignored);
                }
                "where" if settings.where_ignored.iter().any(|name| name == "*") => {}
                "where" => {
                    let condition = Condition::parse(world, object, value)?;
                    let ignored = settings.where_ignored.iter().any(|name| condition.uses(world, object, name));
                    asked.condition = Some(condition).filter(|_| !ignored);
                }
                _ if settings.lenient => {}
                _ => return Err(Refusal::bad(format!("{name} is not a parameter of {}", object.path()))),
            }
        }
        Ok(asked)
    }
}

fn page_size(world: &World, call: &Call) -> Result<usize, Refusal> {
    let settings = &world.settings;
    let names: &[&str] = match settings.page_size_header.as_str() {
        "Count" => &["count"],
        "X-FM-Entity-Count" => &["x-fm-entity-count"],
        "both" => &["count", "x-fm-entity-count"],
        _ => &[],
    };
    let Some(text) = names.iter().find_map(|name| call.header(name)) else {
        return Ok(settings.page_size.min(settings.page_max));
    };
    match text.trim().parse::<usize>() {
        Ok(size) if size > 0 => Ok(size.min(settings.page_max)),
        _ => Err(Refusal::bad(format!("{text:?} is not a number of rows"))),
    }
}

fn found<'a>(world: &'a World, object: Object, asked: &Asked, salt: u64) -> Vec<&'a Row> {
    let settings = &world.settings;
    let table = world.table(object);
    let candidates = asked.condition.as_ref().and_then(|condition| condition.candidates(world, object));
    let mut rows: Vec<&Row> = match candidates {
        Some(ids) => ids.iter().filter_map(|id| table.get(*id)).collect(),
        None => table.rows().collect(),
    };
    rows.retain(|row| {
        (settings.deleted_in_lists || row.is_live())
            && asked.condition.as_ref().is_none_or(|condition| condition.holds(object, row, settings))
    });
    match &asked.order {
        Some(Column::Id) => rows.reverse(),
        Some(column) => {
            let mut keyed: Vec<(Cell, &Row)> = rows.into_iter().map(|row| (column.cell(object, row, settings), row)).collect();
            keyed.sort_by(|(one, a), (two, b)| descending(one, two).then(b.id.cmp(&a.id)));
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        None if settings.list_order == "-id" => rows.reverse(),
        None if settings.list_order == "shuffled" => rows.sort_by_key(|row| mixed(row.id, salt)),
        None => {}
    }
    rows
}

/// Nothing comes last.
fn descending(one: &Cell, two: &Cell) -> Ordering {
    match (one, two) {
        (Cell::Nothing, Cell::Nothing) => Ordering::Equal,
        (Cell::Nothing, _) => Ordering::Greater,
        (_, Cell::Nothing) => Ordering::Less,
        (one, two) => two.order(one, true).unwrap_or(Ordering::Equal),
    }
}

/// Where a page starts and how many rows it has. With short pages every second one is half full, and nothing is left out.
fn window(world: &World, asked: &Asked) -> (usize, usize) {
    let (page, size) = (asked.page, asked.size);
    if !world.settings.short_pages {
        return (page.saturating_mul(size), size);
    }
    let half = size.div_ceil(2);
    let from = (page / 2).saturating_mul(size + half).saturating_add((page % 2) * size);
    (from, if page % 2 == 0 { size } else { half })
}

fn mixed(id: i64, salt: u64) -> u64 {
    let mut bits = id.unsigned_abs() ^ salt;
    bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^ (bits >> 29)
}
