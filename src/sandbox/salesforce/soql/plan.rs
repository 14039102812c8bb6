//! From the shape of a query to a plan: names found, types checked, literals ready to compare.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate};

use super::error_at;
use super::parse::{Aggregate, Cond, Function, Item, Literal, Op, OrderBy, OrderItem, Path, Query, parse};
use crate::sandbox::salesforce::error::SfError;
use crate::sandbox::salesforce::ids::Id;
use crate::sandbox::salesforce::schema::{Field, Kind, Source};
use crate::sandbox::salesforce::value::{fold, midnight};
use crate::sandbox::salesforce::world::World;

#[derive(Debug)]
pub struct Plan {
    pub object: usize,
    pub columns: Vec<Column>,
    pub answer: Answer,
    pub filter: Option<Pred>,
    pub order: Vec<OrderKey>,
    pub limit: Option<usize>,
    pub offset: usize,
}

#[derive(Debug)]
pub enum Answer {
    Rows,
    /// `COUNT()`
    Count,
    Groups(Vec<GroupColumn>, Vec<Route>),
}

#[derive(Debug)]
pub struct GroupColumn {
    pub name: String,
    pub what: Grouped,
}

#[derive(Debug)]
pub enum Grouped {
    /// The n-th GROUP BY field.
    Key(usize),
    Folded(Function, Route),
}

#[derive(Debug)]
pub enum Column {
    Field(u16),
    Parent {
        lookup: u16,
        name: String,
        columns: Vec<Column>,
    },
    /// A field behind a lookup that may point at several objects.
    Loose(String),
    Child {
        name: String,
        object: usize,
        lookup: u16,
        plan: Arc<Plan>,
    },
}

/// The way from a row to a value.
#[derive(Clone, Debug)]
pub enum Route {
    Fixed { hops: Vec<u16>, object: usize, field: u16 },
    Loose(String),
}

#[derive(Debug)]
pub struct OrderKey {
    pub by: OrderRoute,
    pub descending: bool,
    pub nulls_last: bool,
}

#[derive(Debug)]
pub enum OrderRoute {
    Row(Route),
    /// The n-th column of the groups.
    Group(usize),
}

#[derive(Debug)]
pub enum Pred {
    All(Vec<Pred>),
    Any(Vec<Pred>),
    Not(Box<Pred>),
    Compare { route: Route, op: Op, with: Operand },
    OneOf { route: Route, negated: bool, set: ValueSet },
    Like { route: Route, pattern: Vec<char> },
    Includes { route: Route, without: bool, wanted: Vec<Vec<String>> },
}

/// A literal, ready to compare. Dates and times are half-open ranges, so that `TODAY` is one too.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Null,
    /// Folded unless the field is case sensitive.
    Text(String, bool),
    Id(Id),
    Num(f64),
    Bool(bool),
    Date(NaiveDate, NaiveDate),
    Time(i64, i64),
}

#[derive(Debug, Default)]
pub struct ValueSet {
    pub texts: HashSet<String>,
    pub case_sensitive: bool,
    pub ids: HashSet<Id>,
    pub others: Vec<Operand>,
    pub null: bool,
}

type Planned<T> = Result<T, SfError>;

const COLUMN_HINT: &str = "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. \
                           Please reference your WSDL or the describe call for the appropriate names.";

/// Plans a query as the API user sees the org.
///
/// # Errors
/// `MALFORMED_QUERY`, `INVALID_TYPE`, `INVALID_FIELD` and others, with the place.
pub fn plan(world: &World, text: &str) -> Planned<Plan> {
    let query = parse(text)?;
    Planner { world, text }.whole(&query)
}

struct Planner<'w> {
    world: &'w World,
    text: &'w str,
}

