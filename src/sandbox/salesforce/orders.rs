//! The rules of orders, order products and price book entries: what no describe shows.
//!
//! An order is born a draft, its lines come from entries of its own price book, activation is an update of `Status` alone,
//! and afterwards the order is locked. Which code each violation answers is not published; the texts are for people.

use super::error::SfError;
use super::ids::Id;
use super::table::Row;
use super::value::Cell;
use super::world::{Outcome, World};
use super::write::{Author, Changes};

/// What an activated order no longer lets change; the rest needs *Edit Activated Orders*.
const LOCKED: [&str; 9] =
    ["AccountId", "ContractId", "Pricebook2Id", "EffectiveDate", "EndDate", "OriginalOrderId", "IsReductionOrder", "Type", "OwnerId"];

pub(super) fn before_create(world: &mut World, object: usize, row: &mut Row) -> Outcome<()> {
    match world.schema.objects[object].name.as_str() {
        "Order" => new_order(world, object, row),
        "OrderItem" => new_item(world, object, row),
        "PricebookEntry" => new_entry(world, object, row),
        "OrderStatus" => {
            new_status(world, object, row);
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn before_change(world: &mut World, object: usize, row: &mut Row, changes: &Changes, by: &Author) -> Outcome<()> {
    match world.schema.objects[object].name.as_str() {
        "Order" => change_order(world, object, row, changes, by),
        "OrderItem" => {
            let order = field_ref(world, object, row, "OrderId");
            if order.is_some_and(|order| is_activated(world, order)) && !only_custom(world, object, changes) {
                return Err(locked());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Fills what is derived from other fields of the same row.
pub(super) fn after_write(world: &mut World, object: usize, id: Id) {
    let Some(mut row) = world.tables[object].rows.get(&id).cloned() else {
        return;
    };
    match world.schema.objects[object].name.as_str() {
        "OrderItem" => {
            let total =
                number(world, object, &row, "Quantity").zip(number(world, object, &row, "UnitPrice")).map(|(q, p)| Cell::Num(q * p));
            put(world, object, &mut row, "TotalPrice", total);
            let quantity = number(world, object, &row, "Quantity").map(Cell::Num);
            put(world, object, &mut row, "AvailableQuantity", quantity);
            touch_order(world, object, &row, row.stamp);
        }
        _ => return,
    }
    world.store(object, id, Some(row));
}

/// The total of an order rolls up: its stamp moves with its lines, its modification date does not.
fn touch_order(world: &mut World, object: usize, line: &Row, at: i64) {
    let found = field_ref(world, object, line, "OrderId").and_then(|id| world.row_of(id)).map(|(orders, order)| (orders, order.clone()));
    if let Some((orders, mut order)) = found.filter(|(_, order)| order.deleted.is_none()) {
        order.stamp = at;
        world.store(orders, order.id, Some(order));
    }
}

pub(super) fn after_remove(world: &mut World, object: usize, row: &Row, at: i64) {
    if world.schema.objects[object].name == "OrderItem" {
        touch_order(world, object, row, at);
    }
}

pub(super) fn before_remove(world: &World, object: usize, id: Id) -> Outcome<()> {
    let name = world.schema.objects[object].name.as_str();
    if name == "Order" && is_activated(world, id) {
        return Err(SfError::bad("DELETE_FAILED", "unable to delete an activated order"));
    }
    if name == "OrderItem" {
        let order = world.tables[object].rows.get(&id).and_then(|row| field_ref(world, object, row, "OrderId"));
        if order.is_some_and(|order| is_activated(world, order)) {
            return Err(locked());
        }
    }
    Ok(())
}

fn new_order(world: &World, object: usize, row: &mut Row) -> Outcome<()> {
    if field_ref(world, object, row, "AccountId").is_none() {
        return Err(SfError::bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [AccountId]").on("AccountId"));
    }
    if category(world, object, row).as_deref() != Some("Draft") {
        return Err(SfError::bad("FAILED_ACTIVATION", "An order must be created with a draft status.").on("Status"));
    }
    put(world, object, row, "StatusCode", Some(Cell::Text("Draft".into())));
    Ok(())
}

fn change_order(world: &mut World, object: usize, row: &mut Row, changes: &Changes, by: &Author) -> Outcome<()> {
    let activated = is_activated(world, row.id);
    let shape = &world.schema.objects[object];
    let moved = |name: &str| {
        let field = shape.find(name);
        changes.iter().find(|(changed, cell)| Some(*changed) == field && row.get(*changed) != cell.as_ref())
    };
    let status = moved("Status").and_then(|(_, cell)| cell.clone());
    if activated {
        let fixed = LOCKED.iter().any(|name| moved(name).is_some());
        let strict = world.settings.lock_activated_orders && by.api && status.is_none() && !only_custom(world, object, changes);
        if fixed || strict {
            return Err(locked());
        }
    } else if moved("Pricebook2Id").is_some() && !items(world, row.id).is_empty() {
        return Err(
            SfError::bad("FIELD_INTEGRITY_EXCEPTION", "cannot change the price book of an order that has products").on("Pricebook2Id")
        );
    }
    let Some(status) = status else { return Ok(()) };
    let mut wanted = row.clone();
    put(world, object, &mut wanted, "Status", Some(status));
    let becomes = category(world, object, &wanted);
    match (activated, becomes.as_deref()) {
        (false, Some("Activated")) => {
            if changes.len() > 1 {
                let text = "An order can be activated only by an update that changes nothing but its status.";
                return Err(SfError::bad("FAILED_ACTIVATION", text).on("Status"));
            }
            if items(world, row.id).is_empty() {
                return Err(SfError::bad("FAILED_ACTIVATION", "An order must have at least one product.").on("Status"));
            }
            put(world, object, row, "StatusCode", Some(Cell::Text("Activated".into())));
            put(world, object, row, "ActivatedDate", Some(Cell::Time(by.at)));
            put(world, object, row, "ActivatedById", Some(Cell::Ref(by.user)));
        }
        (true, Some("Draft")) => {
            put(world, object, row, "StatusCode", Some(Cell::Text("Draft".into())));
            put(world, object, row, "ActivatedDate", None);
            put(world, object, row, "ActivatedById", None);
        }
        _ => {}
    }
    Ok(())
}

fn new_item(world: &World, object: usize, row: &mut Row) -> Outcome<()> {
    let integrity = |text: &str, field: &str| SfError::bad("FIELD_INTEGRITY_EXCEPTION", text).on(field);
    let order = field_ref(world, object, row, "OrderId").and_then(|id| world.row_of(id));
    let Some((orders, order)) = order else {
        return Ok(());
    };
    if is_activated(world, order.id) {
        return Err(locked());
    }
    let book = field_ref(world, orders, order, "Pricebook2Id");
    let book = book.ok_or_else(|| integrity("The order has no price book.", "OrderId"))?;
    let entry = field_ref(world, object, row, "PricebookEntryId").and_then(|id| world.row_of(id));
    let Some((entries, entry)) = entry else {
        return Ok(());
    };
    if field_ref(world, entries, entry, "Pricebook2Id") != Some(book) {
        return Err(integrity("The price book entry is not of the price book of the order.", "PricebookEntryId"));
    }
    if number(world, object, row, "Quantity") == Some(0.0) {
        return Err(integrity("The quantity must not be zero.", "Quantity"));
    }
    let product = field_ref(world, entries, entry, "Product2Id").map(Cell::Ref);
    let price = number(world, entries, entry, "UnitPrice").map(Cell::Num);
    put(world, object, row, "Product2Id", product);
    put(world, object, row, "ListPrice", price);
    Ok(())
}

fn new_entry(world: &World, object: usize, row: &mut Row) -> Outcome<()> {
    let (book, product) = (field_ref(world, object, row, "Pricebook2Id"), field_ref(world, object, row, "Product2Id"));
    let (Some(book), Some(product)) = (book, product) else {
        return Ok(());
    };
    let shape = &world.schema.objects[object];
    let of_product: Vec<&Row> = shape
        .find("Product2Id")
        .and_then(|field| Some(world.tables[object].with_parent(field, product)?.collect::<Vec<_>>()))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|id| world.tables[object].rows.get(&id))
        .filter(|row| row.deleted.is_none())
        .collect();
    let in_book = |row: &Row| field_ref(world, object, row, "Pricebook2Id");
    if of_product.iter().any(|row| in_book(row) == Some(book)) {
        return Err(SfError::bad("DUPLICATE_VALUE", "This price definition already exists in this price book"));
    }
    let standard = |id: Id| world.row_of(id).is_some_and(|(at, row)| flag(world, at, row, "IsStandard"));
    if !standard(book) && !of_product.iter().any(|row| in_book(row).is_some_and(standard)) {
        return Err(SfError::bad("STANDARD_PRICE_NOT_DEFINED", "No standard price defined for this product"));
    }
    if let Some((at, sold)) = world.row_of(product) {
        for name in ["Name", "ProductCode"] {
            let text = world.schema.objects[at].find(name).and_then(|field| sold.get(field)).cloned();
            put(world, object, row, name, text);
        }
    }
    Ok(())
}

/// A status that an administrator adds becomes a value of the picklist.
fn new_status(world: &mut World, object: usize, row: &Row) {
    let name = world.schema.objects[object].find("ApiName").and_then(|field| row.text(field)).map(str::to_owned);
    let orders = world.schema.find("Order").and_then(|at| Some((at, world.schema.objects[at].find("Status")?)));
    if let (Some(name), Some((at, status))) = (name, orders) {
        let picklist = &mut world.schema.objects[at].fields[usize::from(status)].picklist;
        if picklist.iter().all(|pick| pick.value != name) {
            picklist.push(super::schema::Pick { label: name.clone(), value: name, active: true, default: false });
        }
    }
}

/// The category of an order's status, as the table of statuses has it.
fn category(world: &World, object: usize, row: &Row) -> Option<String> {
    let status = row.text(world.schema.objects[object].find("Status")?)?;
    let at = world.schema.find("OrderStatus")?;
    let shape = &world.schema.objects[at];
    let (name, code) = (shape.find("ApiName")?, shape.find("StatusCode")?);
    let known = world.tables[at].rows.values().find(|row| row.text(name) == Some(status))?;
    known.text(code).map(str::to_owned)
}

fn is_activated(world: &World, order: Id) -> bool {
    world.row_of(order).is_some_and(|(at, row)| {
        let code = world.schema.objects[at].find("StatusCode").and_then(|field| row.text(field));
        code == Some("Activated")
    })
}

fn items(world: &World, order: Id) -> Vec<Id> {
    let found = world.schema.find("OrderItem").and_then(|at| {
        let field = world.schema.objects[at].find("OrderId")?;
        let table = &world.tables[at];
        let live = |id: &Id| table.rows.get(id).is_some_and(|row| row.deleted.is_none());
        Some(table.with_parent(field, order)?.filter(live).collect())
    });
    found.unwrap_or_default()
}

fn only_custom(world: &World, object: usize, changes: &Changes) -> bool {
    changes.iter().all(|(field, _)| world.schema.objects[object].field(*field).custom)
}

fn locked() -> SfError {
    SfError::bad("FIELD_INTEGRITY_EXCEPTION", "unable to modify an activated order: its products and its main fields are locked")
}

fn field_ref(world: &World, object: usize, row: &Row, name: &str) -> Option<Id> {
    row.reference(world.schema.objects[object].find(name)?)
}

fn number(world: &World, object: usize, row: &Row, name: &str) -> Option<f64> {
    match row.get(world.schema.objects[object].find(name)?) {
        Some(Cell::Num(number)) => Some(*number),
        _ => None,
    }
}

fn flag(world: &World, object: usize, row: &Row, name: &str) -> bool {
    world.schema.objects[object].find(name).and_then(|field| row.get(field)) == Some(&Cell::Bool(true))
}

fn put(world: &World, object: usize, row: &mut Row, name: &str, cell: Option<Cell>) {
    if let Some(field) = world.schema.objects[object].find(name) {
        row.set(field, cell);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;
    use serde_json::{Value, json};

    struct Shop {
        world: World,
        account: String,
        book: String,
        entry: String,
    }

    fn shop() -> Shop {
        let mut world = World::new(Clock::system(), Options::default()).unwrap();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        let product = world.insert("Product2", &json!({"Name": "P", "ProductCode": "LS-P", "IsActive": true})).unwrap();
        let book = world.rows("Pricebook2")[0]["Id"].as_str().unwrap().to_owned();
        let entry = world
            .insert("PricebookEntry", &json!({"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 9.5, "IsActive": true}))
            .unwrap();
        Shop { world, account, book, entry }
    }

    impl Shop {
        fn order(&mut self) -> String {
            let fields = json!({"AccountId": self.account, "EffectiveDate": "2026-01-01", "Pricebook2Id": self.book, "Status": "Draft"});
            self.world.insert("Order", &fields).unwrap()
        }
        fn item(&mut self, order: &str) -> Outcome<String> {
            let fields = json!({"OrderId": order, "PricebookEntryId": self.entry, "Quantity": 3, "UnitPrice": 9});
            self.world.insert("OrderItem", &fields)
        }
        fn see(&self, order: &str) -> Value {
            self.world.row("Order", order).unwrap()
        }
    }

    #[test]
    fn draft_then_lines_then_activation_alone() {
        let mut shop = shop();
        let born_active = json!({"AccountId": shop.account, "EffectiveDate": "2026-01-01", "Status": "Activated"});
        assert_eq!(shop.world.insert("Order", &born_active).unwrap_err().code, "FAILED_ACTIVATION");
        let order = shop.order();
        assert_eq!(shop.world.activate_order(&order).unwrap_err().code, "FAILED_ACTIVATION");
        let item = shop.item(&order).unwrap();
        let with_more = json!({"Status": "Activated", "PoNumber": "7"});
        assert_eq!(shop.world.update("Order", &order, &with_more).unwrap_err().code, "FAILED_ACTIVATION");
        shop.world.activate_order(&order).unwrap();
        let seen = shop.see(&order);
        assert_eq!((&seen["StatusCode"], &seen["TotalAmount"]), (&json!("Activated"), &json!(27.0)));
        assert!(seen["ActivatedDate"].is_string() && seen["OrderNumber"] == json!("00000001"));
        let line = shop.world.row("OrderItem", &item).unwrap();
        assert_eq!((&line["ListPrice"], &line["TotalPrice"]), (&json!(9.5), &json!(27.0)));
        assert!(line["Product2Id"].is_string());
    }

    #[test]
    fn an_activated_order_is_locked_until_it_is_a_draft_again() {
        let mut shop = shop();
        let order = shop.order();
        let item = shop.item(&order).unwrap();
        shop.world.activate_order(&order).unwrap();
        assert!(shop.item(&order).is_err());
        assert!(shop.world.update("OrderItem", &item, &json!({"Quantity": 4})).is_err());
        assert!(shop.world.update("Order", &order, &json!({"EffectiveDate": "2027-01-01"})).is_err());
        shop.world.update("Order", &order, &json!({"License_Status__c": "Provisioned", "Description": "x"})).unwrap();
        assert_eq!(shop.world.delete("Order", &order).unwrap_err().code, "DELETE_FAILED");
        let account = shop.account.clone();
        assert!(shop.world.delete("Account", &account).is_err());
        assert_eq!(shop.world.row("Account", &account).unwrap()["IsDeleted"], json!(false));
        shop.world.update("Order", &order, &json!({"Status": "Draft"})).unwrap();
        assert_eq!(shop.see(&order)["ActivatedDate"], json!(null));
        shop.world.delete("OrderItem", &item).unwrap();
        assert!(shop.world.row("OrderItem", &item).is_none());
        shop.world.delete("Order", &order).unwrap();
    }

    #[test]
    fn a_deleted_order_hides_its_lines_and_brings_them_back() {
        let mut shop = shop();
        let order = shop.order();
        let item = shop.item(&order).unwrap();
        shop.world.delete("Order", &order).unwrap();
        assert!(shop.world.rows("OrderItem").is_empty());
        shop.world.undelete("Order", &order).unwrap();
        assert_eq!(shop.world.rows("OrderItem")[0]["Id"], json!(item));
    }

    #[test]
    fn lines_come_from_the_price_book_of_the_order() {
        let mut shop = shop();
        let fields = json!({"AccountId": shop.account, "EffectiveDate": "2026-01-01"});
        let no_book = shop.world.insert("Order", &fields).unwrap();
        assert_eq!(shop.item(&no_book).unwrap_err().code, "FIELD_INTEGRITY_EXCEPTION");
        let other = shop.world.insert("Pricebook2", &json!({"Name": "Partners", "IsActive": true})).unwrap();
        let product = shop.world.insert("Product2", &json!({"Name": "Q"})).unwrap();
        let entry = json!({"Pricebook2Id": other, "Product2Id": product, "UnitPrice": 1});
        assert_eq!(shop.world.insert("PricebookEntry", &entry).unwrap_err().code, "STANDARD_PRICE_NOT_DEFINED");
        let standard = json!({"Pricebook2Id": shop.book, "Product2Id": product, "UnitPrice": 1});
        shop.world.insert("PricebookEntry", &standard).unwrap();
        shop.world.insert("PricebookEntry", &entry).unwrap();
        assert_eq!(shop.world.insert("PricebookEntry", &entry).unwrap_err().code, "DUPLICATE_VALUE");
    }

    #[test]
    fn a_line_moves_the_stamp_of_its_order_but_not_its_modification() {
        let mut shop = shop();
        let order = shop.order();
        let before = shop.see(&order);
        shop.world.clock().advance(chrono::Duration::seconds(10));
        let item = shop.item(&order).unwrap();
        let with_line = shop.see(&order);
        assert_ne!(with_line["SystemModstamp"], before["SystemModstamp"]);
        assert_eq!(with_line["LastModifiedDate"], before["LastModifiedDate"]);
        shop.world.clock().advance(chrono::Duration::seconds(10));
        shop.world.delete("OrderItem", &item).unwrap();
        assert_ne!(shop.see(&order)["SystemModstamp"], with_line["SystemModstamp"]);
    }

    #[test]
    fn statuses_are_known_by_their_category() {
        let mut shop = shop();
        let author = Author::setup(shop.world.human, 0);
        let at = shop.world.schema.find("OrderStatus").unwrap();
        let fields = json!({"ApiName": "Shipped", "MasterLabel": "Shipped", "StatusCode": "Activated", "SortOrder": 3});
        shop.world.create(at, fields.as_object().unwrap(), &author).unwrap();
        let order = shop.order();
        shop.item(&order).unwrap();
        shop.world.update("Order", &order, &json!({"Status": "Shipped"})).unwrap();
        assert_eq!(shop.see(&order)["StatusCode"], json!("Activated"));
    }
}
