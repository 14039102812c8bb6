//! What objects and fields there are: the part of an org that describe shows.
//!
//! Objects come from two places, the [`super::standard`] table and the project's own metadata ([`super::sfdx`]); here they
//! are put together, find each other (lookups know their targets, parents their children) and are looked up by name
//! without regard to case. Who may see what is not known here.

use std::collections::HashMap;

use super::formula::Formula;
use super::value::Cell;

/// The objects of one org. An object's number is its place here and never changes.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub objects: Vec<Object>,
    by_name: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub name: String,
    pub label: String,
    pub plural: String,
    pub prefix: String,
    pub custom: bool,
    /// Rows can be written through the API at all.
    pub writable: bool,
    /// A deleted row stays for fifteen days.
    pub bin: bool,
    pub mergeable: bool,
    /// Users are never deleted; status tables have no such column.
    pub deletable: bool,
    pub fields: Vec<Field>,
    by_name: HashMap<String, u16>,
    pub children: Vec<Child>,
    /// When the description last changed, seconds since 1970.
    pub changed: i64,
}

/// A lookup seen from its parent.
#[derive(Clone, Debug)]
pub struct Child {
    pub object: usize,
    pub field: u16,
    pub relationship: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Id,
    Text,
    TextArea,
    LongText,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    Picklist,
    MultiPicklist,
    Reference,
    Email,
    Phone,
    Url,
    Address,
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Stored,
    Id,
    IsDeleted,
    Created,
    CreatedBy,
    Modified,
    ModifiedBy,
    Stamp,
    Master,
    /// The compound of the parts with this prefix.
    Address(String),
    /// Salutation, first and last name in one.
    PersonName,
    /// The display format with its `{000}`.
    AutoNumber(String),
    Formula(Box<Formula>),
    /// A sum of a child's field: relationship field `object.lookup.field`.
    Sum {
        child: String,
        lookup: String,
        field: String,
    },
    Count {
        child: String,
        lookup: String,
    },
    /// Never set.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnParentDelete {
    SetNull,
    Cascade,
    Restrict,
    /// The lookup keeps pointing at the deleted row.
    Keep,
}

#[derive(Clone, Debug)]
pub struct Pick {
    pub value: String,
    pub label: String,
    pub active: bool,
    pub default: bool,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub label: String,
    pub kind: Kind,
    pub source: Source,
    pub length: u32,
    pub precision: u32,
    pub scale: u32,
    pub required: bool,
    pub createable: bool,
    pub updateable: bool,
    pub external_id: bool,
    pub unique: bool,
    pub case_sensitive: bool,
    pub custom: bool,
    pub name_field: bool,
    pub restricted: bool,
    pub picklist: Vec<Pick>,
    pub refers: Vec<String>,
    pub targets: Vec<usize>,
    pub relationship: Option<String>,
    pub child_relationship: Option<String>,
    pub on_parent_delete: OnParentDelete,
    pub default: Option<Cell>,
    pub compound: Option<String>,
    pub help: Option<String>,
}

impl Field {
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            label: spaced(name),
            kind,
            source: Source::Stored,
            length: 0,
            precision: 0,
            scale: 0,
            required: false,
            createable: true,
            updateable: true,
            external_id: false,
            unique: false,
            case_sensitive: false,
            custom: name.ends_with("__c"),
            name_field: false,
            restricted: false,
            picklist: Vec::new(),
            refers: Vec::new(),
            targets: Vec::new(),
            relationship: None,
            child_relationship: None,
            on_parent_delete: OnParentDelete::SetNull,
            default: None,
            compound: None,
            help: None,
        }
    }

    /// Not writable by anybody.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.createable = false;
        self.updateable = false;
        self
    }

    #[must_use]
    pub fn calculated(&self) -> bool {
        matches!(self.source, Source::Formula(_) | Source::Sum { .. } | Source::Count { .. })
    }

    /// Rows can be found by this field's value in a URL.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.external_id || self.unique
    }

    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(
            self.kind,
            Kind::Text | Kind::TextArea | Kind::LongText | Kind::Picklist | Kind::MultiPicklist | Kind::Email | Kind::Phone | Kind::Url
        )
    }

    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Int | Kind::Double | Kind::Currency | Kind::Percent)
    }
}

