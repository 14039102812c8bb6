//! Both sides edit between two runs.

use super::{Subject, scene::Scene};
use lockstep::record::{Side, Value};
use lockstep::rules::Merge;

/// S2: Salesforce wins, and what lost is kept.
pub async fn one_field(scene: Scene, subject: &Subject) {
    let both = scene.linked(subject).await;
    let (here, there, field) = (scene.word(), scene.word(), subject.name);
    scene.edit_salesforce(subject, &both.salesforce, field, &here);
    scene.edit_platform(subject, &both.platform, field, &there);
    let report = scene.once().await;
    assert_eq!(report.conflicts, 1, "{report:#?}\n{}", scene.changes());
    scene.settle().await;
    assert_eq!(scene.salesforce_value(subject, &both.salesforce, field), Some((field.value)(&here)));
    assert_eq!(scene.platform_value(subject, &both.platform, field), Some((field.value)(&here)));
    kept(&scene, &there, field);
    scene.quiet().await;
    scene.in_step();
}

pub async fn two_fields(scene: Scene, subject: &Subject) {
    let both = scene.linked(subject).await;
    let (here, there) = (scene.word(), scene.word());
    let old = scene.salesforce_value(subject, &both.salesforce, subject.other).unwrap();
    scene.edit_salesforce(subject, &both.salesforce, subject.name, &here);
    scene.edit_platform(subject, &both.platform, subject.other, &there);
    scene.settle().await;
    let config = scene.config();
    let wanted = match subject.mapping(&config.rules).merge {
        Merge::Field => (subject.other.value)(&there),
        Merge::Record => {
            kept(&scene, &there, subject.other);
            old
        }
    };
    assert_eq!(scene.platform_value(subject, &both.platform, subject.name), Some((subject.name.value)(&here)));
    for value in
        [scene.salesforce_value(subject, &both.salesforce, subject.other), scene.platform_value(subject, &both.platform, subject.other)]
    {
        assert_eq!(value.as_ref(), Some(&wanted), "{}", scene.changes());
    }
    scene.quiet().await;
    scene.in_step();
}

/// A conflict row holds what lost, and says who won.
fn kept(scene: &Scene, word: &str, field: super::Field) {
    let conflicts = scene.store().conflicts(false, 10).unwrap();
    let lost = Value::text((field.value)(word));
    let row = conflicts.iter().find(|row| row.value.platform == lost);
    let row = row.unwrap_or_else(|| panic!("{word} is lost: {conflicts:#?}"));
    assert_eq!(row.winner, Some(Side::Salesforce));
}
