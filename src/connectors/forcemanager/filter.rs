//! `where` expressions: only the operators that are documented, and no value that could end one.
//!
//! Source: developer.forcemanager.com, "Filtering": `=`, `>`, strings in single quotes. The service builds SQL of it.

use super::refusal::Refusal;

/// `field='value'`.
pub fn equals(field: &str, value: &str) -> Result<String, Refusal> {
    Ok(format!("{field}={}", quoted(field, value)?))
}

/// `field=5`
#[must_use]
pub fn is_number(field: &str, value: i64) -> String {
    format!("{field}={value}")
}

/// `field>'value'`.
pub fn after(field: &str, value: &str) -> Result<String, Refusal> {
    Ok(format!("{field}>{}", quoted(field, value)?))
}

fn quoted(field: &str, value: &str) -> Result<String, Refusal> {
    if value.chars().any(|c| c.is_control() || c == ';') {
        return Err(Refusal::new("not-searchable", format!("the value of {field} holds characters that no filter may hold"), &[field]));
    }
    Ok(format!("'{}'", value.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_stays_a_value() {
        assert_eq!(equals("name", "O'Hara & Sons").unwrap(), "name='O''Hara & Sons'");
        assert_eq!(after("dateCreated", "2026-01-01 00:00:00").unwrap(), "dateCreated>'2026-01-01 00:00:00'");
        assert_eq!(is_number("id", 7), "id=7");
        for bad in ["a;b", "a\nb", "a\0"] {
            assert_eq!(equals("name", bad).unwrap_err().code, "not-searchable", "{bad:?}");
        }
    }
}
