//! Metadata: read whole, changed, written whole, looked at again.
//!
//! The vendor's pages ask for an object, yet clients are known that must send it as text: whether an object comes back
//! as one tells which, once. Whether a write merges or replaces is not published; writing everything makes it equal.

use super::LicenseSpring;
use super::body::put;
use super::catalogue::record_path;
use super::list::Row;
use super::refusal::Refusal;
use super::row::{at_path, metadata};
use super::wire::Trouble;
use crate::connectors::ResourceSpec;
use crate::seeded::seeded;
use reqwest::Method;
use serde_json::{Value as J, json};
use std::sync::atomic::{AtomicU8, Ordering};

/// How this company's service takes metadata.
#[derive(Debug, Default)]
pub struct Form(AtomicU8);

const OBJECT: u8 = 0;
const TEXT: u8 = 1;
/// It shows text whatever is sent.
const SHOWN_AS_TEXT: u8 = 2;

impl Form {
    pub fn argument(&self, map: Row) -> J {
        if self.0.load(Ordering::Relaxed) == TEXT { J::String(J::Object(map).to_string()) } else { J::Object(map) }
    }
}

impl LicenseSpring {
    /// What we plant in a record we make.
    pub(super) fn planted(&self, key: &str) -> J {
        json!({"connection": self.connection, "sf_id": key})
    }

    /// The whole metadata of a row with these changes.
    pub(super) fn metadata_with(&self, row: &Row, changes: &[(String, J)]) -> Result<Row, Refusal> {
        let Some(mut map) = metadata(row) else {
            return Err(Refusal::new("metadata-shape", "the record's metadata cannot be read, so it is not overwritten", &["metadata"]));
        };
        if seeded!(MetadataReplaced) {
            map.clear();
        }
        for (path, value) in changes {
            put(&mut map, path, value.clone())?;
        }
        Ok(map)
    }

    /// After a write of `whole`: the row that shows it. Sent again as text, once, where the object came back as text.
    pub(super) async fn metadata_kept(&self, resource: &ResourceSpec, id: i64, row: Row, whole: &Row) -> Result<Row, Trouble> {
        if !row.get("metadata").is_some_and(J::is_string) || self.metadata_form.0.load(Ordering::Relaxed) != OBJECT {
            return Ok(row);
        }
        let body = json!({"metadata": J::Object(whole.clone()).to_string()});
        self.wire.write(Method::PATCH, &record_path(resource.name, id), Some(&body)).await?;
        let row = self.row(resource, id).await?;
        let form = if row.get("metadata").is_some_and(J::is_string) { SHOWN_AS_TEXT } else { TEXT };
        self.metadata_form.0.store(form, Ordering::Relaxed);
        Ok(row)
    }
}

/// Whether a row shows these values. A row without metadata shows nothing.
pub fn shows(row: &Row, changes: &[(String, J)]) -> bool {
    let Some(map) = metadata(row) else { return false };
    let text = |v: &J| v.as_str().map_or_else(|| v.to_string(), |t| t.trim().to_owned());
    changes.iter().all(|(path, value)| text(&at_path(&map, path)) == text(value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kept_means_shown_as_object_or_as_text() {
        let changes = [("lockstep.line".to_owned(), json!("802-1")), ("gone".to_owned(), J::Null)];
        for (row, kept) in [
            (json!({"metadata": {"lockstep": {"line": "802-1"}}}), true),
            (json!({"metadata": "{\"lockstep\":{\"line\":\"802-1\"}}"}), true),
            (json!({"metadata": {"lockstep": {"line": "802-1"}, "gone": "x"}}), false),
            (json!({"metadata": {}}), false),
            (json!({}), false),
        ] {
            assert_eq!(shows(row.as_object().unwrap(), &changes), kept, "{row}");
        }
    }
}