impl Planner<'_> {
    fn whole(&self, query: &Query) -> Planned<Plan> {
        let name = query.from.steps.join(".");
        let object = self.world.schema.find(&name).ok_or_else(|| {
            let message = format!(
                "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the \
                 entity name. Please reference your WSDL or the describe call for the appropriate names."
            );
            error_at(self.text, query.from.at, "INVALID_TYPE", &message)
        })?;
        self.of(query, object, false)
    }

    fn of(&self, query: &Query, object: usize, child: bool) -> Planned<Plan> {
        let scope = Scope { object, query };
        let mut plan = Plan {
            object,
            columns: Vec::new(),
            answer: Answer::Rows,
            filter: None,
            order: Vec::new(),
            limit: query.limit,
            offset: query.offset,
        };
        if let Some(filter) = &query.filter {
            plan.filter = Some(self.cond(&scope, filter)?);
        }
        let aggregated = query.select.iter().any(|item| matches!(item, Item::Aggregate(_))) || !query.group.is_empty();
        if aggregated {
            self.aggregate(&scope, &mut plan)?;
        } else {
            for item in &query.select {
                self.column(&scope, &mut plan.columns, item, child)?;
            }
        }
        for order in &query.order {
            let key = self.order(&scope, &plan, order)?;
            plan.order.push(key);
        }
        Ok(plan)
    }

    // ---- SELECT -----------------------------------------------------------------------------------------------------

    fn column(&self, scope: &Scope<'_>, columns: &mut Vec<Column>, item: &Item, child: bool) -> Planned<()> {
        match item {
            Item::Field(path, _) => {
                let steps = scope.unqualified(self.world, path);
                self.field_column(scope.object, columns, steps, path)
            }
            Item::Fields(which, at) => {
                if which != "STANDARD" && scope.query.limit.is_none_or(|limit| limit > 200) {
                    return Err(error_at(self.text, *at, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"));
                }
                for (field, known) in self.world.schema.objects[scope.object].numbered() {
                    let wanted = which == "ALL" || (which == "CUSTOM") == known.custom;
                    let there = columns.iter().any(|column| matches!(column, Column::Field(other) if *other == field));
                    if wanted && !there && self.world.visible(scope.object, field) {
                        columns.push(Column::Field(field));
                    }
                }
                Ok(())
            }
            Item::Child(query) if !child => self.child(scope, columns, query),
            Item::Child(query) => {
                Err(error_at(self.text, query.from.at, "MALFORMED_QUERY", "SOQL supports one level of nested queries here"))
            }
            Item::Aggregate(_) => Ok(()),
        }
    }

    fn field_column(&self, object: usize, columns: &mut Vec<Column>, steps: &[String], path: &Path) -> Planned<()> {
        let Some((step, rest)) = steps.split_first() else {
            return Ok(());
        };
        if rest.is_empty() {
            let field = self.field(object, step, path)?;
            if columns.iter().any(|column| matches!(column, Column::Field(other) if *other == field)) {
                let message = format!("duplicate field selected: {}", self.world.schema.objects[object].field(field).name);
                return Err(error_at(self.text, path.at, "MALFORMED_QUERY", &message));
            }
            columns.push(Column::Field(field));
            return Ok(());
        }
        let (lookup, target) = self.hop(object, step, path)?;
        let name = self.world.schema.objects[object].field(lookup).relationship.clone().unwrap_or_default();
        let found = columns.iter().position(|column| matches!(column, Column::Parent { lookup: other, .. } if *other == lookup));
        let at = found.unwrap_or_else(|| {
            columns.push(Column::Parent { lookup, name, columns: Vec::new() });
            columns.len() - 1
        });
        let Some(Column::Parent { columns: inner, .. }) = columns.get_mut(at) else {
            return Ok(());
        };
        match target {
            Some(target) => self.field_column(target, inner, rest, path),
            None => {
                self.loose(rest, path)?;
                inner.push(Column::Loose(rest.join(".")));
                Ok(())
            }
        }
    }

    fn child(&self, scope: &Scope<'_>, columns: &mut Vec<Column>, query: &Query) -> Planned<()> {
        let name = query.from.steps.join(".");
        let children = &self.world.schema.objects[scope.object].children;
        let found = children.iter().find(|child| child.relationship.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(&name)));
        let child = found.ok_or_else(|| {
            let message = format!(
                "Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a custom relationship, be sure to \
                 append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
            );
            error_at(self.text, query.from.at, "INVALID_TYPE", &message)
        })?;
        let plan = self.of(query, child.object, true)?;
        let name = child.relationship.clone().unwrap_or_default();
        columns.push(Column::Child { name, object: child.object, lookup: child.field, plan: Arc::new(plan) });
        Ok(())
    }

    fn aggregate(&self, scope: &Scope<'_>, plan: &mut Plan) -> Planned<()> {
        if let [Item::Aggregate(Aggregate { function: Function::Count, path: None, alias: None })] = scope.query.select.as_slice() {
            plan.answer = Answer::Count;
            return Ok(());
        }
        let keys: Vec<(String, Route)> = scope
            .query
            .group
            .iter()
            .map(|path| Ok((path.steps.last().cloned().unwrap_or_default(), self.route(scope, path)?.0)))
            .collect::<Planned<_>>()?;
        let mut columns = Vec::new();
        let mut unnamed = 0;
        for item in &scope.query.select {
            match item {
                Item::Field(path, alias) => {
                    let wanted = self.route(scope, path)?.0;
                    let key = keys.iter().position(|(_, route)| route.same(&wanted)).ok_or_else(|| {
                        let message = format!("Field must be grouped or aggregated: {}", path.steps.join("."));
                        error_at(self.text, path.at, "MALFORMED_QUERY", &message)
                    })?;
                    let name = alias.clone().unwrap_or_else(|| self.canonical(&wanted, &keys[key].0));
                    columns.push(GroupColumn { name, what: Grouped::Key(key) });
                }
                Item::Aggregate(aggregate) => {
                    let name = aggregate.alias.clone().unwrap_or_else(|| {
                        unnamed += 1;
                        format!("expr{}", unnamed - 1)
                    });
                    let id = Path { steps: vec!["Id".to_owned()], at: scope.query.from.at };
                    let (route, _) = self.route(scope, aggregate.path.as_ref().unwrap_or(&id))?;
                    columns.push(GroupColumn { name, what: Grouped::Folded(aggregate.function, route) });
                }
                Item::Fields(_, at) => {
                    return Err(error_at(self.text, *at, "MALFORMED_QUERY", "FIELDS cannot be grouped"));
                }
                Item::Child(query) => {
                    return Err(error_at(self.text, query.from.at, "MALFORMED_QUERY", "subqueries cannot be grouped"));
                }
            }
        }
        plan.answer = Answer::Groups(columns, keys.into_iter().map(|(_, route)| route).collect());
        Ok(())
    }

    fn canonical(&self, route: &Route, written: &str) -> String {
        match route {
            Route::Fixed { object, field, .. } => self.world.schema.objects[*object].field(*field).name.clone(),
            Route::Loose(_) => written.to_owned(),
        }
    }

    fn order(&self, scope: &Scope<'_>, plan: &Plan, order: &OrderBy) -> Planned<OrderKey> {
        let key = |by| OrderKey { by, descending: order.descending, nulls_last: order.nulls_last };
        if let Answer::Groups(columns, keys) = &plan.answer {
            let found = match &order.by {
                OrderItem::Path(path) if path.steps.len() == 1 && columns.iter().any(|column| column.name == path.steps[0]) => {
                    columns.iter().position(|column| column.name == path.steps[0])
                }
                OrderItem::Path(path) => {
                    let (route, _) = self.route(scope, path)?;
                    columns.iter().position(|column| matches!(column.what, Grouped::Key(at) if keys[at].same(&route)))
                }
                OrderItem::Aggregate(function, path) => {
                    let (route, _) = self.route(scope, path)?;
                    columns
                        .iter()
                        .position(|column| matches!(&column.what, Grouped::Folded(other, own) if other == function && own.same(&route)))
                }
            };
            let at = found.ok_or_else(|| SfError::bad("MALFORMED_QUERY", "Ordered field must be grouped or aggregated and selected"))?;
            return Ok(key(OrderRoute::Group(at)));
        }
        match &order.by {
            OrderItem::Path(path) => {
                let (route, field) = self.route(scope, path)?;
                if field.is_some_and(|field| !sortable(field)) {
                    let message = format!("field '{}' can not be sorted in a query call", path.steps.join("."));
                    return Err(error_at(self.text, path.at, "MALFORMED_QUERY", &message));
                }
                Ok(key(OrderRoute::Row(route)))
            }
            OrderItem::Aggregate(_, path) => {
                Err(error_at(self.text, path.at, "MALFORMED_QUERY", "Ordered field must be grouped or aggregated"))
            }
        }
    }

    // ---- names ------------------------------------------------------------------------------------------------------

    fn field(&self, object: usize, name: &str, path: &Path) -> Planned<u16> {
        self.world.seen(object, name).ok_or_else(|| {
            let entity = &self.world.schema.objects[object].name;
            let message = format!("No such column '{name}' on entity '{entity}'. {COLUMN_HINT}");
            error_at(self.text, path.at, "INVALID_FIELD", &message)
        })
    }

    /// The lookup behind a relationship name, and its one target if it has only one.
    fn hop(&self, object: usize, step: &str, path: &Path) -> Planned<(u16, Option<usize>)> {
        let shape = &self.world.schema.objects[object];
        let lookup = shape.by_relationship(step).filter(|field| self.world.visible(object, *field)).ok_or_else(|| {
            let message = format!(
                "Didn't understand relationship '{step}' in field path. If you are attempting to use a custom relationship, be sure to append the \
                 '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
            );
            error_at(self.text, path.at, "INVALID_FIELD", &message)
        })?;
        let targets = &shape.field(lookup).targets;
        Ok((lookup, if targets.len() == 1 { targets.first().copied() } else { None }))
    }

    fn loose(&self, rest: &[String], path: &Path) -> Planned<()> {
        const NAME_FIELDS: [&str; 10] = ["Id", "Name", "Type", "FirstName", "LastName", "Email", "Phone", "Title", "Username", "IsActive"];
        match rest {
            [one] if NAME_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(one)) => Ok(()),
            _ => {
                let message = format!("No such column '{}' on entity 'Name'. {COLUMN_HINT}", rest.join("."));
                Err(error_at(self.text, path.at, "INVALID_FIELD", &message))
            }
        }
    }

    fn route(&self, scope: &Scope<'_>, path: &Path) -> Planned<(Route, Option<&Field>)> {
        let steps = scope.unqualified(self.world, path);
        if steps.len() > 6 {
            return Err(error_at(self.text, path.at, "MALFORMED_QUERY", "Maximum 5 levels of relationships are supported in a path"));
        }
        let mut object = scope.object;
        let mut hops = Vec::new();
        let (last, parents) = steps.split_last().ok_or_else(|| error_at(self.text, path.at, "MALFORMED_QUERY", "unexpected token"))?;
        for (at, step) in parents.iter().enumerate() {
            let (lookup, target) = self.hop(object, step, path)?;
            hops.push(lookup);
            let Some(target) = target else {
                self.loose(&steps[at + 1..], path)?;
                return Ok((Route::Loose(steps.join(".")), None));
            };
            object = target;
        }
        let field = self.field(object, last, path)?;
        Ok((Route::Fixed { hops, object, field }, Some(self.world.schema.objects[object].field(field))))
    }

    // ---- WHERE ------------------------------------------------------------------------------------------------------

    fn cond(&self, scope: &Scope<'_>, cond: &Cond) -> Planned<Pred> {
        let many = |all: &[Cond]| all.iter().map(|one| self.cond(scope, one)).collect::<Planned<Vec<Pred>>>();
        Ok(match cond {
            Cond::All(all) => Pred::All(many(all)?),
            Cond::Any(any) => Pred::Any(many(any)?),
            Cond::Not(inner) => Pred::Not(Box::new(self.cond(scope, inner)?)),
            Cond::Compare(path, Op::Like, literal) => {
                let (route, field) = self.filterable(scope, path)?;
                match literal {
                    Literal::Text(text) if field.is_none_or(|field| field.is_text() || field.source == Source::PersonName) => {
                        Pred::Like { route, pattern: fold(text).chars().collect() }
                    }
                    _ => {
                        return Err(error_at(self.text, path.at, "INVALID_FIELD", "invalid operator on this field: LIKE"));
                    }
                }
            }
            Cond::Compare(path, op, literal) => {
                let (route, field) = self.filterable(scope, path)?;
                Pred::Compare { route, op: *op, with: self.operand(field, literal, path)? }
            }
            Cond::OneOf(path, negated, list) => {
                let (route, field) = self.filterable(scope, path)?;
                let mut set = ValueSet { case_sensitive: field.is_some_and(|field| field.case_sensitive), ..ValueSet::default() };
                for literal in list {
                    match self.operand(field, literal, path)? {
                        Operand::Null => set.null = true,
                        Operand::Text(text, _) => {
                            set.texts.insert(text);
                        }
                        Operand::Id(id) => {
                            set.ids.insert(id);
                        }
                        other => set.others.push(other),
                    }
                }
                Pred::OneOf { route, negated: *negated, set }
            }
            Cond::Among(path, negated, query) => {
                let (route, _) = self.filterable(scope, path)?;
                let inner = self.whole(query)?;
                let [Column::Field(field)] = inner.columns.as_slice() else {
                    return Err(error_at(self.text, query.from.at, "MALFORMED_QUERY", "a semi join selects exactly one field"));
                };
                Pred::OneOf { route, negated: *negated, set: self.world.ids_among(&inner, *field) }
            }
            Cond::Includes(path, without, wanted) => {
                let (route, field) = self.filterable(scope, path)?;
                if field.is_none_or(|field| field.kind != Kind::MultiPicklist) {
                    return Err(error_at(
                        self.text,
                        path.at,
                        "INVALID_FIELD",
                        "includes or excludes operator only valid on multipicklist field",
                    ));
                }
                let split = |one: &String| one.split(';').map(|part| fold(part.trim()).into_owned()).collect();
                Pred::Includes { route, without: *without, wanted: wanted.iter().map(split).collect() }
            }
        })
    }

    fn filterable(&self, scope: &Scope<'_>, path: &Path) -> Planned<(Route, Option<&Field>)> {
        let (route, field) = self.route(scope, path)?;
        if field.is_some_and(|field| matches!(field.kind, Kind::LongText | Kind::Address)) {
            let message = format!("field '{}' can not be filtered in a query call", path.steps.join("."));
            return Err(error_at(self.text, path.at, "INVALID_FIELD", &message));
        }
        Ok((route, field))
    }

    fn operand(&self, field: Option<&Field>, literal: &Literal, path: &Path) -> Planned<Operand> {
        let name = path.steps.join(".");
        let wrong = |kind: &str, quotes: &str| {
            let message =
                format!("value of filter criterion for field '{name}' must be of type {kind} and should {quotes}be enclosed in quotes");
            error_at(self.text, path.at, "INVALID_FIELD", &message)
        };
        if *literal == Literal::Null {
            return Ok(Operand::Null);
        }
        let Some(field) = field else {
            return match literal {
                Literal::Text(text) => Ok(Operand::Text(fold(text).into_owned(), false)),
                Literal::Bool(bool) => Ok(Operand::Bool(*bool)),
                _ => Err(wrong("string", "")),
            };
        };
        match (field.kind, literal) {
            (Kind::Id | Kind::Reference, Literal::Text(text)) => match Id::parse(text) {
                Some(id) => Ok(Operand::Id(id)),
                // An empty text is no id, and no row has it.
                None if text.is_empty() => Ok(Operand::Id(Id::MIN)),
                None => Err(error_at(self.text, path.at, "INVALID_QUERY_FILTER_OPERATOR", &format!("invalid ID field: {text}"))),
            },
            (Kind::Id | Kind::Reference, _) => Err(wrong("ID", "")),
            (Kind::Boolean, Literal::Bool(bool)) => Ok(Operand::Bool(*bool)),
            (Kind::Boolean, _) => Err(wrong("boolean", "not ")),
            (Kind::Int | Kind::Double | Kind::Currency | Kind::Percent, Literal::Num(num)) => Ok(Operand::Num(*num)),
            (Kind::Int | Kind::Double | Kind::Currency | Kind::Percent, _) => Err(wrong("double", "not ")),
            (Kind::Date, Literal::Date(date)) => Ok(Operand::Date(*date, next_day(*date))),
            (Kind::DateTime, Literal::Time(time)) => Ok(Operand::Time(*time, time + 1)),
            (Kind::Date | Kind::DateTime, Literal::Relative(word, count)) => {
                let (from, to) = relative(self.today(), word, *count);
                Ok(if field.kind == Kind::Date { Operand::Date(from, to) } else { Operand::Time(midnight(from), midnight(to)) })
            }
            (Kind::Date, _) => Err(wrong("date", "not ")),
            (Kind::DateTime, _) => Err(wrong("dateTime", "not ")),
            (_, Literal::Text(text)) => {
                let text = text.replace("\\_", "_").replace("\\%", "%");
                Ok(Operand::Text(if field.case_sensitive { text } else { fold(&text).into_owned() }, field.case_sensitive))
            }
            (_, _) => Err(wrong("string", "")),
        }
    }

    fn today(&self) -> NaiveDate {
        DateTime::from_timestamp(self.world.now(), 0).unwrap_or_default().date_naive()
    }
}

