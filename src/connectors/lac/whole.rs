//! The whole customer, changed and sent back.
//!
//! Source: docs.x-formation.com, `PATCH /customers/{id}`, which names `name` as required and does not say whether an array
//! that is left out is left alone. So the customer is read, the copy is changed, all of it is sent, and what comes back is
//! held against what was sent: a contact or a tag of somebody else that vanished by it is the one thing that must never
//! happen twice.

use super::catalogue::SCALARS;
use super::list::{Row, row_id};
use super::refusal::Refusal;
use super::row::{contacts_of, same_person, same_text};
use super::tags::{PREFIX, SF_ID, normal_id, spellings, tags_of};
use crate::record::{Fields, Value};
use serde_json::{Map, Value as J, json};

/// What is to become of the people of a customer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum People {
    #[default]
    Stay,
    /// New ones: name and e-mail of each.
    Add(Vec<(Value, Value)>),
    /// These fields of this contact.
    Change(i64, Fields),
    Remove(i64),
}

/// A change of one customer: its own fields by our names, and one contact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    pub fields: Fields,
    pub people: People,
}

/// The complete customer after the change, as it is sent.
pub fn body(row: &Row, change: &Change) -> Result<J, Refusal> {
    let mut body = Map::new();
    for name in SCALARS {
        match (change.fields.get(name), row.get(name)) {
            (Some(value), _) => {
                body.insert(name.to_owned(), text(value));
            }
            (None, Some(raw)) => {
                body.insert(name.to_owned(), raw.clone());
            }
            (None, None) => {}
        }
    }
    // An array that is not shown is not sent either, unless something goes into it.
    body.extend(people(row, &change.people)?.map(|people| ("Contacts".to_owned(), people)));
    body.extend(tags(row, &change.fields)?.map(|tags| ("CustomTags".to_owned(), tags)));
    Ok(J::Object(body))
}

/// The contacts of a customer that was read by itself: a member that is not there is an empty one.
fn people_in(row: &Row) -> Option<Vec<&Row>> {
    if row.contains_key("Contacts") { contacts_of(row) } else { Some(Vec::new()) }
}

fn tags_in(row: &Row) -> Option<Vec<(&str, &J)>> {
    if row.contains_key("CustomTags") { tags_of(row) } else { Some(Vec::new()) }
}

/// A new customer: its tag stands in the same call.
pub fn new_body(fields: &Fields) -> J {
    let mut body = Map::new();
    for name in SCALARS {
        if let Some(value) = fields.get(name).filter(|v| !v.is_blank()) {
            body.insert(name.to_owned(), text(value));
        }
    }
    let tags: Vec<J> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)))
        .filter(|(_, value)| !value.is_blank())
        .map(|(tag, value)| json!({"tag_name": spellings(tag)[0], "value": text(value)}))
        .collect();
    body.insert("CustomTags".to_owned(), J::Array(tags));
    J::Object(body)
}

fn people(row: &Row, change: &People) -> Result<Option<J>, Refusal> {
    let held = people_in(row).ok_or_else(|| Refusal::new("contacts-not-shown", "LAC does not show the customer's contacts", &[]))?;
    let mut sent = Vec::with_capacity(held.len() + 1);
    for contact in held {
        // One that could not be named again might be made a second time.
        let id = row_id(contact).ok_or_else(|| Refusal::new("contact-without-id", "a contact of the customer has no id", &[]))?;
        if *change == People::Remove(id) {
            continue;
        }
        let mut out = Map::new();
        for name in ["id", "name", "email"] {
            if let Some(raw) = contact.get(name) {
                out.insert(name.to_owned(), raw.clone());
            }
        }
        if let People::Change(changed, fields) = change
            && *changed == id
        {
            out.extend(fields.iter().map(|(name, value)| (name.clone(), text(value))));
        }
        sent.push(J::Object(out));
    }
    if let People::Add(people) = change {
        sent.extend(people.iter().map(|(name, email)| json!({"name": text(name), "email": text(email)})));
    }
    Ok((row.contains_key("Contacts") || !sent.is_empty()).then_some(J::Array(sent)))
}

