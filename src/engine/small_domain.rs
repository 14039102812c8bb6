//! The small domain, whole: every state of a link against everything the two sides can show, under every delete policy,
//! and every three-way case of one field under every conflict rule. What must hold is said apart from the code it checks.

use super::decide::{Decision, Ground, Rest, Survivor, decide};
use crate::connectors::{FieldInfo, Schema};
use crate::plan::{Situation, Verb};
use crate::record::{FieldType, Fields, Life, RecordId, Side, Sides, Value};
use crate::rules::{Conflict, Create, Direction, Drift, Entry, Lens, Mapping, Merge, OnPlatformDelete, OnSalesforceDelete, Rules};
use crate::store::{Link, LinkState, Links, PairRead, StagedRow};

fn schema(fields: &[&str], planted: &str) -> Schema {
    let info = FieldInfo { ty: FieldType::text(), createable: true, updateable: true, required: false, secret: false, calculated: false };
    Schema {
        fields: fields.iter().map(|f| ((*f).to_owned(), info.clone())).collect(),
        createable: true,
        updateable: true,
        deletable: true,
        planted: Some(planted.to_owned()),
    }
}

fn mapping(object: &str, conflict: Conflict) -> Mapping {
    let entry = |s: &str, p: &str| Entry {
        name: s.to_owned(),
        salesforce: vec![s.to_owned()],
        platform: vec![p.to_owned()],
        lens: Lens::Copy,
        direction: Direction::Both,
        conflict,
    };
    Mapping {
        object: object.to_owned(),
        salesforce: "Account".to_owned(),
        platform: "customer-account".to_owned(),
        direction: Direction::Both,
        create: Create::ToPlatform,
        match_keys: Vec::new(),
        parent: None,
        filter: None,
        conflict,
        merge: Merge::Field,
        drift: Drift::Ignore,
        on_salesforce_delete: OnSalesforceDelete::Report,
        on_platform_delete: OnPlatformDelete::Keep,
        fill_salesforce_blanks: false,
        entries: vec![entry("Name", "name"), entry("Phone", "phone")],
        provisions: false,
    }
}

fn rules(mapping: Mapping) -> Rules {
    Rules {
        connection: "test".to_owned(),
        mappings: vec![mapping],
        orders: None,
        products: Vec::new(),
        products_from_product2: false,
        fingerprint: 0,
    }
}

fn fields(side: Side, name: &str, phone: &str) -> Fields {
    let v = |t: &str| if t.is_empty() { Value::Null } else { Value::text(t) };
    match side {
        Side::Salesforce => [("Name".to_owned(), v(name)), ("Phone".to_owned(), v(phone))].into(),
        Side::Platform => [("name".to_owned(), v(name)), ("phone".to_owned(), v(phone)), ("code".to_owned(), Value::text("001"))].into(),
    }
}

fn row(side: Side, life: Life, fields: Fields) -> StagedRow {
    let id = match side {
        Side::Salesforce => "001D000000IqhSLIAZ",
        Side::Platform => "7",
    };
    StagedRow { id: RecordId::from(id), fields, hash: 1, stamp: None, life }
}

fn link(object: &str, state: LinkState) -> Link {
    Link { id: 1, object: object.to_owned(), salesforce_id: "001D000000IqhSLIAZ".into(), platform_id: "7".into(), state }
}

fn run(rules: &Rules, pair: &PairRead, survivor: Survivor, referred_to: bool) -> Decision {
    let (salesforce, platform) =
        (schema(&["Name", "Phone", "Lockstep_Id__c"], "Lockstep_Id__c"), schema(&["name", "phone", "code"], "code"));
    let ground = Ground {
        rules,
        mapping: &rules.mappings[0],
        schema: Sides::new(&salesforce, &platform),
        links: &Links::default(),
        candidates: Vec::new(),
        survivor,
        referred_to,
        parent_gone: false,
        first_contact: None,
        now: "2026-11-24T10:00:00Z",
    };
    decide(pair, &ground, &mut || "KEY".to_owned())
}

fn lives() -> Vec<Option<Life>> {
    vec![None, Some(Life::Live), Some(Life::Deleted), Some(Life::MergedInto("001D000000IqhSMIAZ".into()))]
}

