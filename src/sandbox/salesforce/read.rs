//! What a row shows: stored, computed and compound values.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::formula::Scope;
use super::ids::Id;
use super::schema::{Kind, Object, Source};
use super::table::Row;
use super::value::{Cell, Val, push_string};
use super::world::World;

impl World {
    /// The value of one field of one row, as a reader gets it.
    #[must_use]
    pub fn val<'a>(&'a self, object: usize, row: &'a Row, field: u16) -> Val<'a> {
        let shape = &self.schema.objects[object];
        let known = shape.field(field);
        match &known.source {
            Source::Stored | Source::AutoNumber(_) => stored(known.kind, row.get(field)),
            Source::Id => Val::Ref(row.id),
            Source::IsDeleted => Val::Bool(row.deleted.is_some()),
            Source::Created => Val::Time(row.created),
            Source::CreatedBy => Val::Ref(row.created_by),
            Source::Modified => Val::Time(row.modified),
            Source::ModifiedBy => Val::Ref(row.modified_by),
            Source::Stamp => Val::Time(row.stamp),
            Source::Master => row.master.map_or(Val::Null, Val::Ref),
            Source::Address(prefix) => address(shape, row, prefix),
            Source::PersonName => person_name(shape, row),
            Source::Formula(formula) => {
                let value = formula.value(&RowScope { world: self, object, row });
                fitted(known.kind, value)
            }
            Source::Sum { child, lookup, field } => Val::Num(self.children_of(child, lookup, row.id).fold(0.0, |sum, (at, row)| {
                let field = self.schema.objects[at].find(field);
                sum + field.and_then(|field| self.val(at, row, field).number()).unwrap_or(0.0)
            })),
            #[allow(clippy::cast_precision_loss, reason = "a count of rows in memory")]
            Source::Count { child, lookup } => Val::Num(self.children_of(child, lookup, row.id).count() as f64),
            Source::Nothing => Val::Null,
        }
    }

    /// The row behind a lookup, whatever its object; rows in the bin too.
    #[must_use]
    pub fn row_of(&self, id: Id) -> Option<(usize, &Row)> {
        let object = self.schema.by_prefix(id.prefix())?;
        Some((object, self.tables[object].rows.get(&id)?))
    }

    /// Every visible field of a row as plain JSON, for tests, the demo and the control route.
    #[must_use]
    pub fn row_json(&self, object: usize, row: &Row) -> Value {
        let mut out = Map::new();
        for (at, field) in self.schema.objects[object].numbered() {
            let mut json = String::new();
            self.val(object, row, at).push_json(&mut json);
            out.insert(field.name.clone(), serde_json::from_str(&json).unwrap_or(Value::Null));
        }
        Value::Object(out)
    }

    fn children_of<'a>(&'a self, child: &str, lookup: &str, parent: Id) -> impl Iterator<Item = (usize, &'a Row)> + use<'a> {
        let at = self.schema.find(child);
        let ids: Vec<Id> = at
            .and_then(|at| {
                let field = self.schema.objects[at].find(lookup)?;
                Some(self.tables[at].with_parent(field, parent)?.collect())
            })
            .unwrap_or_default();
        ids.into_iter().filter_map(move |id| Some((at?, self.tables[at?].rows.get(&id)?))).filter(|(_, row)| row.deleted.is_none())
    }

    /// Follows a path such as `Order.Account.Name` from a row; anything missing on the way is null.
    #[must_use]
    pub fn along(&self, object: usize, row: &Row, path: &str) -> Val<'static> {
        let (mut at, mut row) = (object, row);
        let mut steps = path.split('.').peekable();
        while let Some(step) = steps.next() {
            let shape = &self.schema.objects[at];
            if steps.peek().is_none() {
                return shape.find(step).map_or(Val::Null, |field| self.val(at, row, field).owned());
            }
            let next = shape.by_relationship(step).and_then(|field| match self.val(at, row, field) {
                Val::Ref(id) => self.row_of(id),
                _ => None,
            });
            match next {
                Some(found) => (at, row) = found,
                None => return Val::Null,
            }
        }
        Val::Null
    }
}

fn stored(kind: Kind, cell: Option<&Cell>) -> Val<'_> {
    match (kind, cell) {
        #[allow(clippy::cast_possible_truncation, reason = "checked against the precision when written")]
        (Kind::Int, Some(Cell::Num(num))) => Val::Int(*num as i64),
        (Kind::Boolean, None) => Val::Bool(false),
        (_, Some(cell)) => Val::from(cell),
        (_, None) => Val::Null,
    }
}

fn fitted(kind: Kind, value: Val<'static>) -> Val<'static> {
    match kind {
        Kind::Boolean => Val::Bool(value == Val::Bool(true)),
        Kind::Double | Kind::Currency | Kind::Percent | Kind::Int => value.number().map_or(Val::Null, Val::Num),
        _ => value,
    }
}

/// First and last name; the salutation is not part of it.
fn person_name(shape: &Object, row: &Row) -> Val<'static> {
    let part = |name: &str| shape.find(name).and_then(|field| row.text(field));
    let parts: Vec<&str> = ["FirstName", "LastName"].into_iter().filter_map(part).collect();
    if parts.is_empty() { Val::Null } else { Val::Text(Cow::Owned(parts.join(" "))) }
}

fn address(shape: &Object, row: &Row, prefix: &str) -> Val<'static> {
    const PARTS: [(&str, &str); 7] = [
        ("city", "City"),
        ("country", "Country"),
        ("latitude", "Latitude"),
        ("longitude", "Longitude"),
        ("postalCode", "PostalCode"),
        ("state", "State"),
        ("street", "Street"),
    ];
    let mut json = String::from("{");
    let mut any = false;
    for (key, suffix) in PARTS {
        let cell = shape.find(&format!("{prefix}{suffix}")).and_then(|field| row.get(field));
        any |= cell.is_some();
        push_string(&mut json, key);
        json.push(':');
        cell.map_or(Val::Null, Val::from).push_json(&mut json);
        json.push(',');
        if key == "country" {
            json.push_str("\"geocodeAccuracy\":null,");
        }
    }
    if !any {
        return Val::Null;
    }
    json.pop();
    json.push('}');
    Val::Json(json)
}

struct RowScope<'a> {
    world: &'a World,
    object: usize,
    row: &'a Row,
}

impl Scope for RowScope<'_> {
    fn field(&self, path: &str) -> Val<'static> {
        self.world.along(self.object, self.row, path)
    }

    fn now(&self) -> i64 {
        self.world.now()
    }
}
