//! Sample data of our own for the demo: a small software vendor's customers, the same in every run.
//!
//! About 300 companies with 400 people, three products, and 25 orders of which most are still drafts. Mail addresses and
//! web sites end in `.example`, telephone numbers are from ranges set aside for fiction.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::load::{Product, Spread, products};
use super::salesforce::{SfError, World};

const ACCOUNTS: usize = 300;
const CONTACTS: usize = 400;
const ORDERS: usize = 25;
const OPPORTUNITIES: usize = 20;
/// Those of a new org that other systems have by the same name.
const STAGES: [&str; 4] = ["Prospecting", "Qualification", "Closed Won", "Closed Lost"];
/// Every so many-th order is activated.
const ACTIVATED_EVERY: usize = 5;

const COMPANY_FIRST: [&str; 30] = [
    "Alder", "Basalt", "Beacon", "Birch", "Cobalt", "Copper", "Delta", "Ember", "Falcon", "Fjord", "Granite", "Harbor", "Heron", "Indigo",
    "Juniper", "Kestrel", "Lumen", "Maple", "Meridian", "Nimbus", "Onyx", "Osprey", "Pinnacle", "Quarry", "Raven", "Saffron", "Summit",
    "Tidal", "Vega", "Willow",
];
const COMPANY_SECOND: [(&str, &str); 10] = [
    ("Analytics", "Technology"),
    ("Biotech", "Biotechnology"),
    ("Engineering", "Engineering"),
    ("Foods", "Food & Beverage"),
    ("Instruments", "Electronics"),
    ("Logistics", "Transportation"),
    ("Media", "Media"),
    ("Robotics", "Machinery"),
    ("Systems", "Technology"),
    ("Works", "Manufacturing"),
];
const FORMS: [&str; 4] = ["Inc.", "GmbH", "Ltd", "AG"];
const FIRST_NAMES: [&str; 25] = [
    "Ada", "Amir", "Bea", "Carlos", "Chloé", "Dilan", "Elif", "Emma", "Farid", "Grace", "Hana", "Ivan", "Jonas", "Kofi", "Lena", "Luis",
    "Mei", "Nadia", "Olaf", "Priya", "Quinn", "Rosa", "Søren", "Tariq", "Yuki",
];
const LAST_NAMES: [&str; 28] = [
    "Abara", "Bauer", "Castillo", "Dubois", "Eriksen", "Fischer", "Garcia", "Hoffmann", "Ito", "Jansen", "Kowalski", "Larsen", "Müller",
    "Novak", "Okoye", "Petrov", "Quispe", "Rossi", "Sato", "Tanaka", "Ueda", "Varga", "Weber", "Xu", "Yilmaz", "Zhang", "Moreau", "Singh",
];
const TITLES: [&str; 8] = [
    "Head of IT",
    "Software Engineer",
    "Procurement Manager",
    "CTO",
    "Office Manager",
    "Lab Lead",
    "Systems Administrator",
    "Finance Director",
];
/// City, state, postal code, country, street.
const PLACES: [(&str, &str, &str, &str, &str); 8] = [
    ("Bern", "Bern", "3011", "Switzerland", "Aarbergergasse"),
    ("Hamburg", "Hamburg", "20095", "Germany", "Speersort"),
    ("Lyon", "Rhône", "69002", "France", "Rue Mercière"),
    ("Austin", "Texas", "78701", "United States", "Congress Avenue"),
    ("Portland", "Oregon", "97204", "United States", "SW Alder Street"),
    ("Leeds", "West Yorkshire", "LS1 4DY", "United Kingdom", "Wellington Street"),
    ("Malmö", "Skåne", "211 34", "Sweden", "Södergatan"),
    ("Toronto", "Ontario", "M5H 2N2", "Canada", "Queen Street West"),
];

/// What was made, by id, in order of making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub accounts: Vec<String>,
    pub contacts: Vec<String>,
    pub draft_orders: Vec<String>,
    pub activated_orders: Vec<String>,
}

/// Fills a world for the demo, with stamps from two months to an hour ago.
///
/// # Errors
/// When the org refuses a record, which its own rules would have to be changed for.
pub fn fill(world: &mut World) -> Result<Sample, SfError> {
    let newest = world.clock().now() - Duration::hours(1);
    let mut sample = Sample::default();
    let products = products(world, newest - Duration::days(90))?;
    for (number, stamp) in (0..ACCOUNTS).zip(Spread::new(newest - Duration::days(60), newest - Duration::days(20), ACCOUNTS)) {
        sample.accounts.push(world.insert_at("Account", &account(number), stamp)?);
    }
    for (number, stamp) in (0..CONTACTS).zip(Spread::new(newest - Duration::days(20), newest - Duration::days(3), CONTACTS)) {
        let mut fields = contact(number);
        fields["AccountId"] = json!(sample.accounts[number % ACCOUNTS]);
        sample.contacts.push(world.insert_at("Contact", &fields, stamp)?);
    }
    for (number, stamp) in (0..ORDERS).zip(Spread::new(newest - Duration::hours(20), newest - Duration::hours(1), ORDERS)) {
        let id = order(world, &sample, number, &products, stamp)?;
        if number % ACTIVATED_EVERY == ACTIVATED_EVERY - 1 {
            world.activate_order_at(&id, stamp + Duration::minutes(20))?;
            sample.activated_orders.push(id);
        } else {
            sample.draft_orders.push(id);
        }
    }
    Ok(sample)
}

