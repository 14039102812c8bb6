//! What a connector can do, known without a connection: rules are checked against it offline.

use crate::record::FieldType;

#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// `salesforce`, `licensespring`, …
    pub name: &'static str,
    pub resources: Vec<ResourceSpec>,
    /// True where a resource or field outside this list may still exist (custom objects and fields).
    pub open: bool,
}

impl Catalogue {
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&ResourceSpec> {
        self.resources.iter().find(|r| r.name == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSpec {
    pub name: &'static str,
    pub fields: Vec<FieldSpec>,
    /// The field that can carry the other side's id.
    pub planted: Option<&'static str>,
    pub feed: Feed,
    pub deletes: DeleteFeed,
    pub can_create: bool,
    pub can_update: bool,
    pub can_delete: bool,
    /// Records carry a last-changed stamp: `conflict = "newest"` is possible.
    pub stamped: bool,
    /// Any text field name with this prefix exists (`metadata.`).
    pub free_prefix: Option<&'static str>,
}

impl ResourceSpec {
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldSpec> {
        self.fields.iter().find(|f| f.name == name)
    }

    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.field(name).is_some() || self.free_prefix.is_some_and(|p| name.len() > p.len() && name.starts_with(p))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct FieldSpec {
    pub name: &'static str,
    pub ty: FieldType,
    pub create: bool,
    pub update: bool,
    pub required: bool,
    pub secret: bool,
}

/// How changes are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// By a since-filter on a stamp.
    Since,
    /// Only by reading everything.
    Sweep,
}

/// How deletions are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteFeed {
    /// The side reports them.
    Reported,
    /// Only by absence from a complete sweep, confirmed by a read by id.
    Absence,
}
