//! Carrying out a plan: which rows, and in what order.
//!
//! A query over a large object is answered from an index where its condition bounds the stamp, the id, a key or a parent;
//! the condition itself is always checked as well.

use std::cmp::Ordering;
use std::ops::Bound;

use super::parse::Op;
use super::plan::{Operand, OrderKey, OrderRoute, Plan, Pred, Route, ValueSet};
use crate::sandbox::salesforce::ids::Id;
use crate::sandbox::salesforce::schema::Source;
use crate::sandbox::salesforce::table::Row;
use crate::sandbox::salesforce::value::{Val, fold};
use crate::sandbox::salesforce::world::World;

/// The rows of an answer in their order; `ties` numbers the runs that ORDER BY leaves equal, when asked for.
#[derive(Debug, Default)]
pub struct Found {
    pub ids: Vec<Id>,
    pub ties: Vec<u32>,
}

impl World {
    /// The rows a plan selects.
    #[must_use]
    pub fn select(&self, plan: &Plan, all: bool, with_ties: bool) -> Found {
        let table = &self.tables[plan.object];
        let (candidates, sorted) = self.candidates(plan);
        let wanted = plan.limit.map(|limit| limit.saturating_add(plan.offset));
        let mut rows: Vec<&Row> = Vec::new();
        for id in candidates {
            if sorted && !with_ties && wanted.is_some_and(|wanted| rows.len() >= wanted) {
                break;
            }
            let Some(row) = table.rows.get(&id) else {
                continue;
            };
            if self.listed(plan.object, row, all) && plan.filter.as_ref().is_none_or(|filter| self.holds(filter, plan.object, row)) {
                rows.push(row);
            }
        }
        let mut ties = Vec::new();
        if !sorted || with_ties {
            let mut keyed: Vec<(Vec<Val<'static>>, &Row)> = rows.into_iter().map(|row| (self.sort_key(plan, row), row)).collect();
            keyed.sort_by(|(a, _), (b, _)| compare(&plan.order, a, b));
            if with_ties {
                let mut run = 0;
                ties = Vec::with_capacity(keyed.len());
                for (at, (key, _)) in keyed.iter().enumerate() {
                    if at > 0 && compare(&plan.order, &keyed[at - 1].0, key) != Ordering::Equal {
                        run += 1;
                    }
                    ties.push(run);
                }
            }
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        let cut = |length: usize| {
            let from = plan.offset.min(length);
            from..plan.limit.map_or(length, |limit| from.saturating_add(limit).min(length))
        };
        let ids = rows[cut(rows.len())].iter().map(|row| row.id).collect();
        let ties = ties.get(cut(ties.len())).map(<[u32]>::to_vec).unwrap_or_default();
        Found { ids, ties }
    }

    /// Whether a reader may be shown this row: live, or in the bin when asked for all.
    pub(in crate::sandbox::salesforce) fn listed(&self, object: usize, row: &Row, all: bool) -> bool {
        row.deleted.is_none() || (all && self.schema.objects[object].bin)
    }

    /// The ids (or texts) of one column, for a semi join.
    pub(super) fn ids_among(&self, plan: &Plan, field: u16) -> ValueSet {
        let mut set = ValueSet::default();
        for id in self.select(plan, false, false).ids {
            let Some(row) = self.tables[plan.object].rows.get(&id) else {
                continue;
            };
            match self.val(plan.object, row, field) {
                Val::Ref(id) => {
                    set.ids.insert(id);
                }
                Val::Null => {}
                other => {
                    set.texts.insert(fold(&other.text()).into_owned());
                }
            }
        }
        set
    }

    /// Rows to look at, and whether they come in the order that is asked for.
    fn candidates<'a>(&'a self, plan: &Plan) -> (Box<dyn Iterator<Item = Id> + 'a>, bool) {
        let table = &self.tables[plan.object];
        let shape = &self.schema.objects[plan.object];
        let order: Vec<Option<&Source>> = plan
            .order
            .iter()
            .map(|key| match &key.by {
                OrderRoute::Row(route) if !key.descending => route.own().map(|field| &shape.field(field).source),
                _ => None,
            })
            .collect();
        let by_id = order.is_empty() || order.first() == Some(&Some(&Source::Id));
        let by_stamp = matches!(order.as_slice(), [Some(Source::Stamp)] | [Some(Source::Stamp), Some(Source::Id), ..]);
        let filter = plan.filter.as_ref();
        if let Some(mut ids) = filter.and_then(|filter| self.exact(plan.object, filter)) {
            ids.sort_unstable();
            ids.dedup();
            return (Box::new(ids.into_iter()), by_id);
        }
        let (from, to) = filter.map_or((i64::MIN, i64::MAX), |filter| self.stamps(plan.object, filter));
        if from > to {
            return (Box::new(std::iter::empty()), true);
        }
        if by_stamp || from != i64::MIN || to != i64::MAX {
            let range = table.by_stamp.range((from, Id::MIN)..=(to, Id::MAX));
            return (Box::new(range.map(|(_, id)| *id)), by_stamp);
        }
        let (low, high) = filter.map_or((Id::MIN, Id::MAX), |filter| self.id_bounds(plan.object, filter));
        if low > high {
            return (Box::new(std::iter::empty()), true);
        }
        let range = table.rows.range((Bound::Included(low), Bound::Included(high)));
        (Box::new(range.map(|(id, _)| *id)), by_id)
    }

    /// Ids that contain every row the condition can hold for, when an index knows them.
    fn exact(&self, object: usize, filter: &Pred) -> Option<Vec<Id>> {
        match filter {
            Pred::All(all) => all.iter().find_map(|one| self.exact(object, one)),
            Pred::Any(any) => any.iter().map(|one| self.exact(object, one)).collect::<Option<Vec<_>>>().map(|many| many.concat()),
            Pred::Compare { route, op: Op::Eq, with } => self.exact_values(object, route, std::iter::once(with)),
            Pred::OneOf { route, negated: false, set } if !set.null && set.others.is_empty() => {
                let texts = set.texts.iter().map(|text| Operand::Text(text.clone(), set.case_sensitive));
                let values: Vec<Operand> = texts.chain(set.ids.iter().map(|id| Operand::Id(*id))).collect();
                self.exact_values(object, route, values.iter())
            }
            Pred::Compare { .. } | Pred::OneOf { .. } | Pred::Not(_) | Pred::Like { .. } | Pred::Includes { .. } => None,
        }
    }

    fn exact_values<'o>(&self, object: usize, route: &Route, values: impl Iterator<Item = &'o Operand>) -> Option<Vec<Id>> {
        let field = route.own()?;
        let known = self.schema.objects[object].field(field);
        let mut ids = Vec::new();
        for value in values {
            match value {
                Operand::Id(id) if known.source == Source::Id => ids.push(*id),
                Operand::Id(id) => ids.extend(self.tables[object].with_parent(field, *id)?),
                Operand::Text(text, _) => ids.extend(self.tables[object].with_key(field, text)?),
                Operand::Null | Operand::Num(_) | Operand::Bool(_) | Operand::Date(..) | Operand::Time(..) => return None,
            }
        }
        Some(ids)
    }

