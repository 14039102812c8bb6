//! Checks of what is said once: the connection, its schedule, and how both systems are reached.

use super::Finding;
use crate::rules::{
    Place, Schedule,
    file::{At, FlowWord, RulesFile, SalesforceTable, SecretRef, TextValue},
    form::nearest,
    schedule::duration,
};

pub(super) fn connection_name(file: &RulesFile) -> Vec<Finding> {
    let name = file.connection.as_ref().and_then(|c| c.name.as_ref());
    let bad = name.filter(|n| !((1..=30).contains(&n.len()) && n.bytes().all(is_slug)));
    let found = bad.map(|n| {
        Finding::new(n.place(), format!("{:?} cannot name a connection", **n), "use 1 to 30 lower-case letters, digits and dashes")
    });
    found.into_iter().collect()
}

pub(super) fn is_slug(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

pub(super) fn schedule_twice(file: &RulesFile) -> Vec<Finding> {
    let both = file.schedule.every.as_ref().zip(file.schedule.cron.as_ref());
    both.map(|(_, cron)| Finding::new(cron.place(), "`every` and `cron` exclude each other", "keep one of them")).into_iter().collect()
}

pub(super) fn bad_duration(file: &RulesFile) -> Vec<Finding> {
    let table = &file.schedule;
    let mut out = Vec::new();
    let mut look = |text: &Option<At<String>>, read: fn(&str) -> Result<(), String>, help: &str| {
        if let Some(text) = text
            && let Err(message) = read(text)
        {
            out.push(Finding::new(text.place(), message, help));
        }
    };
    let any = |text: &str| duration(text).map(drop);
    look(&table.every, |text| Schedule::every(text).map(drop), "write a duration such as \"15m\"");
    look(&table.lookback, any, "write a duration such as \"10m\"");
    look(&table.confirm_absence_after, any, "write a duration such as \"60s\"");
    let sweep = |text: &str| if matches!(text, "auto" | "run") { Ok(()) } else { Schedule::every(text).map(drop) };
    let census = |text: &str| Schedule::census(text, None).map(drop);
    look(&table.census, census, "write a duration such as \"24h\", a cron expression such as \"0 3 * * *\", or \"off\"");
    look(&table.sweep_every, sweep, "write \"auto\", \"run\" or a duration such as \"1h\"");
    out
}

pub(super) fn bad_cron(file: &RulesFile) -> Vec<Finding> {
    let cron = file.schedule.cron.as_ref();
    let found = cron.and_then(|cron| {
        let message = Schedule::cron(cron, None).err()?;
        Some(Finding::new(cron.place(), message, "five fields (minute hour day month weekday) or six (second first): \"*/15 * * * *\""))
    });
    found.into_iter().collect()
}

pub(super) fn bad_time_zone(file: &RulesFile) -> Vec<Finding> {
    let platform = file.platform.as_ref();
    let lac = platform.and_then(|p| p.lac.as_ref()).and_then(|p| p.time_zone.as_ref());
    let unknown: Vec<Finding> = file.schedule.time_zone.iter().chain(lac).filter_map(no_time_zone).collect();
    let Some(zone) = file.schedule.time_zone.as_ref().filter(|_| unknown.is_empty()) else { return unknown };
    let by_the_clock = |text: &At<String>| matches!(Schedule::census(text, None), Ok(Some(Schedule::Cron { .. })));
    match (&file.schedule.cron, file.schedule.census.as_ref().is_some_and(by_the_clock)) {
        (Some(_), _) | (None, true) => Vec::new(),
        (None, false) => vec![Finding::new(
            zone.place(),
            "`time-zone` is about `cron`, and there is none",
            "an interval needs no time zone; take it out",
        )],
    }
}

fn no_time_zone(zone: &At<String>) -> Option<Finding> {
    if zone.parse::<chrono_tz::Tz>().is_ok() {
        return None;
    }
    let help = nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()));
    let help = help.map_or("write a name such as \"Europe/Berlin\"".to_owned(), |name| format!("did you mean {name:?}?"));
    Some(Finding::new(zone.place(), format!("there is no time zone {:?}", **zone), help))
}

