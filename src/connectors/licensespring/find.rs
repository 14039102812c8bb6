//! Finding records by a value: by a documented filter where there is one, checked row by row, else by looking at all.
//!
//! Source: docs.licensespring.com, the lists' query parameters. The service leaves out filters it does not know without
//! a word; a row that does not fit therefore takes the filter out of use.

use super::LicenseSpring;
use super::catalogue::{CUSTOMER, CUSTOMER_ACCOUNT, FEATURE, LICENSE, METADATA, ORDER, list_path, type_of};
use super::list::{PAGE, Row, Sweep, row_id};
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::record::{FieldType, Value, coerce};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeMap;

const AT_ONCE: usize = 4;
/// From so many values on it is worth asking how long the whole list is.
const MANY: usize = 5;
const ROWS_PER_CALL: u64 = 100;

/// One documented filter, and how much a row it lets through must have in common with what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    parameter: String,
    value: String,
    part_of: bool,
}

impl LicenseSpring {
    /// Rows whose `key` is one of the values, each row once, in order of id.
    pub(super) async fn find_rows(&self, resource: &'static ResourceSpec, key: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        let what = || format!("the list of {}s", resource.name);
        let Some(ty) = type_of(resource, key) else {
            return Err(Fault::new(FaultKind::Setup, "no-such-field", format!("a {} has no field {key:?}", resource.name)));
        };
        // Null is nobody's key, and what does not fit the type is found nowhere.
        let mut wanted: Vec<String> = values.iter().filter_map(|v| coerce(v, &ty).ok()).filter_map(|v| plain(&v)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let filters: Option<Vec<Filter>> = wanted.iter().map(|value| self.filter(resource, key, &ty, value)).collect();
        if let Some(filters) = filters {
            let cheap = wanted.len() < MANY || {
                let rows = self.count_rows(resource.name, Counted::Data).await.map_err(|t| t.into_fault(&what()))?;
                rows.div_ceil(ROWS_PER_CALL) > wanted.len() as u64
            };
            if cheap && let Some(found) = self.by_filter(resource, key, &ty, &wanted, filters).await? {
                return Ok(found);
            }
        }
        self.by_scan(resource, key, &wanted).await
    }

    /// `None`: a filter turned out not to work.
    async fn by_filter(
        &self,
        resource: &'static ResourceSpec,
        key: &str,
        ty: &FieldType,
        wanted: &[String],
        filters: Vec<Filter>,
    ) -> Result<Option<Vec<Row>>, Fault> {
        let asked: Vec<_> = wanted.iter().zip(filters).map(|(value, filter)| self.one_value(resource, key, ty, value, filter)).collect();
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut found = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            let Some(rows) = answer? else { return Ok(None) };
            found.extend(rows.into_iter().filter_map(|row| Some((row_id(&row)?, row))));
        }
        Ok(Some(found.into_values().collect()))
    }

    async fn one_value(
        &self,
        resource: &'static ResourceSpec,
        key: &str,
        ty: &FieldType,
        value: &str,
        filter: Filter,
    ) -> Result<Option<Vec<Row>>, Fault> {
        let fault = |t: Trouble| t.into_fault(&format!("the list of {}s", resource.name));
        let path = list_path(resource.name).unwrap_or("/");
        let parameter: &str = &filter.parameter;
        let mut offset = 0;
        let mut hits = Vec::new();
        loop {
            let page = self.wire.page(Counted::Data, path, &[(parameter, filter.value.clone())], offset, PAGE).await.map_err(fault)?;
            let records = self.records(resource, &page.rows, &[key.to_owned()]).await.map_err(fault)?;
            for (row, record) in page.rows.iter().filter(|row| row_id(row).is_some()).zip(&records) {
                let shown = record.fields.get(key).and_then(plain);
                if shown.as_deref() == Some(value) {
                    hits.push(row.clone());
                } else if !shown.is_some_and(|shown| filter.fits(&shown, value, ty)) {
                    tracing::warn!(
                        resource = resource.name,
                        parameter,
                        "LicenseSpring ignores this filter: everything is looked through instead"
                    );
                    self.ignored
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .insert((resource.name, filter.parameter.clone()));
                    return Ok(None);
                }
            }
            if !page.goes_on(offset) {
                return Ok(Some(hits));
            }
            offset += page.len;
        }
    }

    async fn by_scan(&self, resource: &'static ResourceSpec, key: &str, wanted: &[String]) -> Result<Vec<Row>, Fault> {
        let fault = |t: Trouble| t.into_fault(&format!("the list of {}s", resource.name));
        let mut sweep = Sweep::new(&self.wire, list_path(resource.name).unwrap_or("/"), Vec::new());
        let mut found: BTreeMap<i64, Row> = BTreeMap::new();
        let mut met: Vec<bool> = vec![false; wanted.len()];
        while let Some(page) = sweep.page().await.map_err(fault)? {
            let records = self.records(resource, &page.rows, &[key.to_owned()]).await.map_err(fault)?;
            for (row, record) in page.rows.into_iter().filter(|row| row_id(row).is_some()).zip(&records) {
                let at = record.fields.get(key).and_then(plain).and_then(|shown| wanted.binary_search(&shown).ok());
                if let (Some(at), Some(id)) = (at, row_id(&row)) {
                    met[at] = true;
                    found.insert(id, row);
                }
            }
        }
        if !sweep.complete && met.contains(&false) {
            let text = format!("the list of {}s moved while it was looked through twice", resource.name);
            return Err(Fault::new(FaultKind::Retry, "list-unsteady", text));
        }
        Ok(found.into_values().collect())
    }