    /// The stamps, both included, outside of which the condition cannot hold.
    fn stamps(&self, object: usize, filter: &Pred) -> (i64, i64) {
        const ALL: (i64, i64) = (i64::MIN, i64::MAX);
        match filter {
            Pred::All(all) => all.iter().map(|one| self.stamps(object, one)).fold(ALL, |(a, b), (c, d)| (a.max(c), b.min(d))),
            Pred::Any(any) => any.iter().map(|one| self.stamps(object, one)).reduce(|(a, b), (c, d)| (a.min(c), b.max(d))).unwrap_or(ALL),
            Pred::Compare { route, op, with: Operand::Time(from, to) } => {
                let stamp = route.own().is_some_and(|field| self.schema.objects[object].field(field).source == Source::Stamp);
                match op {
                    _ if !stamp => ALL,
                    Op::Eq => (*from, to - 1),
                    Op::Lt => (i64::MIN, from - 1),
                    Op::Le => (i64::MIN, to - 1),
                    Op::Gt => (*to, i64::MAX),
                    Op::Ge => (*from, i64::MAX),
                    Op::Ne | Op::Like => ALL,
                }
            }
            Pred::Compare { .. } | Pred::OneOf { .. } | Pred::Not(_) | Pred::Like { .. } | Pred::Includes { .. } => ALL,
        }
    }

