//! What must hold of a rules file beyond its form: one list of small checks, each with its code.
//!
//! Every check looks at the whole file as it was written and knows nothing of the others, so one mistake never hides
//! another. Whether a platform knows a resource or a field is asked elsewhere, of its catalogue.

mod fields;
mod forcemanager;
mod objects;
mod orders;
mod settings;

use super::{Place, Problem, file::RulesFile};

pub use orders::{Word, instant, product_code, word};
pub use settings::{ADDRESS_HELP, address};

/// One complaint of a check, which lends it its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    pub message: String,
    pub help: String,
}

impl Finding {
    pub fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: help.into() }
    }

    #[must_use]
    pub fn problem(self, source: &str, code: &'static str) -> Problem {
        Problem::new(source, self.place, code, self.message, self.help)
    }
}

/// A named check.
pub struct Check {
    /// Stable: people search for it and scripts compare with it.
    pub code: &'static str,
    /// When it complains, for docs/rules.md.
    pub what: &'static str,
    pub find: fn(&RulesFile) -> Vec<Finding>,
}

/// Everything that is wrong with the file beyond its form.
#[must_use]
pub fn complaints(file: &RulesFile, source: &str) -> Vec<Problem> {
    CHECKS.iter().flat_map(|check| (check.find)(file).into_iter().map(|f| f.problem(source, check.code))).collect()
}