/// What a sales team adds to [`fill`]: deals, and what was and is to be done about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sales {
    pub opportunities: Vec<String>,
    /// Logged calls and e-mails.
    pub calls: Vec<String>,
    pub tasks: Vec<String>,
    pub events: Vec<String>,
}

/// Adds them for companies of the sample, with stamps of the last three days.
///
/// # Errors
/// As [`fill`].
pub fn fill_sales(world: &mut World, sample: &Sample) -> Result<Sales, SfError> {
    let newest = world.clock().now() - Duration::hours(1);
    let mut sales = Sales::default();
    for (number, stamp) in (0..OPPORTUNITIES).zip(Spread::new(newest - Duration::days(3), newest - Duration::days(2), OPPORTUNITIES)) {
        let at = number * 7 % ACCOUNTS;
        let day = |ahead: i64| (stamp + Duration::days(ahead)).date_naive();
        let deal = json!({
            "AccountId": sample.accounts[at], "Name": format!("{} seats", 10 + 5 * number), "StageName": STAGES[number % STAGES.len()],
            "CloseDate": day(30 + mixed(number, 12) as i64 % 90).to_string(), "Amount": 1200 + 10 * (mixed(number, 13) % 900),
        });
        let deal = world.insert_at("Opportunity", &deal, stamp)?;
        let (account, contact) = (&sample.accounts[at], &sample.contacts[at]);
        let call = json!({
            "WhatId": account, "WhoId": contact, "Subject": "Call", "TaskSubtype": "Call", "Status": "Completed", "ActivityDate": day(-1).to_string(),
            "Description": "asked for an offer",
        });
        sales.calls.push(world.insert_at("Task", &call, stamp)?);
        let task = json!({"WhatId": deal, "WhoId": contact, "Subject": "Send the offer", "ActivityDate": day(7).to_string()});
        sales.tasks.push(world.insert_at("Task", &task, stamp)?);
        if number % 2 == 0 {
            let whole = number % 4 == 2;
            let start = day(10).and_hms_opt(if whole { 0 } else { 9 }, 0, 0).unwrap_or_default().and_utc();
            let end = if whole { start } else { start + Duration::minutes(45) };
            let event = json!({
                "WhatId": deal, "Subject": if whole { "Workshop" } else { "Demo" }, "IsAllDayEvent": whole, "StartDateTime": start.to_rfc3339(),
                "EndDateTime": end.to_rfc3339(),
            });
            sales.events.push(world.insert_at("Event", &event, stamp)?);
        }
        sales.opportunities.push(deal);
    }
    Ok(sales)
}

/// Accounts without end, each unlike the others, for measuring.
pub fn generated(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| {
        let mut fields = account(number);
        fields["Name"] = json!(format!("{} {number:07}", fields["Name"].as_str().unwrap_or_default()));
        fields["AccountNumber"] = json!(format!("G{number:07}"));
        fields["Website"] = json!(format!("https://www.g{number:07}.example"));
        fields
    })
}

/// Inserts [`generated`] accounts with stamps spread over two months, none younger than an hour.
///
/// # Errors
/// When the org refuses one.
pub fn fill_generated(world: &mut World, count: usize) -> Result<(), SfError> {
    let newest = world.clock().now() - Duration::hours(1);
    for (fields, stamp) in generated(count).zip(Spread::new(newest - Duration::days(60), newest, count)) {
        world.insert_at("Account", &fields, stamp)?;
    }
    Ok(())
}

fn account(number: usize) -> Value {
    let (second, industry) = COMPANY_SECOND[number / COMPANY_FIRST.len() % COMPANY_SECOND.len()];
    let first = COMPANY_FIRST[number % COMPANY_FIRST.len()];
    let (city, state, code, country, street) = PLACES[mixed(number, 1) % PLACES.len()];
    json!({
        "Name": format!("{first} {second} {}", FORMS[mixed(number, 2) % FORMS.len()]),
        "AccountNumber": format!("C-{:05}", 10_000 + number),
        "Industry": industry,
        "Type": if number % 4 == 3 { "Prospect" } else { "Customer - Direct" },
        "Phone": phone(number),
        "Website": format!("https://www.{}-{}.example", first.to_lowercase(), second.to_lowercase()),
        "NumberOfEmployees": 5 + mixed(number, 3) % 900,
        "BillingStreet": format!("{street} {}", 1 + mixed(number, 4) % 120),
        "BillingCity": city, "BillingState": state, "BillingPostalCode": code, "BillingCountry": country,
    })
}

