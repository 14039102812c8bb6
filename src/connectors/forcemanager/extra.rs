//! Extra fields: what they are called, what they hold, and how one is made for a custom field of Salesforce.
//!
//! Source: developer.forcemanager.com, "Extra fields", "Schema". The vendor's numbers for kinds of fields are not published:
//! they are learned from fields that exist, or given by the operator. Where a number is not known nothing is made. Definitions
//! travel one way: what is made by hand in ForceManager is not made in Salesforce.

use super::ForceManager;
use super::catalogue::{EXTRA, path};
use super::list::{Row, flag, rows_of, value};
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{CustomField, Fault, FieldInfo, ResourceSpec, Schema};
use crate::record::{FieldType, LOCKSTEP_ID};
use reqwest::Method;
use serde_json::{Value as J, json};
use std::collections::{BTreeMap, BTreeSet};

/// What an extra field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Text,
    Decimal,
    Bit,
    /// A day: the vendor has only date-times.
    Date,
    Datetime,
    Multivalue,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Text, Self::Decimal, Self::Bit, Self::Date, Self::Datetime, Self::Multivalue];

    /// The kind for a field of Salesforce, as describe tells its type; `None` for what no extra field can hold.
    #[must_use]
    pub const fn of(ty: &FieldType) -> Option<Self> {
        Some(match ty {
            FieldType::Text { .. } | FieldType::Email { .. } | FieldType::Reference { .. } => Self::Text,
            FieldType::Integer | FieldType::Decimal { .. } => Self::Decimal,
            FieldType::Boolean => Self::Bit,
            FieldType::Date => Self::Date,
            FieldType::Instant => Self::Datetime,
            FieldType::List { .. } => Self::Multivalue,
            FieldType::Rows => return None,
        })
    }

    /// By the vendor's own word for it.
    fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|p| word.contains(p));
        Some(match () {
            () if has(&["multi"]) => Self::Multivalue,
            () if has(&["date", "time"]) => Self::Datetime,
            () if has(&["bool", "bit"]) => Self::Bit,
            () if has(&["int", "dec", "num", "float", "double", "money"]) => Self::Decimal,
            () if has(&["text", "char", "string", "unicode"]) => Self::Text,
            () => return None,
        })
    }

    /// What the vendor keeps it as.
    const fn kept(self) -> Self {
        match self {
            Self::Date => Self::Datetime,
            Self::Text | Self::Decimal | Self::Bit | Self::Datetime | Self::Multivalue => self,
        }
    }

    fn field_type(self, max: Option<u32>) -> FieldType {
        match self {
            Self::Text => FieldType::Text { max, blank_is_null: true },
            Self::Decimal => FieldType::Decimal { scale: 4 },
            Self::Bit => FieldType::Boolean,
            Self::Date => FieldType::Date,
            Self::Datetime => FieldType::Instant,
            Self::Multivalue => FieldType::List { ordered: false },
        }
    }
}

/// An extra field that the rules map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraField {
    /// `Z_Tier`
    pub name: String,
    /// `None`: it is used if it is there, and not made.
    pub kind: Option<Kind>,
}

/// An extra field as the vendor shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    pub ty: FieldType,
    pub writable: bool,
    /// `None`: of a kind that is only read, as text.
    kind: Option<Kind>,
}

/// By name.
pub type Extras = BTreeMap<String, Extra>;

/// The extra field for a custom field: `Tier__c` → `Z_Tier`, `ns__Tier__c` → `Z_ns_Tier`. `None` for a field that is not
/// custom.
#[must_use]
pub fn name_for(api_name: &str) -> Option<String> {
    const LONGEST: usize = 50;
    let bare = api_name.strip_suffix("__c")?.replace("__", "_");
    let name: String = bare.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(LONGEST).collect();
    (!name.is_empty()).then(|| format!("{EXTRA}{name}"))
}

/// The same, where that name is taken: with a number behind it.
#[must_use]
pub fn free_name(api_name: &str, taken: &dyn Fn(&str) -> bool) -> Option<String> {
    let name = name_for(api_name)?;
    if !taken(&name) {
        return Some(name);
    }
    (2..100).map(|n| format!("{name}{n}")).find(|name| !taken(name))
}

/// A line for the rules: a custom field of Salesforce and the extra field it would be kept in step with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub salesforce: String,
    pub extra: String,
    pub kind: Kind,
    /// A formula: it travels to ForceManager only.
    pub one_way: bool,
}

