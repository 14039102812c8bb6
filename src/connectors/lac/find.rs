//! Finding customers and contacts by a value, and every hit checked again.
//!
//! Source: docs.x-formation.com, `GET /customers`: `name`, `email` and `custom_tag_value` let through what contains the text in
//! any letter case, so a search is only ever a way to see fewer rows.

use super::Lac;
use super::catalogue::{CONTACT, CUSTOMER, type_of};
use super::list::{Row, Walk};
use super::read::list_of;
use super::row::needed;
use super::tags::{PREFIX, SF_ID, normal_id, spellings};
use super::whole::claimed;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::record::{Record, Value, coerce};

/// From so many values on everything is looked through once instead.
const MANY: usize = 5;

impl Lac {
    /// Customers whose tag `SF_Id` names this account, in whichever of the two forms of an id it stands.
    pub(super) async fn claimants(&self, sf_id: &str) -> Result<Vec<Row>, Trouble> {
        let wanted = normal_id(sf_id);
        // An id of 15 characters is the beginning of one of 18, and the search is for a part.
        let part: String = wanted.chars().take(15).collect();
        let query = vec![("custom_tag_name", SF_ID.to_owned()), ("custom_tag_value", part)];
        let rows = match Walk::new(&self.wire, Counted::Data, "/customers", query, super::list::by_id).collect().await {
            // Nobody can carry a tag that does not exist yet.
            Err(Trouble::Refused(_)) if !self.knows_tag(SF_ID) => return Ok(Vec::new()),
            other => other?,
        };
        let rows = self.whole_rows(rows, &["Contacts", "CustomTags"]).await?;
        Ok(rows.into_iter().filter(|row| claimed(row).as_deref() == Some(wanted.as_str())).collect())
    }

    /// Records whose `key` is one of the values.
    pub(super) async fn find_records(
        &self,
        resource: &'static ResourceSpec,
        fields: &[String],
        key: &str,
        values: &[Value],
    ) -> Result<Vec<Record>, Fault> {
        let Some(ty) = type_of(resource, key) else {
            return Err(Fault::new(FaultKind::Setup, "no-such-field", format!("a {} has no field {key:?}", resource.name)));
        };
        let fold = |v: &Value| match (key, coerce(v, &ty).ok()?) {
            (_, Value::Null) => None,
            (super::tags::PLANTED, Value::Text(text)) => Some(Value::Text(normal_id(&text))),
            (_, value) => Some(value),
        };
        // Null is nobody's key, and what does not fit the type is found nowhere.
        let wanted: Vec<Value> = values.iter().filter_map(fold).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let searches: Option<Vec<_>> = wanted.iter().map(|value| search(resource.name, key, value)).collect();
        let queries = match searches {
            Some(queries) if queries.len() < MANY => queries.into_iter().flatten().collect(),
            _ => vec![Vec::new()],
        };
        let mut asked = fields.to_vec();
        asked.push(key.to_owned());
        let what = || format!("the list {}", list_of(resource.name).0);
        let mut found: Vec<Record> = Vec::new();
        for query in queries {
            let (path, by) = list_of(resource.name);
            let rows = match Walk::new(&self.wire, Counted::Data, path, query, by).collect().await {
                Err(Trouble::Refused(_)) if key.starts_with(PREFIX) && !self.knows_tag(key.trim_start_matches(PREFIX)) => continue,
                other => other.map_err(|t| t.into_fault(&what()))?,
            };
            let rows = self.whole_rows(rows, &needed(resource.name, &asked)).await.map_err(|t| t.into_fault(&what()))?;
            for mut record in rows.iter().filter_map(|row| self.records(resource, row, &asked)).flatten() {
                let hit = record.fields.get(key).is_some_and(|shown| wanted.contains(shown));
                if hit && found.iter().all(|f| f.id != record.id) {
                    record.fields.retain(|name, _| fields.contains(name));
                    found.push(record);
                }
            }
        }
        Ok(found)
    }
}

/// Whether LAC searches a resource by this field.
pub fn is_searched(resource: &ResourceSpec, field: &str) -> bool {
    search(resource.name, field, &Value::text("x")).is_some()
}

/// The published searches by which rows with this value come; a tag may stand in two spellings. `None`: everything is looked
/// through. Beyond ASCII the service's idea of equal letters may differ from ours.
fn search(resource: &str, key: &str, value: &Value) -> Option<Vec<Vec<(&'static str, String)>>> {
    let text = value.as_text().filter(|t| t.is_ascii() && !t.is_empty())?;
    match (resource, key) {
        (CUSTOMER, "name") => Some(vec![vec![("name", text.to_owned())]]),
        (CONTACT, "email") => Some(vec![vec![("email", text.to_owned())]]),
        (CUSTOMER, key) => {
            let tag = key.strip_prefix(PREFIX)?;
            let part: String = if tag == SF_ID { text.chars().take(15).collect() } else { text.to_owned() };
            Some(spellings(tag).into_iter().map(|name| vec![("custom_tag_name", name), ("custom_tag_value", part.clone())]).collect())
        }
        _ => None,
    }
}
