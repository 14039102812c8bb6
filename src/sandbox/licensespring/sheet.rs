//! CSV out (customers, orders) and in (customers, as a multipart form with one `file`).

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use super::check::Writer;
use super::list;
use super::reply::{Refusal, Reply};
use super::schema::{Kind, Object};
use super::show;
use super::world::World;

const CUSTOMER_COLUMNS: &[&str] =
    &["email", "first_name", "last_name", "company_name", "phone", "reference", "address", "postcode", "city", "country", "state"];
const ORDER_COLUMNS: &[&str] = &["store_id", "type", "is_test", "is_trial", "customer", "created_at", "updated_at"];

/// `GET /customers/export/`.
pub fn customers(world: &World) -> Result<Reply, Refusal> {
    sheet(world, Object::Customer, world.table(Object::Customer).ids(), CUSTOMER_COLUMNS)
}

/// `GET /orders/export/` by creation date, and `GET /orders/{id}/export/`.
pub fn orders(world: &World, only: Option<i64>, query: &[(String, String)]) -> Result<Reply, Refusal> {
    let (from, to) = span(world, query)?;
    let ids: Vec<i64> = match only {
        Some(order) => vec![world.need(Object::Order, order)?.id],
        None => world.table(Object::Order).ids().to_vec(),
    };
    let within = |id: &i64| {
        let created = world.row(Object::Order, *id).and_then(|row| row.int("created_at"));
        created.and_then(DateTime::<Utc>::from_timestamp_micros).is_some_and(|at| (from..=to).contains(&at.date_naive()))
    };
    let ids: Vec<i64> = ids.into_iter().filter(within).collect();
    sheet(world, Object::Order, &ids, ORDER_COLUMNS)
}

fn span(world: &World, query: &[(String, String)]) -> Result<(NaiveDate, NaiveDate), Refusal> {
    let today = DateTime::<Utc>::from_timestamp_micros(world.now()).unwrap_or_default().date_naive();
    let back = |days: u64| (today.checked_sub_days(Days::new(days)).unwrap_or(today), today);
    let day = |name: &str| {
        list::value_of(query, name)
            .map(|text| text.parse::<NaiveDate>().map_err(|_| Refusal::field(name, "Enter a valid date.")))
            .transpose()
    };
    match (list::value_of(query, "range"), day("from")?, day("to")?) {
        (_, Some(from), Some(to)) => Ok((from, to)),
        (Some("last30"), ..) => Ok(back(30)),
        (Some("last60"), ..) => Ok(back(60)),
        (Some("last180"), ..) => Ok(back(180)),
        (Some("last365"), ..) => Ok(back(365)),
        (Some(_), ..) => Err(Refusal::field("range", "Not a valid choice.")),
        (None, ..) => Err(Refusal::field("range", "Send a range, or both from and to.")),
    }
}

fn sheet(world: &World, object: Object, ids: &[i64], columns: &[&str]) -> Result<Reply, Refusal> {
    let broken = |error: &dyn std::fmt::Display| Refusal::Detail(500, format!("export failed: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = std::iter::once("id").chain(columns.iter().copied());
    writer.write_record(head).map_err(|error| broken(&error))?;
    for row in ids.iter().filter_map(|id| world.row(object, *id)) {
        let mut record = vec![row.id.to_string()];
        for name in columns {
            let stamp = object.position(name).is_some_and(|at| object.field(at).kind == Kind::Stamp);
            record.push(match row.get(name) {
                Value::Number(micros) if stamp => show::stamp(micros.as_i64().unwrap_or_default()),
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            });
        }
        writer.write_record(&record).map_err(|error| broken(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| broken(&error))?;
    Ok(Reply::csv(String::from_utf8_lossy(&bytes).into_owned()))
}

/// `POST /customers/import_from_csv/`: makes a customer of each row; rows that do not validate are listed in the result.
pub fn import_customers(world: &mut World, content_type: &str, body: &[u8]) -> Result<i64, Refusal> {
    let file = form_file(content_type, body).ok_or_else(|| Refusal::field("file", "No file was submitted."))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file.as_bytes());
    let head = reader.headers().map_err(|_| Refusal::field("file", "Not a CSV file."))?.clone();
    let (mut made, mut errors) = (0, Vec::new());
    for (n, record) in reader.records().enumerate() {
        let Ok(record) = record else {
            errors.push(json!({"row": n + 2, "errors": {"file": ["Not a CSV row."]}}));
            continue;
        };
        let fields: Map<String, Value> = head.iter().zip(record.iter()).map(|(name, value)| (name.to_owned(), value.into())).collect();
        match world.create(Object::Customer, &Value::Object(fields), Writer::Create) {
            Ok(_) => made += 1,
            Err(refusal) => errors.push(json!({"row": n + 2, "errors": refusal.body()})),
        }
    }
    let status = if errors.is_empty() { "success" } else { "error" };
    world.put(Object::Import, &json!({"status": status, "created_count": made, "errors": errors}))
}

/// The part called `file` of a multipart form.
fn form_file(content_type: &str, body: &[u8]) -> Option<String> {
    let boundary = content_type.split_once("boundary=")?.1.split(';').next()?.trim_matches('"');
    let text = String::from_utf8_lossy(body);
    let delimiter = format!("--{boundary}");
    text.split(delimiter.as_str()).find_map(|part| {
        let (head, content) = part.split_once("\r\n\r\n")?;
        head.contains("name=\"file\"").then(|| content.strip_suffix("\r\n").unwrap_or(content).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_form_is_found_among_its_parts() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.csv\"\r\nContent-Type: text/csv\r\n\r\nemail\na@b.example\r\n--xyz--\r\n";
        let file = form_file("multipart/form-data; boundary=xyz", body.as_bytes());
        assert_eq!(file.as_deref(), Some("email\na@b.example"));
        assert_eq!(form_file("application/json", body.as_bytes()), None);
    }
}
