//! The rules file looked at in the ways the checks need: in the order of the file, a field line with its object.

use super::{At, FieldTable, FieldValue, LensWord, ObjectTable, PlatformTable, RulesFile, SecretRef, TextValue};
use crate::rules::{
    Place,
    mapping::{Conflict, Create, Direction},
};

/// One line of `[objects.<name>.fields]`, seen with its object.
#[derive(Clone, Copy)]
pub struct Line<'f> {
    pub object: &'f ObjectTable,
    pub key: &'f At<String>,
    value: &'f At<FieldValue>,
}

impl<'f> Line<'f> {
    #[must_use]
    pub fn table(self) -> Option<&'f FieldTable> {
        match &**self.value {
            FieldValue::Name(_) => None,
            FieldValue::Table(table) => Some(table),
        }
    }

    /// Where the right side stands.
    #[must_use]
    pub fn place(self) -> Place {
        self.value.place()
    }

    /// The Salesforce fields as written on the left; for a lens over several they are joined by `+`.
    #[must_use]
    pub fn names(self) -> Vec<&'f str> {
        self.key.split('+').map(str::trim).collect()
    }

    /// The platform field and where it stands.
    #[must_use]
    pub fn to(self) -> Option<(&'f str, Place)> {
        match &**self.value {
            FieldValue::Name(name) => Some((name, self.value.place())),
            FieldValue::Table(table) => table.to.as_ref().map(|to| (to.as_str(), to.place())),
        }
    }

    #[must_use]
    pub fn lens(self) -> LensWord {
        self.table().and_then(|t| t.lens.as_ref()).map_or(LensWord::Copy, |l| **l)
    }

    #[must_use]
    pub fn direction(self) -> Direction {
        let own = self.table().and_then(|t| t.direction.as_ref()).map(|d| **d);
        let inherited = if self.lens().one_way() { Direction::ToPlatform } else { self.object.direction() };
        own.unwrap_or(inherited)
    }

    #[must_use]
    pub fn conflict(self) -> Conflict {
        let own = self.table().and_then(|t| t.conflict.as_ref());
        own.or(self.object.conflict.as_ref()).map_or(Conflict::Salesforce, |c| **c)
    }
}

impl ObjectTable {
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction.unwrap_or(Direction::Both)
    }

    #[must_use]
    pub fn create(&self) -> Create {
        let usual = match self.direction() {
            Direction::ToSalesforce => Create::ToSalesforce,
            Direction::Both | Direction::ToPlatform => Create::ToPlatform,
            Direction::None => Create::None,
        };
        self.create.as_ref().map_or(usual, |c| **c)
    }

    /// Its field lines, in the order of the file.
    #[must_use]
    pub fn lines(&self) -> Vec<Line<'_>> {
        let mut lines: Vec<_> = self.fields.iter().flatten().map(|(key, value)| Line { object: self, key, value }).collect();
        lines.sort_by_key(|line| line.key.place().start);
        lines
    }

    /// Orders and licenses stand for what was sold: they are never deleted and never issued twice.
    #[must_use]
    pub fn is_issued(&self, name: &str) -> bool {
        let issued = |word: &str| matches!(word, "order" | "license");
        self.provisions || issued(name) || self.platform.as_ref().is_some_and(|p| issued(p))
    }
}

impl PlatformTable {
    /// The platforms that are named, each with its place; a sound file names one.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, Place)> {
        let named = [
            ("licensespring", self.licensespring.as_ref().map(At::place)),
            ("lac", self.lac.as_ref().map(At::place)),
            ("forcemanager", self.forcemanager.as_ref().map(At::place)),
        ];
        named.into_iter().filter_map(|(name, place)| Some((name, place?))).collect()
    }
}

impl RulesFile {
    /// The objects, in the order of the file.
    #[must_use]
    pub fn objects(&self) -> Vec<(&At<String>, &ObjectTable)> {
        let mut objects: Vec<_> = self.objects.iter().map(|(name, table)| (name, &**table)).collect();
        objects.sort_by_key(|(name, _)| name.place().start);
        objects
    }

    /// Every field line of every object.
    #[must_use]
    pub fn lines(&self) -> Vec<(&At<String>, Line<'_>)> {
        self.objects().into_iter().flat_map(|(name, table)| table.lines().into_iter().map(move |line| (name, line))).collect()
    }

    /// The object that `[orders]` is about.
    #[must_use]
    pub fn provisioning(&self) -> Option<&At<String>> {
        self.objects().into_iter().find(|(_, table)| table.provisions).map(|(name, _)| name)
    }

    /// Every `{ env = … }` and its like, with its place.
    #[must_use]
    pub fn secret_sources(&self) -> Vec<(&SecretRef, Place)> {
        let mut out = Vec::new();
        let salesforce = self.salesforce.as_ref();
        let platform = self.platform.as_ref().and_then(|p| p.licensespring.as_ref());
        let forcemanager = self.platform.as_ref().and_then(|p| p.forcemanager.as_ref());
        let lac = self.platform.as_ref().and_then(|p| p.lac.as_ref());
        let secrets = [
            salesforce.and_then(|s| s.client_secret.as_ref()),
            salesforce.and_then(|s| s.refresh_token.as_ref()),
            salesforce.and_then(|s| s.private_key.as_ref()),
            salesforce.and_then(|s| s.password.as_ref()),
            platform.and_then(|p| p.api_key.as_ref()),
            forcemanager.and_then(|p| p.public_key.as_ref()),
            forcemanager.and_then(|p| p.private_key.as_ref()),
            lac.and_then(|p| p.password.as_ref()),
        ];
        let texts = [
            salesforce.and_then(|s| s.login_url.as_ref()),
            salesforce.and_then(|s| s.client_id.as_ref()),
            salesforce.and_then(|s| s.username.as_ref()),
            salesforce.and_then(|s| s.audience.as_ref()),
            platform.and_then(|p| p.url.as_ref()),
            forcemanager.and_then(|p| p.url.as_ref()),
            lac.and_then(|p| p.url.as_ref()),
            lac.and_then(|p| p.username.as_ref()),
        ];
        out.extend(secrets.into_iter().flatten().map(|value| (&**value, value.place())));
        for value in texts.into_iter().flatten() {
            if let TextValue::From(source) = &**value {
                out.push((source, value.place()));
            }
        }
        out
    }

    /// The places of the tables of which something may be said to be missing.
    #[must_use]
    pub fn places_of_tables(&self) -> Vec<Place> {
        let mut places = Vec::new();
        places.extend(self.connection.as_ref().map(At::place));
        places.extend(self.salesforce.as_ref().map(At::place));
        places.extend(self.platform.as_ref().map(At::place));
        places.extend(self.orders.as_ref().map(At::place));
        places.extend(self.objects.values().map(At::place));
        places.extend(self.lines().into_iter().map(|(_, line)| line.place()));
        places
    }

    /// Something in the table at this place was taken out, so that its absence must not be complained about again.
    #[must_use]
    pub fn is_maimed(&self, place: &Place) -> bool {
        self.maimed.contains(place)
    }
}
