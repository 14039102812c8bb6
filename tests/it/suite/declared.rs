//! What a connector says it cannot do is refused, by itself and by the check of the rules, and nothing is sent.
//!
//! What it says it can do is played by the scenarios.

use super::{PARTNERS, Partner, scene::Scene, scene::with_keys};
use lockstep::config::Config;
use lockstep::connectors::ResourceSpec;
use lockstep::plan::{Outcome, Verb, Write};
use lockstep::record::{Fields, RecordId, Value};

async fn refusals(partner: &'static dyn Partner) -> Vec<String> {
    let scene = Scene::start(partner).await;
    let connectors = scene.connectors();
    let platform = &connectors.platform;
    let before = (scene.partner.picture(&scene.pair), platform.calls().data);
    let mut refused = Vec::new();
    for resource in &(partner.platform().catalogue)().resources {
        for (verb, can) in [(Verb::Create, resource.can_create), (Verb::Update, resource.can_update), (Verb::Delete, resource.can_delete)] {
            if can {
                continue;
            }
            let outcomes = platform.apply(&[write(resource, verb)]).await;
            assert!(
                matches!(&outcomes[..], [Outcome::Rejected { .. }]),
                "{} {verb} {}: {outcomes:?}",
                partner.platform().name,
                resource.name
            );
            refused.push(format!("{verb} {}", resource.name));
        }
    }
    assert_eq!((scene.partner.picture(&scene.pair), platform.calls().data), before, "nothing is sent");
    refused
}

fn write(resource: &ResourceSpec, verb: Verb) -> Write {
    let field = resource.fields.first().expect("a resource has fields").name;
    Write {
        intent: 1,
        object: resource.name.to_owned(),
        resource: resource.name.to_owned(),
        verb,
        id: (verb != Verb::Create).then(|| RecordId::from("1")),
        fields: if verb == Verb::Delete { Fields::new() } else { Fields::from([(field.to_owned(), Value::text("x"))]) },
        key: None,
        read: Vec::new(),
    }
}

#[tokio::test]
async fn licensespring_refuses_what_it_declares() {
    let refused = refusals(&super::licensespring::LicenseSpring).await;
    assert_eq!(refused, ["delete order", "create license", "delete license"]);
}

#[tokio::test]
async fn lac_refuses_what_it_declares() {
    let refused = refusals(&super::lac::Lac).await;
    assert_eq!(refused.len(), 6, "{refused:?}");
}

#[tokio::test]
async fn forcemanager_refuses_what_it_declares() {
    let refused = refusals(&super::forcemanager::ForceManager).await;
    assert_eq!(refused, ["create user", "update user", "delete user"]);
}

/// Offline, where an operator sees it first.
#[test]
fn the_rules_are_told_what_a_platform_cannot_do() {
    let mut told = Vec::new();
    for partner in PARTNERS {
        let platform = partner.platform();
        let (file, _) = lockstep::rules::read(platform.rules);
        for (object, table) in file.unwrap().objects() {
            let resource = (platform.catalogue)().resource(table.platform.as_ref().unwrap()).unwrap();
            for (can, key, value, code) in [
                (resource.can_delete, "on-salesforce-delete", "\"delete\"", "cannot-delete"),
                (resource.can_create, "create", "\"both\"", "cannot-create"),
            ] {
                let text = with_keys(platform.rules, object, &[(key, value)]);
                let codes: Vec<_> = Config::problems_of(&text).into_iter().map(|p| p.code).collect();
                if !can && !table.provisions {
                    // An issued kind is refused by the rules themselves, on whatever platform.
                    assert!(codes.contains(&code) || codes.contains(&"never-delete"), "{} {}: {codes:?}", platform.name, **object);
                    told.push(format!("{} {}", platform.name, **object));
                } else {
                    assert!(!codes.contains(&code), "{} {}: {codes:?}", platform.name, **object);
                }
            }
        }
    }
    assert!(told.len() >= 3, "{told:?}");
}
