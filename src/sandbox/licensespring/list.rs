//! Lists: filter, order, cut a page, and the envelope with absolute links.
//!
//! A plain page of any offset costs the page. What had to be filtered or sorted is remembered until a row changes, so a
//! sweep pays for it once.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::filter::{self, Predicate};
use super::path::Path;
use super::reply::Refusal;
use super::schema::Object;
use super::settings::Settings;
use super::show;
use super::table::Row;
use super::world::World;

/// What lists remember from call to call.
#[derive(Debug, Default)]
pub struct Listing {
    calls: i64,
    last: Option<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    asked: String,
    version: u64,
    settings: Settings,
    ids: Vec<i64>,
}

/// A list call: where it was sent and what it asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub resource: &'a str,
    pub base: &'a str,
    pub path: &'a str,
    pub query: &'a [(String, String)],
}

/// Objects whose lists can be ordered.
const ORDERED: &[Object] = &[Object::License, Object::Order, Object::Device, Object::Product];
const ORDERINGS: &[&str] = &["created_at", "updated_at", "id"];

/// One page as the API answers it.
///
/// # Errors
/// A filter value that cannot be read.
pub fn page(world: &mut World, object: Object, asked: Asked<'_>) -> Result<Value, Refusal> {
    world.listing.calls += 1;
    let number = |name: &str| value_of(asked.query, name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(world.settings.default_limit);
    let limit = limit.min(world.settings.cap).max(1);
    let offset = number("offset").unwrap_or(0);

    let predicates = filter::predicates(object, asked.resource, asked.query, &world.settings)?;
    let order = order_by(world, object, asked.query);
    let (count, ids) = if plain(world, &predicates, order.as_ref()) {
        let all = world.table(object).ids();
        (all.len(), slice(all, offset, limit).to_vec())
    } else {
        let all = selected(world, object, &predicates, order.as_ref(), asked);
        let page = slice(&all, offset, limit).to_vec();
        let count = all.len();
        keep(world, asked, all);
        (count, page)
    };

    let results: Vec<Value> = ids.iter().filter_map(|id| show::listed(world, object, *id)).collect();
    let end = offset.saturating_add(results.len());
    let cut = world.settings.next_null_too_early.is_some_and(|most| end >= most);
    let next = (end < count && !cut && !results.is_empty()).then(|| link(asked, limit, end));
    let previous = (offset > 0).then(|| link(asked, limit, offset.saturating_sub(limit)));
    let drift = world.settings.count_drift * world.listing.calls;
    let count = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(drift).max(0);
    Ok(json!({"count": count, "next": next, "previous": previous, "results": results}))
}

struct Order {
    path: Path,
    descending: bool,
    name: String,
}

fn order_by(world: &World, object: Object, query: &[(String, String)]) -> Option<Order> {
    if !ORDERED.contains(&object) {
        return None;
    }
    let written = value_of(query, "order_by")?;
    let name = written.strip_prefix('-').unwrap_or(written);
    let off = world.settings.order_by_off.iter().any(|off| off == name || off == "*");
    if off || !ORDERINGS.contains(&name) {
        return None;
    }
    Some(Order { path: Path::parse(object, name)?, descending: written.starts_with('-'), name: name.to_owned() })
}

/// No filter, no order but the ids', nothing hidden: the ids as they stand.
fn plain(world: &World, predicates: &[Predicate], order: Option<&Order>) -> bool {
    let by_id = match order {
        Some(order) => order.name == "id" && !order.descending,
        None => world.settings.list_order == "id",
    };
    predicates.is_empty() && by_id && !hides(world)
}

fn hides(world: &World) -> bool {
    world.settings.visible_after_seconds > 0 || !world.settings.no_access.is_empty()
}

/// Whether the key may see the row, and may see it already.
pub fn visible(world: &World, row: &Row) -> bool {
    let age = world.now() - row.born;
    age >= i64::from(world.settings.visible_after_seconds) * 1_000_000 && !world.settings.no_access.contains(&row.id)
}

fn selected(world: &mut World, object: Object, predicates: &[Predicate], order: Option<&Order>, asked: Asked<'_>) -> Vec<i64> {
    let version = world.version();
    let settings = &world.settings;
    let same = |last: &mut Remembered| last.version == version && last.settings == *settings && last.asked == identity(asked);
    if !hides(world)
        && let Some(last) = world.listing.last.take_if(same)
    {
        return last.ids;
    }
    let table = world.table(object);
    let indexed = predicates.iter().find_map(|predicate| predicate.candidates(world, object));
    let candidates: &[i64] = indexed.as_deref().unwrap_or(table.ids());
    let mut ids: Vec<i64> = candidates
        .iter()
        .copied()
        .filter(|id| {
            table.get(*id).is_some_and(|row| visible(world, row) && predicates.iter().all(|predicate| predicate.holds(world, row)))
        })
        .collect();
    match order {
        Some(order) => sort(world, object, order, &mut ids),
        None => match world.settings.list_order.as_str() {
            "-id" => ids.reverse(),
            "shuffled" => {
                let salt = world.listing.calls.unsigned_abs();
                ids.sort_by_cached_key(|id| scrambled(id.unsigned_abs() ^ salt.rotate_left(40)));
            }
            _ => {}
        },
    }
    ids
}

fn sort(world: &World, object: Object, order: &Order, ids: &mut Vec<i64>) {
    let mut keyed: Vec<(Option<i64>, i64)> = ids
        .iter()
        .map(|id| {
            let value = world.row(object, *id).map(|row| order.path.first(world, row));
            (value.and_then(|value| value.as_i64()), *id)
        })
        .collect();
    keyed.sort_by(|(a, a_id), (b, b_id)| {
        let by_value: Ordering = if order.descending { b.cmp(a) } else { a.cmp(b) };
        by_value.then(a_id.cmp(b_id))
    });
    *ids = keyed.into_iter().map(|(_, id)| id).collect();
}

/// A page's ids may be asked for again at the next offset.
fn keep(world: &mut World, asked: Asked<'_>, ids: Vec<i64>) {
    if world.settings.list_order != "shuffled" {
        world.listing.last = Some(Remembered { asked: identity(asked), version: world.version(), settings: world.settings.clone(), ids });
    }
}

/// The call without its place in the list.
fn identity(asked: Asked<'_>) -> String {
    let mut text = asked.path.trim_end_matches('/').to_owned();
    for (name, value) in asked.query {
        if name != "limit" && name != "offset" {
            text.push('\n');
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

fn scrambled(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn slice(ids: &[i64], offset: usize, limit: usize) -> &[i64] {
    let from = offset.min(ids.len());
    &ids[from..from.saturating_add(limit).min(ids.len())]
}

fn link(asked: Asked<'_>, limit: usize, offset: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    if offset > 0 {
        query.append_pair("offset", &offset.to_string());
    }
    for (name, value) in asked.query {
        if name != "limit" && name != "offset" {
            query.append_pair(name, value);
        }
    }
    format!("{}{}?{}", asked.base, asked.path, query.finish())
}

pub fn value_of<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;

    /// Five customers with the ids 101 to 105, and a way to ask for pages of them.
    fn five() -> World {
        let mut world = World::new(Clock::system());
        for n in 1..=5 {
            world.add_customer(&json!({"first_name": format!("C{n}"), "reference": format!("r{}", n % 2)})).unwrap();
        }
        world
    }

    fn ask(world: &mut World, resource: &str, object: Object, query: &str) -> Value {
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = format!("/api/v1/{resource}/");
        let asked = Asked { resource, base: "http://here", path: &path, query: &query };
        page(world, object, asked).unwrap()
    }

    fn customers(world: &mut World, query: &str) -> Value {
        ask(world, "customers", Object::Customer, query)
    }

    fn ids(page: &Value) -> Vec<i64> {
        page["results"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }

    #[test]
    fn pages_carry_the_filters_on_in_absolute_links() {
        let mut world = five();
        let page = customers(&mut world, "limit=2&first_name__icontains=c&offset=2");
        assert_eq!((page["count"].clone(), ids(&page)), (json!(5), vec![103, 104]));
        assert_eq!(page["next"], "http://here/api/v1/customers/?limit=2&offset=4&first_name__icontains=c");
        assert_eq!(page["previous"], "http://here/api/v1/customers/?limit=2&first_name__icontains=c");
        let last = customers(&mut world, "limit=2&offset=4");
        assert_eq!((last["next"].clone(), ids(&last)), (Value::Null, vec![105]));
    }

    #[test]
    fn odd_limits_fall_back_and_large_ones_are_capped() {
        let mut world = five();
        world.settings.cap = 3;
        world.settings.default_limit = 2;
        for (query, rows) in [("", 2), ("limit=0", 2), ("limit=x", 2), ("limit=1", 1), ("limit=999", 3), ("offset=99", 0), ("offset=-1", 2)]
        {
            assert_eq!(ids(&customers(&mut world, query)).len(), rows, "{query}");
        }
    }

    #[test]
    fn unknown_empty_and_switched_off_filters_return_everything() {
        let mut world = five();
        assert_eq!(customers(&mut world, "reference=r1")["count"], 3);
        for query in ["referenz=r1", "reference=", "updated_at__gte=2026-01-01T00:00:00Z", "order_by=-id"] {
            assert_eq!(ids(&customers(&mut world, query)), [101, 102, 103, 104, 105], "{query}");
        }
        world.settings.filters_off = vec!["reference".into()];
        assert_eq!(customers(&mut world, "reference=r1")["count"], 5);
    }

    #[test]
    fn exact_means_case_too_unless_switched() {
        let mut world = five();
        assert_eq!(customers(&mut world, "reference=R1")["count"], 0);
        world.settings.exact_ignores_case = true;
        assert_eq!(customers(&mut world, "reference=R1")["count"], 3);
    }

    #[test]
    fn what_was_remembered_is_not_used_after_a_change() {
        let mut world = five();
        assert_eq!(customers(&mut world, "first_name__icontains=c")["count"], 5);
        world.delete(Object::Customer, 103).unwrap();
        let page = customers(&mut world, "first_name__icontains=c");
        assert_eq!((page["count"].clone(), ids(&page)), (json!(4), vec![101, 102, 104, 105]));
        world.settings.list_order = "-id".into();
        assert_eq!(ids(&customers(&mut world, "first_name__icontains=c")), [105, 104, 102, 101]);
    }

    #[test]
    fn a_list_can_end_early_drift_and_shuffle() {
        let mut world = five();
        world.settings.next_null_too_early = Some(4);
        assert!(customers(&mut world, "limit=2")["next"].is_string());
        assert_eq!(customers(&mut world, "limit=2&offset=2")["next"], Value::Null);
        world.settings.count_drift = -1;
        let first = customers(&mut world, "limit=2")["count"].as_i64().unwrap();
        assert_eq!(customers(&mut world, "limit=2")["count"].as_i64().unwrap(), first - 1);
        world.settings.list_order = "shuffled".into();
        let orders: std::collections::HashSet<Vec<i64>> = (0..20).map(|_| ids(&customers(&mut world, ""))).collect();
        assert!(orders.len() > 3, "{orders:?}");
    }

    #[test]
    fn orders_sort_by_stamps_and_ignore_attributes_that_are_off() {
        let mut world = World::new(Clock::system());
        for (n, day) in ["2026-01-02", "2026-01-03", "2026-01-01"].into_iter().enumerate() {
            let stamp = format!("{day}T00:00:00Z");
            world.put(Object::Order, &json!({"store_id": n.to_string(), "updated_at": stamp})).unwrap();
        }
        let mut by = |query: &str| -> Vec<String> {
            let page = ask(&mut world, "orders", Object::Order, query);
            page["results"].as_array().unwrap().iter().map(|row| row["store_id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(by("order_by=updated_at"), ["2", "0", "1"]);
        assert_eq!(by("order_by=-updated_at"), ["1", "0", "2"]);
        assert_eq!(by("order_by=store_id"), ["0", "1", "2"]);
        world.settings.order_by_off = vec!["updated_at".into()];
        let page = ask(&mut world, "orders", Object::Order, "order_by=updated_at");
        assert_eq!(page["results"][0]["store_id"], "0");
    }

    #[test]
    fn a_new_row_can_be_invisible_for_a_while() {
        let clock = Clock::system();
        clock.freeze("2026-01-05T00:00:00Z".parse().unwrap());
        let mut world = World::new(clock.clone());
        world.settings.visible_after_seconds = 2;
        world.add_customer(&json!({})).unwrap();
        assert_eq!(customers(&mut world, "")["count"], 0);
        clock.advance(chrono::Duration::seconds(2));
        world.wake();
        assert_eq!(customers(&mut world, "")["count"], 1);
    }
}
