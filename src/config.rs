//! The whole rules file, secrets resolved: what a command needs to go to work.
//!
//! The only place that reads the environment. What the platform itself can do is asked of its catalogue here, because
//! `rules` names no connector.

mod custom_fields;
mod platform;
#[cfg(test)]
mod reference;
mod secret;

use crate::connectors::{Fault, Writer, forcemanager, lac, licensespring, salesforce};
use crate::record::{SalesforceId, Sides, fields_hash};
use crate::rules::{
    self, At, CustomFieldsWord, CustomerDelete, CustomersWithOrders, ExtraKindWord, Finding, FirstLoadWord, FlowWord, ForceManagerTable,
    LacTable, LicenseSpringTable, Limits, PlanWord, Problem, ProductValue, Rules, RulesFile, SalesforceTable, Schedule, SecretRef,
    TextValue, duration,
};
use chrono::Duration;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use crate::rules::ResyncAt;
pub use custom_fields::CustomFields;

#[derive(Debug, Clone)]
pub struct Config {
    pub path: PathBuf,
    /// The text of the file, to show problems in.
    pub source: String,
    pub rules: Rules,
    /// `false`: nothing runs, neither system is asked anything.
    pub enabled: bool,
    pub schedule: Schedule,
    /// `None`: a census is made only when somebody asks.
    pub census: Option<Schedule>,
    pub resync: ResyncAt,
    pub sweep_every: SweepEvery,
    /// How long a record must stay missing before it is looked for by id.
    pub confirm_after: Duration,
    pub limits: Limits,
    /// A Salesforce sandbox org may be paired with a production platform.
    pub allow_sandbox_with_production: bool,
    pub salesforce: salesforce::Settings,
    pub platform: PlatformSettings,
    /// The rules want what the platform holds replaced, at a person's word.
    pub first_load: Option<FirstLoad>,
    /// Every custom field of Salesforce takes part: to be looked for before each run.
    pub custom_fields: bool,
}

/// Which platform a word is given for, and what has to be typed for it.
#[derive(Debug, Clone)]
pub struct FirstLoad {
    /// Address and a fingerprint of the key: another key needs another word.
    pub target: String,
    pub word: SecretString,
}

/// How to reach the one platform of the file.
#[derive(Debug, Clone)]
pub enum PlatformSettings {
    LicenseSpring(licensespring::Settings),
    ForceManager(forcemanager::Settings),
    Lac(lac::Settings),
}

/// How often kinds that can only be swept are swept by interval runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepEvery {
    Auto,
    Run,
    Every(Duration),
}

/// What the file says that needs no secret to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    pub enabled: bool,
    pub resync: ResyncAt,
}

/// The rules are not fit to work with: exit code 78.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {message}")]
    File { path: String, message: String },
    /// Printed with `rules::render`.
    #[error("{} problem(s) in {path}", problems.len())]
    Problems { path: String, source_text: String, problems: Vec<Problem> },
}

impl Config {
    /// Reads, checks and resolves everything; all problems at once, missing secrets among them. `state_dir` is where rotated
    /// tokens live.
    ///
    /// # Errors
    /// The file cannot be read, or there is something wrong with it.
    pub fn load(path: &Path, state_dir: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|e| ConfigError::File {
            path: shown.clone(),
            message: format!("{e}; `lockstep init` writes a rules file to start from"),
        })?;
        Self::of(path, &source, state_dir, &Given::new())
    }

    /// The same of a text that is to stand at `path`, with values that go before those of the environment.
    ///
    /// # Errors
    /// There is something wrong with the text.
    pub fn of(path: &Path, source: &str, state_dir: &Path, given: &Given) -> Result<Self, ConfigError> {
        let mut look = Look::at(source);
        let pairs = match look.file.as_ref().filter(|file| look.problems.is_empty() && takes_all(file)) {
            Some(_) => CustomFields::read(state_dir).map_err(|e| ConfigError::File {
                path: state_dir.display().to_string(),
                message: format!("the pairs of custom fields: {e}"),
            })?,
            None => CustomFields::default(),
        };
        let merged = look.file.as_ref().map(|file| pairs.merged(source, file)).filter(|merged| *merged != source);
        if let Some(merged) = &merged {
            look = Look::at(merged);
        }
        let settings = look.file.take().and_then(|file| Resolve { look: &mut look, file: &file, given }.config(path, state_dir));
        let settings = settings.map(|mut config| {
            config.made_as(&pairs);
            config
        });
        match settings {
            Some(config) if look.problems.is_empty() => Ok(config),
            Some(_) | None => {
                let path = path.display().to_string();
                Err(ConfigError::Problems { path, problems: look.sorted(), source_text: merged.unwrap_or_else(|| source.to_owned()) })
            }
        }
    }

    /// Extra fields of these pairs are made where they are not there.
    fn made_as(&mut self, pairs: &CustomFields) {
        let PlatformSettings::ForceManager(settings) = &mut self.platform else { return };
        for mapping in &self.rules.mappings {
            for field in settings.extra_fields.get_mut(&mapping.platform).into_iter().flatten() {
                field.kind = field.kind.or_else(|| pairs.kind(&mapping.object, &field.name));
            }
        }
    }

    /// Checks a text without asking for its secrets: what `check` says offline.
    #[must_use]
    pub fn problems_of(source: &str) -> Vec<Problem> {
        Look::at(source).sorted()
    }

    /// The switches of a text, whatever secrets it names. `None`: it has problems.
    #[must_use]
    pub fn switches(source: &str) -> Option<Switches> {
        let look = Look::at(source);
        let file = look.file.filter(|_| look.problems.is_empty())?;
        Some(Switches { enabled: file.enabled.unwrap_or(true), resync: file.schedule.resync.unwrap_or(ResyncAt::Now) })
    }

    /// The two connectors. Nothing is sent yet.
    ///
    /// # Errors
    /// A setting that a connector cannot work with.
    pub fn connect(&self) -> Result<Sides<Box<dyn Writer>>, Fault> {
        let platform: Box<dyn Writer> = match &self.platform {
            PlatformSettings::LicenseSpring(settings) => Box::new(licensespring::LicenseSpring::new(settings.clone())?),
            PlatformSettings::ForceManager(settings) => Box::new(forcemanager::ForceManager::new(settings.clone())?),
            PlatformSettings::Lac(settings) => Box::new(lac::Lac::new(settings.clone())?),
        };
        Ok(Sides::new(Box::new(salesforce::Salesforce::new(self.salesforce.clone())?), platform))
    }
}

