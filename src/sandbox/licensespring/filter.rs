//! Whether a row passes the filters that a call names.
//!
//! A parameter that is not a documented filter, or that is switched off, is ignored without a word: that is how the vendor's
//! framework treats it, and what a client must notice by itself. So is a filter without a value (`reference=`).

use std::sync::LazyLock;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::Value;

use super::filter_table::{Bound, FILTERS, Filter, Op};
use super::path::Path;
use super::reply::Refusal;
use super::schema::{Kind, Object};
use super::settings::Settings;
use super::table::Row;
use super::world::World;

/// One filter of one call, its value read.
#[derive(Debug)]
pub struct Predicate {
    path: &'static Path,
    want: Want,
}

#[derive(Debug)]
enum Want {
    Value(Value),
    NoCase(String),
    Contains(String),
    Starts(String),
    Among(Vec<Value>),
    Null(bool),
    Bounded(Bound, Value),
    /// Into metadata: object keys and array places, then equal or contained.
    Inside(Vec<String>, Value),
    InsideContains(Vec<String>, Value),
}

impl Predicate {
    pub fn holds(&self, world: &World, row: &Row) -> bool {
        self.path.any(world, row, &|value| self.want.met_by(value))
    }

    /// Candidate ids by index; None = look at all rows. Every candidate must still pass [`Predicate::holds`].
    pub fn candidates(&self, world: &World, object: Object) -> Option<Vec<i64>> {
        match &self.want {
            Want::Value(value) => self.path.indexed(world, object, value),
            Want::Among(values) => {
                let mut all = Vec::new();
                for value in values {
                    all.extend(self.path.indexed(world, object, value)?);
                }
                all.sort_unstable();
                all.dedup();
                Some(all)
            }
            _ => None,
        }
    }
}

impl Want {
    fn met_by(&self, value: &Value) -> bool {
        let text = || value.as_str().unwrap_or_default();
        match self {
            Want::Value(want) => value == want,
            Want::NoCase(want) => text().to_lowercase() == *want,
            Want::Contains(want) => text().to_lowercase().contains(want),
            Want::Starts(want) => text().starts_with(want.as_str()),
            Want::Among(wants) => wants.contains(value),
            Want::Null(want) => value.is_null() == *want,
            Want::Bounded(bound, limit) => {
                let order = match (value, limit) {
                    (Value::Number(value), Value::Number(limit)) => value.as_i64().cmp(&limit.as_i64()),
                    (Value::String(value), Value::String(limit)) => value.cmp(limit),
                    _ => return false,
                };
                match bound {
                    Bound::Gt => order.is_gt(),
                    Bound::Gte => order.is_ge(),
                    Bound::Lt => order.is_lt(),
                    Bound::Lte => order.is_le(),
                }
            }
            Want::Inside(keys, want) => inside(value, keys) == Some(want),
            Want::InsideContains(keys, want) => inside(value, keys).is_some_and(|found| contains(found, want)),
        }
    }
}

fn inside<'a>(value: &'a Value, keys: &[String]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |here, key| match here {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// An object contains its subsets, a list each of its items and lists of them.
fn contains(found: &Value, want: &Value) -> bool {
    match (found, want) {
        (Value::Object(found), Value::Object(want)) => {
            want.iter().all(|(key, want)| found.get(key).is_some_and(|found| contains(found, want)))
        }
        (Value::Array(found), Value::Array(want)) => want.iter().all(|want| found.iter().any(|found| contains(found, want))),
        (Value::Array(found), want) => found.iter().any(|found| found == want),
        (found, want) => found == want,
    }
}

/// The filters a call names, in reading order.
///
/// # Errors
/// A value that is none of the filter's kind: 400, shape D.
pub fn predicates(object: Object, resource: &str, query: &[(String, String)], settings: &Settings) -> Result<Vec<Predicate>, Refusal> {
    let mut all = Vec::new();
    for (name, written) in query {
        let off = |name: &str| settings.filter_off(resource, name);
        if written.is_empty() || off(name) || (name.starts_with("metadata") && off("metadata")) {
            continue;
        }
        if object == Object::Account && !settings.account_extras && (name.starts_with("reference") || name.starts_with("metadata")) {
            continue;
        }
        let predicate = match FILTERS[object as usize].get(name.as_str()) {
            Some(filter) => Some(Predicate {
                path: &filter.path,
                want: want(filter, written, settings).map_err(|reason| Refusal::field(name, reason))?,
            }),
            None => metadata(object, name, written)?,
        };
        all.extend(predicate);
    }
    Ok(all)
}

fn want(filter: &Filter, written: &str, settings: &Settings) -> Result<Want, String> {
    let kind = filter.path.kind;
    Ok(match filter.op {
        Op::Exact if settings.exact_ignores_case && matches!(kind, Kind::Text | Kind::Email) => Want::NoCase(written.to_lowercase()),
        Op::Exact => Want::Value(typed(kind, written)?),
        Op::IExact => Want::NoCase(written.to_lowercase()),
        Op::IContains => Want::Contains(written.to_lowercase()),
        Op::StartsWith => Want::Starts(written.to_owned()),
        Op::In => Want::Among(written.split(',').filter(|part| !part.is_empty()).map(|part| typed(kind, part)).collect::<Result<_, _>>()?),
        Op::IsNull => Want::Null(typed(Kind::Bool, written)? == Value::Bool(true)),
        Op::Compare(bound) => Want::Bounded(bound, typed(kind, written)?),
        Op::CompareDay(bound) => by_day(bound, written)?,
    })
}

/// A filter's text as the kind of value it is compared with.
fn typed(kind: Kind, written: &str) -> Result<Value, String> {
    match kind {
        Kind::Int | Kind::Link(_) => written.parse::<i64>().map(Value::from).map_err(|_| "Enter a number.".to_owned()),
        Kind::Bool => match written.to_lowercase().as_str() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err("Must be a valid boolean.".into()),
        },
        Kind::Stamp => instant(written).map(Value::from),
        Kind::Date => day(written).map(|day| day.to_string().into()),
        _ => Ok(written.into()),
    }
}

