//! The rules file that `lockstep init` writes: the one we ship, with its answers filled in.

/// The shipped file, the only copy there is.
pub const SHIPPED: &str = include_str!("../../sync-rules.toml");

/// The file for ForceManager.
pub const FORCEMANAGER: &str = include_str!("../../docs/rules/forcemanager.toml");

/// What the shipped file says where `init` asks.
const NAME: &str = "name = \"acme\"";
const FROM: &str = "provision-from = \"2026-01-01T00:00:00Z\"";

/// The shipped rules for this connection. Both answers are written as they are: whether they are sound, say the checks.
#[must_use]
pub fn starter(name: &str, provision_from: &str) -> String {
    SHIPPED.replacen(NAME, &format!("name = {}", quoted(name)), 1).replacen(
        FROM,
        &format!("provision-from = {}", quoted(provision_from)),
        1,
    )
}

/// The rules for ForceManager for this connection.
#[must_use]
pub fn forcemanager_starter(name: &str) -> String {
    FORCEMANAGER.replacen(NAME, &format!("name = {}", quoted(name)), 1)
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
        assert_eq!(forcemanager_starter("acme"), FORCEMANAGER);
        let text = forcemanager_starter("north");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        assert_eq!(rules.connection, "north");
        let order: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
        assert_eq!(order, ["user", "account", "contact", "opportunity", "activity", "event", "task"]);
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
