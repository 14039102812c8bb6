//! Records and changes that travel from one side to the other, and are not heard coming back.

use super::{Subject, scene::Scene};
use serde_json::json;

pub async fn create_from_salesforce(scene: Scene, subject: &Subject) {
    let word = scene.word();
    let id = scene.new_in_salesforce(subject, &word);
    let before = scene.on_platform(subject).len();
    let report = scene.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 1), "{report:#?}\n{}", scene.changes());
    let rows = scene.on_platform(subject);
    let made: Vec<_> = rows.values().filter(|row| row.get(subject.name.platform) == Some(&(subject.name.value)(&word))).collect();
    assert_eq!((made.len(), rows.len()), (1, before + 1), "{rows:#?}");
    let config = scene.config();
    let resource = subject.resource((scene.partner.platform().catalogue)(), subject.mapping(&config.rules));
    if let Some(planted) = resource.planted {
        assert_eq!(made[0].get(planted), Some(&id), "the record says whose it is");
    }
    scene.quiet().await;
    scene.in_step();
}

/// Where the rules do not say so, what only the platform has is told and stays where it is.
pub async fn create_from_the_platform(scene: Scene, subject: &Subject) {
    scene.set(subject.object, &[("create", "\"to-platform\"")]);
    let (first, before) = (scene.word(), scene.in_salesforce(subject).len());
    scene.new_on_platform(subject, &first);
    scene.settle().await;
    assert_eq!(scene.in_salesforce(subject).len(), before, "trial users do not pour into the CRM");

    scene.set(subject.object, &[("create", "\"both\"")]);
    let second = scene.word();
    let id = scene.new_on_platform(subject, &second);
    scene.settle().await;
    // What was told before is made by the first re-sync under the new rules.
    scene.full().await;
    scene.settle().await;
    for word in [first, second] {
        let name = json!((subject.name.value)(&word));
        let rows = scene.in_salesforce(subject);
        assert_eq!(rows.iter().filter(|row| row[subject.name.salesforce] == name).count(), 1, "{rows:#?}\n{}", scene.changes());
    }
    assert!(scene.on_platform(subject).contains_key(&id), "it is the same record still");
    scene.quiet().await;
    scene.in_step();
}

pub async fn update_from_salesforce(scene: Scene, subject: &Subject) {
    let both = scene.linked(subject).await;
    for field in [subject.name, subject.other] {
        let word = scene.word();
        scene.edit_salesforce(subject, &both.salesforce, field, &word);
        let report = scene.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 1), "{report:#?}\n{}", scene.changes());
        assert_eq!(scene.platform_value(subject, &both.platform, field), Some((field.value)(&word)));
    }
    scene.quiet().await;
    scene.in_step();
}

pub async fn update_from_the_platform(scene: Scene, subject: &Subject) {
    let both = scene.linked(subject).await;
    for field in [subject.name, subject.other] {
        let word = scene.word();
        scene.edit_platform(subject, &both.platform, field, &word);
        let report = scene.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (1, 0), "{report:#?}\n{}", scene.changes());
        assert_eq!(scene.salesforce_value(subject, &both.salesforce, field), Some((field.value)(&word)));
    }
    scene.quiet().await;
    scene.in_step();
}

/// S7: what a run wrote is read by the next, and equal to what is remembered.
pub async fn echo(scene: Scene, subject: &Subject) {
    let both = scene.linked(subject).await;
    for _ in 0..2 {
        scene.edit_salesforce(subject, &both.salesforce, subject.name, &scene.word());
        assert_eq!(scene.once().await.writes.platform, 1);
        let report = scene.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{}", scene.changes());
        scene.edit_platform(subject, &both.platform, subject.name, &scene.word());
        assert_eq!(scene.once().await.writes.salesforce, 1);
        let report = scene.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{}", scene.changes());
    }
    scene.quiet().await;
}

pub async fn second_run(scene: Scene, subject: &Subject) {
    let mut words = Vec::new();
    for _ in 0..12 {
        words.push(scene.word());
    }
    for word in &words {
        scene.new_in_salesforce(subject, word);
    }
    let report = scene.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce, report.writes.platform), ("ok", 0, 12), "{report:#?}");
    scene.quiet().await;
    scene.in_step();
}