/// Values by the name of the environment variable they stand for.
pub type Given = BTreeMap<String, SecretString>;

/// An environment variable that is set and not empty.
#[must_use]
pub fn variable(name: &str) -> Option<SecretString> {
    secret::fetch(&SecretRef::Env(name.to_owned())).ok()
}

/// Every code a problem can have, with what it means; docs/rules.md lists them.
#[must_use]
pub fn problem_codes() -> Vec<(&'static str, &'static str)> {
    let mut codes = rules::CODES.to_vec();
    codes.extend(rules::CHECKS.iter().map(|check| (check.code, check.what)));
    codes.push((platform::UNKNOWN_RESOURCE, "The platform has no such resource."));
    codes.extend(platform::CHECKS.iter().map(|check| (check.code, check.what)));
    codes.extend(secret::CODES);
    codes
}

/// A text under examination.
struct Look<'s> {
    source: &'s str,
    file: Option<RulesFile>,
    problems: Vec<Problem>,
}

impl<'s> Look<'s> {
    /// Form, checks and catalogue, one not hiding the other.
    fn at(source: &'s str) -> Self {
        let (file, mut problems) = rules::read(source);
        if let Some(file) = &file {
            problems.extend(rules::complaints(file, source));
            problems.extend(platform::check(file, source));
        }
        Self { source, file, problems }
    }

    fn say(&mut self, code: &'static str, finding: Finding) {
        self.problems.push(finding.problem(self.source, code));
    }

    fn sorted(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.place.start, p.place.end));
        self.problems
    }
}

/// Fills in what stands outside the file. Each missing piece is reported and the rest goes on, so that one start tells all.
struct Resolve<'l, 's> {
    look: &'l mut Look<'s>,
    file: &'l RulesFile,
    given: &'l Given,
}

impl Resolve<'_, '_> {
    fn config(mut self, path: &Path, state_dir: &Path) -> Option<Config> {
        let file = self.file;
        let salesforce = file.salesforce.as_ref().and_then(|table| self.salesforce(table, state_dir));
        let platform = file.platform.as_ref().and_then(|named| match (&named.licensespring, &named.lac, &named.forcemanager) {
            (Some(table), _, _) => self.licensespring(table),
            (None, Some(table), _) => self.lac(table),
            (None, None, Some(table)) => self.forcemanager(table),
            (None, None, None) => None,
        });
        if !self.look.problems.is_empty() {
            return None;
        }
        let meant = rules::meaning(file).and_then(|rules| Ok((rules, rules::schedule(file)?, rules::census(file)?)));
        let (mut rules, schedule, census) = match meant {
            Ok(meant) => meant,
            Err(finding) => {
                self.look.say(rules::NOT_UNDERSTOOD, finding);
                return None;
            }
        };
        // Who is whom is part of what the rules mean: a pair that is written down wakes whoever waited for it.
        if let Some(PlatformSettings::ForceManager(settings)) = &platform
            && !settings.users.is_empty()
        {
            rules.fingerprint ^= fields_hash(&format!("{:?}", settings.users));
        }
        Some(Config {
            path: path.to_owned(),
            source: self.look.source.to_owned(),
            rules,
            enabled: file.enabled.unwrap_or(true),
            schedule,
            census,
            resync: file.schedule.resync.unwrap_or(ResyncAt::Now),
            sweep_every: match file.schedule.sweep_every.as_ref().map(|s| s.as_str()) {
                None | Some("auto") => SweepEvery::Auto,
                Some("run") => SweepEvery::Run,
                Some(text) => SweepEvery::Every(duration(text).ok()?),
            },
            confirm_after: span(&file.schedule.confirm_absence_after).unwrap_or(CONFIRM_AFTER),
            limits: rules::limits(file),
            allow_sandbox_with_production: file.salesforce.as_ref().is_some_and(|s| s.allow_sandbox_with_production),
            salesforce: salesforce?,
            first_load: first_load(file, platform.as_ref()),
            custom_fields: takes_all(file),
            platform: platform?,
        })
    }

