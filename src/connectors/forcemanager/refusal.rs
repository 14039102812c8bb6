//! What ForceManager says when it refuses: its code and its sentence, whatever their letters' case.
//!
//! Source: developer.forcemanager.com, "Errors": `{error, code, message}` or `{message}`; codes 900, 901, 910.

use serde_json::Value as J;

const MESSAGE_MAX_CHARS: usize = 500;
const BODY_MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl Refusal {
    /// One of our own, before anything is sent.
    pub fn new(code: &str, message: impl Into<String>, fields: &[&str]) -> Self {
        Self { status: 0, code: code.to_owned(), message: message.into(), fields: fields.iter().map(|f| (*f).to_owned()).collect() }
    }

    pub fn read(status: u16, body: &[u8]) -> Self {
        let parsed = (body.len() <= BODY_MAX_BYTES).then(|| serde_json::from_slice::<J>(body).ok()).flatten();
        let text = |name: &str| {
            let map = parsed.as_ref()?.as_object()?;
            let value = map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1;
            match value {
                J::String(text) => Some(text.clone()),
                J::Number(n) => Some(n.to_string()),
                J::Null | J::Bool(_) | J::Array(_) | J::Object(_) => None,
            }
        };
        let plain = parsed.as_ref().and_then(J::as_str).map(str::to_owned);
        let code = text("code").filter(|c| !c.is_empty() && c != "0");
        let said = text("message").or_else(|| text("error")).or(plain).filter(|m| !m.trim().is_empty());
        let message = said.map_or_else(|| format!("refused with status {status} and no readable reason"), |m| clip(&m));
        Self { status, code: code.unwrap_or_else(|| format!("http-{status}")), message, fields: Vec::new() }
    }

    /// A record that cannot be read, changed or deleted by its id is refused with 400 where others say 404.
    #[must_use]
    pub fn may_mean_gone(&self) -> bool {
        self.status == 400 && !matches!(self.code.as_str(), "900" | "901" | "910")
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
    fn every_shape_gives_a_code_and_a_sentence() {
        for (status, body, code, message) in [
            (400, r#"{"error":"Bad Request","code":901,"message":"SQL not generated"}"#, "901", "SQL not generated"),
            (400, r#"{"Message":"Field name is required"}"#, "http-400", "Field name is required"),
            (500, r#"{"code":"900","error":"no database"}"#, "900", "no database"),
            (400, r#""plain words""#, "http-400", "plain words"),
            (502, "<html>", "http-502", "refused with status 502 and no readable reason"),
            (400, r#"{"message":"cut"#, "http-400", "refused with status 400 and no readable reason"),
        ] {
            let r = Refusal::read(status, body.as_bytes());
            assert_eq!((r.code.as_str(), r.message.as_str()), (code, message), "{body}");
        }
    }

    #[test]
    fn only_a_plain_400_may_mean_that_a_record_is_gone() {
        assert!(Refusal::read(400, b"{}").may_mean_gone());
        assert!(!Refusal::read(400, br#"{"code":901}"#).may_mean_gone());
        assert!(!Refusal::read(422, b"{}").may_mean_gone());
    }

    #[test]
    fn long_texts_are_clipped_visibly() {
        let r = Refusal::read(400, format!("{{\"message\":\"{}\"}}", "ä".repeat(5_000)).as_bytes());
        assert!(r.message.chars().count() == MESSAGE_MAX_CHARS + 1 && r.message.ends_with('…'));
    }
}
