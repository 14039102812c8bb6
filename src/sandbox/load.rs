//! Fills the Salesforce world from CSV files: `accounts.csv`, `contacts.csv` and `opportunities.csv` in one directory.
//!
//! The column `id` is the files' own key, `account_id` refers to it; every other column is a field of the object. Stamps
//! are back-dated and spread, none is younger than an hour, so that a first reader finds an old, quiet org. With
//! `orders_from_opportunities` every opportunity that is Closed Won becomes an activated order of one line.
//!
//! Nothing is skipped unseen: what cannot be loaded is an error with file, line and column, and an opportunity without an
//! account is counted.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};

use super::salesforce::{SfError, World};

/// How to load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    pub orders_from_opportunities: bool,
    /// When those orders were activated; an hour ago when absent.
    pub activated_at: Option<DateTime<Utc>>,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub accounts: usize,
    pub contacts: usize,
    pub opportunities: usize,
    pub orders: usize,
    /// Closed Won, but without an account: no order can be made of them.
    pub opportunities_without_account: usize,
    /// Orders whose account has no contact: nobody to bill.
    pub orders_without_contact: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{file}: cannot be read")]
    Unreadable {
        file: String,
        #[source]
        source: csv::Error,
    },
    #[error("{file}: line {line}, column {column}: {reason}")]
    Cell { file: String, line: u64, column: String, reason: String },
    #[error("sample products cannot be made")]
    Products(#[source] SfError),
    #[error("{file}: line {line}: no order can be made of it: {reason}")]
    Order { file: String, line: u64, reason: String },
}

/// A sample product with its standard price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub code: &'static str,
    pub product_id: String,
    pub entry_id: String,
    pub pricebook_id: String,
    /// In whole currency units.
    pub price: u32,
}

/// Code, name, price.
pub const PRODUCTS: [(&str, &str, u32); 3] =
    [("LS-BASIC", "Orbit Basic", 120), ("LS-PRO", "Orbit Pro", 480), ("LS-TEAM", "Orbit Team", 1900)];

/// Loads what there is of the three files; `accounts.csv` is required.
///
/// # Errors
/// Names file, line and column of the first row that cannot be loaded; rows before it stay.
pub fn load(world: &mut World, directory: &Path, options: LoadOptions) -> Result<Loaded, LoadError> {
    let now = world.clock().now();
    let newest = now - Duration::hours(1);
    let mut loaded = Loaded::default();
    let accounts = Sheet::read(directory, "accounts.csv")?;
    let spread = Spread::new(newest - Duration::days(60), newest - Duration::days(30), accounts.rows.len());
    let mut account_ids: BTreeMap<String, String> = BTreeMap::new();
    for (row, stamp) in accounts.rows.iter().zip(spread) {
        let id = accounts.insert(world, "Account", row, &account_ids, stamp)?;
        account_ids.insert(row.key.clone(), id);
        loaded.accounts += 1;
    }
    // By account: the contact with the smallest id of its own file.
    let mut first_contact: BTreeMap<String, (u64, String)> = BTreeMap::new();
    if directory.join("contacts.csv").exists() {
        let contacts = Sheet::read(directory, "contacts.csv")?;
        let spread = Spread::new(newest - Duration::days(30), newest - Duration::days(10), contacts.rows.len());
        for (row, stamp) in contacts.rows.iter().zip(spread) {
            let id = contacts.insert(world, "Contact", row, &account_ids, stamp)?;
            loaded.contacts += 1;
            let key = row.key.parse().unwrap_or(u64::MAX);
            if let Some(account) = &row.account {
                let first = first_contact.entry(account.clone()).or_insert_with(|| (key, id.clone()));
                if key < first.0 {
                    *first = (key, id);
                }
            }
        }
    }
    products(world, newest - Duration::days(90)).map_err(LoadError::Products)?;
    if !directory.join("opportunities.csv").exists() {
        return Ok(loaded);
    }
    let opportunities = Sheet::read(directory, "opportunities.csv")?;
    let spread = Spread::new(newest - Duration::days(9), newest - Duration::days(2), opportunities.rows.len());
    for (row, stamp) in opportunities.rows.iter().zip(spread) {
        opportunities.insert(world, "Opportunity", row, &account_ids, stamp)?;
        loaded.opportunities += 1;
    }
    if options.orders_from_opportunities {
        let won: Vec<&Row> = opportunities.rows.iter().filter(|row| row.fields.get("StageName") == Some(&json!("Closed Won"))).collect();
        let activated = options.activated_at.unwrap_or(newest);
        let spread = Spread::new(activated - Duration::hours(23), activated - Duration::minutes(1), won.len());
        let products = products(world, newest).map_err(LoadError::Products)?;
        for (row, stamp) in won.into_iter().zip(spread) {
            let Some(account) = row.account.as_ref().and_then(|account| account_ids.get(account)) else {
                loaded.opportunities_without_account += 1;
                continue;
            };
            let contact = row.account.as_ref().and_then(|account| first_contact.get(account)).map(|(_, id)| id.clone());
            loaded.orders_without_contact += usize::from(contact.is_none());
            let number: usize = row.key.parse().map_err(|_| opportunities.cell(row, "id", "is no number"))?;
            order(world, row, account, contact, &products[number % products.len()], (stamp, activated))
                .map_err(|error| LoadError::Order { file: opportunities.file.clone(), line: row.line, reason: error.to_string() })?;
            loaded.orders += 1;
        }
    }
    Ok(loaded)
}

