//! One set of scenarios for every platform: the connector against its simulator, over the wire, with the real engine and
//! store and the rules file that is shipped for it.
//!
//! What a platform is called and where its simulator keeps things is told by its `Partner`, one small file each. What is
//! expected is told by the connector's own catalogue and by the rules, never by a partner: a scenario that a resource
//! cannot take part in is replaced by the proof that it is refused (`declared`).

mod ambiguity;
mod both;
mod declared;
mod ends;
mod faults;
mod forcemanager;
mod lac;
mod licensespring;
mod page;
mod scene;
mod travel;

use lockstep::connectors::{Catalogue, Platform, ResourceSpec};
use lockstep::rules::Mapping;
use lockstep::sandbox::pair::{Pair, PlatformKind};
use scene::Scene;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A platform, as the scenarios need it: how it starts, and what a person does in it.
pub trait Partner: Send + Sync {
    fn platform(&self) -> &'static Platform;

    fn kind(&self) -> PlatformKind;

    /// The kinds of records the scenarios are played with.
    fn subjects(&self) -> &'static [Subject];

    /// The shipped rules with what an operator has to fill in.
    fn rules(&self, shipped: String, _pair: &Pair) -> String {
        shipped
    }

    /// Live records of a resource by id, fields under the names the catalogue gives them, as text.
    fn rows(&self, pair: &Pair, resource: &str) -> BTreeMap<String, Row>;

    /// A person makes a record; answers its id.
    fn make(&self, pair: &Pair, resource: &str, row: &Row) -> String;

    fn edit(&self, pair: &Pair, resource: &str, id: &str, field: &str, value: &str);

    fn delete(&self, pair: &Pair, resource: &str, id: &str);

    /// Everything its simulator holds, stamps too: equal pictures mean that nothing was written between them.
    fn picture(&self, pair: &Pair) -> String;
}

pub type Row = BTreeMap<String, String>;

/// One kind of records: the object of the rules, and two fields of it that travel both ways.
pub struct Subject {
    pub object: &'static str,
    pub name: Field,
    pub other: Field,
    /// What else a new Salesforce record needs, as JSON.
    pub needs: &'static [(&'static str, &'static str)],
    /// The object above it: its name, and the reference to it on either side.
    pub parent: Option<Parent>,
    /// Platform fields by which two records are taken for one, as `match` has them; the name is among them.
    pub match_by: &'static [&'static str],
    /// Salesforce merges records of this kind.
    pub merges: bool,
}

pub struct Parent {
    pub object: &'static str,
    pub salesforce: &'static str,
    pub platform: &'static str,
}

/// A field on both sides, and how a word becomes a value that is the same on both.
#[derive(Clone, Copy)]
pub struct Field {
    pub salesforce: &'static str,
    pub platform: &'static str,
    pub value: fn(&str) -> String,
}

pub const fn text(salesforce: &'static str, platform: &'static str) -> Field {
    Field { salesforce, platform, value: |word| word.to_owned() }
}

/// Every platform there is, and the scenarios it plays. A platform without a partner here fails the suite.
pub static PARTNERS: [&dyn Partner; 3] = [&licensespring::LicenseSpring, &lac::Lac, &forcemanager::ForceManager];

impl Subject {
    pub fn mapping<'m>(&self, rules: &'m lockstep::rules::Rules) -> &'m Mapping {
        rules.mapping(self.object).expect("the shipped rules have it")
    }

    pub fn resource<'c>(&self, catalogue: &'c Catalogue, mapping: &Mapping) -> &'c ResourceSpec {
        catalogue.resource(&mapping.platform).expect("the catalogue has it")
    }

    /// A new Salesforce record under a parent.
    pub fn fields(&self, word: &str, parent: Option<&str>) -> Value {
        let mut fields: Map<String, Value> =
            self.needs.iter().map(|(name, value)| ((*name).to_owned(), serde_json::from_str(value).unwrap())).collect();
        for field in [&self.name, &self.other] {
            fields.insert(field.salesforce.to_owned(), (field.value)(word).into());
        }
        if let (Some(above), Some(id)) = (&self.parent, parent) {
            fields.insert(above.salesforce.to_owned(), id.into());
        }
        fields.into()
    }
}

/// What a scenario wants of a resource. The connector's catalogue says whether it has that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    Create,
    Update,
    Delete,
    Nothing,
}

