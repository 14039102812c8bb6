//! Orders come with their lines inside: one record per order, its `lines` sorted by line id.
//!
//! Line items of an order are its own sObject (OrderItem) with its own stamp, so a change of a line moves the line and
//! maybe not the order: a delta asks for both stamps at once.

use super::describe::Described;
use super::rows::{Row, Shape, Wanted};
use super::wire::Query;
use super::{Salesforce, soql};
use crate::connectors::Fault;
use crate::connectors::http::Counted;
use crate::record::{FieldType, Fields, Life, Record, RecordId, Value};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

pub const ORDER: &str = "Order";
pub const LINE: &str = "OrderItem";
/// The pseudo-field of an order that holds its lines.
pub const LINES: &str = "lines";

/// What is read of a line: its name in the row, and where it stands.
const LINE_FIELDS: [(&str, &str); 9] = [
    ("Id", "Id"),
    ("Product2Id", "Product2Id"),
    ("ProductCode", "Product2.ProductCode"),
    ("ProductName", "Product2.Name"),
    ("Quantity", "Quantity"),
    ("UnitPrice", "UnitPrice"),
    ("ServiceDate", "ServiceDate"),
    ("EndDate", "EndDate"),
    ("Description", "Description"),
];

/// Fields of a product that say what it is licensed as.
const PRODUCT_FIELDS: [(&str, &str); 2] =
    [("LicenseProduct", "Product2.License_Product__c"), ("LicensePolicy", "Product2.License_Policy__c")];

/// True for the pseudo-field that holds an order's lines.
#[must_use]
pub fn is_lines(resource: &str, field: &str) -> bool {
    resource == ORDER && field == LINES
}

/// True where an ask wants orders with their lines.
#[must_use]
pub fn with_lines(resource: &str, fields: &[String]) -> bool {
    fields.iter().any(|f| is_lines(resource, f))
}

/// The fields of an ask that stand in the order itself.
pub fn own_fields<'a>(resource: &'a str, fields: &'a [String]) -> impl Iterator<Item = &'a str> {
    fields.iter().map(String::as_str).filter(move |f| !is_lines(resource, f))
}

/// How a row of OrderItem becomes a line. Fields that our user may not read are left out. `product`: the describe of its
/// product, where that is asked what it is licensed as.
pub fn line_shape(item: &Described, product: Option<&Described>) -> Result<Shape, Fault> {
    let readable = |path: &str| match path.split_once('.') {
        Some((relationship, _)) => item.has_relationship(relationship),
        None => item.has(path),
    };
    let mut shape = Shape::of(LINE, item, [])?;
    for (name, path) in LINE_FIELDS.into_iter().filter(|(_, path)| readable(path)) {
        let ty = if name == "Id" { FieldType::text() } else { item.type_of(LINE, path)? };
        shape.wanted.push(Wanted { name: name.to_owned(), path: path.to_owned(), ty });
    }
    let shows = |path: &str| path.split_once('.').is_some_and(|(_, field)| product.is_some_and(|p| p.has(field)));
    for (name, path) in PRODUCT_FIELDS.into_iter().filter(|(_, path)| item.has_relationship("Product2") && shows(path)) {
        shape.wanted.push(Wanted { name: name.to_owned(), path: path.to_owned(), ty: FieldType::text() });
    }
    Ok(shape)
}

/// One row of OrderItem: the order it belongs to, and the line, unless that line is deleted.
pub fn line(shape: &Shape, raw: &RawValue) -> Result<(RecordId, Option<Fields>), Fault> {
    let mut row = Row::new(raw)?;
    let order = lookup(&mut row)?;
    let record = shape.record(&mut row)?;
    Ok((order, (record.life == Life::Live).then_some(record.fields)))
}

fn lookup(row: &mut Row<'_>) -> Result<RecordId, Fault> {
    let missing = || Fault::new(crate::connectors::FaultKind::Answer, "bad-row", "an order line names no order");
    Ok(RecordId::from(row.text("OrderId")?.ok_or_else(missing)?))
}

impl Salesforce {
    pub(super) async fn line_shape(&self) -> Result<Shape, Fault> {
        let item = self.describes.of(&self.wire, LINE).await?;
        match self.product_fields {
            true => line_shape(&item, Some(&*self.describes.of(&self.wire, "Product2").await?)),
            false => line_shape(&item, None),
        }
    }