struct Scope<'q> {
    object: usize,
    query: &'q Query,
}

impl Scope<'_> {
    /// A path without the name or alias of its own object in front.
    fn unqualified<'p>(&self, world: &World, path: &'p Path) -> &'p [String] {
        let own = |step: &str| {
            let aliased = self.query.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(step));
            aliased || world.schema.objects[self.object].name.eq_ignore_ascii_case(step)
        };
        match path.steps.split_first() {
            Some((first, rest)) if !rest.is_empty() && own(first) => rest,
            _ => &path.steps,
        }
    }
}

impl Route {
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed { hops, field, .. }, Self::Fixed { hops: others, field: other, .. }) => hops == others && field == other,
            (Self::Loose(path), Self::Loose(other)) => path.eq_ignore_ascii_case(other),
            _ => false,
        }
    }

    /// The field of the row itself, when the route goes no further.
    #[must_use]
    pub fn own(&self) -> Option<u16> {
        match self {
            Self::Fixed { hops, field, .. } if hops.is_empty() => Some(*field),
            _ => None,
        }
    }
}

fn sortable(field: &Field) -> bool {
    !matches!(field.kind, Kind::LongText | Kind::MultiPicklist | Kind::Address)
}

fn next_day(date: NaiveDate) -> NaiveDate {
    date.checked_add_days(Days::new(1)).unwrap_or(date)
}