/// The sample products with their standard prices; made when missing.
///
/// # Errors
/// When the org refuses them.
pub fn products(world: &mut World, stamp: DateTime<Utc>) -> Result<Vec<Product>, SfError> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let books = world.rows("Pricebook2");
    let book = books.iter().find(|row| row["IsStandard"] == true).map(|row| text(row, "Id"));
    let book = book.ok_or_else(|| SfError::bad("STANDARD_PRICE_NOT_DEFINED", "the org has no standard price book"))?;
    let known = world.rows("Product2");
    let entries = world.rows("PricebookEntry");
    let mut products = Vec::with_capacity(PRODUCTS.len());
    for (code, name, price) in PRODUCTS {
        let product_id = match known.iter().find(|row| row["ProductCode"] == code) {
            Some(row) => text(row, "Id"),
            None => {
                let fields = json!({"Name": name, "ProductCode": code, "IsActive": true, "Family": "Software", "Description": format!("{name} license")});
                world.insert_at("Product2", &fields, stamp)?
            }
        };
        let entry_id = match entries.iter().find(|row| row["Product2Id"] == product_id.as_str() && row["Pricebook2Id"] == book.as_str()) {
            Some(row) => text(row, "Id"),
            None => {
                let fields = json!({"Product2Id": product_id, "Pricebook2Id": book, "UnitPrice": price, "IsActive": true});
                world.insert_at("PricebookEntry", &fields, stamp)?
            }
        };
        products.push(Product { code, product_id, entry_id, pricebook_id: book.clone(), price });
    }
    Ok(products)
}

fn order(
    world: &mut World,
    row: &Row,
    account: &str,
    contact: Option<String>,
    product: &Product,
    (stamp, activated): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), SfError> {
    let fields = json!({
        "AccountId": account, "EffectiveDate": row.fields.get("CloseDate"), "Status": "Draft", "Pricebook2Id": product.pricebook_id,
        "BillToContactId": contact, "Name": row.fields.get("Name"),
    });
    let order = world.insert_at("Order", &fields, stamp)?;
    let line = json!({"OrderId": order, "PricebookEntryId": product.entry_id, "Quantity": 1, "UnitPrice": product.price});
    world.insert_at("OrderItem", &line, stamp)?;
    world.activate_order_at(&order, activated)
}

