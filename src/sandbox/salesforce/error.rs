//! An error the way Salesforce tells it: a code, a text, the fields it is about, and the HTTP status of a single call.

use std::fmt;

use super::value::push_string;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SfError {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl SfError {
    #[must_use]
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), fields: Vec::new() }
    }

    #[must_use]
    pub fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    #[must_use]
    pub fn on(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    #[must_use]
    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    #[must_use]
    pub fn is_deleted() -> Self {
        Self::new(404, "ENTITY_IS_DELETED", "entity is deleted")
    }

    #[must_use]
    pub fn no_such_record() -> Self {
        Self::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    }

    /// The array of a REST error; `fields` only where there are some or the shape always has them.
    #[must_use]
    pub fn rest(&self) -> String {
        let mut out = String::from("[{\"message\":");
        push_string(&mut out, &self.message);
        out.push_str(",\"errorCode\":");
        push_string(&mut out, &self.code);
        if !self.fields.is_empty() || self.lists_fields() {
            out.push_str(",\"fields\":");
            self.push_fields(&mut out);
        }
        out.push_str("}]");
        out
    }

    /// The object that stands in the `errors` of a collection's row.
    pub fn push_row(&self, out: &mut String) {
        out.push_str("{\"statusCode\":");
        push_string(out, &self.code);
        out.push_str(",\"message\":");
        push_string(out, &self.message);
        out.push_str(",\"fields\":");
        self.push_fields(out);
        out.push('}');
    }

    fn push_fields(&self, out: &mut String) {
        out.push('[');
        for (at, field) in self.fields.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_string(out, field);
        }
        out.push(']');
    }

    fn lists_fields(&self) -> bool {
        matches!(self.code.as_str(), "ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY" | "DUPLICATE_VALUE")
    }
}

impl fmt::Display for SfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for SfError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shapes_of_one_error() {
        let error = SfError::bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]").on("Name");
        assert_eq!(
            error.rest(),
            r#"[{"message":"Required fields are missing: [Name]","errorCode":"REQUIRED_FIELD_MISSING","fields":["Name"]}]"#
        );
        let mut row = String::new();
        error.push_row(&mut row);
        assert_eq!(row, r#"{"statusCode":"REQUIRED_FIELD_MISSING","message":"Required fields are missing: [Name]","fields":["Name"]}"#);
        assert_eq!(SfError::is_deleted().rest(), r#"[{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED","fields":[]}]"#);
    }
}
