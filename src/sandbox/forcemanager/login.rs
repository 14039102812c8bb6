//! The log-in: a key pair for a token, and tokens that end.
//!
//! How long a token lives is not published, so it is a switch; whether an older one survives a new log-in too.

use std::collections::HashMap;

use serde_json::Value;

use super::reply::Refusal;
use super::settings::Settings;

/// The keys of one company, from its page *Settings > Integrations > API key*.
#[derive(Clone)]
pub struct KeyPair {
    pub public: String,
    pub private: String,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The tokens that were given out, with the instant (milliseconds) each one ends.
#[derive(Debug, Default)]
pub struct Tokens {
    ends: HashMap<String, i64>,
}

impl Tokens {
    /// Checks `{"username","password"}`; the new token is `fresh`.
    ///
    /// # Errors
    /// 400 for a body of another shape, 401 for keys that are not this company's.
    pub fn log_in(&mut self, keys: &KeyPair, body: &Value, fresh: String, now: i64, settings: &Settings) -> Result<String, Refusal> {
        let word = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
        let (Some(public), Some(private)) = (word("username"), word("password")) else {
            return Err(Refusal::bad("username and password are needed"));
        };
        if public != keys.public || private != keys.private {
            return Err(Refusal::Plain(401, "the keys are not valid".into()));
        }
        if settings.one_session {
            self.ends.clear();
        }
        self.ends.insert(fresh.clone(), now + i64::from(settings.token_ttl_seconds) * 1_000);
        Ok(fresh)
    }

    /// Whether a call with this session header may go on.
    ///
    /// # Errors
    /// 401 without a token or with one that never was; the switch's status for one that has ended.
    pub fn prove(&self, session: Option<&str>, now: i64, settings: &Settings) -> Result<(), Refusal> {
        let Some(session) = session else {
            return Err(Refusal::Plain(401, "X-Session-Key is missing".into()));
        };
        match self.ends.get(session) {
            Some(end) if now < *end => Ok(()),
            Some(_) => Err(Refusal::Plain(settings.expired_status, "the session has ended".into())),
            None => Err(Refusal::Plain(401, "the session is not known".into())),
        }
    }

    /// Every session ends now.
    pub fn expire(&mut self, now: i64) {
        for end in self.ends.values_mut() {
            *end = now.min(*end);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_works_until_it_ends() {
        let keys = KeyPair { public: "p".into(), private: "s".into() };
        let (mut tokens, settings) = (Tokens::default(), Settings::default());
        let token = tokens.log_in(&keys, &json!({"username": "p", "password": "s"}), "t".into(), 0, &settings).expect("good keys");
        assert_eq!(tokens.prove(Some(&token), 3_599_999, &settings), Ok(()));
        assert_eq!(tokens.prove(Some(&token), 3_600_000, &settings).expect_err("ended").status(), 401);
        let status = |body| {
            tokens.ends.len() + usize::from(Tokens::default().log_in(&keys, &body, "u".into(), 0, &settings).expect_err("wrong").status())
        };
        assert_eq!(status(json!({"username": "p", "password": "x"})), 402);
        assert_eq!(status(json!({"username": "p"})), 401);
    }

    #[test]
    fn the_private_key_is_not_in_debug() {
        let keys = KeyPair { public: "p".into(), private: "very-secret".into() };
        assert!(!format!("{keys:?}").contains("very-secret"));
    }
}
