//! The platforms there are, in one list. Whatever has to go over all of them reads it here; what a platform is, each
//! connector says in its own folder.
//!
//! Knows no wire, and of a connector no more than what it declares.

use super::{Catalogue, ResourceSpec, forcemanager, lac, licensespring};

/// What is known of a platform before anybody connects to it.
#[derive(Debug)]
pub struct Platform {
    /// The key of its table, `[platform.<name>]`, and the name of its catalogue.
    pub name: &'static str,
    /// As its vendor writes it.
    pub title: &'static str,
    /// The rules file we ship for it, and where it lies in the project.
    pub rules: &'static str,
    pub rules_file: &'static str,
    /// The page on setting it up, below `docs/`.
    pub page: &'static str,
    pub catalogue: fn() -> &'static Catalogue,
    pub pace: Pace,
    /// Whether the side finds records by this field of a resource without showing all of them.
    pub searches: fn(&ResourceSpec, &str) -> bool,
    /// By resource, the fields by which a create whose answer was lost is known again. A resource that is not here is not
    /// created.
    pub known_again: &'static [(&'static str, &'static [&'static str])],
}

/// How many calls are made at most, unless the rules say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub calls: u32,
    /// `second` or `minute`.
    pub per: &'static str,
    /// The key of the platform's table that says otherwise.
    pub key: &'static str,
}

/// In the order in which they came.
pub static PLATFORMS: [&Platform; 3] = [&licensespring::PLATFORM, &lac::PLATFORM, &forcemanager::PLATFORM];

/// The platform of this name.
#[must_use]
pub fn platform(name: &str) -> Option<&'static Platform> {
    PLATFORMS.into_iter().find(|platform| platform.name == name)
}

impl Platform {
    /// The fields by which a lost create of this resource is known again; empty where nothing is created.
    #[must_use]
    pub fn known_again(&self, resource: &str) -> &'static [&'static str] {
        self.known_again.iter().find(|(name, _)| *name == resource).map_or(&[], |(_, fields)| fields)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_is_called_as_its_catalogue_and_its_rules_call_it() {
        for platform in PLATFORMS {
            assert_eq!((platform.catalogue)().name, platform.name);
            let (file, problems) = crate::rules::read(platform.rules);
            assert_eq!(problems, [], "{}", platform.name);
            let named = file.unwrap().platform.as_ref().unwrap().named();
            assert_eq!(named.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), [platform.name]);
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            assert_eq!(std::fs::read_to_string(root.join(platform.rules_file)).unwrap(), platform.rules);
            assert!(root.join("docs").join(platform.page).is_file(), "{}", platform.page);
        }
    }

    /// A create that could not be known again would be made twice; what is not created needs no such field.
    #[test]
    fn whatever_is_created_is_known_again_by_fields_that_are_written() {
        for platform in PLATFORMS {
            for resource in &(platform.catalogue)().resources {
                let fields = platform.known_again(resource.name);
                // An order is made with its licenses; a license by itself is not.
                assert_eq!(!fields.is_empty(), resource.can_create, "{} {}", platform.name, resource.name);
                for field in fields {
                    assert!(resource.field(field).unwrap().create, "{} {}.{field}", platform.name, resource.name);
                }
                if let Some(planted) = resource.planted.filter(|_| resource.can_create) {
                    assert_eq!(fields, [planted], "{} {}", platform.name, resource.name);
                }
            }
        }
    }
}
