//! Custom tags: user-defined text fields of a customer, by which extra Salesforce fields travel and our id is planted.
//!
//! Source: docs.x-formation.com, "Custom tags" and the synchronization page: a tag is called `SF_` and the API name of the
//! Salesforce field. That page has been printed with `SF_Currency_c` for `SF_Currency__c`; installations may have either.

use super::list::Row;
use crate::record::{FieldType, SalesforceId, Value, coerce};
use serde_json::Value as J;

/// `tag.SF_Currency__c` is the value of the customer's tag of that name.
pub const PREFIX: &str = "tag.";
/// The tag that holds the id of the Salesforce account. Never a field.
pub const SF_ID: &str = "SF_Id";
pub const PLANTED: &str = "tag.SF_Id";

/// A tag can be there and blank, which says something, or not be there, which says nothing.
pub const fn tag_type() -> FieldType {
    FieldType::Text { max: None, blank_is_null: false }
}

/// The names under which a tag may stand on a customer: the one we would give it first.
pub fn spellings(tag: &str) -> Vec<String> {
    let own = || vec![tag.to_owned()];
    if tag == SF_ID || !tag.starts_with("SF_") {
        return own();
    }
    if let Some(stem) = tag.strip_suffix("__c") {
        return vec![tag.to_owned(), format!("{stem}_c")];
    }
    match tag.strip_suffix("_c") {
        Some(stem) => vec![format!("{stem}__c"), tag.to_owned()],
        None => own(),
    }
}

/// The Salesforce field a tag stands for, if it stands for one.
pub fn field_of(tag: &str) -> Option<String> {
    if tag == SF_ID {
        return None;
    }
    spellings(tag).first()?.strip_prefix("SF_").filter(|f| !f.is_empty()).map(str::to_owned)
}

/// The tags of a customer with their values; `None` where the row does not tell.
pub fn tags_of(row: &Row) -> Option<Vec<(&str, &J)>> {
    match row.get("CustomTags")? {
        J::Null => Some(Vec::new()),
        J::Array(items) => {
            items.iter().map(|item| Some((item.get("tag_name")?.as_str()?, item.get("value").unwrap_or(&J::Null)))).collect()
        }
        J::Bool(_) | J::Number(_) | J::String(_) | J::Object(_) => None,
    }
}

/// The name a tag has on this customer. Where both spellings stand the full one counts.
pub fn standing<'r>(tags: &[(&'r str, &'r J)], tag: &str) -> Option<(&'r str, &'r J)> {
    spellings(tag).iter().find_map(|name| tags.iter().find(|(n, _)| n == name).copied())
}

/// A tag of the customer: null where it has none, `""` where it is blank.
pub fn value_of(tags: &[(&str, &J)], tag: &str) -> Value {
    match standing(tags, tag) {
        None => Value::Null,
        Some((_, raw)) => read(tag, raw),
    }
}

fn read(tag: &str, raw: &J) -> Value {
    let text = match raw {
        J::Null => String::new(),
        J::String(text) => text.clone(),
        J::Bool(_) | J::Number(_) | J::Array(_) | J::Object(_) => raw.to_string(),
    };
    let value = coerce(&Value::Text(text), &tag_type()).unwrap_or(Value::Null);
    match (tag, value.as_text()) {
        // A blank id is none.
        (SF_ID, Some("")) => Value::Null,
        (SF_ID, Some(text)) => Value::Text(normal_id(text)),
        _ => value,
    }
}

/// Ids of 15 characters, as an older synchronization may have written them, are completed.
pub fn normal_id(text: &str) -> String {
    SalesforceId::parse(text.trim()).map_or_else(|_| text.trim().to_owned(), |id| id.as_str().to_owned())
}

/// The well-formed id of an account, if this is one.
pub fn account_id(text: &str) -> Option<SalesforceId> {
    SalesforceId::parse(text.trim()).ok().filter(|id| id.as_str().starts_with("001"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn row(tags: &[(&str, J)]) -> Row {
        let tags: Vec<J> = tags.iter().map(|(n, v)| json!({"tag_name": n, "value": v})).collect();
        json!({"id": "1", "CustomTags": tags}).as_object().unwrap().clone()
    }

    fn value(tags: &[(&str, J)], tag: &str) -> Value {
        value_of(&tags_of(&row(tags)).unwrap(), tag)
    }

    #[test]
    fn t1_a_tag_is_called_after_its_field() {
        assert_eq!(field_of("SF_Rating").as_deref(), Some("Rating"));
        assert_eq!(field_of("vat_number"), None);
    }

    #[test]
    fn t2_both_spellings_mean_one_field() {
        for (tag, field) in [
            ("SF_Currency__c", Some("Currency__c")),
            ("SF_Currency_c", Some("Currency__c")),
            ("SF_Support_Plan_c", Some("Support_Plan__c")),
            ("SF_ns__Tier__c", Some("ns__Tier__c")),
            ("SF_Id", None),
            ("SF_", None),
        ] {
            assert_eq!(field_of(tag).as_deref(), field, "{tag}");
        }
        assert_eq!(value(&[("SF_Currency_c", json!("EUR"))], "SF_Currency__c"), Value::text("EUR"));
        let both = [("SF_Currency_c", json!("EUR")), ("SF_Currency__c", json!("USD"))];
        assert_eq!(value(&both, "SF_Currency__c"), Value::text("USD"), "the full spelling counts");
        assert_eq!(value(&both, "SF_Currency_c"), Value::text("USD"));
        assert_eq!(spellings("SF_Currency_c")[0], "SF_Currency__c", "what we make is spelled in full");
    }

    #[test]
    fn x9_blank_and_absent_are_two_things() {
        assert_eq!(value(&[("SF_A__c", json!(""))], "SF_A__c"), Value::text(""));
        assert_eq!(value(&[("SF_A__c", json!(null))], "SF_A__c"), Value::text(""));
        assert_eq!(value(&[], "SF_A__c"), Value::Null);
        assert_eq!(value(&[("SF_Id", json!(" "))], "SF_Id"), Value::Null);
    }

    #[test]
    fn t4_values_are_text_whatever_they_come_as() {
        assert_eq!(value(&[("SF_A__c", json!(12.5))], "SF_A__c"), Value::text("12.5"));
        assert_eq!(value(&[("SF_A__c", json!(true))], "SF_A__c"), Value::text("true"));
    }

    #[test]
    fn l1_ids_of_fifteen_characters_are_completed() {
        assert_eq!(value(&[("SF_Id", json!("001D000000IqhSL"))], "SF_Id"), Value::text("001D000000IqhSLIAZ"));
        assert_eq!(value(&[("SF_Id", json!("001D000000IqhSLIAZ"))], "SF_Id"), Value::text("001D000000IqhSLIAZ"));
        assert_eq!(value(&[("SF_Id", json!("by hand"))], "SF_Id"), Value::text("by hand"));
        assert!(
            account_id("001D000000IqhSL").is_some() && account_id("003RM0000068xV6").is_none() && account_id("handedited00000").is_none()
        );
    }

    #[test]
    fn what_is_no_list_of_tags_is_not_read() {
        for odd in [json!({"id": 1}), json!({"CustomTags": {}}), json!({"CustomTags": ["x"]}), json!({"CustomTags": [{"value": 1}]})] {
            assert!(tags_of(odd.as_object().unwrap()).is_none(), "{odd}");
        }
        assert_eq!(tags_of(json!({"CustomTags": null}).as_object().unwrap()).unwrap().len(), 0);
    }
}