/// The half-open range of days a relative literal means; weeks begin on Sunday.
fn relative(today: NaiveDate, word: &str, count: i64) -> (NaiveDate, NaiveDate) {
    let days = |from: NaiveDate, by: i64| chrono::Duration::try_days(by).and_then(|by| from.checked_add_signed(by)).unwrap_or(from);
    let months = |from: NaiveDate, by: i64| {
        let distance = Months::new(u32::try_from(by.unsigned_abs()).unwrap_or(0));
        let moved = if by < 0 { from.checked_sub_months(distance) } else { from.checked_add_months(distance) };
        moved.unwrap_or(from)
    };
    let week = days(today, -i64::from(today.weekday().num_days_from_sunday()));
    let month = today.with_day(1).unwrap_or(today);
    let year = month.with_month(1).unwrap_or(month);
    let tomorrow = next_day(today);
    match word {
        "YESTERDAY" => (days(today, -1), today),
        "TOMORROW" => (tomorrow, days(today, 2)),
        "LAST_WEEK" => (days(week, -7), week),
        "THIS_WEEK" => (week, days(week, 7)),
        "NEXT_WEEK" => (days(week, 7), days(week, 14)),
        "LAST_MONTH" => (months(month, -1), month),
        "THIS_MONTH" => (month, months(month, 1)),
        "NEXT_MONTH" => (months(month, 1), months(month, 2)),
        "LAST_YEAR" => (months(year, -12), year),
        "THIS_YEAR" => (year, months(year, 12)),
        "NEXT_YEAR" => (months(year, 12), months(year, 24)),
        "LAST_90_DAYS" => (days(today, -90), tomorrow),
        "NEXT_90_DAYS" => (tomorrow, days(tomorrow, 90)),
        "LAST_N_DAYS" => (days(today, -count), tomorrow),
        "NEXT_N_DAYS" => (tomorrow, days(tomorrow, count)),
        "N_DAYS_AGO" => (days(today, -count), days(today, 1 - count)),
        "LAST_N_WEEKS" => (days(week, -7 * count), week),
        "LAST_N_MONTHS" => (months(month, -count), month),
        "NEXT_N_MONTHS" => (months(month, 1), months(month, count + 1)),
        "LAST_N_YEARS" => (months(year, -12 * count), year),
        _ => (today, tomorrow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_dates_are_ranges() {
        let day = |text: &str| -> NaiveDate { text.parse().expect("a date") };
        let today = day("2026-03-31");
        for (word, count, from, to) in [
            ("TODAY", 0, "2026-03-31", "2026-04-01"),
            ("LAST_N_DAYS", 2, "2026-03-29", "2026-04-01"),
            ("N_DAYS_AGO", 2, "2026-03-29", "2026-03-30"),
            ("THIS_WEEK", 0, "2026-03-29", "2026-04-05"),
            ("LAST_MONTH", 0, "2026-02-01", "2026-03-01"),
            ("NEXT_YEAR", 0, "2027-01-01", "2028-01-01"),
        ] {
            assert_eq!(relative(today, word, count), (day(from), day(to)), "{word}");
        }
    }
}
