//! The whole rules file, secrets resolved: what a command needs to go to work.
//!
//! The checks that need a platform's catalogue are here, because `rules` names no connector.

use crate::connectors::{Catalogue, Fault, Writer, licensespring, salesforce};
use crate::record::Sides;
use crate::rules::{
    self, Conflict, Direction, FlowWord, Limit, Limits, Mapping, Place, PlanWord, PlatformTable, Problem, ResyncWord, Rules, RulesFile,
    Schedule, SecretRef, TextValue, duration,
};
use secrecy::SecretString;
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use toml::Spanned;

#[derive(Debug, Clone)]
pub struct Config {
    pub path: PathBuf,
    /// The text of the file, to show problems in.
    pub source: String,
    pub rules: Rules,
    pub schedule: Schedule,
    pub resync: ResyncAt,
    pub sweep_every: SweepEvery,
    pub confirm_after: chrono::Duration,
    pub limits: Limits,
    /// A Salesforce sandbox org may be paired with a production platform.
    pub allow_sandbox_with_production: bool,
    salesforce: salesforce::Settings,
    platform: Platform,
}

#[derive(Debug, Clone)]
enum Platform {
    LicenseSpring(licensespring::Settings),
}

/// When a requested re-sync starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResyncAt {
    Now,
    NextTick,
}

/// How often kinds that can only be swept are swept by interval runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepEvery {
    Auto,
    Run,
    Every(chrono::Duration),
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {message}")]
    File { path: String, message: String },
    #[error("{} problem(s) in {path}", problems.len())]
    Problems { path: String, source_text: String, problems: Vec<Problem> },
}

impl Config {
    /// Reads, checks and resolves everything; all problems at once. `state_dir` is where rotated tokens live.
    pub fn load(path: &Path, state_dir: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|e| ConfigError::File {
            path: shown.clone(),
            message: format!("{e}; `lockstep init` writes a rules file to start from"),
        })?;
        let (file, rules, mut problems) = understand(&source);
        let resolved = file.as_ref().map(|file| Resolve { source: &source, problems: &mut problems }.all(file, state_dir));
        match (rules, resolved.flatten()) {
            (Some(rules), Some(resolved)) if problems.is_empty() => Ok(resolved.into_config(path, source, rules)),
            _ => Err(ConfigError::Problems { path: shown, source_text: source, problems }),
        }
    }

    /// Checks a text without resolving secrets: what `check` says offline.
    #[must_use]
    pub fn problems_of(source: &str) -> Vec<Problem> {
        understand(source).2
    }

    /// The two connectors. Nothing is sent yet.
    pub fn connect(&self) -> Result<Sides<Box<dyn Writer>>, Fault> {
        let platform: Box<dyn Writer> = match &self.platform {
            Platform::LicenseSpring(settings) => Box::new(licensespring::LicenseSpring::new(settings.clone())?),
        };
        Ok(Sides::new(Box::new(salesforce::Salesforce::new(self.salesforce.clone())?), platform))
    }
}

/// The file, the rules if they are sound, and every problem that needs no secret.
fn understand(source: &str) -> (Option<RulesFile>, Option<Rules>, Vec<Problem>) {
    let (file, rules, mut problems) = understood(source);
    problems.sort_by_key(|p| p.place.start);
    (file, rules, problems)
}

fn understood(source: &str) -> (Option<RulesFile>, Option<Rules>, Vec<Problem>) {
    let file = match rules::parse(source) {
        Ok(file) => file,
        Err(problems) => return (None, None, problems),
    };
    match rules::check(&file, source) {
        Err(problems) => (Some(file), None, problems),
        Ok(rules) => {
            let mut problems = Vec::new();
            let catalogue = match &file.platform {
                PlatformTable::Licensespring(_) => &*licensespring::CATALOGUE,
            };
            for mapping in &rules.mappings {
                against(catalogue, mapping, &file, source, &mut problems);
            }
            (Some(file), Some(rules), problems)
        }
    }
}

