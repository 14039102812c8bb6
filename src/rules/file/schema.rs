//! The rules file as a JSON schema.

use super::RulesFile;

/// The JSON schema of the rules file, for editors and for our own reading of it.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(RulesFile).to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: a key that may be absent is not a key that may be null.
fn without_null(schema: &mut serde_json::Value) {
    use serde_json::Value as J;
    match schema {
        J::Array(items) => items.iter_mut().for_each(without_null),
        J::Object(object) => {
            if let Some(J::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(J::Array(forms)) = object.get_mut("anyOf") {
                forms.retain(|form| form.get("type").is_none_or(|t| t != "null"));
                if let [J::Object(only)] = forms.as_mut_slice() {
                    let only = std::mem::take(only);
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
        }
        J::Null | J::Bool(_) | J::Number(_) | J::String(_) => {}
    }
}
