//! `lockstep init`: a commented rules file, by asking and looking at both systems, or the plain one to start from.

mod custom;
mod fit;
mod logins;
mod products;
mod proposal;
mod sheet;
mod talk;

pub(super) use logins::variables;

use super::{Exit, Out, Usage, output::some};
use crate::config::{ConfigError, Given};
use crate::rules::starter_of;
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde_json::json;
use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
};
use talk::Talk;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The license platform. By itself: writes the file to start from, unlooked. With --ask or --yes: looks at this one
    #[arg(long, value_enum)]
    pub platform: Option<Platform>,
    /// Asks for the log-ins, looks at both systems and proposes; what happens on a terminal without --platform. Where stdin
    /// is none, one answer a line
    #[arg(long, conflicts_with_all = ["yes", "offline"])]
    pub ask: bool,
    /// Looks at both systems and takes every proposal, for scripts: asks nothing, the log-ins come from the environment
    #[arg(long, conflicts_with = "offline")]
    pub yes: bool,
    /// Writes the file to start from, unlooked [default platform: licensespring]
    #[arg(long)]
    pub offline: bool,
    /// The connection's name: lower-case, short, never to be changed afterwards
    #[arg(long, default_value = "main")]
    pub name: String,
    /// Orders activated before this instant are never provisioned [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    pub provision_from: Option<DateTime<Utc>>,
    /// Where to write it, `-` for stdout [default: --rules, else ./sync-rules.toml]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replaces a file that is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    Licensespring,
    Lac,
    Forcemanager,
}

impl Platform {
    /// The file to start from.
    fn base(self, name: &str, provision_from: &str) -> String {
        // Each word is the name of a platform; a test looks.
        let shipped = crate::connectors::platform(&self.word()).map_or("", |platform| platform.rules);
        starter_of(shipped, name, provision_from)
    }

    fn word(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)).map(|t| t.and_utc());
    let instant = date.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|t| t.to_utc()));
    instant.ok_or_else(|| "write an instant such as 2026-11-24T00:00:00Z, or a day such as 2026-11-24".to_owned())
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The file to start from.
    Unlooked(Platform),
    Ask,
    TakeAll,
}

fn way(args: &Args, is_terminal: bool) -> Result<Way, Usage> {
    match args.platform {
        _ if args.yes => Ok(Way::TakeAll),
        _ if args.ask => Ok(Way::Ask),
        platform if args.offline => Ok(Way::Unlooked(platform.unwrap_or(Platform::Licensespring))),
        Some(platform) => Ok(Way::Unlooked(platform)),
        None if is_terminal => Ok(Way::Ask),
        None => Err(Usage(
            "there is no terminal to ask on: --yes takes every proposal with the log-ins from the environment, --ask reads the answers \
             line by line, and --platform NAME or --offline writes a file to start from without looking"
                .to_owned(),
        )),
    }
}

pub fn run(args: &Args, rules: Option<&Path>, out: &mut Out) -> anyhow::Result<Exit> {
    name_is_sound(&args.name)?;
    let way = way(args, io::stdin().is_terminal() && io::stderr().is_terminal())?;
    let path = args.output.clone().or_else(|| rules.map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("sync-rules.toml"));
    match way {
        Way::Unlooked(platform) => unlooked(args, platform, &path, out),
        Way::Ask | Way::TakeAll => {
            // Nobody answers twenty questions to hear this.
            if path.exists() && !args.force {
                bail!("{} is there already; --force replaces it", path.display());
            }
            let mut talk = if way == Way::Ask { Talk::with_stdin() } else { Talk::alone() };
            looked(args, &path, &mut talk, out)
        }
    }
}

fn name_is_sound(name: &str) -> Result<(), Usage> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Usage(format!("{name:?} cannot name a connection: lower-case letters, digits and hyphens")));
    }
    Ok(())
}

fn provision_from(args: &Args) -> String {
    crate::store::stamp(args.provision_from.unwrap_or_else(Utc::now))
}

fn unlooked(args: &Args, platform: Platform, path: &Path, out: &mut Out) -> anyhow::Result<Exit> {
    let text = platform.base(&args.name, &provision_from(args));
    let first = match platform {
        Platform::Licensespring => "fill in [products], ",
        Platform::Lac | Platform::Forcemanager => "",
    };
    if path == Path::new("-") {
        out.text(text)?;
        return Ok(Exit::InStep);
    }
    write(path, &text, args.force)?;
    if out.json {
        out.json(&json!({ "file": path.display().to_string(), "name": args.name }))?;
    } else {
        out.line(format_args!("{} written; next: {first}set the secrets, then `lockstep check --online`", path.display()))?;
    }
    Ok(Exit::InStep)
}

fn looked(args: &Args, path: &Path, talk: &mut Talk, out: &mut Out) -> anyhow::Result<Exit> {
    let from = provision_from(args);
    let (platform, name) = if talk.asks() { interview(args, talk)? } else { (chosen(args)?, args.name.clone()) };
    let base = platform.base(&name, &from);
    let variables = logins::variables(&base);
    let given = if talk.asks() {
        logins::ask(&variables, talk)?
    } else {
        all_are_set(&variables)?;
        Given::new()
    };
    let proposal = proposal::make(&base, path, &given, talk)?;
    let (objects, fields) = (some(proposal.objects.len() as u64, "object"), some(proposal.fields, "field"));
    let to_stdout = path == Path::new("-");
    let question = if to_stdout { "Print it".to_owned() } else { format!("Write {}", path.display()) };
    if !talk.agrees(&format!("\n{question} ({objects}, {fields})?"))? {
        talk.say("nothing was written")?;
        return Ok(Exit::InStep);
    }
    if to_stdout {
        out.text(proposal.text)?;
        return Ok(Exit::InStep);
    }
    write(path, &proposal.text, args.force)?;
    let kept = keep(&given, path, talk)?;
    if out.json {
        let kept = kept.as_ref().map(|file| file.display().to_string());
        out.json(&json!({
            "file": path.display().to_string(), "name": name, "platform": platform.word(),
            "objects": proposal.objects, "fields": proposal.fields, "custom_fields": proposal.custom, "variables": kept,
        }))?;
    } else {
        let load = kept.map_or(String::new(), |file| format!("`set -a; . {}; set +a`, ", shell(&file)));
        out.line(format_args!(
            "{} written: {objects}, {fields}; next: {load}`lockstep check --online`, then `lockstep plan`",
            path.display()
        ))?;
    }
    Ok(Exit::InStep)
}

