//! `lockstep plan`: what `once` would do, and why. The same engine, on a copy of the store, without hands.

mod words;

use self::words::{Names, Words, words};
use super::{Exit, Off, Out, Place, output::some};
use crate::connectors::Writer;
use crate::daemon::{Asked, connect};
use crate::engine::{Engine, Options, Rehearsal, Report, RunKind};
use crate::plan::{Intent, Verb};
use crate::record::{RecordId, Side, Sides};
use crate::rules::{Limits, Rules};
use crate::store::{HoldRow, Store};
use anyhow::Context;
use chrono::Utc;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashSet},
    hash::{Hash, Hasher},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan as if the guard's holds were approved
    #[arg(long)]
    pub approve: bool,
    /// Plan a full re-sync
    #[arg(long)]
    pub full: bool,
    /// Exit with 3 if there is something to do, with 4 if something would be held
    #[arg(long)]
    pub exit_code: bool,
}

/// One thing that would be done.
#[derive(Serialize)]
struct Action<'a> {
    object: &'a str,
    /// The Salesforce id, or the platform's where there is no other.
    record: &'a str,
    side: Side,
    verb: Verb,
    situation: &'a str,
    /// The same in words, where it is about licenses.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    words: &'a [String],
    fields: Vec<Field<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    salesforce_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    old: serde_json::Value,
    new: serde_json::Value,
}

/// What the plan adds up to.
#[derive(Default, Serialize)]
struct Summary {
    /// Verb → how many, on each side.
    salesforce: BTreeMap<&'static str, u64>,
    platform: BTreeMap<&'static str, u64>,
    /// Pairs that are joined; no side is written.
    linked: u64,
    conflicts: u64,
    conflicts_open: u64,
    quarantined: u64,
    held: Vec<HoldRow>,
    calls: crate::store::SidesJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Summary {
    fn count(&mut self, intent: &Intent) {
        if intent.verb == Verb::Link {
            self.linked += 1;
        } else {
            let side = if intent.side == Side::Salesforce { &mut self.salesforce } else { &mut self.platform };
            *side.entry(intent.verb.as_str()).or_default() += 1;
        }
    }

    fn writes(&self) -> u64 {
        self.salesforce.values().chain(self.platform.values()).sum::<u64>()
    }
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let config = place.config_in_force().or_else(|error| {
        // A program that asked for JSON gets its object.
        if out.json && error.is::<Off>() {
            out.json(&json!({ "actions": [], "summary": Summary { error: Some(error.to_string()), ..Summary::default() } }))?;
        }
        Err(error)
    })?;
    let scratch = tempfile::tempdir().context("making a directory for the copy of the state")?;
    let store = match place.read()? {
        Some(store) => store.copy_to(scratch.path())?,
        None => Store::open(scratch.path())?,
    };
    let sides = connect(&config)?;
    let mut options = Options::new(if args.full { RunKind::Full } else { RunKind::Delta }, "plan");
    options.approve = args.approve;
    // What people asked for would ride with `once`, so it rides here, on the copy.
    Asked::open(&store, true, config.resync, &HashSet::new(), Utc::now())?.join(&store, &mut options)?;
    let task = Task {
        rules: &config.rules,
        limits: config.limits,
        confirm_after: config.confirm_after,
        allow_mixed: config.allow_sandbox_with_production,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(rehearse(&task, Sides::new(&*sides.salesforce, &*sides.platform), &store, &options))?;
    let summary = show(&store, &config.rules, &report, args.approve, out)?;
    out.flush()?;
    if let Some(error) = &report.error {
        anyhow::bail!("the plan is not whole: {error}");
    }
    Ok(match (args.exit_code, summary.held.is_empty(), summary.writes() + summary.linked) {
        (false, _, _) | (true, true, 0) => Exit::InStep,
        (true, false, _) => Exit::Held,
        (true, true, _) => Exit::WorkLeft,
    })
}

/// What of the rules a rehearsal needs.
struct Task<'a> {
    rules: &'a Rules,
    limits: Limits,
    confirm_after: chrono::Duration,
    allow_mixed: bool,
}

/// The engine on the copy, with readers for hands.
async fn rehearse(task: &Task<'_>, sides: Sides<&dyn Writer>, copy: &Store, options: &Options) -> anyhow::Result<Report> {
    let hands = Sides::new(Rehearsal::new(sides.salesforce), Rehearsal::new(sides.platform));
    let engine = Engine {
        store: copy,
        rules: task.rules,
        limits: task.limits,
        sides: Sides::new(&hands.salesforce, &hands.platform),
        clock: &Utc::now,
        // A file of pairs beside the real state would be a trace.
        state_dir: None,
        confirm_after: task.confirm_after,
        allow_mixed: task.allow_mixed,
        stop: CancellationToken::new(),
    };
    engine.run(options).await
}

/// Prints actions as they are read, so that a plan of any length fits.
fn show(store: &Store, rules: &Rules, report: &Report, approved: bool, out: &mut Out) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut first = true;
    if out.json {
        out.text("{\"actions\":[")?;
    }
    // Laps of one run may plan a record again; what is the same is told once.
    let mut told: HashSet<u64> = HashSet::new();
    store.each_of_run(report.run, |stored| {
        let intent = stored.intent;
        if !told.insert(fingerprint(&intent)) {
            return Ok(());
        }
        summary.count(&intent);
        let words = words(&intent, &Names { store, rules })?;
        if out.json {
            out.text(if first { "" } else { "," })?;
            out.text(serde_json::to_string(&action(&intent, &words))?)?;
        } else {
            print(&intent, &words, out)?;
        }
        first = false;
        Ok(())
    })?;
    summary.held = store.holds()?;
    summary.conflicts = report.conflicts;
    summary.conflicts_open = report.conflicts_open;
    summary.quarantined = report.quarantined;
    summary.calls = report.calls;
    summary.error.clone_from(&report.error);
    if out.json {
        out.text("],\"summary\":")?;
        out.text(serde_json::to_string(&summary)?)?;
        out.line("}")?;
    } else {
        conclude(&summary, approved, out)?;
    }
    Ok(summary)
}