/// Every custom field that our user may read and that no extra field of the rules stands for yet; what is our own is left
/// out, and so is what no extra field can hold.
#[must_use]
pub fn proposals(salesforce: &Schema, mapped: &[&str], taken: &[&str], there: &[CustomField]) -> Vec<Proposal> {
    let mut taken: BTreeSet<String> = taken.iter().map(|n| (*n).to_owned()).collect();
    let mut proposals = Vec::new();
    for (name, info) in &salesforce.fields {
        if name == LOCKSTEP_ID || mapped.contains(&name.as_str()) || info.secret {
            continue;
        }
        let Some(kind) = Kind::of(&info.ty) else { continue };
        // A field of that name and another kind is somebody else's.
        let other = |n: &str| there.iter().any(|f| f.field == n && Kind::of(&f.info.ty).map(Kind::kept) != Some(kind.kept()));
        let Some(extra) = free_name(name, &|n| taken.contains(n) || other(n)) else { continue };
        taken.insert(extra.clone());
        proposals.push(Proposal { salesforce: name.clone(), extra, kind, one_way: !info.updateable });
    }
    proposals
}

impl Kind {
    /// As it is written under `extra-fields`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Decimal => "decimal",
            Self::Bit => "bit",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Multivalue => "multivalue",
        }
    }
}

impl ForceManager {
    /// The extra fields of a resource that the rules map and that are there, made first where they are to be.
    pub(super) async fn extras(&self, resource: &str) -> Result<Extras, Fault> {
        let wanted: &[ExtraField] = self.extra_fields.get(resource).map_or(&[], Vec::as_slice);
        if wanted.is_empty() {
            return Ok(Extras::new());
        }
        let known = self.described(resource).await?;
        let missing: Vec<(&str, Kind)> = wanted.iter().filter_map(|f| Some((f.name.as_str(), f.kind?))).collect();
        let missing: Vec<(&str, Kind)> = missing.into_iter().filter(|(name, _)| !known.contains_key(*name)).collect();
        let known = if missing.is_empty() {
            known
        } else if self.make(resource, &known, &missing).await? {
            // A field is there when the schema shows it, not when its making was answered.
            self.described(resource).await?
        } else {
            known
        };
        let mut extras = Extras::new();
        for field in wanted {
            if let Some(extra) = known.get(&field.name) {
                let meant = field.kind.filter(|k| extra.kind.is_some_and(|there| there == k.kept() || *k == Kind::Multivalue));
                let ty = meant.map_or_else(|| extra.ty.clone(), |k| k.field_type(extra.ty.max_chars()));
                extras.insert(field.name.clone(), Extra { ty, ..extra.clone() });
            }
        }
        Ok(extras)
    }

    /// Every extra field of a resource, whether the rules map it or not.
    pub(super) async fn custom_fields_of(&self, resource: &ResourceSpec) -> Result<Vec<CustomField>, Fault> {
        let extras = self.described(resource.name).await?;
        let field = |(field, extra): (String, Extra)| {
            let called = field.strip_prefix(EXTRA).unwrap_or(&field).to_owned();
            let info = FieldInfo {
                ty: extra.ty,
                createable: extra.writable,
                updateable: extra.writable,
                required: false,
                secret: false,
                calculated: false,
            };
            CustomField { field, called, info }
        };
        Ok(extras.into_iter().map(field).collect())
    }

    /// What the vendor says of a resource's fields, by name; only the extra ones.
    async fn described(&self, resource: &str) -> Result<Extras, Fault> {
        let what = format!("the fields of {resource}s");
        let of = path(resource).unwrap_or_default();
        match self.wire.get(Counted::Other, &format!("{of}/schema"), &[]).await {
            Ok(reply) => Ok(described(&reply.json)),
            Err(Trouble::Missing | Trouble::Refused(_)) => {
                let asked = json!({"entity": of.trim_start_matches('/')});
                let reply = self.wire.ask("/procedure/zapier_schema", &asked).await.map_err(|t| t.into_fault(&what))?;
                Ok(described(&reply.json))
            }
            Err(trouble) => Err(trouble.into_fault(&what)),
        }
    }