/// Why a resource cannot take part, as its connector declares it.
pub fn cannot(resource: &ResourceSpec, wants: Wants) -> Option<&'static str> {
    match wants {
        Wants::Create if !resource.can_create => Some("be created by itself"),
        Wants::Update if !resource.can_update => Some("be changed"),
        Wants::Delete if !resource.can_delete => Some("be deleted"),
        Wants::Create | Wants::Update | Wants::Delete | Wants::Nothing => None,
    }
}

pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub wants: Wants,
}

/// The scenarios, each a function over a scene and a subject, played on each partner; and the list of them for the docs.
macro_rules! scenarios {
    ($($name:ident, $wants:ident, $play:path, $what:literal;)*) => {
        pub const SCENARIOS: &[Scenario] = &[$(Scenario { name: stringify!($name), what: $what, wants: Wants::$wants }),*];

        scenarios!(@on on_licensespring, &licensespring::LicenseSpring, $($name, $wants, $play;)*);
        scenarios!(@on on_lac, &lac::Lac, $($name, $wants, $play;)*);
        scenarios!(@on on_forcemanager, &forcemanager::ForceManager, $($name, $wants, $play;)*);
    };
    (@on $module:ident, $partner:expr, $($name:ident, $wants:ident, $play:path;)*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    static PARTNER: &dyn Partner = $partner;
                    for subject in PARTNER.subjects() {
                        let scene = Scene::start(PARTNER).await;
                        let config = scene.config();
                        let mapping = subject.mapping(&config.rules);
                        let resource = subject.resource((PARTNER.platform().catalogue)(), mapping);
                        if cannot(resource, Wants::$wants).is_none() {
                            $play(scene, subject).await;
                        }
                    }
                }
            )*
        }
    };
}

scenarios! {
    create_from_salesforce, Create, travel::create_from_salesforce, "a record made in Salesforce is made on the platform, once";
    create_from_the_platform, Update, travel::create_from_the_platform, "a record made on the platform is made in Salesforce where the rules say so, and else only told";
    update_from_salesforce, Update, travel::update_from_salesforce, "a field changed in Salesforce";
    update_from_the_platform, Update, travel::update_from_the_platform, "a field changed on the platform";
    both_at_once, Update, both::one_field, "one field changed on both sides: Salesforce wins, the loser is kept in a conflict row";
    both_at_once_apart, Update, both::two_fields, "different fields changed on both sides: both travel, or Salesforce wins the record";
    delete_in_salesforce, Delete, ends::in_salesforce_carried, "deleted in Salesforce where the rules say `delete`";
    delete_in_salesforce_told, Nothing, ends::in_salesforce_told, "deleted in Salesforce where they do not: told, and nothing else";
    delete_on_the_platform, Nothing, ends::on_platform_carried, "deleted on the platform where the rules say `delete`";
    delete_on_the_platform_kept, Nothing, ends::on_platform_kept, "deleted on the platform where they say `keep`";
    merge_in_salesforce, Update, ends::merge, "two records merged in Salesforce: the link follows, nothing is deleted";
    revive, Update, ends::revive, "deleted and undeleted in Salesforce: linked again, nothing twice";
    ambiguity, Create, ambiguity::two_candidates, "two candidates: parked, nobody is picked";
    echo, Update, travel::echo, "the run after a write of ours writes nothing";
    second_run, Create, travel::second_run, "many records: the second run and a full re-sync write nothing";
    each_call_fails_once, Create, faults::each_call, "each call of a run goes wrong once, in each of the main ways";
    killed_between_send_and_answer, Create, faults::each_kill, "the process dies at each call, before or after it is carried out";
    a_side_is_not_there, Create, faults::not_there, "the platform refuses connections for a run";
}

/// Rows as a simulator shows them, by id, plain values as text; what is nested or null is left out.
pub fn as_text(rows: Vec<Value>) -> BTreeMap<String, Row> {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let texts = |row: &Value| -> Row {
        row.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), plain(value)?))).collect()
    };
    rows.iter().map(|row| (plain(&row["id"]).expect("a row has an id"), texts(row))).collect()
}

#[test]
fn every_platform_has_a_partner() {
    let named = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<std::collections::BTreeSet<_>>();
    let partners = named(&mut PARTNERS.iter().map(|p| p.platform().name));
    assert_eq!(partners, named(&mut lockstep::connectors::PLATFORMS.iter().map(|p| p.name)));
}