/// `.` looks along the path for a bare name.
fn shell(file: &Path) -> String {
    let shown = file.display().to_string();
    if shown.contains('/') { shown } else { format!("./{shown}") }
}

fn interview(args: &Args, talk: &mut Talk) -> anyhow::Result<(Platform, String)> {
    let known = Platform::value_variants();
    let names = known.iter().map(|p| p.word()).collect::<Vec<_>>().join(", ");
    let platform = match args.platform {
        Some(platform) => platform,
        None => loop {
            let answer = talk.text(&format!("Which platform ({names})"), None)?;
            match known.iter().find(|p| p.word() == answer.to_ascii_lowercase()) {
                Some(platform) => break *platform,
                None => talk.say(&format!("{answer:?} is none of {names}."))?,
            }
        },
    };
    let name = loop {
        let answer = talk.text("A short name for this connection, never to be changed", Some(&args.name))?;
        match name_is_sound(&answer) {
            Ok(()) => break answer,
            Err(usage) => talk.say(&usage.to_string())?,
        }
    };
    Ok((platform, name))
}

/// Without a word for it, the one platform whose variables are set.
fn chosen(args: &Args) -> anyhow::Result<Platform> {
    if let Some(platform) = args.platform {
        return Ok(platform);
    }
    let known = Platform::value_variants().iter().map(|p| (*p, logins::variables(&p.base("a", ""))));
    let own = known.map(|(p, all)| (p, all.into_iter().filter(|v| v.table.starts_with("platform.")).collect::<Vec<_>>()));
    let (set, unset): (Vec<_>, Vec<_>) = own.partition(|(_, variables)| logins::missing(variables).is_empty());
    match set.as_slice() {
        [(platform, _)] => Ok(*platform),
        [] => {
            let wanted = unset.iter().map(|(p, v)| format!("{} for {}", logins::missing(v).join(", "), p.word())).collect::<Vec<_>>();
            Err(not_set(format!("no platform's variables are set: {}", wanted.join("; "))).into())
        }
        several => {
            let names = several.iter().map(|(p, _)| p.word()).collect::<Vec<_>>().join(", ");
            Err(Usage(format!("the variables of several platforms are set ({names}): name one with --platform")).into())
        }
    }
}

fn all_are_set(variables: &[logins::Variable]) -> Result<(), ConfigError> {
    match logins::missing(variables).as_slice() {
        [] => Ok(()),
        missing => Err(not_set(format!("not set: {}; --yes takes the log-ins from there, --ask asks for them", missing.join(", ")))),
    }
}

fn not_set(message: String) -> ConfigError {
    ConfigError::File { path: "the environment".to_owned(), message }
}

/// What was typed is in no file yet, and the rules only name the variables.
fn keep(given: &Given, path: &Path, talk: &mut Talk) -> anyhow::Result<Option<PathBuf>> {
    if given.is_empty() {
        return Ok(None);
    }
    let file = logins::beside(path);
    let names = given.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    if talk.agrees(&format!("The rules name {names}. Keep what you typed in {} (0600)?", file.display()))? {
        logins::keep(given, &file)?;
        return Ok(Some(file));
    }
    talk.say(&format!("Set {names} before the next command."))?;
    Ok(None)
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let shown = path.display();
    let opened = if force { File::create(path) } else { File::create_new(path) };
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("{shown} is there already; --force replaces it"),
        other => other.with_context(|| shown.to_string())?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| shown.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_says_nothing_is_asked_where_that_is_possible() {
        let args = |platform, ask, yes, offline| Args {
            platform,
            ask,
            yes,
            offline,
            name: "a".to_owned(),
            provision_from: None,
            output: None,
            force: false,
        };
        use Platform::{Forcemanager, Licensespring};
        for (given, is_terminal, wanted) in [
            (args(None, false, false, false), true, Some(Way::Ask)),
            (args(None, false, false, false), false, None),
            (args(Some(Forcemanager), false, false, false), true, Some(Way::Unlooked(Forcemanager))),
            (args(Some(Forcemanager), true, false, false), false, Some(Way::Ask)),
            (args(Some(Forcemanager), false, true, false), true, Some(Way::TakeAll)),
            (args(None, false, false, true), false, Some(Way::Unlooked(Licensespring))),
            (args(Some(Forcemanager), false, false, true), true, Some(Way::Unlooked(Forcemanager))),
        ] {
            assert_eq!(way(&given, is_terminal).ok(), wanted, "{given:?} {is_terminal}");
        }
    }
    #[test]
    fn each_platform_has_a_file_without_a_problem() {
        for platform in Platform::value_variants() {
            let text = platform.base("north", "2026-01-01T00:00:00Z");
            assert!(text.contains(&format!("[platform.{}]", platform.word())) && text.contains("name = \"north\""), "{text}");
            assert_eq!(crate::config::Config::problems_of(&text), [], "{platform:?}");
        }
    }
}