    /// Makes fields, one after the other. One that cannot be made is reported and the others go on. True if any was made.
    async fn make(&self, resource: &str, known: &Extras, missing: &[(&str, Kind)]) -> Result<bool, Fault> {
        let entity = path(resource).unwrap_or_default().trim_start_matches('/');
        let at = format!("/extrafields/{entity}");
        // One page of them is enough to learn from.
        let rows = match self.wire.get(Counted::Other, &at, &[("page", "0".to_owned())]).await {
            Ok(reply) => rows_of(&at, reply.json).unwrap_or_default(),
            Err(Trouble::Missing | Trouble::Refused(_)) => Vec::new(),
            Err(trouble) => return Err(trouble.into_fault("the extra fields")),
        };
        let mut codes = learned(&rows, known);
        codes.extend(&self.type_codes);
        let mut made = false;
        for (name, kind) in missing {
            // Several values can stand in one text; nothing else can stand for something else.
            let code = codes.get(&kind.kept()).or_else(|| codes.get(&Kind::Text).filter(|_| *kind == Kind::Multivalue));
            let Some(code) = code else {
                tracing::warn!(
                    resource,
                    field = name,
                    ?kind,
                    "extra field not made: ForceManager's number for this kind is not known; say it in extra-field-type-codes, or make the field by hand"
                );
                continue;
            };
            let body = json!({"entity": entity, "fieldName": name.trim_start_matches(EXTRA), "type": code});
            match self.wire.write(Method::POST, &at, Some(&body)).await {
                Ok(_) => {
                    made = true;
                    tracing::info!(resource, field = name, "extra field made");
                }
                // Also after a lost answer: the schema tells.
                Err(trouble) => {
                    made = true;
                    tracing::warn!(resource, field = name, "extra field not made: {}", trouble.into_fault("the extra field"));
                }
            }
        }
        Ok(made)
    }
}

/// Which number stands for which kind, from fields that are there: their kind says the schema, their number the list.
fn learned(rows: &[Row], known: &Extras) -> BTreeMap<Kind, i64> {
    let mut codes = BTreeMap::new();
    for row in rows {
        let name = ["fieldName", "name"].iter().find_map(|key| value(row, key)?.as_str());
        let code = value(row, "type").and_then(|raw| raw.as_i64().or_else(|| raw.as_str()?.trim().parse().ok()));
        let (Some(name), Some(code)) = (name, code) else { continue };
        let name = name.trim_start_matches(EXTRA);
        let kind = known.iter().find(|(known, _)| known.trim_start_matches(EXTRA).eq_ignore_ascii_case(name)).and_then(|(_, e)| e.kind);
        if let Some(kind) = kind {
            codes.insert(kind, code);
        }
    }
    codes
}

