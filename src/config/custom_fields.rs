//! Custom fields of Salesforce that take part without standing in the rules: `custom-fields = "all"`.
//!
//! Which extra field stands for which custom field is settled when the custom field is first seen, and kept in the state
//! directory: a field that is renamed, or one that comes later, moves nothing. The pairs are read as if the rules named them,
//! so every command sees the same. A line of the rules goes before a pair. A lost file is found again from the fields.

use crate::connectors::CustomField;
use crate::connectors::Schema;
use crate::connectors::forcemanager::{EXTRA, Kind, proposals};
use crate::rules::{Rules, RulesFile};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const FILE: &str = "custom-fields.json";
/// What another part of Lockstep writes on customers.
const OURS: [&str; 2] = ["Licenses_Active__c", "Licenses_Sold__c"];

/// By object of the rules, by custom field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomFields(BTreeMap<String, BTreeMap<String, Pair>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    /// `Z_Tier`
    to: String,
    /// As under `extra-fields`.
    kind: String,
    /// A formula, or a field that our user may only read.
    #[serde(default, rename = "to-platform")]
    one_way: bool,
}

impl CustomFields {
    /// None yet, where there is no file.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn read(state_dir: &Path) -> io::Result<Self> {
        match fs::read(state_dir.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        let (path, temporary) = (state_dir.join(FILE), state_dir.join(format!("{FILE}.new")));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(temporary, path)
    }

    /// Takes in every custom field that nothing stands for yet; `schemas` by sObject, `there` what people added on the platform,
    /// by resource. Answers what came in, as `Account.Tier__c`. A pair that is there never changes.
    pub fn grow(&mut self, rules: &Rules, schemas: &BTreeMap<String, Schema>, there: &BTreeMap<String, Vec<CustomField>>) -> Vec<String> {
        let mut new = Vec::new();
        for mapping in rules.mappings.iter().filter(|m| m.direction.to_platform()) {
            let Some(schema) = schemas.get(&mapping.salesforce) else { continue };
            let kept = self.0.get(&mapping.object).cloned().unwrap_or_default();
            let named = mapping.entries.iter().flat_map(|e| &e.salesforce).map(String::as_str);
            let known: Vec<&str> = named.chain(kept.keys().map(String::as_str)).chain(OURS).collect();
            let lines = mapping.entries.iter().flat_map(|e| &e.platform).filter(|name| name.starts_with(EXTRA));
            let taken: BTreeSet<&str> = lines.map(String::as_str).chain(kept.values().map(|p| p.to.as_str())).collect();
            let there = there.get(&mapping.platform).map_or(&[][..], Vec::as_slice);
            for found in proposals(schema, &known, &taken.into_iter().collect::<Vec<_>>(), there) {
                new.push(format!("{}.{}", mapping.salesforce, found.salesforce));
                let pair = Pair { to: found.extra, kind: found.kind.as_str().to_owned(), one_way: found.one_way };
                self.0.entry(mapping.object.clone()).or_default().insert(found.salesforce, pair);
            }
        }
        new
    }

    /// The rules with these pairs as lines of their objects, behind the heading of each object's fields. What the rules say
    /// themselves of a field stays.
    #[must_use]
    pub fn merged(&self, source: &str, file: &RulesFile) -> String {
        let named: BTreeSet<(&str, &str)> = file
            .objects
            .iter()
            .flat_map(|(object, table)| table.fields.iter().flatten().map(move |(key, _)| (object.as_str(), key.as_str())))
            .collect();
        let mut text = String::with_capacity(source.len());
        for line in source.split_inclusive('\n') {
            text.push_str(line);
            let Some(object) = heading(line) else { continue };
            for (field, pair) in self.0.get(object).into_iter().flatten().filter(|(field, _)| !named.contains(&(object, field.as_str()))) {
                let one_way = if pair.one_way { ", direction = \"to-platform\"" } else { "" };
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("{field} = {{ to = \"{}\"{one_way} }}\n", pair.to));
            }
        }
        text
    }

    /// The kind in which an object's extra field is made.
    #[must_use]
    pub fn kind(&self, object: &str, extra: &str) -> Option<Kind> {
        let pair = self.0.get(object)?.values().find(|pair| pair.to == extra)?;
        Kind::ALL.into_iter().find(|kind| kind.as_str() == pair.kind)
    }
}