/// One CSV file, read whole.
struct Sheet {
    file: String,
    rows: Vec<Row>,
}

struct Row {
    line: u64,
    key: String,
    account: Option<String>,
    fields: Map<String, Value>,
}

impl Sheet {
    fn read(directory: &Path, name: &str) -> Result<Self, LoadError> {
        let path = directory.join(name);
        let file = path.display().to_string();
        let unreadable = |source| LoadError::Unreadable { file: file.clone(), source };
        let mut reader = csv::Reader::from_path(&path).map_err(unreadable)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let mut row =
                Row { line: record.position().map_or(0, csv::Position::line), key: String::new(), account: None, fields: Map::new() };
            for (name, cell) in header.iter().zip(record.iter()).filter(|(_, cell)| !cell.is_empty()) {
                match name {
                    "id" => cell.clone_into(&mut row.key),
                    "account_id" => row.account = Some(cell.to_owned()),
                    field => {
                        row.fields.insert(field.to_owned(), json!(cell));
                    }
                }
            }
            if row.key.is_empty() {
                return Err(LoadError::Cell { file, line: row.line, column: "id".to_owned(), reason: "is empty".to_owned() });
            }
            rows.push(row);
        }
        Ok(Self { file, rows })
    }

    fn insert(
        &self,
        world: &mut World,
        object: &str,
        row: &Row,
        accounts: &BTreeMap<String, String>,
        stamp: DateTime<Utc>,
    ) -> Result<String, LoadError> {
        let mut fields = row.fields.clone();
        if let Some(account) = &row.account {
            let id = accounts.get(account).ok_or_else(|| self.cell(row, "account_id", &format!("there is no account {account}")))?;
            fields.insert("AccountId".to_owned(), json!(id));
        }
        world.insert_at(object, &Value::Object(fields), stamp).map_err(|error| {
            let column = error.fields.first().cloned().unwrap_or_else(|| self.guilty(row, &error));
            self.cell(row, &column, &error.to_string())
        })
    }

    /// An error without fields names its column in the text or not at all.
    fn guilty(&self, row: &Row, error: &SfError) -> String {
        let quoted = |name: &&String| {
            error.message.contains(&format!("'{name}'")) || row.fields[*name].as_str().is_some_and(|value| error.message.contains(value))
        };
        row.fields.keys().find(quoted).cloned().unwrap_or_else(|| "?".to_owned())
    }

    fn cell(&self, row: &Row, column: &str, reason: &str) -> LoadError {
        LoadError::Cell { file: self.file.clone(), line: row.line, column: column.to_owned(), reason: reason.to_owned() }
    }
}

/// Evenly spread instants, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    from: DateTime<Utc>,
    seconds: i64,
    count: i64,
    next: i64,
}

impl Spread {
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>, count: usize) -> Self {
        Self { from, seconds: (to - from).num_seconds(), count: i64::try_from(count).unwrap_or(i64::MAX).max(1), next: 0 }
    }
}

impl Iterator for Spread {
    type Item = DateTime<Utc>;

