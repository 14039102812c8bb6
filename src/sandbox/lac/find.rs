//! Lists: which rows a search finds, in which order, and the page that an offset opens.
//!
//! Text is found anywhere and in any case; only a tag's name is exact. There is no total and no link to a next page.

use chrono::NaiveDate;
use serde_json::Value;

use super::customer::Customer;
use super::order::{License, Order};
use super::reply::Refusal;
use super::settings::Settings;
use super::show;
use super::world::World;

/// The query of a call.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    pub pairs: &'a [(String, String)],
    pub settings: &'a Settings,
}

impl<'a> Query<'a> {
    /// # Errors
    /// 400 for a parameter that the page does not document.
    pub fn only(self, documented: &[&str]) -> Result<Self, Refusal> {
        let strange = self.pairs.iter().map(|(name, _)| name.trim_end_matches("[]")).find(|name| !documented.contains(name));
        match strange {
            Some(name) if !self.settings.unknown_parameters_ignored => Err(Refusal::invalid(format!("unknown parameter {name}"))),
            _ => Ok(self),
        }
    }

    pub fn one(self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Two parameters that are sent together or not at all.
    ///
    /// # Errors
    /// 400 for one alone.
    fn both(self, one: &str, other: &str) -> Result<Option<(&'a str, &'a str)>, Refusal> {
        match (self.one(one), self.one(other)) {
            (Some(first), Some(second)) => Ok(Some((first, second))),
            (None, None) => Ok(None),
            _ => Err(Refusal::invalid(format!("{one} and {other} are sent together"))),
        }
    }

    /// Ids, joined by commas or one a parameter.
    fn ids(self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        let of_name = self.pairs.iter().filter(|(key, _)| key.trim_end_matches("[]") == name);
        let words: Vec<&str> = of_name.flat_map(|(_, value)| value.split(',')).map(str::trim).collect();
        if words.is_empty() {
            return Ok(None);
        }
        let ids: Result<Vec<i64>, _> = words.iter().map(|word| word.parse()).collect();
        ids.map(Some).map_err(|_| Refusal::invalid(format!("{name}: ids are whole numbers")))
    }

    fn flag(self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.one(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Refusal::invalid(format!("{name}: true or false is expected"))),
        }
    }

    fn day(self, name: &str) -> Result<Option<NaiveDate>, Refusal> {
        let read = |text: &str| text.parse().map_err(|_| Refusal::invalid(format!("{name}: a date such as 2026-12-31 is expected")));
        self.one(name).map(read).transpose()
    }

    /// # Errors
    /// 400 for what is not a number from 0.
    fn offset(self) -> Result<usize, Refusal> {
        let text = self.one("offset").unwrap_or("0");
        let offset = text.parse().map_err(|_| Refusal::invalid("offset: a whole number from 0 is expected"))?;
        Ok(if self.settings.offset_ignored { 0 } else { offset })
    }
}

/// Anywhere and in any case.
fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// `GET /customers`
///
/// # Errors
/// 400.
pub fn customers(world: &mut World, pairs: &[(String, String)]) -> Result<Value, Refusal> {
    let salt = world.next_random();
    let settings = &world.settings;
    let query = Query { pairs, settings }.only(&["offset", "name", "email", "custom_tag_name", "custom_tag_value"])?;
    let (name, email) = (query.one("name"), query.one("email"));
    let tag = query.both("custom_tag_name", "custom_tag_value")?;
    if let Some((name, _)) = tag
        && settings.unknown_tag_search_refused
        && !world.definitions.contains_key(name)
    {
        return Err(Refusal::invalid(format!("custom tag {name} is not defined")));
    }
    let fits = |row: &&Customer| {
        name.is_none_or(|name| has(row.text("name"), name))
            && email.is_none_or(|email| row.contacts.iter().any(|contact| has(contact.text().1, email)))
            && tag.is_none_or(|(name, value)| row.tag(name).is_some_and(|held| has(held, value)))
    };
    let rows: Vec<&Customer> = world.customers.values().filter(fits).collect();
    Ok(page(rows, query.offset()?, salt, settings).into_iter().map(|row| show::customer(row, settings)).collect())
}

