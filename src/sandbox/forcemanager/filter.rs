//! Conditions on rows, parsed already: what a filter or an order looks at, and for which rows a condition holds.
//!
//! A comparison with a value that is not there is false, as in SQL. How a condition is written is in `sql`.

use std::cmp::Ordering;

use serde_json::Value;

use super::schema::{Kind, Object};
use super::settings::Settings;
use super::show::Date;
use super::table::Row;
use super::world::World;

/// A parsed condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare(Column, Operator, Cell),
    Like { column: Column, pattern: String, negated: bool },
    In(Column, Vec<Cell>),
    IsNull { column: Column, negated: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a condition or an order looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Id,
    Date(Date),
    Deleted,
    /// Who created, updated, deleted it: by the name of that date.
    By(Date),
    Field(String, Kind),
}

/// A value to compare.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Nothing,
    Whole(i64),
    Number(f64),
    Flag(bool),
    Text(String),
}

impl Column {
    /// By name, in any case, as SQL takes it.
    pub fn find(world: &World, object: Object, name: &str) -> Option<Column> {
        if let Some((date, _)) = Date::ALL.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name)) {
            return Some(Column::Date(date));
        }
        Some(match name.to_lowercase().as_str() {
            "id" => Column::Id,
            "deleted" => Column::Deleted,
            "salesrepidcreated" => Column::By(Date::Created),
            "salesrepidupdated" => Column::By(Date::Updated),
            "salesrepiddeleted" => Column::By(Date::Deleted),
            _ => match object.field(name) {
                Some(field) => Column::Field(field.name.to_owned(), field.kind),
                None => {
                    let extra = world.extras.of(object, world.now()).find(|extra| extra.key().eq_ignore_ascii_case(name))?;
                    Column::Field(extra.key(), extra.kind.holds())
                }
            },
        })
    }

    /// What a row has there.
    pub fn cell(&self, object: Object, row: &Row, settings: &Settings) -> Cell {
        match self {
            Column::Id => Cell::Whole(row.id),
            Column::Date(date) => date.of(object, row, settings).map_or(Cell::Nothing, Cell::Whole),
            Column::Deleted => Cell::Flag(!row.is_live()),
            Column::By(date) => {
                let touch = match date {
                    Date::Created => Some(row.created),
                    Date::Updated => row.updated,
                    Date::Deleted => row.deleted,
                };
                touch.map_or(Cell::Nothing, |touch| Cell::Whole(touch.by))
            }
            Column::Field(name, kind) => match (kind, row.get(name)) {
                (Kind::Flag, value) => Cell::Flag(value.as_bool().unwrap_or_default()),
                (_, Value::String(text)) => Cell::Text(text.clone()),
                (Kind::Number, Value::Number(number)) => Cell::Number(number.as_f64().unwrap_or_default()),
                (_, Value::Number(number)) => Cell::Whole(number.as_i64().unwrap_or_default()),
                (_, Value::Array(values)) => Cell::Text(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")),
                _ => Cell::Nothing,
            },
        }
    }

    pub fn is_text(&self) -> bool {
        matches!(self, Column::Field(_, Kind::Text(_) | Kind::Choice | Kind::Choices | Kind::Hour))
    }
}

impl Cell {
    /// None where either is nothing or they are of different kinds.
    pub fn order(&self, other: &Cell, ignores_case: bool) -> Option<Ordering> {
        match (self, other) {
            (Cell::Whole(one), Cell::Whole(two)) => Some(one.cmp(two)),
            (Cell::Number(one), Cell::Number(two)) => one.partial_cmp(two),
            (Cell::Flag(one), Cell::Flag(two)) => Some(one.cmp(two)),
            (Cell::Text(one), Cell::Text(two)) if ignores_case => Some(one.to_lowercase().cmp(&two.to_lowercase())),
            (Cell::Text(one), Cell::Text(two)) => Some(one.cmp(two)),
            _ => None,
        }
    }
}

impl Condition {
    pub fn holds(&self, object: Object, row: &Row, settings: &Settings) -> bool {
        let cell = |column: &Column| column.cell(object, row, settings);
        match self {
            Condition::All(all) => all.iter().all(|one| one.holds(object, row, settings)),
            Condition::Any(any) => any.iter().any(|one| one.holds(object, row, settings)),
            Condition::Compare(column, operator, wanted) => {
                cell(column).order(wanted, settings.where_ignores_case).is_some_and(|order| operator.takes(order))
            }
            Condition::Like { column, pattern, negated } => match cell(column) {
                Cell::Text(text) => like(&text, pattern, settings.where_ignores_case) != *negated,
                _ => false,
            },
            Condition::In(column, wanted) => {
                let cell = cell(column);
                wanted.iter().any(|one| cell.order(one, settings.where_ignores_case) == Some(Ordering::Equal))
            }
            Condition::IsNull { column, negated } => (cell(column) == Cell::Nothing) != *negated,
        }
    }

    /// Whether it looks at a field of this name, in any case.
    pub fn uses(&self, world: &World, object: Object, name: &str) -> bool {
        let wanted = Column::find(world, object, name);
        let is = |column: &Column| wanted.as_ref() == Some(column);
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().any(|part| part.uses(world, object, name)),
            Condition::Compare(column, ..)
            | Condition::Like { column, .. }
            | Condition::In(column, _)
            | Condition::IsNull { column, .. } => is(column),
        }
    }

    /// Rows that can be meant at all, where an index knows; a superset of those for which it holds.
    pub fn candidates(&self, world: &World, object: Object) -> Option<Vec<i64>> {
        match self {
            Condition::All(all) => all.iter().find_map(|one| one.candidates(world, object)),
            Condition::Compare(Column::Id, Operator::Equal, Cell::Whole(id)) => Some(vec![*id]),
            Condition::Compare(Column::Field(name, _), Operator::Equal, Cell::Text(text)) if name == "extId" => {
                Some(world.table(object).with_ext_id(text))
            }
            _ => None,
        }
    }
}

impl Operator {
    fn takes(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
        }
    }
}

/// `%` is any text, `_` any character.
fn like(text: &str, pattern: &str, ignores_case: bool) -> bool {
    let fold = |text: &str| -> Vec<char> { if ignores_case { text.to_lowercase().chars().collect() } else { text.chars().collect() } };
    let (text, pattern) = (fold(text), fold(pattern));
    // reached[n]: the pattern so far takes the first n characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for n in 0..=text.len() {
            any |= reached[n];
            next[n] = match part {
                '%' => any,
                one => n > 0 && reached[n - 1] && (one == '_' || one == text[n - 1]),
            };
        }
        reached = next;
    }
    reached[text.len()]
}