fn fingerprint(intent: &Intent) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (&intent.object, intent.side, intent.verb, &intent.salesforce_id, &intent.platform_id).hash(&mut hasher);
    crate::record::fields_json(&intent.fields).hash(&mut hasher);
    hasher.finish()
}

/// Ids that a rehearsal made up are nobody's.
fn real(id: Option<&RecordId>) -> Option<&str> {
    id.map(RecordId::as_str).filter(|id| !id.starts_with('('))
}

fn action<'a>(intent: &'a Intent, words: &'a Words) -> Action<'a> {
    let (salesforce_id, platform_id) = (real(intent.salesforce_id.as_ref()), real(intent.platform_id.as_ref()));
    Action {
        object: &intent.object,
        record: salesforce_id.or(platform_id).unwrap_or_default(),
        side: intent.side,
        verb: intent.verb,
        situation: intent.situation.as_str(),
        words: &words.lines,
        fields: intent.moved.iter().map(|m| Field { name: &m.name, old: m.old.to_plain_json(), new: m.new.to_plain_json() }).collect(),
        salesforce_id,
        platform_id,
    }
}

fn print(intent: &Intent, words: &Words, out: &mut Out) -> anyhow::Result<()> {
    let record = match (real(intent.salesforce_id.as_ref()), real(intent.platform_id.as_ref())) {
        (Some(s), Some(p)) => format!("{s} = {p}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "a record that is not there yet".to_owned(),
    };
    let place = if intent.verb.is_write() { format!(" on {}", intent.side) } else { String::new() };
    out.line(format_args!("{} {} {record}{place}: {}, {}", intent.verb, intent.object, intent.situation, intent.situation.when()))?;
    for line in &words.lines {
        out.line(format_args!("    {line}"))?;
    }
    for moved in intent.moved.iter().filter(|m| !words.covers.contains(&m.name)) {
        out.line(format_args!("    {}: {} → {}", moved.name, moved.old, moved.new))?;
    }
    Ok(())
}

fn conclude(summary: &Summary, approved: bool, out: &mut Out) -> anyhow::Result<()> {
    for hold in &summary.held {
        out.line(format_args!("HELD {} {} on {}: {}", some(hold.count, &hold.verb), hold.object, hold.side, hold.reason))?;
    }
    if !summary.held.is_empty() && !approved {
        out.line("     see them with: lockstep plan --approve")?;
    }
    let side = |name: &str, verbs: &BTreeMap<&str, u64>| {
        let list: Vec<String> = verbs.iter().map(|(verb, n)| some(*n, verb)).collect();
        format!("{name}: {}", if list.is_empty() { "nothing".to_owned() } else { list.join(", ") })
    };
    out.line(format_args!(
        "{}; {}; {} linked; {} decided",
        side("Salesforce", &summary.salesforce),
        side("platform", &summary.platform),
        summary.linked,
        some(summary.conflicts, "conflict")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{Ask, Calls, Catalogue, Fault, Fetched, FieldInfo, Identity, Page, Polled, ReadEnd, Reader, Schema};
    use crate::engine::native_fields;
    use crate::plan::{Outcome, Write};
    use crate::record::{FieldType, Fields, Record, Value};
    use crate::rules::{check, parse, starter};
    use async_trait::async_trait;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tokio::sync::mpsc;

    /// A side that shows what it has, may do everything, and must never be written to.
    struct Shown {
        side: Side,
        rules: Rules,
        records: Vec<(&'static str, Record)>,
        catalogue: Catalogue,
    }

    impl Shown {
        fn new(side: Side, rules: &Rules, records: Vec<(&'static str, Record)>) -> Self {
            Self { side, rules: rules.clone(), records, catalogue: Catalogue { name: "shown", resources: Vec::new(), open: true } }
        }
    }

    #[async_trait]
    impl Reader for Shown {
        fn side(&self) -> Side {
            self.side
        }
        fn catalogue(&self) -> &Catalogue {
            &self.catalogue
        }
        async fn identity(&self) -> Result<Identity, Fault> {
            Ok(Identity { id: self.side.to_string(), name: String::new(), is_sandbox: true })
        }
        async fn schema(&self, _: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
            let info =
                FieldInfo { ty: FieldType::text(), createable: true, updateable: true, required: false, secret: false, calculated: false };
            let mut schemas = BTreeMap::new();
            for mapping in &self.rules.mappings {
                let resource = if self.side == Side::Salesforce { &mapping.salesforce } else { &mapping.platform };
                let planted = (self.side == Side::Platform).then(|| "reference".to_owned());
                let names = native_fields(&self.rules, mapping, self.side).into_iter().chain(planted.clone());
                let fields = names.map(|name| (name, info.clone())).collect();
                schemas.insert(resource.clone(), Schema { fields, createable: true, updateable: true, deletable: true, planted });
            }
            Ok(schemas)
        }
        async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
            let mut ends = Vec::new();
            for ask in asks {
                let records = self.records.iter().filter(|(resource, _)| *resource == ask.resource).map(|(_, r)| r.clone()).collect();
                pages.send(Page { object: ask.object.clone(), records }).await.unwrap();
                let end = Ok(ReadEnd { watermark: Some("w".to_owned()), complete: ask.sweep });
                ends.push(Polled { object: ask.object.clone(), end });
            }
            Ok(ends)
        }
        async fn get_many(&self, _: &str, _: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
            let found = |id: &RecordId| self.records.iter().find(|(_, r)| r.id == *id).map(|(_, r)| Fetched::Here(r.clone()));
            Ok(ids.iter().map(|id| found(id).unwrap_or_else(|| Fetched::Missing(id.clone()))).collect())
        }
        async fn find(&self, _: &str, _: &[String], _: &str, _: &[Value]) -> Result<Vec<Record>, Fault> {
            Ok(Vec::new())
        }
        async fn count(&self, _: &str) -> Result<u64, Fault> {
            Ok(self.records.len() as u64)
        }
        fn calls(&self) -> Calls {
            Calls::default()
        }
    }

    #[async_trait]
    impl Writer for Shown {
        async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
            panic!("a plan wrote to the {}: {writes:?}", self.side)
        }
        async fn resolve(&self, write: &Write) -> Outcome {
            panic!("a plan resolved {write:?}")
        }
    }

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn account(id: &str, name_field: &str, name: &str) -> Record {
        Record::live(id, Fields::from([(name_field.to_owned(), Value::text(name))]))
    }

    /// What `plan` says of one account in Salesforce and these on the platform.
    async fn told(json: bool, approve: bool, platform: Vec<(&'static str, Record)>) -> (String, Summary) {
        let text = starter("test", "2026-01-01T00:00:00Z");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        let salesforce = Shown::new(Side::Salesforce, &rules, vec![("Account", account("001D000000IqhSLIAZ", "Name", "Acme"))]);
        let platform = Shown::new(Side::Platform, &rules, platform);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let before = store.dump().unwrap();
        let copy = store.copy_to(&dir.path().join("copy")).unwrap();
        let task = Task { rules: &rules, limits: Limits::default(), confirm_after: chrono::Duration::seconds(60), allow_mixed: false };
        let options = Options { approve, ..Options::new(RunKind::Delta, "plan") };
        let report = rehearse(&task, Sides::new(&salesforce, &platform), &copy, &options).await.unwrap();
        let heard = Heard::default();
        let mut out = Out::to(heard.clone(), json);
        let summary = show(&copy, &rules, &report, approve, &mut out).unwrap();
        drop(out);
        assert_eq!(store.dump().unwrap(), before, "the state was touched");
        (String::from_utf8(heard.0.lock().unwrap().clone()).unwrap(), summary)
    }

    #[tokio::test]
    async fn it_says_what_why_and_from_what_to_what() {
        let (text, summary) = told(false, false, vec![]).await;
        assert!(text.starts_with("create account 001D000000IqhSLIAZ on platform: new-in-salesforce, only in Salesforce"), "{text}");
        assert!(text.contains("    name: ∅ → \"Acme\"\n"), "{text}");
        assert!(text.contains("Salesforce: nothing; platform: 1 create;"), "{text}");
        assert_eq!((summary.writes(), summary.linked, summary.error), (1, 0, None));
    }

    #[tokio::test]
    async fn its_json_has_the_documented_fields() {
        let (text, _) = told(true, false, vec![]).await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let action = &value["actions"][0];
        for (field, is) in [
            ("object", "account"),
            ("record", "001D000000IqhSLIAZ"),
            ("side", "platform"),
            ("verb", "create"),
            ("situation", "new-in-salesforce"),
        ] {
            assert_eq!(action[field], is, "{text}");
        }
        let name = action["fields"].as_array().unwrap().iter().find(|f| f["name"] == "name").unwrap();
        assert_eq!((name["old"].is_null(), name["new"].as_str()), (true, Some("Acme")));
        assert_eq!(value["summary"]["platform"]["create"], 1);
    }

    #[tokio::test]
    async fn two_filled_sides_are_held_until_it_is_planned_as_if_approved() {
        let platform = || vec![("customer-account", account("77", "name", "Acme"))];
        let (text, summary) = told(false, false, platform()).await;
        assert_eq!((summary.held.len(), summary.linked), (1, 0), "{text}");
        assert!(text.contains("HELD 1 link account on") && text.contains("lockstep plan --approve"), "{text}");
        let (text, summary) = told(false, true, platform()).await;
        assert_eq!((summary.held.len(), summary.linked), (0, 1), "{text}");
        assert!(text.contains("link account 001D000000IqhSLIAZ = 77: found,"), "{text}");
    }
}
