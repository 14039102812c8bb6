//! Looks at both systems and turns the file to start from into rules that fit them.
//!
//! The file for the platform is the base: which objects pair, which fields match. What either side does not have is left out
//! with the reason beside it; what both sides have beyond it, and can be told by name, is proposed. No platform is known here.

use super::{custom, fit, fit::Both, products, sheet::Sheet, talk::Talk};
use crate::cli::check::online::{Looked, ask, judge};
use crate::cli::output::{some, table};
use crate::config::{Config, Given};
use crate::connectors::{CustomField, Fault, FaultKind, Identity, Schema, Writer};
use crate::daemon::connect;
use crate::record::{Side, Sides};
use crate::rules::{Direction, Rules};
use anyhow::{Context, anyhow, bail};
use std::{collections::BTreeMap, path::Path};

/// What came of it.
pub(super) struct Proposal {
    pub text: String,
    pub objects: Vec<String>,
    pub fields: u64,
    /// Lines of `[objects.…]` for custom fields.
    pub custom: u64,
}

/// `path`: where the rules are to stand. Nothing is written anywhere.
///
/// # Errors
/// A log-in that fails, a system that cannot be read, rules that cannot be made to fit.
pub(super) fn make(base: &str, path: &Path, given: &Given, talk: &mut Talk) -> anyhow::Result<Proposal> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Tokens that rotate are none of a first look's business: whatever such a log-in keeps goes with this.
    let state = tempfile::tempdir().context("a directory for the look")?;
    let config = Config::of(path, base, state.path(), given)?;
    let sides = connect(&config)?;
    talk.say("\nLooking at both systems …")?;
    let looked = runtime.block_on(ask(&config, &sides));
    let (identities, schemas) = seen(&looked)?;
    for side in Side::BOTH {
        let i = &identities[side];
        let id = if i.id.is_empty() { String::new() } else { format!(" ({})", i.id) };
        talk.say(&format!("✓ {side}: {}{id}, {}", i.name, if i.is_sandbox { "a sandbox" } else { "production" }))?;
    }

    let mut sheet = Sheet::of(base);
    let mut both = Both { schemas, catalogues: sides.as_ref().map(|side| side.catalogue()) };
    let fitted = |sheet: &mut Sheet, both: &Both<'_>| fit::fit(sheet, both).map_err(|why| anyhow!("{why}; nothing was written"));
    if let Ok(Some(words)) = &looked.words {
        products::fit(&mut sheet, words).map_err(anyhow::Error::msg)?;
    }
    fitted(&mut sheet, &both)?;
    objects(&mut sheet, talk)?;
    fitted(&mut sheet, &both)?;

    let rules = rules(&sheet)?;
    let custom = runtime.block_on(added(&rules, &*sides.platform, talk))?;
    let proposed = fields(&mut sheet, &both, &custom, &rules, config.custom_fields, talk)?;
    show(&mut both.schemas.platform, &custom);
    fitted(&mut sheet, &both)?;

    matches(&mut sheet, &rules, &sides, &runtime, talk)?;
    if let Ok(Some(words)) = &looked.words {
        let codes = runtime.block_on(products::codes(&*sides.salesforce));
        for (code, product) in products::shared(&sheet.text(), &codes, words).map_err(anyhow::Error::msg)? {
            if talk.agrees(&format!("Product {code} of Salesforce is {product} of the platform?"))? {
                products::add(&mut sheet, &code, &product);
            }
        }
    }
    fitted(&mut sheet, &both)?;
    sheet.note(&format!(
        "Proposed by `lockstep init` from {} and {}; what the two do not have is left out, with the reason.",
        named(&identities.salesforce),
        named(&identities.platform)
    ));

    verdict(&sheet, path, state.path(), given, looked, &both)?;
    let rules = self::rules(&sheet)?;
    Ok(Proposal {
        text: sheet.text(),
        fields: rules.mappings.iter().map(|m| m.entries.len() as u64).sum(),
        custom: proposed,
        objects: rules.mappings.into_iter().map(|m| m.object).collect(),
    })
}

/// A name from outside, made fit for a comment.
fn named(identity: &Identity) -> String {
    identity.name.split(|c: char| c.is_control()).collect::<Vec<_>>().join(" ")
}

fn rules(sheet: &Sheet) -> anyhow::Result<Rules> {
    Ok(fit::meant(&sheet.text()).map_err(anyhow::Error::msg)?.1)
}

type Schemas = Sides<BTreeMap<String, Schema>>;

/// Both must have let us in and said what they have. Some sides are silent about a wrong key until something is read.
fn seen(looked: &Looked) -> anyhow::Result<(Sides<Identity>, Schemas)> {
    let refused: Vec<(Side, &Fault)> = Side::BOTH
        .into_iter()
        .filter_map(|side| Some((side, looked.seen[side].identity.as_ref().err().or(looked.seen[side].schema.as_ref().err())?)))
        .collect();
    let [here, there] = [&looked.seen.salesforce, &looked.seen.platform];
    if let (Ok(i), Ok(s), Ok(j), Ok(p)) = (&here.identity, &here.schema, &there.identity, &there.schema) {
        return Ok((Sides::new(i.clone(), j.clone()), Sides::new(s.clone(), p.clone())));
    }
    let is_login = refused.iter().any(|(_, fault)| fault.kind == FaultKind::Credentials);
    let what = if is_login { "the log-in failed" } else { "the systems could not be looked at" };
    bail!(
        "{what}; nothing was written\n  {}",
        refused.iter().map(|(side, fault)| format!("{side}: {fault}")).collect::<Vec<_>>().join("\n  ")
    )
}