/// S5, S6, S17: one situation each, and what takes something away has its evidence.
#[test]
fn every_state_of_a_linked_pair_has_one_sound_decision() {
    let mut seen = std::collections::BTreeSet::new();
    for object in ["account", "license"] {
        for on_salesforce in [OnSalesforceDelete::Report, OnSalesforceDelete::Delete, OnSalesforceDelete::Disable] {
            for on_platform in [OnPlatformDelete::Keep, OnPlatformDelete::Delete] {
                for state in [LinkState::Live, LinkState::Buried, LinkState::DeletedInSalesforce] {
                    for salesforce in lives() {
                        for platform in [None, Some(Life::Live), Some(Life::Deleted)] {
                            for (survivor, referred_to) in
                                [(Survivor::Free, false), (Survivor::Linked, false), (Survivor::Unseen, false), (Survivor::Free, true)]
                            {
                                let mut mapping = mapping(object, Conflict::Salesforce);
                                mapping.on_salesforce_delete = on_salesforce;
                                mapping.on_platform_delete = on_platform;
                                let rules = rules(mapping);
                                let news = |side: Side, life: &Option<Life>| life.clone().map(|l| row(side, l, fields(side, "new", "1")));
                                let pair = PairRead {
                                    link: Some(link(object, state)),
                                    base: Sides::new(Some(fields(Side::Salesforce, "old", "1")), Some(fields(Side::Platform, "old", "1"))),
                                    staged: Sides::new(news(Side::Salesforce, &salesforce), news(Side::Platform, &platform)),
                                };
                                let decision = run(&rules, &pair, survivor, referred_to);
                                seen.insert(decision.situation);
                                let what = format!("{object} {state:?} {salesforce:?} {platform:?} → {decision:?}");
                                for intent in &decision.intents {
                                    assert_ne!(intent.verb, Verb::Create, "a linked record is never made anew in place: {what}");
                                    if intent.verb == Verb::Delete {
                                        let evidence = match intent.side {
                                            Side::Platform => {
                                                salesforce == Some(Life::Deleted) && on_salesforce == OnSalesforceDelete::Delete
                                            }
                                            Side::Salesforce => platform == Some(Life::Deleted) && on_platform == OnPlatformDelete::Delete,
                                        };
                                        assert!(evidence, "a delete without evidence or leave: {what}");
                                        assert_eq!(object, "account", "what was issued is never deleted: {what}");
                                        assert!(intent.side == Side::Salesforce || !referred_to, "others hang on it: {what}");
                                    }
                                    if matches!(salesforce, Some(Life::MergedInto(_))) {
                                        assert!(!intent.verb.is_write(), "a merge takes nothing away: {what}");
                                    }
                                }
                                let settled = !decision.intents.is_empty() || decision.rest != Rest::Settled;
                                assert!(settled, "nothing becomes of it: {what}");
                            }
                        }
                    }
                }
            }
        }
    }
    for situation in [
        Situation::DeletedInSalesforce,
        Situation::DeletedInSalesforceButEdited,
        Situation::Merged,
        Situation::GoneOnPlatform,
        Situation::GoneOnPlatformButEdited,
        Situation::Gone,
        Situation::Buried,
        Situation::Revived,
        Situation::Agreed,
    ] {
        assert!(seen.contains(&situation), "{situation} was never met");
    }
}

/// Who holds what in the end, by a policy table written apart from the production code.
fn expected(conflict: Conflict, base: &str, salesforce: &str, platform: &str) -> (String, String) {
    let (moved_s, moved_p) = (salesforce != base, platform != base);
    let winner = match (moved_s, moved_p) {
        (false, false) => return (salesforce.to_owned(), platform.to_owned()),
        (true, false) => salesforce,
        (false, true) => platform,
        (true, true) if salesforce == platform => salesforce,
        (true, true) => match conflict {
            Conflict::Salesforce | Conflict::Newest => salesforce,
            Conflict::Platform => platform,
            Conflict::SalesforceUnlessBlank => {
                if salesforce.is_empty() {
                    platform
                } else {
                    salesforce
                }
            }
            Conflict::Manual => return (salesforce.to_owned(), platform.to_owned()),
        },
    };
    (winner.to_owned(), winner.to_owned())
}

/// S2, S3, S8, S18: two entries, four values on either side and in the base, all policies.
#[test]
fn every_three_way_case_ends_where_the_policy_says() {
    const VALUES: [&str; 4] = ["", "a", "b", "c"];
    let mut cases = 0;
    for conflict in [Conflict::Salesforce, Conflict::Platform, Conflict::SalesforceUnlessBlank, Conflict::Manual, Conflict::Newest] {
        let rules = rules(mapping("account", conflict));
        for base in VALUES {
            for salesforce in VALUES {
                for platform in VALUES {
                    for (phone_s, phone_p) in [("1", "1"), ("2", "1"), ("1", "3"), ("2", "3")] {
                        cases += 1;
                        let pair = PairRead {
                            link: Some(link("account", LinkState::Live)),
                            base: Sides::new(Some(fields(Side::Salesforce, base, "1")), Some(fields(Side::Platform, base, "1"))),
                            staged: Sides::new(
                                Some(row(Side::Salesforce, Life::Live, fields(Side::Salesforce, salesforce, phone_s))),
                                Some(row(Side::Platform, Life::Live, fields(Side::Platform, platform, phone_p))),
                            ),
                        };
                        let decision = run(&rules, &pair, Survivor::Free, false);
                        let mut now = Sides::new(fields(Side::Salesforce, salesforce, phone_s), fields(Side::Platform, platform, phone_p));
                        let mut conflicts = 0;
                        for intent in &decision.intents {
                            now[intent.side].extend(intent.fields.clone());
                            conflicts += intent.conflicts.len();
                        }
                        let text = |v: &Value| v.as_text().unwrap_or_default().to_owned();
                        let what = format!(
                            "{conflict:?} base {base:?} salesforce {salesforce:?} platform {platform:?} phones {phone_s} {phone_p}"
                        );
                        let name = (text(&now.salesforce["Name"]), text(&now.platform["name"]));
                        assert_eq!(name, expected(conflict, base, salesforce, platform), "{what}");
                        let phone = (text(&now.salesforce["Phone"]), text(&now.platform["phone"]));
                        assert_eq!(phone, expected(conflict, "1", phone_s, phone_p), "{what}");
                        let clash = |b: &str, s: &str, p: &str| usize::from(s != b && p != b && s != p);
                        assert_eq!(conflicts, clash(base, salesforce, platform) + clash("1", phone_s, phone_p), "{what}: {decision:#?}");
                        let writes = decision.intents.iter().filter(|i| i.verb.is_write()).count();
                        assert!(writes <= 2, "{what}");
                        let moved = salesforce != base || platform != base || phone_s != "1" || phone_p != "1";
                        assert!(moved || writes == 0, "an echo: {what}");
                    }
                }
            }
        }
    }
    assert_eq!(cases, 5 * 4 * 4 * 4 * 4);
}