    fn id_bounds(&self, object: usize, filter: &Pred) -> (Id, Id) {
        const ALL: (Id, Id) = (Id::MIN, Id::MAX);
        match filter {
            Pred::All(all) => all.iter().map(|one| self.id_bounds(object, one)).fold(ALL, |(a, b), (c, d)| (a.max(c), b.min(d))),
            Pred::Any(any) => {
                any.iter().map(|one| self.id_bounds(object, one)).reduce(|(a, b), (c, d)| (a.min(c), b.max(d))).unwrap_or(ALL)
            }
            Pred::Compare { route, op, with: Operand::Id(id) } => {
                let own = route.own().is_some_and(|field| self.schema.objects[object].field(field).source == Source::Id);
                match op {
                    Op::Lt | Op::Le if own => (Id::MIN, *id),
                    Op::Gt | Op::Ge if own => (*id, Id::MAX),
                    _ => ALL,
                }
            }
            Pred::Compare { .. } | Pred::OneOf { .. } | Pred::Not(_) | Pred::Like { .. } | Pred::Includes { .. } => ALL,
        }
    }

    pub(super) fn sort_key(&self, plan: &Plan, row: &Row) -> Vec<Val<'static>> {
        let keys = plan.order.iter().filter_map(|key| match &key.by {
            OrderRoute::Row(route) => Some(self.at_route(plan.object, row, route).owned()),
            OrderRoute::Group(_) => None,
        });
        keys.collect()
    }

    pub(super) fn at_route<'a>(&'a self, object: usize, row: &'a Row, route: &Route) -> Val<'a> {
        match route {
            Route::Loose(path) => self.loose(object, row, path),
            Route::Fixed { hops, object: _, field } => {
                let (mut at, mut row) = (object, row);
                for hop in hops {
                    let Val::Ref(id) = self.val(at, row, *hop) else {
                        return Val::Null;
                    };
                    match self.row_of(id) {
                        Some(next) => (at, row) = next,
                        None => return Val::Null,
                    }
                }
                self.val(at, row, *field)
            }
        }
    }

    /// `Type` of a loose lookup is the name of its object.
    fn loose(&self, object: usize, row: &Row, path: &str) -> Val<'static> {
        match path.rsplit_once('.') {
            Some((up, last)) if last.eq_ignore_ascii_case("Type") => match self.along(object, row, &format!("{up}.Id")) {
                Val::Ref(id) => self.row_of(id).map_or(Val::Null, |(at, _)| Val::Text(self.schema.objects[at].name.clone().into())),
                _ => Val::Null,
            },
            _ => self.along(object, row, path),
        }
    }
}