    fn next(&mut self) -> Option<Self::Item> {
        let share = i128::from(self.seconds) * i128::from(self.next) / i128::from(self.count);
        self.next += 1;
        Some(self.from + Duration::try_seconds(i64::try_from(share).unwrap_or(0)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::Options;

    const ACCOUNTS: &str = "id,Name,BillingCity\n1,Acme,Bern\n2,Zeta,\n";
    const CONTACTS: &str = "id,FirstName,LastName,Email,account_id\n9,Late,Comer,,1\n3,Ann,Lee,ann@acme.example,1\n4,No,Body,,\n";
    const OPPORTUNITIES: &str = "id,Name,Amount,StageName,CloseDate,account_id\n1,Deal,5.5,Closed Won,2016-11-25,1\n2,Lost,5,Closed Lost,2016-11-25,1\n\
                                 3,Zeta deal,7,Closed Won,2017-11-25,2\n4,Nobody's,7,Closed Won,2017-11-25,\n";

    fn world() -> World {
        World::new(Clock::system(), Options::default()).unwrap()
    }

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn won_opportunities_become_activated_orders() {
        let directory = directory(&[("accounts.csv", ACCOUNTS), ("contacts.csv", CONTACTS), ("opportunities.csv", OPPORTUNITIES)]);
        let mut world = world();
        let options = LoadOptions { orders_from_opportunities: true, activated_at: None };
        let loaded = load(&mut world, directory.path(), options).unwrap();
        let expected =
            Loaded { accounts: 2, contacts: 3, opportunities: 4, orders: 2, opportunities_without_account: 1, orders_without_contact: 1 };
        assert_eq!(loaded, expected);
        let orders = world.rows("Order");
        let ann = world.rows("Contact").into_iter().find(|row| row["LastName"] == "Lee").unwrap();
        assert_eq!((&orders[0]["BillToContactId"], &orders[1]["BillToContactId"]), (&ann["Id"], &Value::Null));
        assert!(orders.iter().all(|order| order["StatusCode"] == "Activated" && order["TotalAmount"].as_f64() > Some(0.0)));
        let codes: Vec<Value> = world
            .rows("OrderItem")
            .iter()
            .map(|item| world.row("Product2", item["Product2Id"].as_str().unwrap()).unwrap()["ProductCode"].clone())
            .collect();
        assert_eq!(codes, ["LS-PRO", "LS-BASIC"]);
    }

    #[test]
    fn no_stamp_is_younger_than_an_hour() {
        let directory = directory(&[("accounts.csv", ACCOUNTS), ("contacts.csv", CONTACTS), ("opportunities.csv", OPPORTUNITIES)]);
        let mut world = world();
        load(&mut world, directory.path(), LoadOptions { orders_from_opportunities: true, activated_at: None }).unwrap();
        let hour_ago = world.clock().now() - Duration::minutes(59);
        for object in ["Account", "Contact", "Opportunity", "Order", "OrderItem", "Product2", "PricebookEntry"] {
            for row in world.rows(object) {
                let stamp = DateTime::parse_from_str(row["SystemModstamp"].as_str().unwrap(), "%Y-%m-%dT%H:%M:%S%.f%z").unwrap();
                assert!(stamp < hour_ago, "{object} {row}");
            }
        }
    }

    #[test]
    fn errors_name_file_line_and_column() {
        for (accounts, contacts, expected) in [
            ("id,Name\n1,A\n,B\n", "", "accounts.csv: line 3, column id: is empty"),
            (
                "id,Name,Fax\n1,A,\n2,B,000000000000000000000000000000000000000000000\n",
                "",
                "accounts.csv: line 3, column Fax: STRING_TOO_LONG",
            ),
            ("id,Name,Colour\n1,A,red\n", "", "accounts.csv: line 2, column Colour: INVALID_FIELD"),
            ("id,Name\n1,A\n", "id,LastName,account_id\n1,L,7\n", "contacts.csv: line 2, column account_id: there is no account 7"),
            ("id,Name\n1,A\n", "id,LastName,Birthdate\n1,L,soon\n", "contacts.csv: line 2, column Birthdate: JSON_PARSER_ERROR"),
        ] {
            let directory =
                directory(&[("accounts.csv", accounts), ("contacts.csv", if contacts.is_empty() { "id,LastName\n" } else { contacts })]);
            let error = load(&mut world(), directory.path(), LoadOptions::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let ragged = directory(&[("accounts.csv", "id,Name\n1\n")]);
        assert!(matches!(load(&mut world(), ragged.path(), LoadOptions::default()), Err(LoadError::Unreadable { .. })));
        let empty = directory(&[]);
        assert!(
            load(&mut world(), empty.path(), LoadOptions::default()).unwrap_err().to_string().ends_with("accounts.csv: cannot be read")
        );
    }
}
