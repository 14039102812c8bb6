//! The names behind ids: product short codes, policy codes and feature codes, read at most once an hour.
//!
//! Definitions change rarely and are small; a name that is not known is looked up again before anything is made of it.

use super::list::{Row, Walk, id_of, row_id};
use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const FRESH: Duration = Duration::from_secs(3600);
/// An unknown id makes a list be read again, but not more often than this.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Clone)]
pub struct Names {
    pub products: HashMap<i64, ProductName>,
    /// Policy codes; a policy without one is absent.
    pub policies: HashMap<i64, String>,
    pub features: HashMap<i64, FeatureName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductName {
    pub code: String,
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureName {
    pub code: String,
    pub label: Option<String>,
    pub kind: Option<String>,
    /// `None`: a global feature, which any license may have.
    pub product: Option<i64>,
    pub retired: bool,
}

/// Which list a name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Product,
    Policy,
    Feature,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Product => "/products/",
            Self::Policy => "/license-templates/",
            Self::Feature => "/product-features/",
        }
    }
}

#[derive(Default)]
pub struct NameCache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: Arc<Names>,
    read_at: HashMap<Kind, Instant>,
}

impl NameCache {
    /// The names now, with these lists no older than an hour, and read again if one of the ids is missing.
    /// A list that may not be read leaves its names unknown: the fields that need them are then not readable.
    pub async fn with(&self, wire: &Wire, needs: &[(Kind, Vec<i64>)]) -> Result<Arc<Names>, Trouble> {
        let mut state = self.state.lock().await;
        for (kind, ids) in needs {
            let age = state.read_at.get(kind).map(Instant::elapsed);
            let missing = || ids.iter().any(|id| !state.names.knows(*kind, *id));
            let due = age.is_none_or(|age| age > FRESH || (age > AGAIN && missing()));
            if due {
                match Walk::new(wire, Counted::Other, kind.path(), Vec::new()).collect().await {
                    Ok(rows) => state.names = Arc::new(state.names.with(*kind, &rows)),
                    Err(Trouble::Denied(_) | Trouble::Missing) => {
                        tracing::warn!(list = kind.path(), "the API key may not read this list: fields that need it stay unread");
                    }
                    Err(trouble) => return Err(trouble),
                }
                state.read_at.insert(*kind, Instant::now());
            }
        }
        Ok(state.names.clone())
    }

    /// The names with this list read now: before something is refused for being unknown.
    pub async fn afresh(&self, wire: &Wire, kind: Kind) -> Result<Arc<Names>, Trouble> {
        self.state.lock().await.read_at.remove(&kind);
        self.with(wire, &[(kind, Vec::new())]).await
    }
}

impl Names {
    fn knows(&self, kind: Kind, id: i64) -> bool {
        match kind {
            Kind::Product => self.products.contains_key(&id),
            Kind::Policy => self.policies.contains_key(&id),
            Kind::Feature => self.features.contains_key(&id),
        }
    }

    fn with(&self, kind: Kind, rows: &[Row]) -> Self {
        let mut names = self.clone();
        let ids = rows.iter().filter_map(|row| Some((row_id(row)?, row)));
        match kind {
            Kind::Product => names.products = ids.filter_map(|(id, row)| Some((id, product(row)?))).collect(),
            Kind::Policy => names.policies = ids.filter_map(|(id, row)| Some((id, text(row, "code")?))).collect(),
            Kind::Feature => names.features = ids.filter_map(|(id, row)| Some((id, feature(row)?))).collect(),
        }
        names
    }

    /// The definition a code means on a license of this product: the product's own before a global one.
    pub fn feature(&self, product: Option<i64>, code: &str) -> Option<i64> {
        let of = |owner: Option<i64>| {
            let fits = |f: &&FeatureName| f.code == code && f.product == owner && !f.retired;
            self.features.iter().filter(|(_, f)| fits(f)).map(|(id, _)| *id).max()
        };
        product.and_then(|p| of(Some(p))).or_else(|| of(None))
    }

    /// All codes a license of this product may have, sorted.
    pub fn feature_codes(&self, product: Option<i64>) -> Vec<&str> {
        let usable = |f: &&FeatureName| !f.retired && (f.product.is_none() || f.product == product);
        let mut codes: Vec<&str> = self.features.values().filter(usable).map(|f| f.code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

fn product(row: &Row) -> Option<ProductName> {
    Some(ProductName { code: text(row, "short_code")?, name: text(row, "product_name") })
}

/// A definition, from its own list or nested in a license's row.
pub fn feature(row: &Row) -> Option<FeatureName> {
    Some(FeatureName {
        code: text(row, "code")?,
        label: text(row, "name"),
        kind: text(row, "feature_type"),
        product: row.get("product").and_then(id_of),
        retired: row.get("is_deleted").and_then(serde_json::Value::as_bool).unwrap_or(false),
    })
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.get(name)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_code_means_the_products_own_feature_before_a_global_one() {
        let rows: Vec<Row> = [
            json!({"id": 1, "code": "pdf", "product": 10}),
            json!({"id": 2, "code": "pdf", "product": null}),
            json!({"id": 3, "code": "pdf", "product": 11}),
            json!({"id": 4, "code": "old", "product": 10, "is_deleted": true}),
            json!({"id": 5, "code": "sso"}),
            json!({"id": 6, "name": "no code"}),
        ]
        .into_iter()
        .map(|row| row.as_object().unwrap().clone())
        .collect();
        let names = Names::default().with(Kind::Feature, &rows);
        assert_eq!(names.feature(Some(10), "pdf"), Some(1));
        assert_eq!(names.feature(Some(12), "pdf"), Some(2));
        assert_eq!(names.feature(Some(10), "old"), None);
        assert_eq!(names.feature(None, "sso"), Some(5));
        assert_eq!(names.feature_codes(Some(10)), ["pdf", "sso"]);
    }
}