/// RFC 3339, or without a zone (then UTC), or a day (its first moment); in microseconds.
fn instant(written: &str) -> Result<i64, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(written) {
        return Ok(at.timestamp_micros());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(written, form) {
            return Ok(at.and_utc().timestamp_micros());
        }
    }
    day(written).map(midnight).map_err(|_| "Enter a valid date/time.".to_owned())
}

fn day(written: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(written, "%Y-%m-%d").map_err(|_| "Enter a valid date.".to_owned())
}

fn midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_micros()
}

/// A bound on the day of a stamp, said as a bound on the stamp.
fn by_day(bound: Bound, written: &str) -> Result<Want, String> {
    let first = day(written)?;
    let next = first.checked_add_days(Days::new(1)).unwrap_or(first);
    let (bound, at) = match bound {
        Bound::Gt => (Bound::Gte, next),
        Bound::Gte => (Bound::Gte, first),
        Bound::Lt => (Bound::Lt, first),
        Bound::Lte => (Bound::Lt, next),
    };
    Ok(Want::Bounded(bound, midnight(at).into()))
}

fn metadata(object: Object, name: &str, written: &str) -> Result<Option<Predicate>, Refusal> {
    const WITH_METADATA_FILTERS: &[Object] = &[Object::Customer, Object::Account, Object::Order, Object::License, Object::Product];
    let Some(rest) = name.strip_prefix("metadata") else {
        return Ok(None);
    };
    if !WITH_METADATA_FILTERS.contains(&object) {
        return Ok(None);
    }
    let mut keys: Vec<String> = match rest.strip_prefix("__") {
        Some(path) => path.split("__").map(str::to_owned).collect(),
        None if rest.is_empty() => Vec::new(),
        None => return Ok(None),
    };
    let wanted: Value = serde_json::from_str(written).map_err(|_| Refusal::field(name, "Enter a valid JSON."))?;
    let want = if keys.last().is_some_and(|key| key == "contains") {
        keys.pop();
        Want::InsideContains(keys, wanted)
    } else {
        Want::Inside(keys, wanted)
    };
    Ok(METADATA[object as usize].as_ref().map(|path| Predicate { path, want }))
}