    fn salesforce(&mut self, table: &SalesforceTable, state_dir: &Path) -> Option<salesforce::Settings> {
        let login_url = self.address(table.login_url.as_ref());
        let flow = self.flow(table);
        let lookback = span(&self.file.schedule.lookback).unwrap_or(LOOKBACK);
        Some(salesforce::Settings {
            login_url: login_url?,
            api_version: table.api_version.as_ref().map_or("66.0", |v| v.as_str()).to_owned(),
            flow: flow?,
            allowed_hosts: match &table.allowed_hosts {
                Some(hosts) => hosts.iter().map(|h| h.to_string()).collect(),
                None => ["*.salesforce.com", "*.my.salesforce.com"].map(str::to_owned).to_vec(),
            },
            token_file: Some(state_dir.join("tokens.json")),
            lookback_s: u32::try_from(lookback.num_seconds()).ok()?,
            reserve_percent: self.file.limits.salesforce_reserve.unwrap_or(20),
            product_fields: self.file.products.iter().any(|(code, value)| {
                let from = |word: &str| word.trim() == "Product2";
                **code == "from" && matches!(&**value, ProductValue::Word(word) if from(word))
            }),
        })
    }

    /// What the flow needs is fetched, and nothing else. What is missing in the file the checks have said already.
    fn flow(&mut self, table: &SalesforceTable) -> Option<salesforce::Flow> {
        let client_id = self.text(table.client_id.as_ref());
        let flow = table.flow.unwrap_or(FlowWord::ClientCredentials);
        let mut secret = |wanted: &[FlowWord], value: &Option<At<SecretRef>>| {
            value.as_ref().filter(|_| wanted.contains(&flow)).and_then(|v| self.secret(v))
        };
        let with_secret = [FlowWord::ClientCredentials, FlowWord::Password, FlowWord::RefreshToken];
        let client_secret = secret(&with_secret, &table.client_secret);
        let refresh_token = secret(&[FlowWord::RefreshToken], &table.refresh_token);
        let private_key = secret(&[FlowWord::Jwt], &table.private_key);
        let password = secret(&[FlowWord::Password], &table.password);
        let username = match flow {
            FlowWord::Jwt | FlowWord::Password => self.text(table.username.as_ref()),
            FlowWord::ClientCredentials | FlowWord::RefreshToken => None,
        };
        let client_id = client_id?;
        Some(match flow {
            FlowWord::ClientCredentials => salesforce::Flow::ClientCredentials { client_id, client_secret: client_secret? },
            FlowWord::RefreshToken => {
                if client_secret.is_none() && table.client_secret.is_some() {
                    return None;
                }
                salesforce::Flow::RefreshToken { client_id, client_secret, refresh_token: refresh_token? }
            }
            FlowWord::Jwt => {
                let audience = match &table.audience {
                    Some(audience) => self.address(Some(audience))?,
                    None => "https://login.salesforce.com".to_owned(),
                };
                salesforce::Flow::Jwt { client_id, username: username?, private_key: private_key?, audience }
            }
            FlowWord::Password => {
                salesforce::Flow::Password { client_id, client_secret: client_secret?, username: username?, password: password? }
            }
        })
    }