pub(super) fn compare(order: &[OrderKey], a: &[Val<'_>], b: &[Val<'_>]) -> Ordering {
    let keys = order.iter().zip(a.iter().zip(b)).map(|(key, (a, b))| one_way(key, a, b));
    keys.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

pub(super) fn one_way(key: &OrderKey, a: &Val<'_>, b: &Val<'_>) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => {
            if key.nulls_last {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (false, true) => {
            if key.nulls_last {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (false, false) if key.descending => b.order(a),
        (false, false) => a.order(b),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::plan::plan;
    use super::super::print::Printer;
    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;
    use serde_json::{Value, json};

    fn world() -> World {
        let clock = Clock::system();
        clock.freeze("2026-03-10T12:00:00Z".parse().unwrap());
        let mut world = World::new(clock, Options::default()).unwrap();
        let acme = world.insert("Account", &json!({"Name": "Acme", "NumberOfEmployees": 10, "Industry": "Energy"})).unwrap();
        let zeta = world.insert("Account", &json!({"Name": "zeta's", "NumberOfEmployees": 5})).unwrap();
        world.insert("Account", &json!({"Name": "100%_sure", "Industry": "energy"})).unwrap();
        for (first, last, account, email) in
            [("Ann", "Lee", Some(&acme), Some("ann@acme.example")), ("Bob", "Ray", Some(&zeta), None), ("Cy", "Zed", None, None)]
        {
            world.insert("Contact", &json!({"FirstName": first, "LastName": last, "AccountId": account, "Email": email})).unwrap();
        }
        world.update_at("Account", &zeta, &json!({"Phone": "1"}), "2026-03-01T00:00:00Z".parse().unwrap()).unwrap();
        world
    }

    fn rows(world: &World, query: &str) -> Vec<Value> {
        let plan = plan(world, query).unwrap();
        let mut next = 0;
        let mut printer = Printer { world, version: "v66.0", all: false, page_size: 2000, overflow: Vec::new(), next_locator: &mut next };
        let mut records = Vec::new();
        for id in world.select(&plan, false, false).ids {
            let mut out = String::new();
            printer.push(&mut out, plan.object, &world.tables[plan.object].rows[&id], &plan.columns);
            records.push(serde_json::from_str(&out).unwrap());
        }
        records
    }

    fn names(world: &World, condition: &str) -> Vec<String> {
        let found = rows(world, &format!("SELECT Name FROM Account {condition}"));
        found.iter().map(|row| row["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn conditions_hold_as_salesforce_means_them() {
        let world = world();
        for (condition, expected) in [
            ("WHERE Name = 'ACME'", vec!["Acme"]),
            ("WHERE Name != 'acme'", vec!["zeta's", "100%_sure"]),
            ("WHERE Name = 'zeta\\'s'", vec!["zeta's"]),
            ("WHERE Name LIKE '1_0\\%\\_S%'", vec!["100%_sure"]),
            ("WHERE Name LIKE '%e%'", vec!["Acme", "zeta's", "100%_sure"]),
            ("WHERE Name LIKE 'acm'", vec![]),
            ("WHERE Industry IN ('ENERGY')", vec!["Acme", "100%_sure"]),
            ("WHERE Industry NOT IN ('Energy')", vec!["zeta's"]),
            ("WHERE Industry = null", vec!["zeta's"]),
            ("WHERE NumberOfEmployees > 5", vec!["Acme"]),
            ("WHERE NumberOfEmployees < 100 ORDER BY NumberOfEmployees", vec!["zeta's", "Acme"]),
            ("WHERE NOT (Name = 'acme' OR NumberOfEmployees = 5)", vec!["100%_sure"]),
            ("WHERE CreatedDate = TODAY AND SystemModstamp < TODAY", vec!["zeta's"]),
            ("WHERE SystemModstamp >= 2026-03-01T01:00:00+01:00 AND SystemModstamp < 2026-03-01T00:00:01Z", vec!["zeta's"]),
            ("WHERE Id IN (SELECT AccountId FROM Contact WHERE Email != null)", vec!["Acme"]),
            ("WHERE IsDeleted = false AND Owner.Name LIKE 'Dana%' ORDER BY Name DESC LIMIT 2", vec!["zeta's", "Acme"]),
            ("ORDER BY NumberOfEmployees DESC NULLS LAST", vec!["Acme", "zeta's", "100%_sure"]),
            ("ORDER BY NumberOfEmployees", vec!["100%_sure", "zeta's", "Acme"]),
            ("ORDER BY Name LIMIT 1 OFFSET 1", vec!["Acme"]),
            ("ORDER BY SystemModstamp, Id", vec!["zeta's", "Acme", "100%_sure"]),
        ] {
            assert_eq!(names(&world, condition), expected, "{condition}");
        }
    }

    #[test]
    fn parents_nest_and_children_too() {
        let world = world();
        let contacts = rows(&world, "SELECT Name, account.name, Account.Owner.Name FROM contact ORDER BY LastName");
        assert_eq!((&contacts[0]["Name"], &contacts[0]["Account"]["Name"]), (&json!("Ann Lee"), &json!("Acme")));
        assert_eq!(contacts[0]["Account"]["attributes"]["type"], json!("Account"));
        assert_eq!(contacts[0]["Account"]["Owner"]["Name"], json!("Dana Reyes"));
        assert_eq!(contacts[2]["Account"], json!(null));
        let accounts = rows(&world, "SELECT Id, (SELECT LastName FROM Contacts WHERE Email != null) FROM Account ORDER BY Id");
        assert_eq!(accounts[0]["Contacts"]["records"][0]["LastName"], json!("Lee"));
        assert_eq!(accounts[1]["Contacts"], json!(null));
    }

    #[test]
    fn keyset_paging_finds_each_row_once() {
        let mut world = world();
        for n in 0..50 {
            world.insert("Account", &json!({"Name": format!("n{n:02}")})).unwrap();
        }
        let (mut seen, mut last) = (Vec::new(), None::<(String, String)>);
        loop {
            let condition = last.as_ref().map_or(String::new(), |(stamp, id)| {
                format!("WHERE (SystemModstamp = {stamp} AND Id > '{id}') OR SystemModstamp > {stamp}")
            });
            let page = rows(&world, &format!("SELECT Id, SystemModstamp FROM Account {condition} ORDER BY SystemModstamp, Id LIMIT 7"));
            let Some(end) = page.last() else { break };
            last = Some((end["SystemModstamp"].as_str().unwrap().to_owned(), end["Id"].as_str().unwrap().to_owned()));
            seen.extend(page.into_iter().map(|row| row["Id"].to_string()));
        }
        assert_eq!(seen.len(), 53);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 53);
    }

    #[test]
    fn groups_count_and_sum() {
        let world = world();
        let groups = |query: &str| world.groups(&plan(&world, query).unwrap(), false);
        assert_eq!(
            groups("SELECT industry, COUNT(Id) n, MAX(NumberOfEmployees) FROM Account GROUP BY Industry ORDER BY COUNT(Id) DESC"),
            [
                r#"{"attributes":{"type":"AggregateResult"},"Industry":"Energy","n":2,"expr0":10}"#,
                r#"{"attributes":{"type":"AggregateResult"},"Industry":null,"n":1,"expr0":5}"#
            ]
        );
        assert_eq!(groups("SELECT COUNT(Id) FROM Account WHERE Name = 'none'"), [r#"{"attributes":{"type":"AggregateResult"},"expr0":0}"#]);
    }

    #[test]
    fn wrong_queries_have_their_codes() {
        let mut world = world();
        world.hide_field("Account", "Phone", true).unwrap();
        for (query, code, says) in [
            (
                "SELECT Foo FROM Account",
                "INVALID_FIELD",
                "\nSELECT Foo FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Foo' on entity 'Account'.",
            ),
            ("SELECT Phone FROM Account", "INVALID_FIELD", "No such column 'Phone'"),
            ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported"),
            ("SELECT Bar.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Bar'"),
            (
                "SELECT Id FROM Account WHERE CreatedDate = '2026-01-01'",
                "INVALID_FIELD",
                "must be of type dateTime and should not be enclosed",
            ),
            ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD", "must be of type string and should be enclosed"),
            ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
            ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
            ("SELECT Id, Id FROM Account", "MALFORMED_QUERY", "duplicate field selected: Id"),
            ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"),
            ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "must be grouped"),
            ("SELECT Id FROM Account ORDER BY Description", "MALFORMED_QUERY", "can not be sorted"),
            ("SELECT Id, (SELECT Id FROM Nothing) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Nothing'"),
        ] {
            let error = plan(&world, query).unwrap_err();
            assert!(error.code == code && error.message.contains(says), "{query}: {error}");
        }
    }
}