pub const CHECKS: &[Check] = &[
    Check {
        code: "connection-name",
        what: "The connection's name has other characters than a-z, 0-9 and -, or more than 30.",
        find: settings::connection_name,
    },
    Check { code: "schedule-twice", what: "Both `every` and `cron` are given.", find: settings::schedule_twice },
    Check { code: "bad-duration", what: "A duration is not a whole number with s, m, h or d behind it.", find: settings::bad_duration },
    Check { code: "bad-cron", what: "A cron expression cannot be read, or never comes.", find: settings::bad_cron },
    Check { code: "bad-time-zone", what: "There is no such time zone, or it is given without `cron`.", find: settings::bad_time_zone },
    Check {
        code: "bad-address",
        what: "An address is not an https address; plain http is for loopback only.",
        find: settings::bad_address,
    },
    Check {
        code: "bad-api-version",
        what: "The Salesforce API version is not of the form 66.0, or older than 46.0.",
        find: settings::bad_api_version,
    },
    Check { code: "bad-host", what: "An allowed host is no host name.", find: settings::bad_host },
    Check { code: "flow-needs", what: "The way of logging in needs a key that is not there.", find: settings::flow_needs },
    Check { code: "flow-ignores", what: "A key stands there that the way of logging in does not use.", find: settings::flow_ignores },
    Check {
        code: "bad-secret-source",
        what: "The name of a variable or credential, or the path of a file, cannot be one.",
        find: settings::bad_secret_source,
    },
    Check { code: "no-platform", what: "No `[platform.<name>]` is given.", find: settings::no_platform },
    Check { code: "platform-twice", what: "More than one `[platform.<name>]` is given.", find: settings::platform_twice },
    Check { code: "rate-twice", what: "Both `plan` and `requests-per-minute` are given.", find: settings::rate_twice },
    Check { code: "no-objects", what: "There is no `[objects.<name>]`.", find: objects::no_objects },
    Check { code: "object-name", what: "An object's name has other characters than a-z, 0-9 and -.", find: objects::object_name },
    Check {
        code: "bad-field-name",
        what: "Something that is to name a Salesforce field or sObject is no API name.",
        find: fields::bad_field_name,
    },
    Check { code: "empty-fields", what: "An object maps no field.", find: objects::empty_fields },
    Check {
        code: "unknown-object",
        what: "A `parent`, or the `object` of a reference, is not in the file.",
        find: objects::unknown_object,
    },
    Check { code: "parent-circle", what: "An object is its own ancestor.", find: objects::parent_circle },
    Check { code: "parent-needed", what: "A license or feature has no parent.", find: objects::parent_needed },
    Check { code: "empty-match", what: "A match key names no field.", find: objects::empty_match },
    Check {
        code: "lens-fields",
        what: "A lens is over the wrong number of Salesforce fields; `person-name` takes two, the others one.",
        find: fields::lens_fields,
    },
    Check {
        code: "lens-arguments",
        what: "A lens lacks an argument, or has one that belongs to another lens.",
        find: fields::lens_arguments,
    },
    Check { code: "one-way-lens", what: "A `constant` or `template` is to travel to Salesforce.", find: fields::one_way_lens },
    Check { code: "wider-direction", what: "A field is to travel in a direction that its object does not.", find: fields::wider_direction },
    Check { code: "parent-field", what: "A field of a parent record (`Account.Name`) is to be written.", find: fields::parent_field },
    Check { code: "platform-field-twice", what: "Two entries write the same platform field.", find: fields::platform_field_twice },
    Check { code: "salesforce-field-twice", what: "Two entries write the same Salesforce field.", find: fields::salesforce_field_twice },
    Check {
        code: "bad-expression",
        what: "An expression cannot be read, or uses a filter, test or function that does not exist.",
        find: fields::bad_expression,
    },
    Check { code: "never-delete", what: "An order or a license is to be deleted.", find: objects::never_delete },
    Check { code: "provisions-twice", what: "More than one object provisions.", find: orders::provisions_twice },
    Check {
        code: "no-provision-from",
        what: "An object provisions, and `[orders] provision-from` is not there.",
        find: orders::no_provision_from,
    },
    Check { code: "bad-instant", what: "`provision-from` is no instant.", find: orders::bad_instant },
    Check { code: "no-contact-rule", what: "The list `contact` is empty.", find: orders::no_contact_rule },
    Check { code: "no-products", what: "An object provisions, and `[products]` is not there.", find: orders::no_products },
    Check { code: "empty-product", what: "A product code, here or on the platform, is empty.", find: orders::empty_product },
    Check {
        code: "no-companies",
        what: "ForceManager is the platform, and no object keeps its companies in step.",
        find: forcemanager::no_companies,
    },
    Check {
        code: "one-way-back",
        what: "ForceManager is the platform, and an object only travels to Salesforce.",
        find: forcemanager::one_way_back,
    },
    Check {
        code: "bad-user-link",
        what: "A user linked by hand is no Salesforce user id, or is linked twice.",
        find: forcemanager::bad_user_link,
    },
    Check {
        code: "bad-forcemanager-setting",
        what: "A setting of `[platform.forcemanager]` names no field, no resource or no time zone.",
        find: forcemanager::bad_setting,
    },
    Check {
        code: "bad-product",
        what: "The word beside a product code is neither `none` nor a fragment `&is_…=…`, or the fragment names no product.",
        find: orders::bad_product,
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{file::tests_support::sound, form::read};
    use std::collections::BTreeSet;

    /// What a mistake in the small sound file is called, and what is underlined.
    fn found(source: &str) -> Vec<(&'static str, String)> {
        let (file, problems) = read(source);
        assert_eq!(problems, [], "{source}");
        let mut found = complaints(&file.unwrap(), source);
        found.sort_by_key(|p| p.place.start);
        found.into_iter().map(|p| (p.code, source[p.place].to_owned())).collect()
    }

    /// An object with these settings and these fields.
    fn object(name: &str, settings: &str, fields: &str) -> String {
        format!("[objects.{name}]\nsalesforce = \"X__c\"\nplatform = \"{name}\"\n{settings}\n[objects.{name}.fields]\n{fields}\n")
    }

    fn line(line: &str) -> String {
        object("x", "", line)
    }

    fn provisioning(more: &str) -> String {
        object("order", "direction = \"to-platform\"\nprovisions = true", "A = \"a\"") + more
    }

    const ORDERS: &str = "[orders]\nprovision-from = \"2026-01-01T00:00:00Z\"\n";
    const PRODUCTS: &str = "[products]\nA = \"none\"\n";

    /// One mistake each: text to replace in the sound file (or nothing), text to put there or behind, code, what is underlined.
    fn mistakes() -> Vec<(&'static str, String, &'static str, &'static str)> {
        let own = str::to_owned;
        vec![
            ("\"acme\"", own("\"Acme Inc\""), "connection-name", "\"Acme Inc\""),
            ("\"acme\"", own("\"\""), "connection-name", "\"\""),
            ("", own("[schedule]\nevery = \"1m\"\ncron = \"* * * * *\""), "schedule-twice", "\"* * * * *\""),
            ("", own("[schedule]\nevery = \"5x\""), "bad-duration", "\"5x\""),
            ("", own("[schedule]\nevery = \"0s\""), "bad-duration", "\"0s\""),
            ("", own("[schedule]\nlookback = \"\""), "bad-duration", "\"\""),
            ("", own("[schedule]\nsweep-every = \"never\""), "bad-duration", "\"never\""),
            ("", own("[schedule]\ncensus = \"never\""), "bad-duration", "\"never\""),
            ("", own("[schedule]\nconfirm-absence-after = \"-1s\""), "bad-duration", "\"-1s\""),
            ("", own("[schedule]\ncron = \"61 * * * *\""), "bad-cron", "\"61 * * * *\""),
            ("", own("[schedule]\ncron = \"* * * * *\"\ntime-zone = \"Europe/Berln\""), "bad-time-zone", "\"Europe/Berln\""),
            ("", own("[schedule]\ntime-zone = \"Europe/Berlin\""), "bad-time-zone", "\"Europe/Berlin\""),
            (
                "\"https://acme.my.salesforce.com\"",
                own("\"http://acme.my.salesforce.com\""),
                "bad-address",
                "\"http://acme.my.salesforce.com\"",
            ),
            ("\"https://saas.licensespring.com\"", own("\"saas.licensespring.com\""), "bad-address", "\"saas.licensespring.com\""),
            ("\"https://saas.licensespring.com\"", own("\"https://a:b@c.d\""), "bad-address", "\"https://a:b@c.d\""),
            ("[platform", own("api-version = \"45.0\"\n[platform"), "bad-api-version", "\"45.0\""),
            ("[platform", own("api-version = \"66\"\n[platform"), "bad-api-version", "\"66\""),
            ("[platform", own("allowed-hosts = [\"a.b\", \"*.com\", \"https://x.y\"]\n[platform"), "bad-host", "\"https://x.y\""),
            ("client-secret", own("# client-secret"), "flow-needs", "[salesforce]"),
            ("[platform", own("username = \"u\"\n[platform"), "flow-ignores", "\"u\""),
            ("\"SECRET\"", own("\"hunter 2\""), "bad-secret-source", "{ env = \"hunter 2\" }"),
            ("env = \"SECRET\"", own("credential = \"../x\""), "bad-secret-source", "{ credential = \"../x\" }"),
            ("env = \"SECRET\"", own("file = \"\""), "bad-secret-source", "{ file = \"\" }"),
            ("[objects.account]", own("plan = \"free\"\nrequests-per-minute = 5\n[objects.account]"), "rate-twice", "\"free\""),
            (
                "",
                own("[platform.lac]\nurl = \"https://l.example\"\nusername = \"u\"\npassword = { env = \"P\" }"),
                "platform-twice",
                "[platform.lac]",
            ),
            ("", object("Bad_Name", "", "A = \"a\""), "object-name", "Bad_Name"),
            ("\"Account\"", own("\"Account; DROP\""), "bad-field-name", "\"Account; DROP\""),
            ("", line("\"A-B\" = \"a\""), "bad-field-name", "\"A-B\""),
            ("", line("\"A..B\" = { to = \"a\", direction = \"to-platform\" }"), "bad-field-name", "\"A..B\""),
            ("", line(""), "empty-fields", "x"),
            ("", object("x", "parent = \"acount\"", "A = \"a\""), "unknown-object", "\"acount\""),
            ("", line("A = { to = \"a\", as = \"reference\", object = \"y\" }"), "unknown-object", "\"y\""),
            ("", object("x", "parent = \"x\"", "A = \"a\""), "parent-circle", "\"x\""),
            ("", object("x", "parent = \"y\"", "A = \"a\"") + &object("y", "parent = \"x\"", "A = \"a\""), "parent-circle", "\"y\""),
            ("", object("license", "", "A = \"a\""), "parent-needed", "license"),
            ("", object("x", "match = [[]]", "A = \"a\""), "empty-match", "[]"),
            ("", line("\"A + B\" = \"a\""), "lens-fields", "\"A + B\""),
            ("", line("A = { to = \"a\", as = \"person-name\" }"), "lens-fields", "A"),
            ("", line("A = { to = \"a\", as = \"scale\" }"), "lens-arguments", "\"scale\""),
            ("", line("A = { to = \"a\", power = 1 }"), "lens-arguments", "1"),
            ("", line("A = { to = \"a\", as = \"value-map\", values = {} }"), "lens-arguments", "{}"),
            ("", line("A = { to = \"a\", as = \"boolean-word\", yes = \"y\", no = 'y' }"), "lens-arguments", "'y'"),
            ("", line("\"=a\" = { to = \"a\", as = \"constant\", value = 1, direction = \"both\" }"), "one-way-lens", "\"both\""),
            ("", object("x", "direction = \"to-platform\"", "A = { to = \"a\", direction = \"both\" }"), "wider-direction", "\"both\""),
            ("", line("\"B.C\" = \"a\""), "parent-field", "\"B.C\""),
            ("", line("A = { to = \"a\", direction = \"to-platform\" }\nB = \"a\""), "platform-field-twice", "\"a\""),
            ("", line("A = { to = \"a\", direction = \"to-salesforce\" }\na = \"b\""), "salesforce-field-twice", "a"),
            ("", object("x", "filter = 'A|trimm'", "A = \"a\""), "bad-expression", "trimm"),
            ("", object("x", "filter = \"\"\"A|trimm\"\"\"", "A = \"a\""), "bad-expression", "\"\"\"A|trimm\"\"\""),
            ("", line("\"=a\" = { to = \"a\", as = \"template\", template = 'é ~ f(1)' }"), "bad-expression", "é"),
            (
                "",
                object("x", "parent = \"account\"\non-salesforce-delete = \"delete\"", "A = \"a\"")
                    .replace("platform = \"x\"", "platform = \"license\""),
                "never-delete",
                "\"delete\"",
            ),
            ("", object("order", "on-platform-delete = \"delete\"", "A = \"a\""), "never-delete", "\"delete\""),
            (
                "",
                provisioning(&(own(ORDERS) + PRODUCTS + &object("x", "direction = \"to-platform\"\nprovisions = true", "A = \"a\""))),
                "provisions-twice",
                "x",
            ),
            ("", provisioning(PRODUCTS), "no-provision-from", "order"),
            ("", provisioning(&(own("[orders]\n") + PRODUCTS)), "no-provision-from", "[orders]"),
            ("", own("[orders]\nprovision-from = \"last year\""), "bad-instant", "\"last year\""),
            ("", own("[orders]\ncontact = []"), "no-contact-rule", "[orders]"),
            ("", provisioning(ORDERS), "no-products", "order"),
            ("", own("[products]\n\"\" = \"none\""), "empty-product", "\"\""),
            ("", own("[products]\nA = { product = \" \" }"), "empty-product", "\" \""),
            ("", own("[products]\nA = \"some\""), "bad-product", "\"some\""),
            ("", own("[products]\nA = \"Product2\""), "bad-product", "\"Product2\""),
            ("", own("[products]\nA = \"&is_productversion=1\""), "bad-product", "\"&is_productversion=1\""),
        ]
    }

    #[test]
    fn each_mistake_has_its_code_and_is_underlined_where_it_stands() {
        assert_eq!(found(&sound("")), []);
        assert_eq!(found(&sound(&provisioning(&(ORDERS.to_owned() + PRODUCTS)))), []);
        for (from, to, code, part) in mistakes() {
            let source = if from.is_empty() { sound(&to) } else { sound("").replacen(from, &to, 1) };
            // A name that cannot be one is one that cannot be read either, and so on: others may follow.
            let found = found(&source);
            assert!(found.contains(&(code, part.to_owned())), "{code} {part} in {found:?}\n{source}");
            assert!(found.iter().all(|(c, _)| *c == code), "{code} alone in {found:?}\n{source}");
        }
    }

    #[test]
    fn every_check_is_tried() {
        // ForceManager's are tried beside them.
        let beside = ["no-companies", "one-way-back", "bad-user-link", "bad-forcemanager-setting"];
        let tried: BTreeSet<&str> = mistakes().iter().map(|m| m.2).chain(["no-platform", "no-objects"]).chain(beside).collect();
        let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.code).collect();
        assert_eq!(all, tried);
        let source = "[connection]\nname = \"a\"\n[salesforce]\n[platform]\n";
        let file = read(source).0.unwrap();
        let codes: Vec<_> = complaints(&file, source).into_iter().map(|p| p.code).collect();
        assert_eq!(codes, ["flow-needs", "no-platform", "no-objects"]);
    }

    #[test]
    fn what_was_taken_out_is_not_missed_again() {
        let source = sound("").replacen("client-secret = { env", "client-secret = { evn", 1);
        let (file, problems) = read(&source);
        assert_eq!(problems.len(), 1);
        assert_eq!(complaints(&file.unwrap(), &source), []);
    }

    #[test]
    fn a_name_and_password_in_an_address_are_not_repeated() {
        let message = address("https://user:canary@acme.example").unwrap_err();
        assert!(!message.contains("canary"), "{message}");
        assert_eq!(address("http://127.0.0.1:8080/x"), Ok(()));
        assert_eq!(address("http://[::1]:1"), Ok(()));
        assert!(address("ftp://localhost").is_err());
    }
}
