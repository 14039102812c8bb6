//! Aggregates: rows gathered by GROUP BY, counted and summed.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::parse::Function;
use super::plan::{Answer, GroupColumn, Grouped, OrderRoute, Plan};
use super::run::one_way;
use crate::sandbox::salesforce::table::Row;
use crate::sandbox::salesforce::value::{Val, decimal, fold, push_string};
use crate::sandbox::salesforce::world::World;

impl World {
    /// Counts and sums, one printed object per group.
    #[must_use]
    pub fn groups(&self, plan: &Plan, all: bool) -> Vec<String> {
        let Answer::Groups(columns, keys) = &plan.answer else {
            return Vec::new();
        };
        let every = Plan {
            object: plan.object,
            columns: Vec::new(),
            answer: Answer::Rows,
            filter: None,
            order: Vec::new(),
            limit: None,
            offset: 0,
        };
        let mut groups: BTreeMap<Vec<String>, (Vec<Val<'static>>, Vec<&Row>)> = BTreeMap::new();
        for row in self.tables[plan.object].rows.values() {
            let matches = plan.filter.as_ref().is_none_or(|filter| self.holds(filter, plan.object, row));
            if !matches || !self.listed(every.object, row, all) {
                continue;
            }
            let values: Vec<Val<'static>> = keys.iter().map(|route| self.at_route(plan.object, row, route).owned()).collect();
            let key = values.iter().map(|value| fold(&value.text()).into_owned()).collect();
            groups.entry(key).or_insert_with(|| (values, Vec::new())).1.push(row);
        }
        if keys.is_empty() && groups.is_empty() {
            groups.insert(Vec::new(), (Vec::new(), Vec::new()));
        }
        let mut lines: Vec<Vec<Val<'static>>> = groups
            .into_values()
            .map(|(values, rows)| columns.iter().map(|column| self.cell(plan, column, &values, &rows)).collect())
            .collect();
        lines.sort_by(|a, b| {
            let keys = plan.order.iter().filter_map(|key| match key.by {
                OrderRoute::Group(at) => Some(one_way(key, &a[at], &b[at])),
                OrderRoute::Row(_) => None,
            });
            keys.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
        });
        let limit = plan.limit.unwrap_or(usize::MAX);
        lines.into_iter().skip(plan.offset).take(limit).map(|line| print_group(columns, &line)).collect()
    }

    fn cell(&self, plan: &Plan, column: &GroupColumn, keys: &[Val<'static>], rows: &[&Row]) -> Val<'static> {
        let (function, route) = match &column.what {
            Grouped::Key(at) => return keys[*at].clone(),
            Grouped::Folded(function, route) => (*function, route),
        };
        let values = rows.iter().map(|row| self.at_route(plan.object, row, route)).filter(|value| !value.is_null());
        let whole = |count: usize| Val::Int(i64::try_from(count).unwrap_or(i64::MAX));
        match function {
            Function::Count => whole(values.count()),
            Function::CountDistinct => {
                whole(values.map(|value| fold(&value.text()).into_owned()).collect::<std::collections::BTreeSet<_>>().len())
            }
            Function::Sum | Function::Avg => {
                let numbers: Vec<f64> = values.filter_map(|value| value.number()).collect();
                let sum: f64 = numbers.iter().sum();
                #[allow(clippy::cast_precision_loss, reason = "a count of rows in memory")]
                let average = sum / numbers.len() as f64;
                if numbers.is_empty() { Val::Null } else { Val::Num(if function == Function::Sum { sum } else { average }) }
            }
            Function::Min => values.min_by(|a, b| a.order(b)).map_or(Val::Null, Val::owned),
            Function::Max => values.max_by(|a, b| a.order(b)).map_or(Val::Null, Val::owned),
        }
    }
}

fn print_group(columns: &[GroupColumn], line: &[Val<'static>]) -> String {
    let mut out = String::from("{\"attributes\":{\"type\":\"AggregateResult\"}");
    for (column, value) in columns.iter().zip(line) {
        out.push(',');
        push_string(&mut out, &column.name);
        out.push(':');
        match value {
            Val::Num(num) => out.push_str(&decimal(*num)),
            other => other.push_json(&mut out),
        }
    }
    out.push('}');
    out
}