fn contact(number: usize) -> Value {
    let first = FIRST_NAMES[mixed(number, 5) % FIRST_NAMES.len()];
    let last = LAST_NAMES[mixed(number, 6) % LAST_NAMES.len()];
    let company = number % ACCOUNTS;
    let (second, _) = COMPANY_SECOND[company / COMPANY_FIRST.len() % COMPANY_SECOND.len()];
    let domain = format!("{}-{}.example", COMPANY_FIRST[company % COMPANY_FIRST.len()], second).to_lowercase();
    // A second person of one company may have the first one's name.
    let again = if number < ACCOUNTS { "" } else { "2" };
    let email = format!("{}.{}{again}@{domain}", plain(first), plain(last));
    json!({
        "FirstName": first, "LastName": last, "Email": if number % 13 == 12 { Value::Null } else { json!(email) },
        "Phone": phone(number + 5000), "Title": TITLES[mixed(number, 7) % TITLES.len()],
    })
}

fn order(world: &mut World, sample: &Sample, number: usize, products: &[Product], stamp: DateTime<Utc>) -> Result<String, SfError> {
    let at = (number * 11) % ACCOUNTS;
    let product = &products[number % products.len()];
    let order = json!({
        "AccountId": sample.accounts[at], "BillToContactId": sample.contacts[at], "EffectiveDate": stamp.date_naive().to_string(), "Status": "Draft",
        "Pricebook2Id": product.pricebook_id, "Name": format!("Order {}", 2001 + number), "PoNumber": format!("PO-{}", 70_100 + 7 * number),
    });
    let id = world.insert_at("Order", &order, stamp)?;
    let mut lines = vec![product];
    if number % 4 == 1 {
        lines.push(&products[(number + 1) % products.len()]);
    }
    for product in lines {
        let line =
            json!({"OrderId": id, "PricebookEntryId": product.entry_id, "Quantity": 1 + mixed(number, 8) % 4, "UnitPrice": product.price});
        world.insert_at("OrderItem", &line, stamp)?;
    }
    Ok(id)
}

/// Numbers from the blocks that are reserved for films and books.
fn phone(number: usize) -> String {
    let last = mixed(number, 9) % 100;
    match number % 3 {
        0 => format!("+1 {} 555 01{last:02}", 206 + mixed(number, 10) % 500),
        1 => format!("+44 20 7946 0{:03}", mixed(number, 11) % 1000),
        _ => format!("(555) 555-01{last:02}"),
    }
}

fn plain(name: &str) -> String {
    let plain = |ch: char| match ch {
        'é' => "e".to_owned(),
        'ø' => "o".to_owned(),
        'ü' => "u".to_owned(),
        other => other.to_lowercase().to_string(),
    };
    name.chars().map(plain).collect()
}

/// A number that looks random and is the same in every run.
fn mixed(number: usize, salt: u64) -> usize {
    let mut bits = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 31;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 29;
    usize::try_from(bits >> 33).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::Options;

    fn filled() -> (World, Sample) {
        let clock = Clock::system();
        clock.freeze("2026-03-10T12:00:00Z".parse().unwrap());
        let mut world = World::new(clock, Options::default()).unwrap();
        let sample = fill(&mut world).unwrap();
        (world, sample)
    }

    #[test]
    fn the_sample_is_the_same_in_every_run() {
        let (one, two) = (filled(), filled());
        assert_eq!(one.1, two.1);
        for object in ["Account", "Contact", "Order", "OrderItem"] {
            assert_eq!(one.0.rows(object), two.0.rows(object));
        }
        assert_eq!((one.1.draft_orders.len(), one.1.activated_orders.len()), (20, 5));
    }

    #[test]
    fn a_sales_team_has_deals_calls_tasks_and_events_of_one_company_each() {
        let (mut world, sample) = filled();
        let sales = fill_sales(&mut world, &sample).unwrap();
        assert_eq!((sales.opportunities.len(), sales.calls.len(), sales.tasks.len(), sales.events.len()), (20, 20, 20, 10));
        for (object, id) in [("Task", &sales.calls[3]), ("Task", &sales.tasks[3]), ("Event", &sales.events[1])] {
            assert!(world.row(object, id).unwrap()["AccountId"].is_string(), "{object}");
        }
        let whole = world.rows("Event").into_iter().filter(|event| event["IsAllDayEvent"] == json!(true)).count();
        assert_eq!(whole, 5);
    }

    #[test]
    fn names_and_addresses_are_unique() {
        let (world, _) = filled();
        let distinct = |object: &str, field: &str| {
            let rows = world.rows(object);
            let values: Vec<String> = rows.iter().filter_map(|row| row[field].as_str().map(str::to_owned)).collect();
            (values.len(), values.into_iter().collect::<BTreeSet<_>>().len())
        };
        assert_eq!(distinct("Account", "Name"), (300, 300));
        let (all, different) = distinct("Contact", "Email");
        assert_eq!(all, different);
        assert!(all > 350);
    }

    #[test]
    fn generated_accounts_differ() {
        let names: BTreeSet<String> = generated(1000).map(|fields| fields["Name"].to_string()).collect();
        assert_eq!(names.len(), 1000);
    }
}
