//! The rules file that `lockstep init` writes: the one we ship for the platform, with its answers filled in.

/// The shipped file, the only copy there is.
pub const SHIPPED: &str = include_str!("../../sync-rules.toml");

/// The file for ForceManager.
pub const FORCEMANAGER: &str = include_str!("../../docs/rules/forcemanager.toml");
/// The one for X-Formation License Activation Center.
pub const LAC: &str = include_str!("../../docs/rules/lac.toml");

/// What the shipped file says where `init` asks.
const NAME: &str = "name = \"acme\"";
const FROM: &str = "provision-from = \"2026-01-01T00:00:00Z\"";

/// The shipped rules for this connection. Both answers are written as they are: whether they are sound, say the checks.
#[must_use]
pub fn starter(name: &str, provision_from: &str) -> String {
    starter_of(SHIPPED, name, provision_from)
}

/// The same for any of the files we ship; one without orders has no place for the second answer.
#[must_use]
pub fn starter_of(shipped: &str, name: &str, provision_from: &str) -> String {
    shipped.replacen(NAME, &format!("name = {}", quoted(name)), 1).replacen(
        FROM,
        &format!("provision-from = {}", quoted(provision_from)),
        1,
    )
}

/// A TOML string; `Debug` of a Rust string would escape what TOML cannot read.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{check, parse, read};

    #[test]
    fn the_shipped_file_is_what_init_writes_when_nothing_is_answered() {
        assert_eq!(starter("acme", "2026-01-01T00:00:00Z"), SHIPPED);
    }

    #[test]
    fn the_shipped_rules_are_sound() {
        let rules = check(&parse(SHIPPED).unwrap(), SHIPPED).unwrap();
        let order: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
        assert_eq!(order, ["account", "contact", "order", "license", "feature"]);
        assert!(rules.product("SERVICES-SETUP").is_some());
        assert!(rules.product("LS-ULTRA").is_none());
    }

    #[test]
    fn the_rules_for_forcemanager_are_sound_and_begin_with_users_and_companies() {
        assert_eq!(starter_of(FORCEMANAGER, "acme", ""), FORCEMANAGER);
        let text = starter_of(FORCEMANAGER, "north", "");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        assert_eq!(rules.connection, "north");
        let order: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
        assert_eq!(order, ["user", "account", "contact", "opportunity", "activity", "event", "task"]);
    }

    #[test]
    fn the_rules_for_lac_are_sound_and_say_what_the_native_synchronization_did() {
        use crate::rules::{Create, Direction, Drift, OnPlatformDelete, OnSalesforceDelete};
        let text = starter_of(LAC, "north", "2026-11-24T00:00:00Z");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        assert_eq!(rules.connection, "north");
        let order: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
        assert_eq!(order, ["account", "contact"]);
        for mapping in &rules.mappings {
            assert_eq!((mapping.direction, mapping.create), (Direction::Both, Create::Both), "D2");
            assert_eq!(mapping.on_salesforce_delete, OnSalesforceDelete::Delete, "X1");
            assert!(mapping.fill_salesforce_blanks);
        }
        assert_eq!(rules.mapping("account").unwrap().on_platform_delete, OnPlatformDelete::Keep, "X3");
        assert_eq!(rules.mapping("contact").unwrap().on_platform_delete, OnPlatformDelete::Delete, "X2");
        assert_eq!(rules.mapping("account").unwrap().drift, Drift::Revert, "L3");
    }

    #[test]
    fn l9_a_contact_without_an_account_is_out_of_scope() {
        let rules = check(&parse(LAC).unwrap(), LAC).unwrap();
        let contact = rules.mapping("contact").unwrap();
        let out =
            |account: crate::record::Value| contact.filter.as_ref().unwrap().holds(&[("AccountId".to_owned(), account)].into()).unwrap();
        assert!(!out(crate::record::Value::Null) && out(crate::record::Value::text("001")), "L9");
    }

    #[test]
    fn n5_nothing_of_a_name_is_touched_but_its_two_halves() {
        let rules = check(&parse(LAC).unwrap(), LAC).unwrap();
        let touched: Vec<&str> = rules.mapping("contact").unwrap().entries.iter().flat_map(|e| &e.salesforce).map(String::as_str).collect();
        assert_eq!(touched, ["FirstName", "LastName", "Email", "AccountId"]);
    }

    #[test]
    fn i1_i4_the_interval_and_the_address_of_the_org_are_the_operator_s_choice() {
        let with = |every: &str| LAC.replacen("every = \"15m\"", &format!("every = {every:?}"), 1);
        for (every, said) in [("1m", "every 60s"), ("24h", "every 86400s")] {
            let file = parse(&with(every)).unwrap();
            assert_eq!(crate::rules::schedule(&file).unwrap().to_string(), said);
        }
        let sandbox = LAC.replacen("{ env = \"SALESFORCE_LOGIN_URL\" }", "\"https://acme--uat.sandbox.my.salesforce.com\"", 1);
        assert!(check(&parse(&sandbox).unwrap(), &sandbox).is_ok());
    }

    #[test]
    fn answers_are_filled_in_whatever_they_hold() {
        let text = starter("north", "2026-11-24T00:00:00Z");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        assert_eq!(rules.connection, "north");
        assert_eq!(rules.orders.unwrap().provision_from, "2026-11-24T00:00:00Z");
        let (file, _) = read(&starter("a\"\n[x]\nb = \"\u{1}", "2026-11-24T00:00:00Z"));
        assert_eq!(file.unwrap().connection.unwrap().name.as_ref().unwrap().as_str(), "a\"\n[x]\nb = \"\u{1}");
    }
}
