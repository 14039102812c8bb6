//! `lockstep init`: a commented rules file to start from.

use super::{Exit, Out, Usage};
use crate::rules::{FORCEMANAGER, LAC, SHIPPED, starter_of};
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde_json::json;
use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The license platform
    #[arg(long, value_enum, default_value = "licensespring")]
    pub platform: Platform,
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

fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)).map(|t| t.and_utc());
    let instant = date.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|t| t.to_utc()));
    instant.ok_or_else(|| "write an instant such as 2026-11-24T00:00:00Z, or a day such as 2026-11-24".to_owned())
}

pub fn run(args: &Args, rules: Option<&Path>, out: &mut Out) -> anyhow::Result<Exit> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if args.name.is_empty() || !args.name.chars().all(is_plain) {
        return Err(Usage(format!("{:?} cannot name a connection: lower-case letters, digits and hyphens", args.name)).into());
    }
    let (shipped, next) = match args.platform {
        Platform::Licensespring => (SHIPPED, "fill in [products], set the secrets"),
        Platform::Lac => (LAC, "set the secrets"),
        Platform::Forcemanager => (FORCEMANAGER, "set the secrets"),
    };
    let text = starter_of(shipped, &args.name, &crate::store::stamp(args.provision_from.unwrap_or_else(Utc::now)));
    let path = args.output.clone().or_else(|| rules.map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("sync-rules.toml"));
    if path == Path::new("-") {
        out.text(text)?;
        return Ok(Exit::InStep);
    }
    write(&path, &text, args.force)?;
    if out.json {
        out.json(&json!({ "file": path.display().to_string(), "name": args.name }))?;
    } else {
        out.line(format_args!("{} written; next: {next}, then `lockstep check --online`", path.display()))?;
    }
    Ok(Exit::InStep)
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
    use crate::config::Config;

    #[test]
    fn each_platform_has_a_file_without_a_problem() {
        for (platform, named) in [
            (Platform::Licensespring, "[platform.licensespring]"),
            (Platform::Lac, "[platform.lac]"),
            (Platform::Forcemanager, "[platform.forcemanager]"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("rules.toml");
            let args = Args { platform, name: "north".to_owned(), provision_from: None, output: Some(path.clone()), force: false };
            assert_eq!(run(&args, None, &mut Out::to(Vec::new(), false)).unwrap(), Exit::InStep);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(named) && text.contains("name = \"north\""), "{text}");
            assert_eq!(Config::problems_of(&text), [], "{named}");
        }
    }
}