/// Each object of the base is one question.
fn objects(sheet: &mut Sheet, talk: &mut Talk) -> anyhow::Result<()> {
    let rules = rules(sheet)?;
    let cells: Vec<Vec<String>> = rules
        .mappings
        .iter()
        .map(|m| {
            let found = m.match_keys.iter().map(|key| key.join(" and ")).collect::<Vec<_>>().join(", or ");
            let found = if found.is_empty() { "id".to_owned() } else { found };
            vec![
                m.object.clone(),
                m.salesforce.clone(),
                m.platform.clone(),
                fit::word(m.direction).to_owned(),
                m.entries.len().to_string(),
                found,
            ]
        })
        .collect();
    talk.say(&format!("\n{}", table(&["object", "Salesforce", "platform", "direction", "fields", "matched by"], &cells).trim_end()))?;
    if !talk.asks() || talk.agrees("\nKeep all of these in step?")? {
        return Ok(());
    }
    for mapping in rules.mappings {
        if !talk.agrees(&format!("Keep {} ({} ↔ {}) in step?", mapping.object, mapping.salesforce, mapping.platform))? {
            sheet.leave_mapping_out(&mapping, "not wanted");
        }
    }
    Ok(())
}

/// What people added on the platform, by resource.
async fn added(rules: &Rules, platform: &dyn Writer, talk: &mut Talk) -> anyhow::Result<BTreeMap<String, Vec<CustomField>>> {
    let mut out = BTreeMap::new();
    for mapping in rules.mappings.iter().filter(|m| m.direction != Direction::None) {
        if out.contains_key(&mapping.platform) {
            continue;
        }
        match platform.custom_fields(&mapping.platform).await {
            Ok(fields) => drop(out.insert(mapping.platform.clone(), fields)),
            Err(fault) => talk.say(&format!("– custom fields of {} are not shown and none is proposed: {fault}", mapping.platform))?,
        }
    }
    Ok(out)
}

/// How many are in the file now.
fn fields(
    sheet: &mut Sheet,
    both: &Both<'_>,
    custom: &BTreeMap<String, Vec<CustomField>>,
    rules: &Rules,
    all: bool,
    talk: &mut Talk,
) -> anyhow::Result<u64> {
    let (found, alone) = custom::namesakes(&sheet.text(), both, custom).map_err(anyhow::Error::msg)?;
    let mut taken = 0;
    for namesake in &found {
        let question = format!("Keep the custom field {} ↔ {} of {} in step", namesake.salesforce, namesake.platform, namesake.object);
        let wanted = match &namesake.verdict {
            // With `custom-fields = "all"` whatever is not mapped here is paired by itself: nothing can be declined.
            Ok(direction) => all || talk.agrees(&format!("{question} ({}, {})?", namesake.kind, fit::word(*direction)))?,
            Err(_) => false,
        };
        taken += u64::from(wanted);
        if wanted || !all {
            let widest = rules.mappings.iter().find(|m| m.object == namesake.object).map_or(Direction::Both, |m| m.direction);
            custom::write(sheet, namesake, widest, !wanted);
        }
    }
    talk.say(&format!("{} of the same name on both sides", some(taken, "custom field")))?;
    for (object, names) in alone.iter().filter(|_| !all) {
        custom::note(sheet, object, names);
    }
    Ok(taken)
}

/// Named by the rules, they are shown.
fn show(platform: &mut BTreeMap<String, Schema>, custom: &BTreeMap<String, Vec<CustomField>>) {
    for (resource, fields) in custom {
        if let Some(schema) = platform.get_mut(resource) {
            for field in fields {
                schema.fields.entry(field.field.clone()).or_insert_with(|| field.info.clone());
            }
        }
    }
}

/// Two systems that both hold records need something to know each other by: what the base offers for that is taken up.
fn matches(
    sheet: &mut Sheet,
    rules: &Rules,
    sides: &Sides<Box<dyn Writer>>,
    runtime: &tokio::runtime::Runtime,
    talk: &mut Talk,
) -> anyhow::Result<()> {
    for mapping in rules.mappings.iter().filter(|m| m.match_keys.is_empty()) {
        let table = format!("objects.{}", mapping.object);
        let Some(offer) = sheet.offered(&table, "match") else { continue };
        let counts =
            runtime.block_on(async { (sides.salesforce.count(&mapping.salesforce).await, sides.platform.count(&mapping.platform).await) });
        let (Ok(here), Ok(there)) = counts else { continue };
        let question =
            format!("Both sides hold {}: {here} in Salesforce, {there} on the platform. Link them by match = {offer}?", mapping.object);
        if here > 0 && there > 0 && talk.agrees(&question)? {
            sheet.take_offer(&table, "match");
        }
    }
    Ok(())
}

/// The last look, with the eyes of `check --online`.
fn verdict(sheet: &Sheet, path: &Path, state: &Path, given: &Given, mut looked: Looked, both: &Both<'_>) -> anyhow::Result<()> {
    let config = Config::of(path, &sheet.text(), state, given)?;
    for side in Side::BOTH {
        looked.seen[side].schema = Ok(both.schemas[side].clone());
    }
    let judged = judge(&config, &looked.seen, looked.words, both.catalogues, Vec::new());
    anyhow::ensure!(
        judged.ok,
        "nothing was written, because this is left to do first:\n  {}\n`lockstep init --offline` writes the file to start from unlooked",
        if judged.fix.is_empty() {
            "the steps of docs/salesforce-setup.md; `lockstep check --online` names them".to_owned()
        } else {
            judged.fix.join("\n  ")
        }
    );
    Ok(())
}
