//! What LicenseSpring says when it refuses: five shapes of error body become one code, one sentence and field names.
//!
//! Refuses to decide what a refusal means: that is the business of whoever made the call.

use serde_json::Value as J;

/// Larger bodies are no error messages.
const BODY_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_MAX_CHARS: usize = 400;

/// One refusal as the vendor worded it. The message may hold people's data, never our key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The vendor's own code, `validation_error` for errors by field, else `http-<status>`.
    pub code: String,
    pub message: String,
    /// The vendor's names of the fields complained about.
    pub fields: Vec<String>,
}

impl Refusal {
    pub fn new(code: &str, message: impl Into<String>, fields: &[&str]) -> Self {
        Self { status: 0, code: code.to_owned(), message: message.into(), fields: fields.iter().map(|f| (*f).to_owned()).collect() }
    }

    /// Reads any of the documented shapes; what is none of them still gives a code and a sentence.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let parsed = (body.len() <= BODY_MAX_BYTES).then(|| serde_json::from_slice::<J>(body).ok()).flatten();
        let (code, message, fields) = match parsed {
            Some(J::Object(map)) => {
                let text = |name: &str| map.get(name).and_then(J::as_str).filter(|t| !t.is_empty());
                let code = text("code").map(clip);
                if let Some(detail) = map.get("detail") {
                    (code, say(detail), Vec::new())
                } else if let Some(message) = text("message") {
                    (code, message.to_owned(), Vec::new())
                } else if let Some(errors) = map.get("errors").and_then(J::as_array) {
                    let each = |e: &J| e.get("message").map_or_else(|| say(e), say);
                    (code, join(errors.iter().map(each), "; "), Vec::new())
                } else {
                    let fields = map.keys().filter(|name| *name != "non_field_errors").cloned().collect();
                    (Some("validation_error".to_owned()), say(&J::Object(map.clone())), fields)
                }
            }
            Some(other) => (None, say(&other), Vec::new()),
            None => (None, String::new(), Vec::new()),
        };
        let code = code.unwrap_or_else(|| format!("http-{status}"));
        let message =
            if message.trim().is_empty() { format!("refused with status {status} and no readable reason") } else { clip(&message) };
        Self { status, code, message, fields }
    }

    /// Takes these secrets out of the message, leaving their last four characters.
    pub fn mask<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        for secret in secrets.into_iter().filter(|s| s.len() >= 8) {
            let tail: String = secret.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
            self.message = self.message.replace(secret, &format!("…{tail}"));
        }
        self
    }
}

/// A JSON value as a sentence: field names before their complaints, however deep they are nested.
fn say(value: &J) -> String {
    match value {
        J::String(text) => text.clone(),
        J::Array(items) => join(items.iter().map(say), " "),
        J::Object(map) => join(
            map.iter().map(|(name, v)| {
                let text = say(v);
                if text.is_empty() || name == "non_field_errors" { text } else { format!("{name}: {text}") }
            }),
            "; ",
        ),
        J::Null => String::new(),
        J::Bool(_) | J::Number(_) => value.to_string(),
    }
}

fn join(parts: impl Iterator<Item = String>, by: &str) -> String {
    parts.filter(|p| !p.is_empty()).collect::<Vec<_>>().join(by)
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
    fn five_shapes_and_none() {
        for (status, body, code, message, fields) in [
            (404, r#"{"detail":"Not found."}"#, "http-404", "Not found.", vec![]),
            (400, r#"{"message":"Too  short."}"#, "http-400", "Too short.", vec![]),
            (409, r#"{"status":409,"code":"order_id_exists","message":"taken"}"#, "order_id_exists", "taken", vec![]),
            (
                400,
                r#"{"email":["Enter a valid email address."],"non_field_errors":["No."]}"#,
                "validation_error",
                "email: Enter a valid email address.; No.",
                vec!["email"],
            ),
            (400, r#"{"errors":[{"message":"bad code","value":"x"},{"message":"bad too"}]}"#, "http-400", "bad code; bad too", vec![]),
            (400, r#"{"items":[{"licenses":[{"key":["taken"]}]}]}"#, "validation_error", "items: licenses: key: taken", vec!["items"]),
            (400, r#"["odd"]"#, "http-400", "odd", vec![]),
            (502, "<html>Bad gateway</html>", "http-502", "refused with status 502 and no readable reason", vec![]),
            (413, "", "http-413", "refused with status 413 and no readable reason", vec![]),
            (400, r#"{"detail":"cut"#, "http-400", "refused with status 400 and no readable reason", vec![]),
        ] {
            let r = Refusal::read(status, body.as_bytes());
            assert_eq!((r.code.as_str(), r.message.as_str()), (code, message), "{body}");
            assert_eq!(r.fields, fields, "{body}");
        }
    }

    #[test]
    fn long_texts_are_clipped_visibly() {
        let r = Refusal::read(400, format!("{{\"detail\":\"{}\"}}", "ä".repeat(5_000)).as_bytes());
        assert_eq!(r.message.chars().count(), MESSAGE_MAX_CHARS + 1);
        assert!(r.message.ends_with('…'));
    }

    #[test]
    fn keys_are_masked() {
        let r = Refusal::read(400, br#"{"key":["QQ7H-2M9P-ZX4T-LK33 exists"]}"#).mask(["QQ7H-2M9P-ZX4T-LK33"]);
        assert_eq!(r.message, "key: …LK33 exists");
    }
}
