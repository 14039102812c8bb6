//! What LAC says when it refuses. The vendor REST API publishes no shape of an error body, so any body gives a code and a
//! sentence.
//!
//! Refuses to decide what a refusal means: that is the business of whoever made the call.

use serde_json::Value as J;

/// Larger bodies are no error messages.
const BODY_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_MAX_CHARS: usize = 300;

/// One refusal. The message may hold people's data, never our password or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 0 for our own.
    pub status: u16,
    /// The service's own code where it gave one, else `http-<status>`; our own refusals in kebab-case.
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl Refusal {
    pub fn new(code: &str, message: impl Into<String>, fields: &[&str]) -> Self {
        Self { status: 0, code: code.to_owned(), message: message.into(), fields: fields.iter().map(|f| (*f).to_owned()).collect() }
    }

    /// Reads `{"message"}` and `{"code", "message"}`, as the end-user API answers; of any other text the beginning.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let body = if body.len() > BODY_MAX_BYTES { &[] } else { body };
        let parsed = serde_json::from_slice::<J>(body).ok();
        let member = |name: &str| parsed.as_ref().and_then(|j| j.get(name));
        let code = match member("code") {
            Some(J::Number(n)) => Some(n.to_string()),
            Some(J::String(text)) if !text.trim().is_empty() => Some(clip(text)),
            _ => None,
        };
        let message = match (member("message").and_then(J::as_str), &parsed) {
            (Some(text), _) => clip(text),
            (None, Some(json)) => clip(&json.to_string()),
            (None, None) if body.trim_ascii_start().starts_with(b"<") => "a page of HTML".to_owned(),
            (None, None) => clip(&String::from_utf8_lossy(body)),
        };
        let code = code.unwrap_or_else(|| format!("http-{status}"));
        let message = match message.as_str() {
            "" => format!("refused with status {status} and no reason"),
            text => format!("{text} (status {status})"),
        };
        Self { status, code, message, fields: Vec::new() }
    }

    /// Takes these secrets out of the message.
    pub fn mask<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        for secret in secrets.into_iter().filter(|s| s.len() >= 4) {
            self.message = self.message.replace(secret, "…");
        }
        self
    }
}

fn clip(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MESSAGE_MAX_CHARS {
        line
    } else {
        format!("{}…", line.chars().take(MESSAGE_MAX_CHARS).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_body_gives_a_code_and_a_sentence() {
        for (status, body, code, message) in [
            (400, r#"{"message":"No such  tag"}"#, "http-400", "No such tag (status 400)"),
            (400, r#"{"code":1703,"message":"bad"}"#, "1703", "bad (status 400)"),
            (400, r#"{"code":"E1","message":"bad"}"#, "E1", "bad (status 400)"),
            (400, r#"{"errors":["x"]}"#, "http-400", r#"{"errors":["x"]} (status 400)"#),
            (409, "plain text", "http-409", "plain text (status 409)"),
            (502, "<html>Bad gateway</html>", "http-502", "a page of HTML (status 502)"),
            (400, "", "http-400", "refused with status 400 and no reason"),
            (400, r#"{"message":"cut"#, "http-400", r#"{"message":"cut (status 400)"#),
        ] {
            let r = Refusal::read(status, body.as_bytes());
            assert_eq!((r.code.as_str(), r.message.as_str()), (code, message), "{body}");
        }
        let long = Refusal::read(400, "ä".repeat(5_000).as_bytes());
        assert!(long.message.chars().count() < 330 && long.message.contains('…'));
    }

    #[test]
    fn secrets_are_taken_out() {
        let r = Refusal::read(400, br#"{"message":"bad password canary77"}"#).mask(["canary77"]);
        assert!(!r.message.contains("canary77"), "{}", r.message);
    }
}