/// What is wrong with an address, if it is. Whatever it is, it is not shown with a name and password in it.
///
/// # Errors
/// The message.
pub fn address(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).map_err(|e| format!("this is no address: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name and password have no place in an address".to_owned());
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => Err(format!("{text:?} is not https; plain http is for loopback only")),
        other => Err(format!("{other:?} is not https")),
    }
}

pub const ADDRESS_HELP: &str = "write https://…";

pub(super) fn bad_address(file: &RulesFile) -> Vec<Finding> {
    let salesforce = file.salesforce.as_ref();
    let platform = file.platform.as_ref().and_then(|p| p.licensespring.as_ref());
    let addresses = [
        salesforce.and_then(|s| s.login_url.as_ref()),
        salesforce.and_then(|s| s.audience.as_ref()),
        platform.and_then(|p| p.url.as_ref()),
        file.platform.as_ref().and_then(|p| p.forcemanager.as_ref()).and_then(|p| p.url.as_ref()),
        file.platform.as_ref().and_then(|p| p.lac.as_ref()).and_then(|p| p.url.as_ref()),
    ];
    let mut out = Vec::new();
    for value in addresses.into_iter().flatten() {
        if let TextValue::Plain(text) = &**value
            && let Err(message) = address(text)
        {
            out.push(Finding::new(value.place(), message, ADDRESS_HELP));
        }
    }
    out
}

pub(super) fn bad_api_version(file: &RulesFile) -> Vec<Finding> {
    let version = file.salesforce.as_ref().and_then(|s| s.api_version.as_ref());
    let known = |text: &str| text.strip_suffix(".0").and_then(|n| n.parse::<u16>().ok()).is_some_and(|n| n >= 46);
    let bad = version.filter(|v| !known(v));
    bad.map(|v| Finding::new(v.place(), format!("{:?} is not a version from 46.0 on", **v), "write \"66.0\"")).into_iter().collect()
}

pub(super) fn bad_host(file: &RulesFile) -> Vec<Finding> {
    let hosts = file.salesforce.as_ref().and_then(|s| s.allowed_hosts.as_ref()).into_iter().flatten();
    let sound = |host: &str| {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        letters && name.split('.').all(|part| !part.is_empty()) && (name.contains('.') || name == host)
    };
    let help = "write \"acme.my.salesforce.com\", or \"*.my.salesforce.com\" for any subdomain";
    hosts.filter(|h| !sound(h)).map(|h| Finding::new(h.place(), format!("{:?} is no host", **h), help)).collect()
}

/// A key that belongs to a way of logging in: where it stands, which flows need it, and which take it.
struct FlowKey {
    name: &'static str,
    place: Option<Place>,
    needed_by: &'static [FlowWord],
    taken_by: &'static [FlowWord],
}

fn keys_of_flow(table: &SalesforceTable) -> [FlowKey; 6] {
    use FlowWord::{ClientCredentials, Jwt, Password, RefreshToken};
    let secret = |value: &Option<At<SecretRef>>| value.as_ref().map(At::place);
    let text = |value: &Option<At<TextValue>>| value.as_ref().map(At::place);
    let key = |name, place, needed_by, taken_by| FlowKey { name, place, needed_by, taken_by };
    let with_secret: &[FlowWord] = &[ClientCredentials, Password, RefreshToken];
    [
        key("client-secret", secret(&table.client_secret), &[ClientCredentials, Password], with_secret),
        key("refresh-token", secret(&table.refresh_token), &[RefreshToken], &[RefreshToken]),
        key("username", text(&table.username), &[Jwt, Password], &[Jwt, Password]),
        key("private-key", secret(&table.private_key), &[Jwt], &[Jwt]),
        key("audience", text(&table.audience), &[], &[Jwt]),
        key("password", secret(&table.password), &[Password], &[Password]),
    ]
}