    fn licensespring(&mut self, table: &LicenseSpringTable) -> Option<PlatformSettings> {
        let url = self.address(table.url.as_ref());
        let api_key = table.api_key.as_ref().and_then(|key| self.secret(key));
        let url = url?;
        let of_plan = match table.plan.as_ref().map_or(PlanWord::Free, |p| **p) {
            PlanWord::Free => Some(licensespring::FREE_PLAN_PER_MINUTE),
            PlanWord::BusinessStarter => Some(900),
            PlanWord::BusinessPlus => Some(1_200),
            PlanWord::Enterprise => Some(2_400),
            PlanWord::None => None,
        };
        Some(PlatformSettings::LicenseSpring(licensespring::Settings {
            // A plan is about the vendor's servers. What answers on this machine is a simulator with a limit of its own.
            requests_per_minute: table.requests_per_minute.or(of_plan).filter(|_| !is_loopback(&url)),
            url,
            api_key: api_key?,
            company: table.company.clone(),
            connection: self.file.connection.as_ref()?.name.as_ref()?.to_string(),
        }))
    }

    fn forcemanager(&mut self, table: &ForceManagerTable) -> Option<PlatformSettings> {
        let url = match &table.url {
            Some(url) => self.address(Some(url)),
            None => Some(forcemanager::URL.to_owned()),
        };
        let public_key = table.public_key.as_ref().and_then(|key| self.secret(key));
        let private_key = table.private_key.as_ref().and_then(|key| self.secret(key));
        let url = url?;
        let per_second = table.requests_per_second.unwrap_or(forcemanager::REQUESTS_PER_SECOND);
        Some(PlatformSettings::ForceManager(forcemanager::Settings {
            // As above: a simulator on this machine has a limit of its own.
            requests_per_second: Some(per_second).filter(|_| !is_loopback(&url)),
            url,
            public_key: public_key?,
            private_key: private_key?,
            time_zone: table.time_zone.as_ref().and_then(|zone| zone.parse().ok()),
            branch: table.branch,
            link_field: table.link_field.as_ref().map_or_else(|| "extId".to_owned(), |f| f.to_string()),
            placeholder: table.placeholder.clone().unwrap_or_else(|| forcemanager::PLACEHOLDER.to_owned()),
            users: table.users.iter().filter_map(|(id, n)| Some((SalesforceId::parse(id).ok()?.to_string(), **n))).collect(),
            extra_fields: extra_fields(self.file, table),
            type_codes: table.extra_field_type_codes.iter().map(|(word, code)| (kind(*word), *code)).collect(),
        }))
    }

    fn lac(&mut self, table: &LacTable) -> Option<PlatformSettings> {
        let url = self.address(table.url.as_ref());
        let username = self.text(table.username.as_ref());
        let password = table.password.as_ref().and_then(|p| self.secret(p));
        let url = url?;
        Some(PlatformSettings::Lac(lac::Settings {
            requests_per_minute: Some(table.requests_per_minute.unwrap_or(lac::PLATFORM.pace.calls)).filter(|_| !is_loopback(&url)),
            url,
            username: username?,
            password: password?,
            time_zone: table.time_zone.as_ref().map_or(Ok(chrono_tz::Tz::UTC), |zone| zone.parse()).ok()?,
            delete_customers: table.customer_delete != Some(CustomerDelete::Off),
            delete_with_orders: table.customers_with_orders == Some(CustomersWithOrders::Allow),
        }))
    }

    /// An address from outside the file is held to the same rule as one inside.
    fn address(&mut self, value: Option<&At<TextValue>>) -> Option<String> {
        let place = value?.place();
        let text = self.text(value)?.trim_end_matches('/').to_owned();
        match (rules::address(&text), &**value?) {
            (Ok(()), _) => Some(text),
            // Said by the checks.
            (Err(_), TextValue::Plain(_)) => None,
            (Err(message), TextValue::From(source)) => {
                let help = format!("look at {}", secret::described(source));
                self.look.say("bad-address", Finding::new(place, message, help));
                None
            }
        }
    }

    fn text(&mut self, value: Option<&At<TextValue>>) -> Option<String> {
        let value = value?;
        match &**value {
            TextValue::Plain(text) => Some(text.clone()),
            TextValue::From(source) => self.fetch(source, value.place()).map(|text| text.expose_secret().to_owned()),
        }
    }

    fn secret(&mut self, value: &At<SecretRef>) -> Option<SecretString> {
        self.fetch(value, value.place())
    }

    fn fetch(&mut self, source: &SecretRef, place: rules::Place) -> Option<SecretString> {
        if let SecretRef::Env(name) = source
            && let Some(text) = self.given.get(name)
        {
            return Some(text.clone());
        }
        match secret::fetch(source) {
            Ok(text) => Some(text),
            Err((code, message, help)) => {
                self.look.say(code, Finding::new(place, message, help));
                None
            }
        }
    }
}

fn takes_all(file: &RulesFile) -> bool {
    let table = file.platform.as_ref().and_then(|p| p.forcemanager.as_ref());
    table.is_some_and(|table| table.custom_fields == Some(CustomFieldsWord::All))
}