    pub(super) async fn count_rows(&self, resource: &str, counted: Counted) -> Result<u64, Trouble> {
        let path = list_path(resource).unwrap_or("/");
        Ok(self.wire.page(counted, path, &[], 0, 1).await?.count)
    }

    /// All feature rows of one license, whether the list can be narrowed to it or not.
    pub(super) async fn feature_rows(&self, resource: &'static ResourceSpec, license: i64) -> Result<Vec<Row>, Fault> {
        self.find_rows(resource, "license", &[Value::Text(license.to_string())]).await
    }

    fn filter(&self, resource: &ResourceSpec, key: &str, ty: &FieldType, value: &str) -> Option<Filter> {
        let filter = documented(resource.name, key, ty, value)?;
        let ignored = self.ignored.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (!ignored.contains(&(resource.name, filter.parameter.clone()))).then_some(filter)
    }
}

impl Filter {
    /// Whether a row that shows this could have come through the filter. Letter case is no evidence: how the service
    /// compares it is not published.
    fn fits(&self, shown: &str, value: &str, ty: &FieldType) -> bool {
        let (shown, value) = (shown.to_lowercase(), value.to_lowercase());
        match ty {
            FieldType::Reference { .. } | FieldType::Integer => shown == value,
            _ if self.part_of => shown.contains(&value),
            _ => shown == value,
        }
    }
}

/// Whether LicenseSpring filters a resource by this field.
pub fn is_searched(resource: &ResourceSpec, field: &str) -> bool {
    resource.field(field).is_some_and(|spec| documented(resource.name, field, &spec.ty, "x").is_some())
}

/// Beyond ASCII the service's idea of equal text may differ from ours (composed and decomposed letters): then all rows
/// are looked at.
fn documented(resource: &str, key: &str, ty: &FieldType, value: &str) -> Option<Filter> {
    if !value.is_ascii() {
        return None;
    }
    let exact = |parameter: &str| Some(Filter { parameter: parameter.to_owned(), value: value.to_owned(), part_of: false });
    match (resource, key) {
        // Stored addresses may have capitals, and an exact filter may mind them.
        (CUSTOMER, "email") => Some(Filter { parameter: "email__icontains".to_owned(), value: value.to_owned(), part_of: true }),
        (CUSTOMER, "reference") => exact("reference"),
        (CUSTOMER, "customer_account") => exact("account"),
        (CUSTOMER_ACCOUNT, "code" | "name") => exact(key),
        (ORDER, "store_id") => exact("store_id"),
        (LICENSE, "license_key") => exact("license_key"),
        (LICENSE, "order_store_id") => exact("order__store_id"),
        (FEATURE, "license") => exact("license"),
        (CUSTOMER_ACCOUNT | CUSTOMER | ORDER | LICENSE, _) => {
            let path = key.strip_prefix(METADATA)?;
            let plain_names =
                path.split('.').all(|n| !n.is_empty() && !n.contains("__") && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            // Text that would be a number or a word of JSON may be stored as that.
            let text_for_sure = matches!(ty, FieldType::Text { .. }) && serde_json::from_str::<serde_json::Value>(value).is_err();
            (plain_names && text_for_sure).then(|| Filter {
                parameter: format!("metadata__{}", path.replace('.', "__")),
                value: serde_json::Value::from(value).to_string(),
                part_of: false,
            })
        }
        _ => None,
    }
}

/// A canonical value as comparable text; null is none.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::List(_) | Value::Rows(_) => None,
        Value::Text(text) => Some(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Decimal(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parameter(resource: &str, key: &str, value: &str) -> Option<(String, String)> {
        documented(resource, key, &FieldType::text(), value).map(|f| (f.parameter, f.value))
    }

    #[test]
    fn only_documented_filters_are_used() {
        let pair = |p: &str, v: &str| Some((p.to_owned(), v.to_owned()));
        for (resource, key, value, want) in [
            (CUSTOMER, "reference", "003A", pair("reference", "003A")),
            (CUSTOMER, "email", "a@b.example", pair("email__icontains", "a@b.example")),
            (CUSTOMER, "first_name", "Mina", None),
            (CUSTOMER_ACCOUNT, "name", "Bücher", None),
            (CUSTOMER_ACCOUNT, "email", "a@b.example", None),
            (LICENSE, "metadata.lockstep.line", "802A-1", pair("metadata__lockstep__line", "\"802A-1\"")),
            (LICENSE, "metadata.n", "5", None),
            (LICENSE, "metadata.a__b", "x", None),
            (FEATURE, "code", "pdf", None),
        ] {
            assert_eq!(parameter(resource, key, value), want, "{resource} {key} {value}");
        }
    }

    #[test]
    fn a_row_that_cannot_have_come_through_gives_the_filter_away() {
        let exact = documented(CUSTOMER, "reference", &FieldType::text(), "003A").unwrap();
        assert!(exact.fits("003a", "003A", &FieldType::text()) && !exact.fits("003AB", "003A", &FieldType::text()));
        let part = documented(CUSTOMER, "email", &FieldType::text(), "a@b.co").unwrap();
        assert!(part.fits("aa@b.com", "a@b.co", &FieldType::text()) && !part.fits("x@y.z", "a@b.co", &FieldType::text()));
    }
}