pub(super) fn flow_needs(file: &RulesFile) -> Vec<Finding> {
    let Some(table) = file.salesforce.as_ref().filter(|t| !file.is_maimed(&t.place())) else { return Vec::new() };
    let flow = table.flow.unwrap_or(FlowWord::ClientCredentials);
    let missing = keys_of_flow(table).into_iter().filter(|key| key.place.is_none() && key.needed_by.contains(&flow));
    missing
        .map(|FlowKey { name, .. }| {
            let help = if name == "username" { "add username = \"…\"".to_owned() } else { format!("add {name} = {{ env = \"…\" }}") };
            Finding::new(table.place(), format!("to log in with {:?} takes `{name}`", flow.as_str()), help)
        })
        .collect()
}

pub(super) fn flow_ignores(file: &RulesFile) -> Vec<Finding> {
    let Some(table) = &file.salesforce else { return Vec::new() };
    let flow = table.flow.unwrap_or(FlowWord::ClientCredentials);
    let idle = keys_of_flow(table).into_iter().filter(|key| !key.taken_by.contains(&flow));
    idle.filter_map(|FlowKey { name, place, taken_by, .. }| {
        let flows = taken_by.iter().map(|f| format!("{:?}", f.as_str())).collect::<Vec<_>>().join(" or ");
        let message = format!("to log in with {:?} does not take `{name}`", flow.as_str());
        Some(Finding::new(place?, message, format!("take it out, or say flow = {flows}")))
    })
    .collect()
}

pub(super) fn bad_secret_source(file: &RulesFile) -> Vec<Finding> {
    // The text is not repeated: whoever pasted the secret itself here should not find it in a log.
    let found = file.secret_sources().into_iter().filter_map(|(source, place)| match source {
        SecretRef::Env(name) if !is_variable(name) => {
            Some(Finding::new(place, "this cannot be the name of an environment variable", "letters, digits and _, not the secret itself"))
        }
        SecretRef::Credential(name) if name.is_empty() || name.starts_with('.') || name.contains('/') => {
            Some(Finding::new(place, "this cannot be the name of a credential", "write the name given to LoadCredential=, without a path"))
        }
        SecretRef::File(path) if path.trim().is_empty() => {
            Some(Finding::new(place, "the path of the file is empty", "write the path of a file that only Lockstep may read"))
        }
        SecretRef::Env(_) | SecretRef::Credential(_) | SecretRef::File(_) => None,
    });
    found.collect()
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

pub(super) fn no_platform(file: &RulesFile) -> Vec<Finding> {
    let empty = file.platform.as_ref().filter(|p| p.named().is_empty() && !file.is_maimed(&p.place()));
    empty.map(|p| Finding::new(p.place(), "no platform is named", "add [platform.licensespring]")).into_iter().collect()
}

pub(super) fn platform_twice(file: &RulesFile) -> Vec<Finding> {
    let named = file.platform.as_ref().map(|p| p.named()).unwrap_or_default();
    let more = named.into_iter().skip(1);
    let help = "keep one; another platform is another connection, with rules and a state directory of its own";
    more.map(|(name, place)| Finding::new(place, format!("{name} is a second platform in one file"), help)).collect()
}

pub(super) fn rate_twice(file: &RulesFile) -> Vec<Finding> {
    let table = file.platform.as_ref().and_then(|p| p.licensespring.as_ref());
    let twice = table.and_then(|t| t.plan.as_ref().filter(|_| t.requests_per_minute.is_some()));
    let help = "keep `plan`, or the number if the vendor gave you one";
    twice.map(|plan| Finding::new(plan.place(), "`plan` and `requests-per-minute` exclude each other", help)).into_iter().collect()
}
