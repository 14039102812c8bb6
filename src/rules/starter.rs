//! The rules file that `lockstep init` writes: the one we ship, with its answers filled in.

const SHIPPED: &str = include_str!("../../sync-rules.toml");

/// `provision_from`: RFC 3339 UTC.
#[must_use]
pub fn starter(name: &str, provision_from: &str) -> String {
    SHIPPED.replacen("name = \"acme\"", &format!("name = \"{name}\""), 1).replacen("2026-01-01T00:00:00Z", provision_from, 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{check, parse};

    #[test]
    fn the_shipped_rules_are_sound() {
        let rules = check(&parse(SHIPPED).unwrap(), SHIPPED).unwrap();
        let order: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
        assert_eq!(order, ["account", "contact", "order", "license", "feature"]);
        assert!(rules.product("SERVICES-SETUP").is_some());
        assert!(rules.product("LS-ULTRA").is_none());
    }

    #[test]
    fn answers_are_filled_in() {
        let text = starter("north", "2026-11-24T00:00:00Z");
        let rules = check(&parse(&text).unwrap(), &text).unwrap();
        assert_eq!(rules.connection, "north");
        assert_eq!(rules.orders.unwrap().provision_from, "2026-11-24T00:00:00Z");
    }
}