/// A mapping against what the platform can do.
fn against(catalogue: &Catalogue, mapping: &Mapping, file: &RulesFile, source: &str, problems: &mut Vec<Problem>) {
    let Some((name, table)) = file.objects.iter().find(|(name, _)| *name.get_ref() == mapping.object) else { return };
    let mut say = |place: Place, code, message: String, help: String| problems.push(Problem::new(source, place, code, message, help));
    let Some(resource) = catalogue.resource(&mapping.platform) else {
        let known = catalogue.resources.iter().map(|r| r.name).collect::<Vec<_>>().join(", ");
        let message = format!("{} has no resource {:?}", catalogue.name, mapping.platform);
        return say(table.platform.span(), "unknown-resource", message, format!("resources are: {known}"));
    };
    let place_of = |entry: &str| table.fields.iter().find(|(k, _)| k.get_ref() == entry).map_or_else(|| name.span(), |(_, v)| v.span());
    for entry in &mapping.entries {
        for field in &entry.platform {
            if !resource.knows(field) {
                let known = resource.fields.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
                say(
                    place_of(&entry.name),
                    "unknown-field",
                    format!("{} has no field {field:?}", resource.name),
                    format!("fields are: {known}"),
                );
                continue;
            }
            let read_only = resource.field(field).is_some_and(|f| !f.update && !f.create);
            if read_only && entry.direction.to_platform() {
                say(
                    place_of(&entry.name),
                    "not-writable",
                    format!("{} field {field:?} cannot be written", resource.name),
                    "say direction = \"to-salesforce\" for this field".to_owned(),
                );
            }
        }
        if entry.conflict == Conflict::Newest && !resource.stamped {
            say(
                place_of(&entry.name),
                "no-stamps",
                format!("conflict = \"newest\" needs time stamps, and a {} of {} has none", resource.name, catalogue.name),
                "use \"salesforce\", \"platform\", \"salesforce-unless-blank\" or \"manual\"".to_owned(),
            );
        }
    }
    if mapping.create.on_platform() && mapping.direction != Direction::ToSalesforce && !resource.can_create && !mapping.provisions {
        say(
            name.span(),
            "cannot-create",
            format!("a {} cannot be created on {} by itself", resource.name, catalogue.name),
            "say create = \"to-salesforce\" or \"none\"".to_owned(),
        );
    }
}

/// What came out of the environment, credentials and files.
struct Resolved {
    schedule: Schedule,
    resync: ResyncAt,
    sweep_every: SweepEvery,
    confirm_after: chrono::Duration,
    limits: Limits,
    allow_sandbox_with_production: bool,
    salesforce: salesforce::Settings,
    platform: Platform,
}

impl Resolved {
    fn into_config(self, path: &Path, source: String, rules: Rules) -> Config {
        Config {
            path: path.to_owned(),
            source,
            rules,
            schedule: self.schedule,
            resync: self.resync,
            sweep_every: self.sweep_every,
            confirm_after: self.confirm_after,
            limits: self.limits,
            allow_sandbox_with_production: self.allow_sandbox_with_production,
            salesforce: self.salesforce,
            platform: self.platform,
        }
    }
}