static METADATA: LazyLock<Vec<Option<Path>>> =
    LazyLock::new(|| Object::ALL.into_iter().map(|object| Path::parse(object, "metadata")).collect());

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn contains_means_subset_and_membership() {
        for (found, want, expected) in [
            (json!([1, 2]), json!(1), true),
            (json!([1, 2]), json!([2]), true),
            (json!([1, 2]), json!(3), false),
            (json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 2}}), true),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
            (json!("abc"), json!("a"), false),
        ] {
            assert_eq!(contains(&found, &want), expected, "{found} {want}");
        }
    }

    #[test]
    fn instants_are_read_in_every_written_form() {
        let second = 1_770_109_811_000_000;
        for (written, expected) in [
            ("2026-02-03T09:10:11Z", second),
            ("2026-02-03T10:10:11+01:00", second),
            ("2026-02-03 09:10:11", second),
            ("2026-02-03T09:10:11.250000Z", second + 250_000),
            ("2026-02-03", 1_770_076_800_000_000),
        ] {
            assert_eq!(instant(written), Ok(expected), "{written}");
        }
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn days_are_whole_days() {
        let met = |bound: Bound, at: &str| by_day(bound, "2026-02-03").expect("a day").met_by(&instant(at).expect("an instant").into());
        assert!(met(Bound::Lte, "2026-02-03T23:59:59.9Z") && !met(Bound::Lte, "2026-02-04T00:00:00Z"));
        assert!(!met(Bound::Gt, "2026-02-03T23:59:59Z") && met(Bound::Gt, "2026-02-04T00:00:00Z"));
        assert!(met(Bound::Gte, "2026-02-03") && !met(Bound::Lt, "2026-02-03"));
    }

    /// A world with two licenses of one customer, and which of them a query finds (1 and 2).
    fn found(query: &str) -> Vec<i64> {
        let mut world = World::new(crate::sandbox::clock::Clock::system());
        super::super::seed_products(&mut world).expect("an empty world");
        let account = world.add_account(&json!({"code": "northwind", "name": "Northwind Demo"})).expect("an account");
        let customer = json!({"email": "it@northwind.example", "first_name": "Mina", "last_name": "Okafor", "reference": "003A", "customer_account": account});
        let customer = world.add_customer(&customer).expect("a customer");
        let order = json!({"id": "SF-1", "items": [
            {"product_code": "orbit-pro", "licenses": [{"key": "AAAA-1", "metadata": {"lockstep": {"line": "802A"}, "tags": ["x", "y"]}}]},
            {"product_code": "orbit-basic", "licenses": [{"key": "BBBB-2", "note": "Second", "metadata": {"n": 5}}]}]});
        let order = world.issue(&order).expect("an order");
        world.update(Object::Order, order, &json!({"customer": customer, "customer_account": account})).expect("a customer's order");
        let ids: Vec<i64> = world.table(Object::License).ids().to_vec();
        world.activate(ids[0], "hw-9", "CAD-07").expect("an activation");
        world
            .update(Object::License, ids[0], &json!({"updated_at": "2026-02-03T09:10:11Z", "validity_period": "2027-01-01"}))
            .expect("a license");
        world.update(Object::License, ids[1], &json!({"updated_at": "2026-02-04T00:00:00Z", "enabled": false})).expect("a license");
        let query = query.replace("$1", &ids[0].to_string()).replace("$2", &ids[1].to_string()).replace("$C", &customer.to_string());
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let predicates = predicates(Object::License, "licenses", &query, &Settings::default()).expect("readable filters");
        let passes = |id: &i64| {
            let row = world.row(Object::License, *id).expect("a license");
            let passes = predicates.iter().all(|predicate| predicate.holds(&world, row));
            for predicate in &predicates {
                if let Some(candidates) = predicate.candidates(&world, Object::License) {
                    assert_eq!(candidates.contains(id), predicate.holds(&world, row), "index and scan differ: {predicate:?}");
                }
            }
            passes
        };
        (1..).zip(&ids).filter(|(_, id)| passes(id)).map(|(n, _)| n).collect()
    }

    #[test]
    fn licenses_are_found_by_every_kind_of_filter() {
        for (query, expected) in [
            ("license_key=AAAA-1", &[1_i64] as &[i64]),
            ("license_key__icontains=bbb", &[2]),
            ("license_key__startswith=aaaa", &[]),
            ("license_key__isnull=false", &[1, 2]),
            ("id__in=$1,$2", &[1, 2]),
            ("id__in=$2", &[2]),
            ("order__store_id=SF-1&enabled=true", &[1]),
            ("order__store_id=sf-1", &[]),
            ("order__store_id__startswith=SF", &[1, 2]),
            ("customer_id=$C", &[1, 2]),
            ("customer_email=it@northwind.example", &[1, 2]),
            ("customer_name__icontains=mina+oka", &[1, 2]),
            ("customer__account__code=northwind", &[1, 2]),
            ("order__customer_account__name=Northwind+Demo", &[1, 2]),
            ("customer__account__name__icontains=south", &[]),
            ("product_short_code=orbit-basic", &[2]),
            ("product_name__icontains=PRO", &[1]),
            ("license_template__code=orbit-pro-1y", &[1]),
            ("devices__hostname__icontains=cad", &[1]),
            ("devices__hardware_id=hw-9", &[1]),
            ("active=true", &[1]),
            ("enabled=0", &[2]),
            ("company=901", &[1, 2]),
            ("company=902", &[]),
            ("note__icontains=sec", &[2]),
            ("updated_at__gte=2026-02-03T09:10:11Z", &[1, 2]),
            ("updated_at__gt=2026-02-03T09:10:11Z", &[2]),
            ("updated_at__lt=2026-02-03T10:10:12%2B01:00", &[1]),
            ("updated_at__date__lte=2026-02-03", &[1]),
            ("updated_at__date__gt=2026-02-03", &[2]),
            ("validity_period__lte=2027-01-01", &[1]),
            ("metadata__lockstep__line=%22802A%22", &[1]),
            ("metadata__lockstep__line=%22802B%22", &[]),
            ("metadata__tags__1=%22y%22", &[1]),
            ("metadata__tags__contains=%22x%22", &[1]),
            ("metadata__contains=%7B%22n%22%3A5%7D", &[2]),
            ("metadata=%7B%22n%22%3A5%7D", &[2]),
            ("metadata__n=5", &[2]),
            ("metadata__n=%225%22", &[]),
        ] {
            assert_eq!(found(query), expected, "{query}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        for (name, value) in [("customer_id", "x"), ("updated_at__gte", "soon"), ("enabled", "maybe"), ("metadata__a", "not json")] {
            let query = [(name.to_owned(), value.to_owned())];
            let refused = predicates(Object::License, "licenses", &query, &Settings::default()).expect_err("a wrong value");
            assert!(refused.status() == 400 && refused.body().get(name).is_some(), "{refused}");
        }
    }
}
