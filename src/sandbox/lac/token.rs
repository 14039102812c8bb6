//! Tokens: forty hexadecimal characters for a user name and a password, good for some hours.
//!
//! Time is the virtual clock's, in seconds.

use serde_json::{Map, Value};

use super::reply::Refusal;
use super::settings::Settings;

/// The tokens in use.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Token and when it was given.
    given: Vec<(String, i64)>,
}

impl Tokens {
    /// Ends what is too old and remembers a new one.
    pub fn give(&mut self, token: String, now: i64, settings: &Settings) {
        if settings.one_token {
            self.given.clear();
        }
        self.given.retain(|(_, at)| alive(*at, now, settings));
        self.given.push((token, now));
    }

    pub fn is_good(&self, token: &str, now: i64, settings: &Settings) -> bool {
        self.given.iter().any(|(given, at)| given == token && alive(*at, now, settings))
    }

    pub fn end(&mut self, token: &str) {
        self.given.retain(|(given, _)| given != token);
    }

    /// Ends all of them.
    pub fn expire(&mut self) {
        self.given.clear();
    }
}

fn alive(at: i64, now: i64, settings: &Settings) -> bool {
    now - at < settings.token_seconds
}

/// Whether `body` holds the right name and password.
///
/// # Errors
/// 400, for wrong credentials as for a body that has none.
pub fn check(body: &Map<String, Value>, username: &str, password: &str) -> Result<(), Refusal> {
    for name in body.keys() {
        if !["username", "password"].contains(&name.as_str()) {
            return Err(Refusal::invalid(format!("unknown field {name}")));
        }
    }
    let sent = |name: &str| body.get(name).and_then(Value::as_str).ok_or_else(|| Refusal::invalid(format!("{name} is required")));
    if sent("username")? == username && sent("password")? == password {
        Ok(())
    } else {
        Err(Refusal::invalid("invalid username or password"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_at_its_age_and_not_before() {
        let (mut tokens, settings) = (Tokens::default(), Settings::default());
        tokens.give("a".into(), 1000, &settings);
        tokens.give("b".into(), 1001, &settings);
        assert!(tokens.is_good("a", 1000 + 10_799, &settings));
        assert!(!tokens.is_good("a", 1000 + 10_800, &settings));
        assert!(tokens.is_good("b", 1000 + 10_800, &settings));
        assert!(!tokens.is_good("c", 1000, &settings));
        tokens.expire();
        assert!(!tokens.is_good("b", 1001, &settings));
    }

    #[test]
    fn one_token_at_a_time_if_so_switched() {
        let (mut tokens, settings) = (Tokens::default(), Settings { one_token: true, ..Settings::default() });
        tokens.give("a".into(), 0, &settings);
        tokens.give("b".into(), 0, &settings);
        assert!(!tokens.is_good("a", 0, &settings) && tokens.is_good("b", 0, &settings));
    }
}