struct Resolve<'a> {
    source: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Resolve<'_> {
    fn say(&mut self, place: Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.source, place, code, message, help));
    }

    fn all(mut self, file: &RulesFile, state_dir: &Path) -> Option<Resolved> {
        let schedule = self.schedule(file);
        let limits = self.limits(file);
        let salesforce = self.salesforce(file, state_dir);
        let platform = self.platform(file);
        Some(Resolved {
            schedule: schedule?,
            resync: match file.schedule.resync {
                Some(ResyncWord::NextTick) => ResyncAt::NextTick,
                Some(ResyncWord::Now) | None => ResyncAt::Now,
            },
            sweep_every: match file.schedule.sweep_every.as_ref().map(|s| s.get_ref().as_str()) {
                None | Some("auto") => SweepEvery::Auto,
                Some("run") => SweepEvery::Run,
                Some(text) => SweepEvery::Every(duration(text).ok()?),
            },
            confirm_after: self.seconds(file.schedule.confirm_absence_after.as_ref(), 60),
            limits: limits?,
            allow_sandbox_with_production: file.salesforce.allow_sandbox_with_production,
            salesforce: salesforce?,
            platform: platform?,
        })
    }

    fn seconds(&self, text: Option<&Spanned<String>>, default: i64) -> chrono::Duration {
        text.and_then(|t| duration(t.get_ref()).ok()).unwrap_or_else(|| chrono::Duration::seconds(default))
    }

    fn schedule(&mut self, file: &RulesFile) -> Option<Schedule> {
        let table = &file.schedule;
        match (&table.cron, &table.every) {
            (Some(cron), _) => Schedule::cron(cron.get_ref(), table.time_zone.as_ref().map(|z| z.get_ref().as_str())).ok(),
            (None, Some(every)) => Schedule::every(every.get_ref()).ok(),
            (None, None) => Schedule::every("15m").ok(),
        }
    }

    fn limits(&mut self, file: &RulesFile) -> Option<Limits> {
        let mut limits = Limits::default();
        let mut sound = true;
        let tables = [
            (&file.limits.creates, &mut limits.creates),
            (&file.limits.changes, &mut limits.changes),
            (&file.limits.destructive, &mut limits.destructive),
        ];
        for (table, limit) in tables {
            let Some(table) = table else { continue };
            match (u64::try_from(*table.count.get_ref()), u64::try_from(*table.percent.get_ref())) {
                (Ok(count), Ok(percent)) if percent <= 100 => *limit = Limit { count, percent },
                _ => {
                    self.say(
                        table.percent.span(),
                        "bad-limit",
                        "a count is 0 or more, a percentage 0 to 100",
                        "write { count = 100, percent = 20 }",
                    );
                    sound = false;
                }
            }
        }
        sound.then_some(limits)
    }

    fn salesforce(&mut self, file: &RulesFile, state_dir: &Path) -> Option<salesforce::Settings> {
        let table = &file.salesforce;
        let login_url = self.url(&table.login_url);
        let client_id = self.text(&table.client_id);
        let flow = match table.flow.unwrap_or(FlowWord::ClientCredentials) {
            FlowWord::ClientCredentials => {
                let client_secret = self.needed(table.client_secret.as_ref(), &table.client_id, "client-secret");
                client_id
                    .zip(client_secret)
                    .map(|(client_id, client_secret)| salesforce::Flow::ClientCredentials { client_id, client_secret })
            }
            FlowWord::RefreshToken => {
                let refresh_token = self.needed(table.refresh_token.as_ref(), &table.client_id, "refresh-token");
                let client_secret = table.client_secret.as_ref().and_then(|s| self.secret(s));
                client_id.zip(refresh_token).map(|(client_id, refresh_token)| salesforce::Flow::RefreshToken {
                    client_id,
                    client_secret,
                    refresh_token,
                })
            }
            FlowWord::Jwt => {
                let private_key = self.needed(table.private_key.as_ref(), &table.client_id, "private-key");
                let username = self.username(table.username.as_ref(), &table.client_id);
                let audience = table.audience.clone().unwrap_or_else(|| "https://login.salesforce.com".to_owned());
                client_id.zip(private_key).zip(username).map(|((client_id, private_key), username)| salesforce::Flow::Jwt {
                    client_id,
                    username,
                    private_key,
                    audience,
                })
            }
            FlowWord::Password => {
                let client_secret = self.needed(table.client_secret.as_ref(), &table.client_id, "client-secret");
                let password = self.needed(table.password.as_ref(), &table.client_id, "password");
                let username = self.username(table.username.as_ref(), &table.client_id);
                client_id.zip(client_secret).zip(password.zip(username)).map(|((client_id, client_secret), (password, username))| {
                    salesforce::Flow::Password { client_id, client_secret, username, password }
                })
            }
        };
        let api_version = self.api_version(table.api_version.as_ref());
        let reserve_percent = self.reserve(file);
        let lookback = self.seconds(file.schedule.lookback.as_ref(), 600).num_seconds();
        Some(salesforce::Settings {
            login_url: login_url?,
            api_version: api_version?,
            flow: flow?,
            allowed_hosts: table
                .allowed_hosts
                .clone()
                .unwrap_or_else(|| vec!["*.salesforce.com".to_owned(), "*.my.salesforce.com".to_owned()]),
            token_file: Some(state_dir.join("tokens.json")),
            lookback_s: u32::try_from(lookback).unwrap_or(600),
            reserve_percent: reserve_percent?,
        })
    }

    fn reserve(&mut self, file: &RulesFile) -> Option<u8> {
        match &file.limits.salesforce_reserve {
            None => Some(20),
            Some(percent) => match u8::try_from(*percent.get_ref()) {
                Ok(p) if p <= 99 => Some(p),
                _ => {
                    self.say(percent.span(), "bad-limit", "a reserve is 0 to 99 percent", "write salesforce-reserve = 20");
                    None
                }
            },
        }
    }

    fn api_version(&mut self, version: Option<&Spanned<String>>) -> Option<String> {
        let Some(version) = version else { return Some("66.0".to_owned()) };
        let number = version.get_ref().strip_suffix(".0").and_then(|n| n.parse::<u32>().ok());
        if number.is_some_and(|n| n >= 46) {
            return Some(version.get_ref().clone());
        }
        self.say(version.span(), "bad-version", format!("{:?} is not an API version from 46.0 on", version.get_ref()), "write \"66.0\"");
        None
    }

    fn username(&mut self, name: Option<&Spanned<TextValue>>, near: &Spanned<TextValue>) -> Option<String> {
        match name {
            Some(name) => self.text(name),
            None => {
                self.say(near.span(), "missing-key", "this flow needs `username`", "add username = \"…\"");
                None
            }
        }
    }

    fn platform(&mut self, file: &RulesFile) -> Option<Platform> {
        let PlatformTable::Licensespring(table) = &file.platform;
        let url = self.url(&table.url);
        let api_key = self.secret(&table.api_key);
        let requests_per_minute = match &table.requests_per_minute {
            Some(n) => match u32::try_from(*n.get_ref()) {
                Ok(n) if n > 0 => Some(n),
                _ => {
                    self.say(n.span(), "bad-limit", "a number of requests above 0", "");
                    return None;
                }
            },
            None => match table.plan.unwrap_or(PlanWord::Free) {
                PlanWord::Free => Some(600),
                PlanWord::BusinessStarter => Some(900),
                PlanWord::BusinessPlus => Some(1_200),
                PlanWord::Enterprise => Some(2_400),
                PlanWord::None => None,
            },
        };
        let url = url?;
        Some(Platform::LicenseSpring(licensespring::Settings {
            // The vendor's limit is about the vendor's servers; a simulator on this machine has its own.
            requests_per_minute: requests_per_minute.filter(|_| !is_loopback(&url)),
            url,
            api_key: api_key?,
            company: table.company.clone(),
            connection: file.connection.name.get_ref().clone(),
        }))
    }

    fn url(&mut self, value: &Spanned<TextValue>) -> Option<String> {
        let text = self.text(value)?;
        let trimmed = text.trim_end_matches('/').to_owned();
        match url::Url::parse(&trimmed) {
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&trimmed)) => Some(trimmed),
            Ok(_) => {
                self.say(value.span(), "not-https", format!("{text:?} is not an https address"), "plain http is allowed to loopback only");
                None
            }
            Err(e) => {
                self.say(value.span(), "bad-url", format!("{text:?} is not an address: {e}"), "write https://…");
                None
            }
        }
    }

    fn text(&mut self, value: &Spanned<TextValue>) -> Option<String> {
        match value.get_ref() {
            TextValue::Plain(text) => Some(text.clone()),
            TextValue::From(secret) => self.fetch(secret, value.span()),
        }
    }

    fn needed(&mut self, value: Option<&Spanned<SecretRef>>, near: &Spanned<TextValue>, name: &str) -> Option<SecretString> {
        match value {
            Some(value) => self.secret(value),
            None => {
                self.say(near.span(), "missing-key", format!("this flow needs `{name}`"), format!("add {name} = {{ env = \"…\" }}"));
                None
            }
        }
    }

    fn secret(&mut self, value: &Spanned<SecretRef>) -> Option<SecretString> {
        self.fetch(value.get_ref(), value.span()).map(SecretString::from)
    }

    fn fetch(&mut self, secret: &SecretRef, place: Place) -> Option<String> {
        let found = match (&secret.env, &secret.credential, &secret.file) {
            (Some(name), None, None) => from_env(name),
            (None, Some(name), None) => from_credential(name),
            (None, None, Some(path)) => from_file(path),
            _ => Err(("secret-source", "say exactly one of env, credential and file".to_owned(), String::new())),
        };
        match found {
            Ok(text) if text.trim().is_empty() => {
                self.say(place, "missing-secret", "it is empty", "");
                None
            }
            Ok(text) => Some(text.trim().to_owned()),
            Err((code, message, help)) => {
                self.say(place, code, message, help);
                None
            }
        }
    }
}

