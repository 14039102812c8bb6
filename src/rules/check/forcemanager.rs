//! Checks of what ForceManager's own rules ask of a file: companies always, no way back alone, users linked once.

use super::Finding;
use crate::record::SalesforceId;
use crate::rules::{
    file::{At, ForceManagerTable, RulesFile},
    mapping::Direction,
};
use std::collections::BTreeMap;

fn table(file: &RulesFile) -> Option<&At<ForceManagerTable>> {
    file.platform.as_ref()?.forcemanager.as_ref()
}

pub(super) fn no_companies(file: &RulesFile) -> Vec<Finding> {
    let Some(table) = table(file).filter(|_| file.maimed.is_empty() && !file.objects.is_empty()) else { return Vec::new() };
    let kept = file.objects.values().any(|o| o.platform.as_ref().is_some_and(|p| p.as_str() == "account"));
    let finding = || Finding::new(table.place(), "no object keeps ForceManager's companies in step", "add one with platform = \"account\"");
    (!kept).then(finding).into_iter().collect()
}

pub(super) fn one_way_back(file: &RulesFile) -> Vec<Finding> {
    if table(file).is_none() {
        return Vec::new();
    }
    let back = file.objects().into_iter().filter(|(_, o)| o.direction() == Direction::ToSalesforce);
    let help = "say direction = \"both\" or \"to-platform\"; single fields may travel to Salesforce alone";
    back.map(|(name, _)| Finding::new(name.place(), format!("[objects.{}] only travels to Salesforce", **name), help)).collect()
}

pub(super) fn bad_user_link(file: &RulesFile) -> Vec<Finding> {
    let Some(table) = table(file) else { return Vec::new() };
    let mut out = Vec::new();
    let (mut numbers, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let mut links: Vec<_> = table.users.iter().collect();
    links.sort_by_key(|(id, _)| id.place().start);
    for (id, number) in links {
        match SalesforceId::parse(id) {
            Ok(known) if known.as_str().starts_with("005") => {
                if ids.insert(known, ()).is_some() {
                    out.push(Finding::new(id.place(), format!("{:?} is linked already", **id), "keep one of the two"));
                }
            }
            Ok(_) | Err(_) => out.push(Finding::new(id.place(), format!("{:?} is no id of a Salesforce user", **id), "it begins with 005")),
        }
        if let Some(other) = numbers.insert(**number, id.as_str()) {
            let message = format!("user {} of ForceManager is linked to {other:?} already", **number);
            out.push(Finding::new(number.place(), message, "one user of ForceManager is one user of Salesforce"));
        }
    }
    out
}

pub(super) fn bad_setting(file: &RulesFile) -> Vec<Finding> {
    let Some(table) = table(file) else { return Vec::new() };
    let mut out = Vec::new();
    let is_extra =
        |name: &str| name.strip_prefix("Z_").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if let Some(zone) = table.time_zone.as_ref().filter(|z| z.parse::<chrono_tz::Tz>().is_err()) {
        out.push(Finding::new(zone.place(), format!("there is no time zone {:?}", **zone), "write \"Europe/Madrid\""));
    }
    if let Some(field) = table.link_field.as_ref().filter(|f| f.as_str() != "extId" && !is_extra(f)) {
        out.push(Finding::new(
            field.place(),
            format!("{:?} cannot carry the Salesforce id", **field),
            "write \"extId\" or an extra field, \"Z_…\"",
        ));
    }
    for (resource, fields) in &table.extra_fields {
        if !["account", "contact", "opportunity", "activity", "event", "task"].contains(&resource.as_str()) {
            out.push(Finding::new(table.place(), format!("no extra fields are made for {resource:?}"), "name a resource, such as account"));
        }
        for name in fields.keys().filter(|n| !is_extra(n)) {
            out.push(Finding::new(
                table.place(),
                format!("{name:?} is no name of an extra field"),
                "it begins with Z_, letters and digits follow",
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::rules::{complaints, read};

    fn codes(settings: &str, objects: &str) -> Vec<&'static str> {
        let source = format!(
            "[connection]\nname = \"acme\"\n[salesforce]\nlogin-url = \"https://acme.my.salesforce.com\"\nclient-id = \"x\"\n\
             client-secret = {{ env = \"S\" }}\n[platform.forcemanager]\npublic-key = {{ env = \"P\" }}\nprivate-key = {{ env = \"Q\" }}\n{settings}\n{objects}"
        );
        let (file, problems) = read(&source);
        assert_eq!(problems, [], "{source}");
        complaints(&file.unwrap(), &source).into_iter().map(|p| p.code).collect()
    }

    const ACCOUNT: &str =
        "[objects.account]\nsalesforce = \"Account\"\nplatform = \"account\"\n[objects.account.fields]\nName = \"name\"\n";

    #[test]
    fn s1_companies_are_kept_or_nothing_is() {
        let none: [&str; 0] = [];
        assert_eq!(codes("", ACCOUNT), none);
        assert_eq!(codes("", &ACCOUNT.replace("platform = \"account\"", "platform = \"contact\"")), ["no-companies"]);
    }

    #[test]
    fn r1_there_is_no_way_back_alone() {
        assert_eq!(
            codes("", &ACCOUNT.replace("[objects.account.fields]", "direction = \"to-salesforce\"\n[objects.account.fields]")),
            ["one-way-back"]
        );
        let none: [&str; 0] = [];
        assert_eq!(codes("", &ACCOUNT.replace("[objects.account.fields]", "direction = \"to-platform\"\n[objects.account.fields]")), none);
    }

    #[test]
    fn u4_a_user_is_linked_by_hand_once() {
        let none: [&str; 0] = [];
        assert_eq!(codes("users = { 005000000000001AAA = 14 }", ACCOUNT), none);
        assert_eq!(codes("users = { 001000000000001AAA = 14 }", ACCOUNT), ["bad-user-link"]);
        assert_eq!(codes("users = { 005000000000001AAA = 14, 005000000000002AAA = 14 }", ACCOUNT), ["bad-user-link"]);
        assert_eq!(codes("users = { 005000000000001AAA = 14, 005000000000001 = 15 }", ACCOUNT), ["bad-user-link"]);
    }

    #[test]
    fn settings_name_what_there_is() {
        for bad in [
            "time-zone = \"Mars/Base\"",
            "link-field = \"name\"",
            "extra-fields = { user = { Z_A = \"text\" } }",
            "extra-fields = { account = { Tier = \"text\" } }",
        ] {
            assert_eq!(codes(bad, ACCOUNT), ["bad-forcemanager-setting"], "{bad}");
        }
    }
}