fn tags(row: &Row, fields: &Fields) -> Result<Option<J>, Refusal> {
    let held = tags_in(row).ok_or_else(|| Refusal::new("tags-not-shown", "LAC does not show the customer's custom tags", &[]))?;
    // An id of 15 characters, as an older synchronization wrote it, is completed by the way.
    let normal = |name: &str, value: &J| match value.as_str().filter(|_| name == SF_ID) {
        Some(id) => J::String(normal_id(id)),
        None => value.clone(),
    };
    let mut sent: Vec<(String, J)> = held.into_iter().map(|(name, value)| (name.to_owned(), normal(name, value))).collect();
    for (tag, value) in fields.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value))) {
        let names = spellings(tag);
        // Under the name that stands there.
        let at = names.iter().find_map(|name| sent.iter().position(|(n, _)| n == name));
        match at {
            Some(at) => sent[at].1 = text(value),
            // Nothing to say of a tag that is not there.
            None if value.is_blank() => {}
            None => sent.push((names[0].clone(), text(value))),
        }
    }
    let shown = row.contains_key("CustomTags") || !sent.is_empty();
    let all = sent.into_iter().map(|(name, value)| json!({"tag_name": name, "value": value})).collect();
    Ok(shown.then_some(J::Array(all)))
}

/// Text to write; nothing is `""`, as the service itself shows it.
fn text(value: &Value) -> J {
    match value {
        Value::Null => J::String(String::new()),
        Value::Text(text) => J::String(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Decimal(_) => J::String(value.to_string()),
        Value::List(items) => J::String(items.iter().filter_map(Value::as_text).collect::<Vec<_>>().join(";")),
        Value::Rows(_) => J::String(String::new()),
    }
}

/// What was lost between what was sent and what stands there now. Not about the record's own values: those are compared
/// where the outcome is read.
pub fn lost(before: &Row, sent: &Change, after: &Row) -> Result<(), Refusal> {
    let (Some(held), Some(now)) = (people_in(before), people_in(after)) else {
        return Err(Refusal::new("contacts-not-shown", "LAC does not show the customer's contacts after the write", &[]));
    };
    for contact in held {
        let Some(id) = row_id(contact) else { continue };
        let stays = sent.people != People::Remove(id);
        let there = now.iter().any(|c| row_id(c) == Some(id));
        match (stays, there) {
            (true, true) | (false, false) => {}
            (false, true) => {
                let text = format!("LAC accepted the customer without contact {id} and still shows it");
                return Err(Refusal::new("contact-not-removed", text, &[]));
            }
            (true, false) => {
                let known: Vec<i64> = people_in(before).unwrap_or_default().into_iter().filter_map(row_id).collect();
                let (name, email) = (text_of(contact, "name"), text_of(contact, "email"));
                let again = now.iter().any(|c| row_id(c).is_some_and(|n| !known.contains(&n)) && same_person(c, &name, &email));
                return Err(if again {
                    Refusal::new("contact-renumbered", format!("LAC gave contact {id} a new number when its customer was written"), &[])
                } else {
                    Refusal::new("contact-vanished", format!("contact {id} vanished when its customer was written"), &[])
                });
            }
        }
    }
    let (held, now) = (tags_of(before).unwrap_or_default(), tags_of(after).unwrap_or_default());
    let ours: Vec<String> = sent.fields.keys().filter_map(|n| n.strip_prefix(PREFIX)).flat_map(spellings).collect();
    for (name, value) in held {
        let foreign = name != SF_ID && !ours.iter().any(|n| n == name);
        match now.iter().find(|(n, _)| *n == name) {
            Some((_, shown)) if !foreign || same_text(Some(value), Some(shown)) => {}
            Some(_) => return Err(Refusal::new("tag-changed", format!("custom tag {name} changed when its customer was written"), &[])),
            // A blank one says as much by not being there; of our own the record tells.
            None if !foreign || same_text(Some(value), None) => {}
            None => return Err(Refusal::new("tag-vanished", format!("custom tag {name} vanished when its customer was written"), &[])),
        }
    }
    Ok(())
}

/// Whether the customer shows all of the change.
pub fn holds(row: &Row, change: &Change) -> bool {
    let fields = differing(row, &change.fields).is_empty();
    let people = contacts_of(row).unwrap_or_default();
    fields
        && match &change.people {
            People::Stay => true,
            People::Add(new) => new.iter().all(|(name, email)| people.iter().any(|c| same_person(c, name, email))),
            People::Remove(id) => !people.iter().any(|c| row_id(c) == Some(*id)),
            People::Change(id, fields) => {
                people.iter().any(|c| row_id(c) == Some(*id) && fields.iter().all(|(name, value)| text_of(c, name) == *value))
            }
        }
}

/// Those of the values that the customer does not show. A blank is as good as nothing.
pub fn differing(row: &Row, fields: &Fields) -> Fields {
    let tags = tags_of(row).unwrap_or_default();
    let shown = |name: &str| match name.strip_prefix(PREFIX) {
        Some(tag) => super::tags::value_of(&tags, tag),
        None => text_of(row, name),
    };
    let same = |name: &str, value: &Value| {
        let shown = shown(name);
        (shown.is_blank() && value.is_blank()) || shown == *value
    };
    fields.iter().filter(|(name, value)| !same(name, value)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn text_of(row: &Row, name: &str) -> Value {
    let ty =
        if name == "email" { crate::record::FieldType::Email { max: None, blank_is_null: true } } else { crate::record::FieldType::text() };
    row.get(name).and_then(|raw| crate::record::canonical(raw, &ty).ok()).unwrap_or(Value::Null)
}

/// Name and e-mail of a contact, canonical.
pub fn person(row: &Row) -> (Value, Value) {
    (text_of(row, "name"), text_of(row, "email"))
}

/// The id of the account a customer says it belongs to.
pub fn claimed(row: &Row) -> Option<String> {
    let (_, raw) = tags_of(row)?.into_iter().find(|(name, _)| *name == SF_ID)?;
    raw.as_str().map(normal_id).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row() -> Row {
        json!({"id": "1", "name": "Acme", "city": null, "fax_number": "7", "creation_time": "x", "extra": 5,
            "Contacts": [{"id": "2", "name": "Ada Lovelace", "email": "ada@acme.example", "customer_id": "1"}, {"id": 3, "name": "Cher", "email": null}],
            "CustomTags": [{"tag_name": "vat", "value": "CH1", "creation_time": "x"}, {"tag_name": "SF_Tier_c", "value": "a"}]})
        .as_object()
        .unwrap()
        .clone()
    }

    fn fields(pairs: &[(&str, Value)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
    }

    #[test]
    fn everything_is_sent_and_nothing_else() {
        let change = Change {
            fields: fields(&[
                ("city", Value::text("Bern")),
                ("fax_number", Value::Null),
                ("tag.SF_Tier__c", Value::text("b")),
                ("tag.SF_Id", Value::text("001")),
            ]),
            people: People::Add(vec![(Value::text("Eve"), Value::Null)]),
        };
        let want = json!({"name": "Acme", "city": "Bern", "fax_number": "",
            "Contacts": [{"id": "2", "name": "Ada Lovelace", "email": "ada@acme.example"}, {"id": 3, "name": "Cher", "email": null}, {"name": "Eve", "email": ""}],
            "CustomTags": [{"tag_name": "vat", "value": "CH1"}, {"tag_name": "SF_Tier_c", "value": "b"}, {"tag_name": "SF_Id", "value": "001"}]});
        assert_eq!(body(&row(), &change).unwrap(), want);
        let gone = Change { people: People::Remove(2), ..Change::default() };
        assert_eq!(body(&row(), &gone).unwrap()["Contacts"], json!([{"id": 3, "name": "Cher", "email": null}]));
        let other = Change { people: People::Change(3, fields(&[("email", Value::text("cher@acme.example"))])), ..Change::default() };
        assert_eq!(body(&row(), &other).unwrap()["Contacts"][1], json!({"id": 3, "name": "Cher", "email": "cher@acme.example"}));
    }

    #[test]
    fn t2_written_back_to_the_spelling_that_stands_there() {
        let change =
            Change { fields: fields(&[("tag.SF_Tier__c", Value::text("b")), ("tag.SF_New__c", Value::text("n"))]), ..Change::default() };
        let tags = body(&row(), &change).unwrap()["CustomTags"].clone();
        assert_eq!(tags[1], json!({"tag_name": "SF_Tier_c", "value": "b"}));
        assert_eq!(tags[2], json!({"tag_name": "SF_New__c", "value": "n"}), "what is made is spelled in full");
        assert_eq!(tags.as_array().unwrap().len(), 3);
    }

    #[test]
    fn l1_an_old_id_of_fifteen_characters_is_completed_by_the_next_write() {
        let mut row = row();
        row.insert("CustomTags".to_owned(), json!([{"tag_name": "SF_Id", "value": "001D000000IqhSL"}]));
        let sent = body(&row, &Change { fields: fields(&[("city", Value::text("Bern"))]), ..Change::default() }).unwrap();
        assert_eq!(sent["CustomTags"], json!([{"tag_name": "SF_Id", "value": "001D000000IqhSLIAZ"}]));
    }

    #[test]
    fn t6_a_blank_makes_no_tag_and_blanks_one_that_is_there() {
        let change = Change { fields: fields(&[("tag.SF_Tier__c", Value::Null), ("tag.SF_New__c", Value::Null)]), ..Change::default() };
        let tags = body(&row(), &change).unwrap()["CustomTags"].clone();
        assert_eq!(tags, json!([{"tag_name": "vat", "value": "CH1"}, {"tag_name": "SF_Tier_c", "value": ""}]));
    }

    #[test]
    fn l2_a_new_customer_has_its_tag_in_the_same_call() {
        let new = new_body(&fields(&[
            ("name", Value::text("Acme")),
            ("city", Value::Null),
            ("tag.SF_Id", Value::text("001D000000IqhSLIAZ")),
            ("tag.SF_A_c", Value::text("x")),
        ]));
        let want = json!({"name": "Acme", "CustomTags": [{"tag_name": "SF_A__c", "value": "x"}, {"tag_name": "SF_Id", "value": "001D000000IqhSLIAZ"}]});
        assert_eq!(new, want);
    }

    #[test]
    fn what_could_not_be_sent_back_is_not_written() {
        for (json, code) in [
            (json!({"id": 1, "Contacts": {"1": {}}, "CustomTags": []}), "contacts-not-shown"),
            (json!({"id": 1, "Contacts": [], "CustomTags": "x"}), "tags-not-shown"),
            (json!({"id": 1, "Contacts": [{"name": "x"}], "CustomTags": []}), "contact-without-id"),
        ] {
            assert_eq!(body(json.as_object().unwrap(), &Change::default()).unwrap_err().code, code);
        }
    }

    #[test]
    fn an_array_that_is_not_shown_is_not_sent_unless_something_goes_into_it() {
        let row = json!({"id": 1, "name": "Acme"}).as_object().unwrap().clone();
        let city = Change { fields: fields(&[("city", Value::text("Bern"))]), ..Change::default() };
        assert_eq!(body(&row, &city).unwrap(), json!({"name": "Acme", "city": "Bern"}));
        let both =
            Change { fields: fields(&[("tag.SF_Id", Value::text("001"))]), people: People::Add(vec![(Value::text("Eve"), Value::Null)]) };
        let sent = body(&row, &both).unwrap();
        assert_eq!((sent["Contacts"].as_array().unwrap().len(), sent["CustomTags"].as_array().unwrap().len()), (1, 1));
        assert_eq!(lost(&row, &city, &row), Ok(()));
    }

    #[test]
    fn a_loss_is_named() {
        let change = Change { fields: fields(&[("tag.SF_Tier__c", Value::text("b"))]), ..Change::default() };
        let after = |contacts: J, tags: J| json!({"id": 1, "Contacts": contacts, "CustomTags": tags}).as_object().unwrap().clone();
        let people = json!([{"id": 2, "name": "Ada Lovelace", "email": "ada@acme.example"}, {"id": 3, "name": "Cher"}]);
        let tags = json!([{"tag_name": "vat", "value": "CH1"}, {"tag_name": "SF_Tier_c", "value": "b"}]);
        assert_eq!(lost(&row(), &change, &after(people.clone(), tags.clone())), Ok(()));
        for (contacts, tags, code) in [
            (json!([{"id": 2}]), tags.clone(), "contact-vanished"),
            (json!([{"id": 2}, {"id": 8, "name": "Cher", "email": ""}]), tags.clone(), "contact-renumbered"),
            (people.clone(), json!([{"tag_name": "SF_Tier_c", "value": "b"}]), "tag-vanished"),
            (people.clone(), json!([{"tag_name": "vat", "value": "CH2"}, {"tag_name": "SF_Tier_c", "value": "b"}]), "tag-changed"),
            (J::Bool(true), tags.clone(), "contacts-not-shown"),
        ] {
            assert_eq!(lost(&row(), &change, &after(contacts, tags)).unwrap_err().code, code);
        }
        let gone = Change { people: People::Remove(3), ..Change::default() };
        assert_eq!(lost(&row(), &gone, &after(people, tags)).unwrap_err().code, "contact-not-removed");
    }
}