    /// Reads the lines of these orders and puts them in; an order without any gets none, which is known.
    pub(super) async fn attach_lines(&self, orders: &mut [Record]) -> Result<(), Fault> {
        let live: Vec<String> = orders.iter().filter(|o| o.life == Life::Live).map(|o| soql::quoted(o.id.as_str())).collect();
        if live.is_empty() {
            return Ok(());
        }
        let shape = self.line_shape().await?;
        let mut columns = shape.columns();
        columns.push("OrderId".to_owned());
        let head = soql::select(&columns, LINE);
        let queries: Vec<Query> = soql::in_lists("OrderId", &live, super::lookup::IDS_PER_QUERY, head.len())
            .into_iter()
            .map(|list| Query { soql: format!("{head} WHERE {list} ORDER BY OrderId, Id"), with_deleted: false })
            .collect();
        let mut lines: BTreeMap<RecordId, Vec<Fields>> = BTreeMap::new();
        self.each_row(&queries, Counted::Data, |_, raw| {
            let (order, fields) = line(&shape, raw)?;
            lines.entry(order).or_default().extend(fields);
            Ok(())
        })
        .await?;
        for order in orders.iter_mut().filter(|o| o.life == Life::Live) {
            let rows = lines.remove(&order.id).unwrap_or_default();
            order.fields.insert(LINES.to_owned(), sorted(rows));
        }
        Ok(())
    }
}

/// Rows in the order of their ids, each id once: a page may bring one twice.
fn sorted(mut rows: Vec<Fields>) -> Value {
    let id = |row: &Fields| row.get("Id").and_then(Value::as_text).unwrap_or_default().to_owned();
    rows.sort_by_key(id);
    rows.dedup_by_key(|row| id(row));
    Value::Rows(rows)
}

/// Gathers rows that come sorted by order into orders. The last one is held back: its other lines may be on the next page.
#[derive(Debug, Default)]
pub struct Grouping {
    held: Option<(Record, Vec<Fields>)>,
}

impl Grouping {
    /// Takes a row; gives an order once the row after its last one has come.
    pub fn push(&mut self, order: Record, line: Option<Fields>) -> Option<Record> {
        match &mut self.held {
            Some((held, lines)) if held.id == order.id => {
                lines.extend(line);
                None
            }
            held => held.replace((order, line.into_iter().collect())).map(whole),
        }
    }

    /// The one held back: no row is to come.
    pub fn finish(&mut self) -> Option<Record> {
        self.held.take().map(whole)
    }
}

fn whole((mut order, lines): (Record, Vec<Fields>)) -> Record {
    if order.life == Life::Live {
        order.fields.insert(LINES.to_owned(), sorted(lines));
    } else {
        order.partial.clear();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str) -> Record {
        Record::live(id, Fields::new())
    }

    fn line(id: &str) -> Option<Fields> {
        Some(Fields::from([("Id".to_owned(), Value::text(id))]))
    }

    fn ids(order: &Record) -> Vec<String> {
        let rows = order.fields[LINES].as_rows().unwrap_or_default();
        rows.iter().map(|row| row["Id"].as_text().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn an_order_comes_out_whole_however_its_lines_are_cut() {
        let mut grouping = Grouping::default();
        assert!(grouping.push(order("A"), line("2")).is_none());
        assert!(grouping.push(order("A"), line("1")).is_none());
        assert!(grouping.push(order("A"), line("1")).is_none(), "a row may come twice");
        let a = grouping.push(order("B"), line("3")).map(|o| (o.id.clone(), ids(&o)));
        assert_eq!(a, Some(("A".into(), vec!["1".to_owned(), "2".to_owned()])));
        assert_eq!(grouping.finish().map(|o| ids(&o)), Some(vec!["3".to_owned()]));
        assert!(grouping.finish().is_none());
    }

    #[test]
    fn a_deleted_line_is_no_line() {
        let mut grouping = Grouping::default();
        grouping.push(order("A"), None);
        assert_eq!(grouping.finish().map(|o| ids(&o)), Some(vec![]));
    }
}