/// Fields in any of the forms a schema may have: a list of fields, a list in an envelope, or a map by name.
fn described(json: &J) -> Extras {
    fn fields(json: &J) -> Vec<(String, &Row)> {
        match json {
            J::Array(items) => {
                let named =
                    |row: &Row| ["key", "name", "field", "fieldName"].iter().find_map(|k| Some(value(row, k)?.as_str()?.to_owned()));
                items.iter().filter_map(J::as_object).filter_map(|row| Some((named(row)?, row))).collect()
            }
            J::Object(map) => match ["fields", "properties", "schema"].iter().find_map(|key| value(map, key)) {
                Some(inner) if inner.is_array() || inner.is_object() => fields(inner),
                _ => map.iter().filter_map(|(name, v)| Some((name.clone(), v.as_object()?))).collect(),
            },
            J::Null | J::Bool(_) | J::Number(_) | J::String(_) => Vec::new(),
        }
    }
    let extra = |row: &Row| {
        let kind = value(row, "type").and_then(J::as_str).and_then(Kind::named);
        let max = value(row, "maxLength").and_then(J::as_u64).filter(|n| *n > 0).and_then(|n| u32::try_from(n).ok());
        let ty = kind.unwrap_or(Kind::Text).field_type(max);
        // Numbers of a list are the vendor's own: a word written there would mean nothing.
        Extra { ty, writable: kind.is_some() && flag(row, "readOnly") != Some(true), kind }
    };
    fields(json).into_iter().filter(|(name, _)| name.starts_with(EXTRA)).map(|(name, row)| (name, extra(row))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn f3_an_extra_field_is_named_after_the_custom_field() {
        for (api, want) in
            [("Tier__c", Some("Z_Tier")), ("ns__Tier__c", Some("Z_ns_Tier")), ("Größe__c", Some("Z_Gre")), ("Name", None), ("__c", None)]
        {
            assert_eq!(name_for(api).as_deref(), want, "{api}");
        }
        let taken = |name: &str| matches!(name, "Z_Tier" | "Z_Tier2");
        assert_eq!(free_name("Tier__c", &taken).unwrap(), "Z_Tier3");
        assert_eq!(name_for(&format!("{}__c", "x".repeat(90))).unwrap().len(), 52);
    }

    #[test]
    fn f4_every_type_has_its_kind_and_compound_ones_have_none() {
        for (ty, want) in [
            (FieldType::text(), Some(Kind::Text)),
            (FieldType::Reference { to: "User".into() }, Some(Kind::Text)),
            (FieldType::Decimal { scale: 2 }, Some(Kind::Decimal)),
            (FieldType::Boolean, Some(Kind::Bit)),
            (FieldType::Date, Some(Kind::Date)),
            (FieldType::Instant, Some(Kind::Datetime)),
            (FieldType::List { ordered: false }, Some(Kind::Multivalue)),
            (FieldType::Rows, None),
        ] {
            assert_eq!(Kind::of(&ty), want, "{ty:?}");
        }
    }

    #[test]
    fn f2_every_custom_field_without_an_extra_field_is_proposed_one() {
        let info = |ty, updateable| crate::connectors::FieldInfo {
            ty,
            createable: updateable,
            updateable,
            required: false,
            secret: false,
            calculated: !updateable,
        };
        let fields = [
            ("Name", info(FieldType::text(), true)),
            ("Tier__c", info(FieldType::text(), true)),
            ("ns__Score__c", info(FieldType::Decimal { scale: 2 }, true)),
            ("ns_Score__c", info(FieldType::Boolean, true)),
            ("Sum__c", info(FieldType::Decimal { scale: 2 }, false)),
            ("Mapped__c", info(FieldType::text(), true)),
            (LOCKSTEP_ID, info(FieldType::text(), true)),
        ];
        let schema = Schema { fields: fields.into_iter().map(|(n, i)| (n.to_owned(), i)).collect(), ..Schema::default() };
        let found = proposals(&schema, &["Mapped__c"], &["Z_Tier"], &[]);
        let shown: Vec<_> = found.iter().map(|p| (p.salesforce.as_str(), p.extra.as_str(), p.kind.as_str(), p.one_way)).collect();
        assert_eq!(
            shown,
            [
                ("Sum__c", "Z_Sum", "decimal", true),
                ("Tier__c", "Z_Tier2", "text", false),
                ("ns_Score__c", "Z_ns_Score", "bit", false),
                ("ns__Score__c", "Z_ns_Score2", "decimal", false),
            ]
        );
    }

    #[test]
    fn schemas_are_read_in_every_form() {
        let list = json!([{"name": "Z_Tier", "type": "text", "maxLength": 80}, {"name": "name", "type": "text"}]);
        let map = json!({"fields": {"Z_Tier": {"type": "nvarchar", "maxLength": 80}, "x": {"type": "int"}}});
        let keyed = json!([{"key": "Z_Tier", "label": "Tier", "type": "unicode", "maxLength": 80}]);
        for form in [list, map, keyed] {
            let found = described(&form);
            assert_eq!(found.len(), 1, "{form}");
            assert_eq!(found["Z_Tier"].ty, FieldType::Text { max: Some(80), blank_is_null: true }, "{form}");
            assert!(found["Z_Tier"].writable);
        }
        let odd = described(&json!([{"name": "Z_L", "type": "list"}, {"name": "Z_R", "type": "bit", "readOnly": true}]));
        assert!(!odd["Z_L"].writable && !odd["Z_R"].writable && odd["Z_R"].ty == FieldType::Boolean);
    }

    #[test]
    fn numbers_of_kinds_are_learned_from_fields_that_are_there() {
        let known = described(&json!([{"name": "Z_Tier", "type": "text"}, {"name": "Z_Since", "type": "datetime"}]));
        let rows: Vec<Row> = [json!({"fieldName": "tier", "type": 3}), json!({"fieldName": "Since", "type": "1"}), json!({"type": 9})]
            .iter()
            .map(|r| r.as_object().unwrap().clone())
            .collect();
        assert_eq!(learned(&rows, &known), BTreeMap::from([(Kind::Text, 3), (Kind::Datetime, 1)]));
    }
}