/// The public key is the word: nobody types it by accident.
fn first_load(file: &RulesFile, platform: Option<&PlatformSettings>) -> Option<FirstLoad> {
    let table = file.platform.as_ref()?.forcemanager.as_ref()?;
    let Some(PlatformSettings::ForceManager(settings)) = platform else { return None };
    (table.first_load == Some(FirstLoadWord::Replace)).then(|| FirstLoad {
        target: format!("{} {:016x}", settings.url, fields_hash(settings.public_key.expose_secret())),
        word: settings.public_key.clone(),
    })
}

/// The extra fields that the rules name, by resource: those that are to be made, and those that are only mapped.
fn extra_fields(file: &RulesFile, table: &ForceManagerTable) -> BTreeMap<String, Vec<forcemanager::ExtraField>> {
    let mut fields: BTreeMap<String, BTreeMap<String, Option<forcemanager::Kind>>> = BTreeMap::new();
    for (_, line) in file.lines() {
        if let (Some((name, _)), Some(resource)) = (line.to(), &line.object.platform)
            && name.starts_with(forcemanager::EXTRA)
        {
            fields.entry(resource.to_string()).or_default().insert(name.to_owned(), None);
        }
    }
    for (resource, declared) in &table.extra_fields {
        let made = declared.iter().map(|(name, word)| (name.clone(), Some(kind(*word))));
        fields.entry(resource.clone()).or_default().extend(made);
    }
    let list = |named: BTreeMap<String, _>| named.into_iter().map(|(name, kind)| forcemanager::ExtraField { name, kind }).collect();
    fields.into_iter().map(|(resource, named)| (resource, list(named))).collect()
}

const fn kind(word: ExtraKindWord) -> forcemanager::Kind {
    match word {
        ExtraKindWord::Text => forcemanager::Kind::Text,
        ExtraKindWord::Decimal => forcemanager::Kind::Decimal,
        ExtraKindWord::Bit => forcemanager::Kind::Bit,
        ExtraKindWord::Date => forcemanager::Kind::Date,
        ExtraKindWord::Datetime => forcemanager::Kind::Datetime,
        ExtraKindWord::Multivalue => forcemanager::Kind::Multivalue,
    }
}

const CONFIRM_AFTER: Duration = Duration::seconds(60);
const LOOKBACK: Duration = Duration::minutes(10);

fn span(text: &Option<At<String>>) -> Option<Duration> {
    text.as_ref().and_then(|t| duration(t).ok())
}

