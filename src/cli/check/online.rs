//! Both systems asked who they are and what our user may do there.

use super::{
    fields::{self, Row},
    products::{self, Finding},
    steps::{self, Mark, Step},
};
use crate::cli::{
    Exit, Out, Place,
    output::{some, table},
};
use crate::config::Config;
use crate::connectors::{Catalogue, Fault, Identity, Schema, Vocabulary, Writer};
use crate::daemon::connect;
use crate::record::{Side, Sides};
use crate::rules::parse;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one side showed.
pub(in crate::cli) struct Seen {
    pub identity: Result<Identity, Fault>,
    pub schema: Result<BTreeMap<String, Schema>, Fault>,
}

#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    problems: [(); 0],
    systems: Sides<System>,
    fields: &'a [Row],
    /// Absent where the platform publishes no names, or could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    products: Option<&'a [Finding]>,
    steps: &'a [Step],
    fix: &'a [String],
}

#[derive(Serialize)]
struct System {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(in crate::cli) fn run(place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let config = place.config()?;
    let sides = connect(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Looked { seen, words } = runtime.block_on(ask(&config, &sides));
    let fix = foreign(place, &seen)?;
    let Judgement { rows, products, steps, fix, ok } = judge(&config, &seen, words, sides.as_ref().map(|side| side.catalogue()), fix);
    if out.json {
        let systems = seen.as_ref().map(System::of);
        out.json(&Answer { ok, problems: [], systems, fields: &rows, products: products.as_deref(), steps: &steps, fix: &fix })?;
    } else {
        print(&config, &seen, (&rows, products.as_deref(), &steps), &fix, out)?;
    }
    Ok(if ok { Exit::InStep } else { Exit::Error })
}

/// What both systems answered.
pub(in crate::cli) struct Looked {
    pub seen: Sides<Seen>,
    pub words: Result<Option<Vocabulary>, Fault>,
}

/// What is to be said of it.
pub(in crate::cli) struct Judgement {
    pub rows: Vec<Row>,
    pub products: Option<Vec<Finding>>,
    pub steps: Vec<Step>,
    pub fix: Vec<String>,
    pub ok: bool,
}

pub(in crate::cli) async fn ask(config: &Config, sides: &Sides<Box<dyn Writer>>) -> Looked {
    let seen = Sides::new(look(config, &*sides.salesforce).await, look(config, &*sides.platform).await);
    // Nobody to ask: the fault of the identity says it already.
    let words = if seen.platform.identity.is_ok() { sides.platform.vocabulary().await } else { Ok(None) };
    Looked { seen, words }
}

/// `fix`: what is known to be wrong already.
pub(in crate::cli) fn judge(
    config: &Config,
    seen: &Sides<Seen>,
    words: Result<Option<Vocabulary>, Fault>,
    catalogues: Sides<&Catalogue>,
    mut fix: Vec<String>,
) -> Judgement {
    fix.extend(mismatch(config, seen));
    for side in Side::BOTH {
        fix.extend(seen[side].identity.as_ref().err().or(seen[side].schema.as_ref().err()).map(|fault| format!("{side}: {fault}")));
    }
    let mut rows = Vec::new();
    for side in Side::BOTH {
        if let Ok(schemas) = &seen[side].schema {
            rows.extend(fields::rows(&config.rules, side, schemas, catalogues[side]));
        }
    }
    fix.extend(rows.iter().filter_map(Row::complaint));
    let products = sold(config, words, &mut fix);
    let steps = steps::steps(&config.rules, &seen.salesforce, &rows);
    let ok = fix.is_empty() && steps.iter().all(|step| step.mark != Mark::Failed);
    Judgement { rows, products, steps, fix, ok }
}

async fn look(config: &Config, writer: &dyn Writer) -> Seen {
    let identity = writer.identity().await;
    let schema = match &identity {
        Ok(_) => {
            let resources: Vec<String> = config.rules.mappings.iter().map(|m| fields::resource(m, writer.side()).to_owned()).collect();
            writer.schema(&resources).await
        }
        Err(fault) => Err(fault.clone()),
    };
    Seen { identity, schema }
}

/// What `[products]` names, held against what the platform sells. `None`: it was not told.
fn sold(config: &Config, words: Result<Option<Vocabulary>, Fault>, fix: &mut Vec<String>) -> Option<Vec<Finding>> {
    if products::licensed(&config.rules) == 0 {
        return None;
    }
    match words {
        Ok(None) => None,
        Ok(Some(words)) => {
            // The file was read a moment ago, so it is sound; a line number is all that is wanted of it.
            let findings = match parse(&config.source) {
                Ok(file) => products::judge(&config.rules, &words, &products::lines(&file, &config.source)),
                Err(_) => products::judge(&config.rules, &words, &|_| 0),
            };
            fix.extend(findings.iter().map(Finding::complaint));
            Some(findings)
        }
        Err(fault) => {
            fix.push(format!(
                "{}: products, policies and features could not be read, so [products] is not checked: {fault}",
                Side::Platform
            ));
            None
        }
    }
}

/// The state was built with another org or company.
fn foreign(place: &Place, seen: &Sides<Seen>) -> anyhow::Result<Vec<String>> {
    let Some(store) = place.read()? else { return Ok(Vec::new()) };
    let mut fix = Vec::new();
    for side in Side::BOTH {
        let pinned = store.meta(&format!("identity:{side}"))?;
        if let (Ok(identity), Some(pinned)) = (&seen[side].identity, pinned)
            && identity.id != pinned
        {
            fix.push(format!(
                "{side} is {}, expected {pinned}: these credentials belong to another system than the state in {}; a new one needs a new state directory",
                identity.id,
                place.state.display()
            ));
        }
    }
    Ok(fix)
}

/// Trial data must not become real licenses.
fn mismatch(config: &Config, seen: &Sides<Seen>) -> Option<String> {
    let (Ok(salesforce), Ok(platform)) = (&seen.salesforce.identity, &seen.platform.identity) else { return None };
    let refused = salesforce.is_sandbox && !platform.is_sandbox && !config.allow_sandbox_with_production;
    refused.then(|| {
        format!(
            "{} is a Salesforce sandbox and {} is a production platform: refused; pair the sandbox with a test company, or allow it in the rules with `allow-sandbox-with-production = true` in [salesforce]",
            salesforce.name, platform.name
        )
    })
}

impl System {
    fn of(seen: &Seen) -> Self {
        match &seen.identity {
            Ok(i) => Self { id: Some(i.id.clone()), name: Some(i.name.clone()), sandbox: Some(i.is_sandbox), error: None },
            Err(fault) => Self { id: None, name: None, sandbox: None, error: Some(fault.to_string()) },
        }
    }
}

type Judged<'a> = (&'a [Row], Option<&'a [Finding]>, &'a [Step]);

fn print(config: &Config, seen: &Sides<Seen>, (rows, products, steps): Judged<'_>, fix: &[String], out: &mut Out) -> anyhow::Result<()> {
    for side in Side::BOTH {
        match &seen[side].identity {
            Ok(i) => {
                out.line(format_args!("✓ {side}: {} ({}), {}", i.name, i.id, if i.is_sandbox { "a sandbox" } else { "production" }))?
            }
            Err(fault) => out.line(format_args!("✗ {side}: {fault}"))?,
        }
    }
    if !rows.is_empty() {
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        out.line("")?;
        out.text(table(&["", "object", "side", "field", "read", "create", "update", "wanted"], &cells))?;
    }
    if let Some(findings) = products {
        let lines = some(products::licensed(&config.rules), "line");
        out.line("")?;
        match findings.len() as u64 {
            0 => out.line(format_args!("✓ [products]: {lines} checked, all products, policies and features are on the platform"))?,
            n => out.line(format_args!("✗ [products]: {lines} checked, {} to fix", some(n, "name")))?,
        }
    }
    out.line("\nSalesforce set-up, as numbered in docs/salesforce-setup.md:")?;
    for step in steps {
        out.line(format_args!("{} {:>2}. {}{}", step.mark.sign(), step.number, step.name, step.tail()))?;
    }
    if !fix.is_empty() {
        out.line(format_args!("\n{} to fix:", some(fix.len() as u64, "thing")))?;
        for line in fix {
            out.line(format_args!("  {line}"))?;
        }
    }
    Ok(())
}