/// `[objects.account.fields]  # …` → `account`
fn heading(line: &str) -> Option<&str> {
    let inner = line.trim_start().strip_prefix('[')?.split_once(']')?.0;
    let mut parts = inner.split('.').map(|part| part.trim().trim_matches('"'));
    let (objects, object, fields) = (parts.next()?, parts.next()?, parts.next()?);
    (objects == "objects" && fields == "fields" && parts.next().is_none()).then_some(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::FieldInfo;
    use crate::record::FieldType;
    use crate::rules::{FORCEMANAGER, check, parse, read};

    fn schema(fields: &[(&str, FieldType, bool)]) -> BTreeMap<String, Schema> {
        let info = |ty: &FieldType, may: bool| FieldInfo {
            ty: ty.clone(),
            createable: may,
            updateable: may,
            required: false,
            secret: false,
            calculated: !may,
        };
        let fields = fields.iter().map(|(name, ty, may)| ((*name).to_owned(), info(ty, *may))).collect();
        BTreeMap::from([("Account".to_owned(), Schema { fields, ..Schema::default() })])
    }

    fn rules() -> Rules {
        check(&parse(FORCEMANAGER).unwrap(), FORCEMANAGER).unwrap()
    }

    #[test]
    fn f3_a_pair_that_was_made_stays_whatever_comes_later() {
        let none = BTreeMap::new();
        let mut pairs = CustomFields::default();
        assert_eq!(pairs.grow(&rules(), &schema(&[("ns__Tier__c", FieldType::text(), true)]), &none), ["Account.ns__Tier__c"]);
        // Its name would be the first one's.
        let both = schema(&[
            ("ns_Tier__c", FieldType::Boolean, true),
            ("ns__Tier__c", FieldType::text(), true),
            ("Licenses_Sold__c", FieldType::Integer, true),
        ]);
        assert_eq!(pairs.grow(&rules(), &both, &none), ["Account.ns_Tier__c"]);
        assert_eq!(pairs.0["account"]["ns__Tier__c"].to, "Z_ns_Tier");
        assert_eq!(pairs.0["account"]["ns_Tier__c"].to, "Z_ns_Tier2");
        assert_eq!((pairs.kind("account", "Z_ns_Tier2"), pairs.kind("contact", "Z_ns_Tier2")), (Some(Kind::Bit), None));
        assert!(pairs.grow(&rules(), &both, &none).is_empty());
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(CustomFields::read(dir.path()).unwrap(), CustomFields::default());
        pairs.write(dir.path()).unwrap();
        assert_eq!(CustomFields::read(dir.path()).unwrap(), pairs);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(CustomFields::read(dir.path()).is_err());
    }

    #[test]
    fn f3_a_field_that_people_made_is_taken_if_it_is_of_the_kind() {
        let schemas = schema(&[("Tier__c", FieldType::Boolean, true), ("Rank__c", FieldType::text(), true)]);
        let info =
            FieldInfo { ty: FieldType::text(), createable: true, updateable: true, required: false, secret: false, calculated: false };
        let field = |name: &str| CustomField { field: format!("{EXTRA}{name}"), called: name.to_owned(), info: info.clone() };
        let there = BTreeMap::from([("account".to_owned(), vec![field("Tier"), field("Rank")])]);
        let mut pairs = CustomFields::default();
        pairs.grow(&rules(), &schemas, &there);
        let to = |name: &str| pairs.0["account"][name].to.clone();
        assert_eq!((to("Tier__c"), to("Rank__c")), ("Z_Tier2".to_owned(), "Z_Rank".to_owned()));
    }

    #[test]
    fn pairs_become_lines_of_their_object_and_the_rules_own_lines_stay() {
        let mut pairs = CustomFields::default();
        let asked = schema(&[("Tier__c", FieldType::text(), true), ("Sum__c", FieldType::Decimal { scale: 2 }, false)]);
        pairs.grow(&rules(), &asked, &BTreeMap::new());
        let source = FORCEMANAGER.replace("# Tier__c = \"Z_Tier\"", "Tier__c = \"Z_Rank\"");
        assert_ne!(source, FORCEMANAGER);
        let text = pairs.merged(&source, &read(&source).0.unwrap());
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        let account = rules.mapping("account").unwrap();
        let to = |name: &str| account.entries.iter().find(|e| e.name == name).map(|e| (e.platform[0].clone(), e.direction.to_salesforce()));
        assert_eq!((to("Tier__c"), to("Sum__c")), (Some(("Z_Rank".to_owned(), true)), Some(("Z_Sum".to_owned(), false))));
        assert_eq!(text.matches("Sum__c").count(), 1);
    }

    #[test]
    fn headings_of_fields_are_known_in_every_spelling() {
        assert_eq!(heading("[objects.account.fields]\n"), Some("account"));
        assert_eq!(heading("  [ objects . \"account\" . fields ] # x\n"), Some("account"));
        for other in ["[objects.account]", "# [objects.account.fields]", "[objects.account.fields.Name]", "fields = 1"] {
            assert_eq!(heading(other), None, "{other}");
        }
    }
}