fn is_loopback(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| crate::connectors::http::is_loopback(&url))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::SHIPPED;
    use std::os::unix::fs::PermissionsExt;

    const SIX_MISTAKES: &str = include_str!("../tests/rules/six-mistakes.toml");

    #[test]
    fn the_shipped_rules_have_no_problem() {
        let problems = Config::problems_of(SHIPPED);
        assert!(problems.is_empty(), "{}", rules::render(&problems, SHIPPED, "sync-rules.toml"));
    }

    #[test]
    fn six_mistakes_are_six_problems_each_with_line_caret_and_help() {
        let problems = Config::problems_of(SIX_MISTAKES);
        let found: Vec<_> = problems.iter().map(|p| (p.line, p.code)).collect();
        let line = |text: &str| SIX_MISTAKES.lines().position(|l| l.contains(text)).unwrap() + 1;
        let want = [
            (line("evry"), "unknown-key"),
            (line("lookback"), "bad-duration"),
            (line("hunter2"), "inline-secret"),
            (line("trimm"), "bad-expression"),
            (line("fone"), "unknown-platform-field"),
            (line("acount"), "unknown-object"),
        ];
        assert_eq!(found, want, "{}", rules::render(&problems, SIX_MISTAKES, "six-mistakes.toml"));
        let text = rules::render(&problems, SIX_MISTAKES, "six-mistakes.toml");
        for problem in &problems {
            assert!(!problem.help.is_empty(), "{problem:?}");
            assert!(text.contains(&format!("six-mistakes.toml:{}:{}", problem.line, problem.column)), "{text}");
        }
        assert_eq!(text.matches("help: ").count(), 6, "{text}");
        assert!(text.lines().filter(|l| l.contains("^^")).count() == 6 && !text.contains("hunter2"), "{text}");
        assert!(text.contains("did you mean `every`?") && text.contains("did you mean \"account\"?"), "{text}");
    }

    /// A rules file and its secrets in files: nothing of the environment, which other tests share.
    fn load(change: impl Fn(&str) -> String) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("{{ file = \"{}\" }}", path.display())
        };
        let source = SHIPPED
            .replace("{ env = \"SALESFORCE_LOGIN_URL\" }", &secret("url", "http://127.0.0.1:8080/\n"))
            .replace("{ env = \"SALESFORCE_CLIENT_ID\" }", "\"3MVG9\"")
            .replace("{ env = \"SALESFORCE_CLIENT_SECRET\" }", &secret("client", "canary-1\n"))
            .replace("{ env = \"LICENSESPRING_URL\" }", "\"https://saas.licensespring.com\"")
            .replace("{ env = \"LICENSESPRING_API_KEY\" }", &secret("key", "canary-2"));
        let rules = dir.path().join("sync-rules.toml");
        std::fs::write(&rules, change(&source)).unwrap();
        Config::load(&rules, Path::new("/state"))
    }

    #[test]
    fn everything_is_resolved_and_no_secret_shows() {
        let config = load(str::to_owned).unwrap();
        assert_eq!(config.salesforce.login_url, "http://127.0.0.1:8080");
        assert_eq!(config.salesforce.token_file.as_deref(), Some(Path::new("/state/tokens.json")));
        assert_eq!((config.salesforce.lookback_s, config.salesforce.reserve_percent), (600, 20));
        let PlatformSettings::LicenseSpring(platform) = &config.platform else { panic!("{:?}", config.platform) };
        assert_eq!((platform.requests_per_minute, platform.connection.as_str()), (Some(600), "acme"));
        assert_eq!(platform.api_key.expose_secret(), "canary-2");
        assert_eq!((config.sweep_every, config.resync), (SweepEvery::Auto, ResyncAt::Now));
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn a_simulator_on_this_machine_has_no_plan() {
        let config = load(|s| s.replace("https://saas.licensespring.com", "http://localhost:1")).unwrap();
        let PlatformSettings::LicenseSpring(platform) = &config.platform else { panic!("{:?}", config.platform) };
        assert_eq!(platform.requests_per_minute, None);
    }

    /// The rules for ForceManager with their secrets in files.
    fn load_forcemanager(change: impl Fn(&str) -> String) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let secret = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("canary-{name}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("{{ file = \"{}\" }}", path.display())
        };
        let source = rules::FORCEMANAGER
            .replace("{ env = \"SALESFORCE_LOGIN_URL\" }", "\"http://127.0.0.1:1\"")
            .replace("{ env = \"SALESFORCE_CLIENT_ID\" }", "\"3MVG9\"")
            .replace("{ env = \"SALESFORCE_CLIENT_SECRET\" }", &secret("client"))
            .replace("{ env = \"FORCEMANAGER_URL\" }", "\"https://api.forcemanager.com/api/v4\"")
            .replace("{ env = \"FORCEMANAGER_PUBLIC_KEY\" }", &secret("public"))
            .replace("{ env = \"FORCEMANAGER_PRIVATE_KEY\" }", &secret("private"));
        let rules = dir.path().join("forcemanager.toml");
        std::fs::write(&rules, change(&source)).unwrap();
        Config::load(&rules, Path::new("/state"))
    }

    fn forcemanager_of(config: &Config) -> &forcemanager::Settings {
        let PlatformSettings::ForceManager(settings) = &config.platform else { panic!("{:?}", config.platform) };
        settings
    }

    #[test]
    fn forcemanager_is_resolved_and_no_key_shows() {
        let config = load_forcemanager(str::to_owned).unwrap();
        let settings = forcemanager_of(&config);
        assert_eq!((settings.url.as_str(), settings.requests_per_second), ("https://api.forcemanager.com/api/v4", Some(3)));
        assert_eq!((settings.link_field.as_str(), settings.placeholder.as_str(), settings.branch), ("extId", "-", None));
        assert!(config.first_load.is_none() && settings.extra_fields.is_empty() && config.connect().is_ok());
        assert!(!format!("{config:?}").contains("canary"));
        let local = load_forcemanager(|s| s.replace("https://api.forcemanager.com/api/v4\"", "http://localhost:1\"")).unwrap();
        assert_eq!(forcemanager_of(&local).requests_per_second, None);
    }

    #[test]
    fn m1_every_15_minutes_unless_said_otherwise() {
        assert_eq!(load_forcemanager(str::to_owned).unwrap().schedule.to_string(), "every 900s");
        assert_eq!(load_forcemanager(|s| s.replace("every = \"15m\"", "")).unwrap().schedule.to_string(), "every 900s");
    }

    #[test]
    fn what_forcemanager_cannot_tell_comes_from_the_rules() {
        let more = "branch = 16\ntime-zone = \"Europe/Madrid\"\nusers = { 005000000000001AAA = 14 }\nextra-field-type-codes = { text = 2 }\n\
                    extra-fields = { account = { Z_Tier = \"text\" } }\nfirst-load = \"replace\"\n";
        let config = load_forcemanager(|s| {
            s.replace("requests-per-second = 3", more).replace("Fax = \"fax\"\nWebsite", "Fax = \"fax\"\nRegion__c = \"Z_Region\"\nWebsite")
        })
        .unwrap();
        let settings = forcemanager_of(&config);
        assert_eq!((settings.branch, settings.time_zone), (Some(16), Some(chrono_tz::Europe::Madrid)));
        assert_eq!(settings.users, BTreeMap::from([("005000000000001AAA".to_owned(), 14)]));
        let fields: Vec<_> = settings.extra_fields["account"].iter().map(|f| (f.name.as_str(), f.kind)).collect();
        assert_eq!(fields, [("Z_Region", None), ("Z_Tier", Some(forcemanager::Kind::Text))]);
        assert_eq!(settings.type_codes[&forcemanager::Kind::Text], 2);
        // A2: bound to address and key, and the key itself is not kept.
        let first = config.first_load.unwrap();
        assert!(first.target.starts_with("https://api.forcemanager.com/api/v4 ") && !first.target.contains("canary"));
        assert_eq!(first.word.expose_secret(), "canary-public");
    }

    #[test]
    fn lac_is_resolved_with_its_defaults_and_no_secret_shows() {
        let lac = |change: &dyn Fn(String) -> String| {
            let dir = tempfile::tempdir().unwrap();
            let secret = |name: &str, text: &str| {
                let path = dir.path().join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
                format!("{{ file = \"{}\" }}", path.display())
            };
            let source = rules::LAC
                .replace("{ env = \"SALESFORCE_LOGIN_URL\" }", "\"https://acme.my.salesforce.com\"")
                .replace("{ env = \"SALESFORCE_CLIENT_ID\" }", "\"3MVG9\"")
                .replace("{ env = \"SALESFORCE_CLIENT_SECRET\" }", &secret("client", "canary-1"))
                .replace("{ env = \"LAC_URL\" }", "\"https://license.example/rest\"")
                .replace("{ env = \"LAC_USERNAME\" }", &secret("user", "sync"))
                .replace("{ env = \"LAC_PASSWORD\" }", &secret("password", "canary-2"));
            let rules = dir.path().join("sync-rules.toml");
            std::fs::write(&rules, change(source)).unwrap();
            Config::load(&rules, Path::new("/state")).unwrap()
        };
        let settings = |config: &Config| match &config.platform {
            PlatformSettings::Lac(settings) => settings.clone(),
            other => panic!("{other:?}"),
        };
        let config = lac(&|s| s);
        let usual = settings(&config);
        assert_eq!(
            (usual.url.as_str(), usual.username.as_str(), usual.password.expose_secret()),
            ("https://license.example/rest", "sync", "canary-2")
        );
        assert_eq!((usual.requests_per_minute, usual.time_zone), (Some(120), chrono_tz::Tz::UTC));
        assert!(usual.delete_customers && !usual.delete_with_orders && config.resync == ResyncAt::NextTick);
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(config.connect().unwrap().platform.catalogue().name, "lac");
        let other = settings(&lac(&|s| {
            s.replace("https://license.example", "http://localhost:1")
                .replace("# time-zone = \"UTC\"", "time-zone = \"Europe/Warsaw\"")
                .replace("# customer-delete = \"rest\"", "customer-delete = \"off\"")
                .replace("# customers-with-orders = \"block\"", "customers-with-orders = \"allow\"")
        }));
        assert_eq!((other.requests_per_minute, other.time_zone), (None, chrono_tz::Tz::Europe__Warsaw));
        assert!(!other.delete_customers && other.delete_with_orders);
    }

    #[test]
    fn mistakes_in_the_rules_for_lac_are_found() {
        let codes = |from: &str, to: &str| -> Vec<&'static str> {
            let source = rules::LAC.replacen(from, to, 1);
            assert_ne!(source, rules::LAC);
            Config::problems_of(&source).into_iter().map(|p| p.code).collect()
        };
        assert_eq!(Config::problems_of(rules::LAC), []);
        assert_eq!(codes("{ env = \"LAC_PASSWORD\" }", "\"hunter2\""), ["inline-secret"]);
        assert_eq!(codes("{ env = \"LAC_PASSWORD\" }", "{ env = \"hunter 2\" }"), ["bad-secret-source"]);
        assert_eq!(codes("{ env = \"LAC_URL\" }", "\"http://license.example\""), ["bad-address"]);
        assert_eq!(codes("# time-zone = \"UTC\"", "time-zone = \"Europe/Warsow\""), ["bad-time-zone"]);
        assert_eq!(codes("# customer-delete = \"rest\"", "customer-delete = \"soap\""), ["unknown-word"]);
        assert_eq!(codes("username = { env = \"LAC_USERNAME\" }\n", ""), ["missing-key"]);
        assert_eq!(codes("platform = \"contact\"", "platform = \"contacts\""), ["unknown-resource"]);
    }

    fn codes(result: Result<Config, ConfigError>) -> Vec<&'static str> {
        match result {
            Err(ConfigError::Problems { problems, .. }) => problems.into_iter().map(|p| p.code).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_switch_is_on_unless_the_file_says_off_and_needs_no_secret_to_be_told() {
        assert!(load(str::to_owned).unwrap().enabled);
        assert!(load(|s| s.replacen("enabled = true", "", 1)).unwrap().enabled);
        assert!(!load(|s| s.replacen("enabled = true", "enabled = false", 1)).unwrap().enabled);
        assert_eq!(codes(load(|s| s.replacen("enabled = true", "enabled = \"no\"", 1))), ["wrong-type"]);
        let off = SHIPPED.replacen("enabled = true", "enabled = false", 1).replacen("[schedule]", "[schedule]\nresync = \"next-tick\"", 1);
        assert_eq!(Config::switches(&off), Some(Switches { enabled: false, resync: ResyncAt::NextTick }));
        assert_eq!(Config::switches(SHIPPED), Some(Switches { enabled: true, resync: ResyncAt::Now }));
        assert_eq!(Config::switches("enabled = false"), None);
    }

    #[test]
    fn missing_secrets_and_other_problems_come_together() {
        let result = load(|s| {
            s.replace("\"3MVG9\"", "{ env = \"LOCKSTEP_TEST_NOT_SET\" }")
                .replace("http://127.0.0.1", "x")
                .replace("lookback = \"10m\"", "lookback = \"soon\"")
                .replace("\"https://saas.licensespring.com\"", "{ file = \"/nonexistent/url\" }")
        });
        let Err(ConfigError::Problems { ref problems, .. }) = result else { panic!("{result:?}") };
        assert!(problems.iter().any(|p| p.message.contains("LOCKSTEP_TEST_NOT_SET")), "{problems:#?}");
        assert_eq!(codes(result), ["bad-duration", "missing-secret", "missing-secret"]);
    }

    #[test]
    fn an_address_from_outside_must_be_https_too() {
        let plain = |s: &str| {
            let path = s.split("login-url = { file = \"").nth(1).and_then(|r| r.split('"').next()).unwrap();
            std::fs::write(path, "http://acme.my.salesforce.com").unwrap();
            s.to_owned()
        };
        assert_eq!(codes(load(plain)), ["bad-address"]);
    }

    #[test]
    fn each_flow_takes_what_it_needs() {
        use salesforce::Flow;
        let with = |more: &str| {
            load(|source| {
                let line = source.lines().find(|l| l.starts_with("client-secret")).unwrap();
                let (_, secret) = line.split('#').next().unwrap().split_once(" = ").unwrap();
                source.replace(line, &more.replace("SECRET", secret))
            })
        };
        let flow = |more: &str| with(more).unwrap().salesforce.flow;
        assert!(matches!(flow("flow = \"refresh-token\"\nrefresh-token = SECRET"), Flow::RefreshToken { client_secret: None, .. }));
        assert!(matches!(
            flow("flow = \"jwt\"\nprivate-key = SECRET\nusername = \"u\""),
            Flow::Jwt { audience, .. } if audience == "https://login.salesforce.com"
        ));
        assert!(matches!(
            flow("flow = \"password\"\nclient-secret = SECRET\npassword = SECRET\nusername = \"u\""),
            Flow::Password { username, .. } if username == "u"
        ));
        assert_eq!(codes(with("flow = \"jwt\"\nclient-secret = SECRET")), ["flow-needs", "flow-needs", "flow-ignores"]);
        assert_eq!(codes(with("")), ["flow-needs"]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        /// Whatever becomes of a rules file in an editor, it is answered with problems that can be shown.
        #[test]
        fn a_mangled_file_never_panics(at in 0usize..7_000, cut in 0usize..40, put in "[\\[\\]{}\"'=.,#a-z0-9é\n]{0,6}") {
            let letter = |at: usize| (at..=SHIPPED.len()).find(|at| SHIPPED.is_char_boundary(*at)).unwrap_or(SHIPPED.len());
            let start = letter(at);
            let end = letter(start + cut);
            let source = format!("{}{put}{}", &SHIPPED[..start], &SHIPPED[end..]);
            let problems = Config::problems_of(&source);
            for problem in &problems {
                proptest::prop_assert!(source.get(problem.place.clone()).is_some(), "{problem:?}");
            }
            proptest::prop_assert_eq!(rules::render(&problems, &source, "x").matches("error[").count(), problems.len());
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_how_to_make_one() {
        let error = Config::load(Path::new("/nonexistent/sync-rules.toml"), Path::new("/state")).unwrap_err();
        assert!(error.to_string().contains("lockstep init"), "{error}");
    }
}
