//! More than one record could be the other half of another.

use super::{Subject, scene::Scene};
use lockstep::record::Side;

/// Never guess, never create: the record is parked with its candidates, until a person says which or one of them goes.
pub async fn two_candidates(scene: Scene, subject: &Subject) {
    let keys: Vec<String> = subject.match_by.iter().map(|field| format!("{field:?}")).collect();
    scene.set(subject.object, &[("create", "\"to-platform\""), ("match", &format!("[[{}]]", keys.join(", ")))]);
    let word = scene.word();
    let twins = [scene.new_on_platform(subject, &word), scene.new_on_platform(subject, &word)];
    scene.settle().await;
    let before = scene.on_platform(subject);
    let id = scene.new_in_salesforce(subject, &word);
    for _ in 0..3 {
        let report = scene.once().await;
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{report:#?}\n{}", scene.changes());
    }
    assert_eq!(scene.on_platform(subject), before);
    assert!(scene.store().link(subject.object, Side::Salesforce, &id).unwrap().is_none(), "nobody is picked");
    let parked = scene.store().quarantine(10).unwrap();
    assert_eq!(parked.len(), 1, "{parked:#?}");
    let said = format!("{parked:?}");
    assert!(said.contains("ambiguous") && twins.iter().all(|twin| said.contains(twin.as_str())), "{said}");
    // One of them goes: the other is it.
    scene.partner.delete(&scene.pair, &scene.resource(subject), &twins[0]);
    scene.settle().await;
    scene.full().await;
    scene.settle().await;
    let link = scene.store().link(subject.object, Side::Salesforce, &id).unwrap();
    assert_eq!(link.map(|link| link.platform_id.to_string()), Some(twins[1].clone()), "{}", scene.changes());
    assert_eq!(scene.store().quarantine_count().unwrap(), 0);
    scene.quiet().await;
    scene.in_step();
}
