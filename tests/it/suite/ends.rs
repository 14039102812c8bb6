//! Records that are deleted, merged or brought back.

use super::{Subject, scene::Scene};
use serde_json::json;

fn delete_in_salesforce(scene: &Scene, subject: &Subject, id: &str) {
    let sobject = scene.sobject(subject);
    scene.pair.salesforce.world().delete(&sobject, id).unwrap();
}

pub async fn in_salesforce_carried(scene: Scene, subject: &Subject) {
    scene.set(subject.object, &[("on-salesforce-delete", "\"delete\"")]);
    let both = scene.linked(subject).await;
    let before = scene.on_platform(subject).len();
    delete_in_salesforce(&scene, subject, &both.salesforce);
    scene.settle().await;
    let rows = scene.on_platform(subject);
    assert_eq!((rows.contains_key(&both.platform), rows.len()), (false, before - 1), "{}", scene.changes());
    scene.quiet().await;
    scene.in_step();
}

pub async fn in_salesforce_told(scene: Scene, subject: &Subject) {
    scene.set(subject.object, &[("on-salesforce-delete", "\"report\"")]);
    let both = scene.linked(subject).await;
    delete_in_salesforce(&scene, subject, &both.salesforce);
    scene.settle().await;
    assert!(scene.on_platform(subject).contains_key(&both.platform), "{}", scene.changes());
    assert!(scene.changes().contains("deleted-in-salesforce"), "{}", scene.changes());
    scene.quiet().await;
}

pub async fn on_platform_carried(scene: Scene, subject: &Subject) {
    scene.set(subject.object, &[("on-platform-delete", "\"delete\"")]);
    let both = scene.linked(subject).await;
    scene.partner.delete(&scene.pair, &scene.resource(subject), &both.platform);
    scene.settle().await;
    assert_eq!(scene.salesforce_value(subject, &both.salesforce, subject.name), None, "{}", scene.changes());
    scene.quiet().await;
    scene.in_step();
}

pub async fn on_platform_kept(scene: Scene, subject: &Subject) {
    scene.set(subject.object, &[("on-platform-delete", "\"keep\"")]);
    let both = scene.linked(subject).await;
    let before = scene.on_platform(subject).len();
    scene.partner.delete(&scene.pair, &scene.resource(subject), &both.platform);
    scene.settle().await;
    assert!(scene.salesforce_value(subject, &both.salesforce, subject.name).is_some(), "{}", scene.changes());
    assert_eq!(scene.on_platform(subject).len(), before - 1, "and nothing is made again unasked: {}", scene.changes());
    let report = scene.once().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{}", scene.changes());
    // S5: a later edit in Salesforce is a reason to make it again.
    let word = scene.word();
    scene.edit_salesforce(subject, &both.salesforce, subject.name, &word);
    scene.settle().await;
    let name = (subject.name.value)(&word);
    let again = scene.on_platform(subject).into_values().filter(|row| row.get(subject.name.platform) == Some(&name)).count();
    assert_eq!(again, 1, "{}", scene.changes());
    scene.quiet().await;
    scene.in_step();
}

/// The link follows the survivor. Nothing is deleted, whatever the rules say of deletions.
pub async fn merge(scene: Scene, subject: &Subject) {
    if !subject.merges {
        return;
    }
    let (keep, lose) = (scene.linked(subject).await, scene.linked(subject).await);
    let before = scene.on_platform(subject).len();
    let sobject = scene.sobject(subject);
    scene.pair.salesforce.world().merge(&sobject, &keep.salesforce, &[&lose.salesforce], &json!({})).unwrap();
    scene.settle().await;
    assert_eq!(scene.on_platform(subject).len(), before, "{}", scene.changes());
    let word = scene.word();
    scene.edit_salesforce(subject, &keep.salesforce, subject.name, &word);
    scene.settle().await;
    assert_eq!(scene.platform_value(subject, &keep.platform, subject.name), Some((subject.name.value)(&word)), "{}", scene.changes());
    assert_eq!(scene.on_platform(subject).len(), before, "{}", scene.changes());
    scene.quiet().await;
}

/// Brought back while the platform's record is still there: linked again. After it went too: made again, once.
pub async fn revive(scene: Scene, subject: &Subject) {
    for rule in ["report", "delete"] {
        let config = scene.config();
        let resource = subject.resource((scene.partner.platform().catalogue)(), subject.mapping(&config.rules));
        if rule == "delete" && !resource.can_delete {
            continue;
        }
        scene.set(subject.object, &[("on-salesforce-delete", &format!("{rule:?}"))]);
        let both = scene.linked(subject).await;
        let before = scene.on_platform(subject).len();
        delete_in_salesforce(&scene, subject, &both.salesforce);
        scene.settle().await;
        let sobject = scene.sobject(subject);
        scene.pair.salesforce.world().undelete(&sobject, &both.salesforce).unwrap();
        scene.settle().await;
        let word = scene.word();
        scene.edit_salesforce(subject, &both.salesforce, subject.name, &word);
        scene.settle().await;
        let rows = scene.on_platform(subject);
        let name = (subject.name.value)(&word);
        let same = rows.iter().filter(|(_, row)| row.get(subject.name.platform) == Some(&name)).map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!((same.len(), rows.len()), (1, before), "{rule}: {}", scene.changes());
        assert_eq!(*same[0] == both.platform, rule == "report", "{rule}: {}", scene.changes());
        scene.quiet().await;
        scene.in_step();
    }
}