/// `GET /license-orders`
///
/// # Errors
/// 400.
pub fn orders(world: &mut World, pairs: &[(String, String)]) -> Result<Value, Refusal> {
    let salt = world.next_random();
    let world = &*world;
    let query = Query { pairs, settings: &world.settings }.only(&[
        "offset",
        "activation_key",
        "customer_ids",
        "customer_ids_exclude",
        "product_template_ids",
        "created_date_after",
        "created_date_before",
        "disabled",
    ])?;
    let key = query.one("activation_key");
    let (ids, exclude) = (query.ids("customer_ids")?, query.flag("customer_ids_exclude")?);
    if ids.is_some() != exclude.is_some() {
        return Err(Refusal::invalid("customer_ids and customer_ids_exclude are sent together"));
    }
    let templates = query.ids("product_template_ids")?;
    let (after, before) = (query.day("created_date_after")?, query.day("created_date_before")?);
    let disabled = query.flag("disabled")?;
    let fits = |row: &&Order| {
        let day = day_of(row.created);
        key.is_none_or(|key| has(&row.key, key))
            && ids.as_ref().is_none_or(|ids| ids.contains(&row.customer) != (exclude == Some(true)))
            && templates.as_ref().is_none_or(|ids| ids.contains(&row.template))
            && after.is_none_or(|after| day >= Some(after))
            && before.is_none_or(|before| day <= Some(before))
            && disabled.is_none_or(|disabled| row.flag("enabled") != disabled)
    };
    let mut rows: Vec<&Order> = world.orders.values().filter(fits).collect();
    rows.sort_by_key(|row| row.created);
    Ok(page(rows, query.offset()?, salt, &world.settings).into_iter().map(|row| show::listed_order(world, row, &world.settings)).collect())
}

/// `GET /licenses`, and with `key` `GET /license-orders/{key}/licenses`
///
/// # Errors
/// 400.
pub fn licenses(world: &mut World, pairs: &[(String, String)], key: Option<&str>) -> Result<Value, Refusal> {
    let salt = world.next_random();
    let query = Query { pairs, settings: &world.settings };
    let query = match key {
        Some(_) => query.only(&["offset"])?,
        None => query.only(&["offset", "activation_key", "expiration_date_after", "expiration_date_before"])?,
    };
    let between = query.both("expiration_date_after", "expiration_date_before")?;
    let (after, before) = (query.day("expiration_date_after")?, query.day("expiration_date_before")?);
    let part = query.one("activation_key");
    let fits = |(row, order): &(&License, &Order)| {
        let expiry = show::expiry(row, order).as_str().and_then(|text| text.parse::<NaiveDate>().ok());
        key.is_none_or(|key| order.key == key)
            && part.is_none_or(|part| has(&order.key, part))
            && (between.is_none() || (expiry.is_some() && expiry >= after && expiry <= before))
    };
    let all = world.orders.values().flat_map(|order| order.licenses.iter().map(move |row| (row, order)));
    let mut rows: Vec<(&License, &Order)> = all.filter(fits).collect();
    rows.sort_by_key(|(row, _)| row.id);
    let page = page(rows, query.offset()?, salt, &world.settings);
    Ok(page.into_iter().map(|(row, order)| show::license(row, order, &world.settings)).collect())
}

fn day_of(seconds: i64) -> Option<NaiveDate> {
    chrono::DateTime::from_timestamp(seconds, 0).map(|at| at.date_naive())
}

/// Rows in ascending order → the page at `offset`.
fn page<T>(mut rows: Vec<T>, offset: usize, salt: u64, settings: &Settings) -> Vec<T> {
    match settings.list_order.as_str() {
        "-id" => rows.reverse(),
        "shuffled" => shuffle(&mut rows, salt),
        _ => {}
    }
    rows.into_iter().skip(offset).take(settings.page_size).collect()
}

fn shuffle<T>(rows: &mut [T], salt: u64) {
    let mut bits = salt | 1;
    for last in (1..rows.len()).rev() {
        bits = bits.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let chosen = usize::try_from(bits >> 33).unwrap_or_default() % (last + 1);
        rows.swap(last, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_out_of_the_order() {
        let settings = Settings { page_size: 2, ..Settings::default() };
        assert_eq!(page(vec![1, 2, 3, 4, 5], 4, 7, &settings), [5]);
        assert_eq!(page(vec![1, 2, 3], 9, 7, &settings), [0; 0]);
        let settings = Settings { list_order: "-id".into(), ..settings };
        assert_eq!(page(vec![1, 2, 3], 0, 7, &settings), [3, 2]);
    }

    #[test]
    fn a_shuffled_list_holds_the_same_rows_in_another_order() {
        let mut rows: Vec<u32> = (0..50).collect();
        shuffle(&mut rows, 0x1234_5678_9ABC_DEF0);
        assert_ne!(rows, (0..50).collect::<Vec<_>>());
        rows.sort_unstable();
        assert_eq!(rows, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn parameters_are_read_strictly() {
        let settings = Settings::default();
        let pairs = |text: &str| url::form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        let several = pairs("customer_ids=1,2&customer_ids[]=3&x=maybe&offset=-1&day=1.1.26&lonely=1");
        let query = Query { pairs: &several, settings: &settings };
        assert_eq!(query.ids("customer_ids"), Ok(Some(vec![1, 2, 3])));
        assert_eq!(query.ids("x").map_err(|refusal| refusal.status), Err(400));
        for status in [
            query.only(&["customer_ids"]).map(|_| ()),
            query.flag("x").map(|_| ()),
            query.offset().map(|_| ()),
            query.day("day").map(|_| ()),
            query.both("lonely", "other").map(|_| ()),
        ] {
            assert_eq!(status.map_err(|refusal| refusal.status), Err(400));
        }
    }
}