impl Object {
    #[must_use]
    pub fn new(name: &str, label: &str, plural: &str, prefix: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            plural: plural.to_owned(),
            prefix: prefix.to_owned(),
            custom: name.ends_with("__c"),
            writable: true,
            bin: true,
            mergeable: false,
            deletable: true,
            fields: Vec::new(),
            by_name: HashMap::new(),
            children: Vec::new(),
            changed: 0,
        }
    }

    /// Adds a field, or replaces the one of that name.
    pub fn push(&mut self, field: Field) {
        let key = field.name.to_ascii_lowercase();
        if let Some(at) = self.by_name.get(&key) {
            self.fields[usize::from(*at)] = field;
            return;
        }
        let at = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
        self.by_name.insert(key, at);
        self.fields.push(field);
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<u16> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    #[must_use]
    pub fn field(&self, at: u16) -> &Field {
        &self.fields[usize::from(at)]
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Field> {
        self.find(name).map(|at| self.field(at))
    }

    #[must_use]
    pub fn by_relationship(&self, name: &str) -> Option<u16> {
        let found = self.fields.iter().position(|field| field.relationship.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)));
        found.and_then(|at| u16::try_from(at).ok())
    }

    #[must_use]
    pub fn name_field(&self) -> Option<u16> {
        let found = self.fields.iter().position(|field| field.name_field);
        found.and_then(|at| u16::try_from(at).ok())
    }

    /// `(number, field)` of each.
    pub fn numbered(&self) -> impl Iterator<Item = (u16, &Field)> {
        self.fields.iter().enumerate().map(|(at, field)| (u16::try_from(at).unwrap_or(u16::MAX), field))
    }
}

impl Schema {
    pub fn push(&mut self, object: Object) {
        self.by_name.insert(object.name.to_ascii_lowercase(), self.objects.len());
        self.objects.push(object);
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    #[must_use]
    pub fn by_prefix(&self, prefix: &str) -> Option<usize> {
        self.objects.iter().position(|object| object.prefix == prefix)
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Object> {
        self.find(name).map(|at| &self.objects[at])
    }

    /// Lets lookups find their targets and parents their children. To be called after every change of shape.
    pub fn connect(&mut self) {
        let names = self.by_name.clone();
        for object in &mut self.objects {
            object.children.clear();
            for field in &mut object.fields {
                field.targets = field.refers.iter().filter_map(|name| names.get(&name.to_ascii_lowercase()).copied()).collect();
            }
        }
        let mut children = Vec::new();
        for (at, object) in self.objects.iter().enumerate() {
            for (number, field) in object.numbered() {
                for target in &field.targets {
                    let relationship = field.child_relationship.clone();
                    children.push((*target, Child { object: at, field: number, relationship }));
                }
            }
        }
        for (target, child) in children {
            self.objects[target].children.push(child);
        }
    }
}

/// `BillingPostalCode` → `Billing Postal Code`
fn spaced(name: &str) -> String {
    let mut label = String::with_capacity(name.len() + 4);
    for ch in name.trim_end_matches("__c").chars() {
        if ch == '_' {
            label.push(' ');
            continue;
        }
        if ch.is_ascii_uppercase() && label.ends_with(|last: char| last.is_ascii_lowercase()) {
            label.push(' ');
        }
        label.push(ch);
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let mut object = Object::new("Thing__c", "Thing", "Things", "a00");
        object.push(Field::new("Seat_Count__c", Kind::Double));
        assert_eq!(object.named("seat_count__C").map(|field| field.label.as_str()), Some("Seat Count"));
        object.push(Field::new("SEAT_COUNT__c", Kind::Int));
        assert_eq!(object.fields.len(), 1);
    }

    #[test]
    fn parents_learn_of_their_children() {
        let mut schema = Schema::default();
        let mut child = Object::new("Child__c", "Child", "Children", "a00");
        let mut lookup = Field::new("Parent__c", Kind::Reference);
        lookup.refers = vec!["Parent__c".to_owned()];
        child.push(lookup);
        schema.push(child);
        schema.push(Object::new("Parent__c", "Parent", "Parents", "a01"));
        schema.connect();
        schema.connect();
        assert_eq!(schema.objects[1].children.len(), 1);
        assert_eq!(schema.objects[0].fields[0].targets, [1]);
    }
}