type Trouble = (&'static str, String, String);

fn from_env(name: &str) -> Result<String, Trouble> {
    std::env::var(name).map_err(|_| {
        (
            "missing-secret",
            format!("the environment variable {name} is not set"),
            format!("set {name}, or use {{ credential = \"…\" }} under systemd"),
        )
    })
}

fn from_credential(name: &str) -> Result<String, Trouble> {
    if name.contains('/') || name.contains("..") {
        return Err(("secret-source", format!("{name:?} is not the name of a credential"), String::new()));
    }
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        ("missing-secret", format!("credential {name}: not started by systemd with LoadCredential="), "see docs/operating.md".to_owned())
    })?;
    std::fs::read_to_string(Path::new(&dir).join(name))
        .map_err(|e| ("missing-secret", format!("credential {name}: {e}"), format!("add LoadCredential={name}:… to the unit")))
}

fn from_file(path: &Path) -> Result<String, Trouble> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| ("missing-secret", format!("{shown}: {e}"), String::new()))?;
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err(("secret-file-mode", format!("{shown} may be read by others (mode {mode:o})"), format!("chmod 600 {shown}")));
    }
    std::fs::read_to_string(path).map_err(|e| ("missing-secret", format!("{shown}: {e}"), String::new()))
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHIPPED: &str = include_str!("../sync-rules.toml");

    #[test]
    fn the_shipped_rules_fit_the_platform() {
        let problems = Config::problems_of(SHIPPED);
        assert!(problems.is_empty(), "{}", rules::render(&problems, SHIPPED, "sync-rules.toml"));
    }

    #[test]
    fn six_mistakes_are_six_problems() {
        let source = SHIPPED
            .replace("every = \"15m\"", "evry = \"15m\"")
            .replace("create = \"both\"", "create = \"sideways\"")
            .replace("lookback = \"10m\"", "lookback = 10");
        let problems = Config::problems_of(&source);
        assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["unknown-key", "bad-value", "bad-value"], "{problems:#?}");

        let source = SHIPPED
            .replace("name = \"acme\"", "name = \"Acme Inc\"")
            .replace("confirm-absence-after = \"60s\"", "confirm-absence-after = \"soon\"")
            .replace("'StatusCode == \"Activated\"'", "'StatusCode|trimm == \"Activated\"'")
            .replace("provision-from = \"2026-01-01T00:00:00Z\"", "provision-from = \"last year\"")
            .replace("parent = \"account\"", "parent = \"acount\"")
            .replace("match = [[\"email\"]]", "match = [[\"mail\"]]");
        let problems = Config::problems_of(&source);
        let codes: Vec<_> = problems.iter().map(|p| p.code).collect();
        for code in ["bad-name", "bad-duration", "bad-expression", "bad-instant", "unknown-parent", "unmapped-match"] {
            assert!(codes.contains(&code), "{code} in {codes:?}");
        }
        let text = rules::render(&problems, &source, "sync-rules.toml");
        assert!(text.contains("^^^^^") && text.contains("help:"), "{text}");
    }

    #[test]
    fn what_the_platform_cannot_do_is_said_offline() {
        for (from, to, code) in [
            ("Phone = \"phone\"", "Phone = \"fone\"", "unknown-field"),
            ("platform = \"customer\"", "platform = \"client\"", "unknown-resource"),
            (
                "Activations__c = { to = \"times_activated\", direction = \"to-salesforce\" }",
                "Activations__c = \"times_activated\"",
                "not-writable",
            ),
            ("Name = \"name\"", "Name = { to = \"name\", conflict = \"newest\" }", "no-stamps"),
        ] {
            let problems = Config::problems_of(&SHIPPED.replacen(from, to, 1));
            assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), [code], "{to}");
        }
    }
}
