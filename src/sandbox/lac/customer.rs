//! A customer with its contacts and custom tags: what they hold, and how a written one becomes a stored one.
//!
//! Contacts and tags have no calls of their own; they are written with their customer, whole. Whose id a contact keeps and
//! what a missing member means are switches. Nothing here knows other customers.

use serde_json::{Map, Value};

use super::check::{self, Field, Kind, closed, int, open, required};
use super::reply::Refusal;
use super::settings::Settings;

/// Text members of a customer, as they are told.
pub const TEXTS: [&str; 9] = ["name", "street", "zip_code", "city", "state", "country", "phone_number", "fax_number", "description"];

const CUSTOMER: &[Field] = &[
    closed("id"),
    required("name", Kind::Text),
    open("street", Kind::Text),
    open("zip_code", Kind::Text),
    open("city", Kind::Text),
    open("state", Kind::Text),
    open("country", Kind::Text),
    open("phone_number", Kind::Text),
    open("fax_number", Kind::Text),
    open("description", Kind::Description),
    closed("creation_time"),
    closed("update_time"),
    open("Contacts", Kind::Array),
    open("CustomTags", Kind::Array),
];
const CONTACT: &[Field] = &[
    open("id", Kind::Int),
    open("name", Kind::Text),
    open("email", Kind::Email),
    closed("customer_id"),
    closed("creation_time"),
    closed("update_time"),
];
const TAG: &[Field] = &[required("tag_name", Kind::Text), open("value", Kind::Text), closed("creation_time"), closed("update_time")];

/// Stamps are seconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    pub id: i64,
    /// By name of [`TEXTS`]: text or null; a missing one was never set.
    pub texts: Map<String, Value>,
    pub contacts: Vec<Contact>,
    pub tags: Vec<Tag>,
    pub created: i64,
    pub updated: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    pub id: i64,
    pub name: Value,
    pub email: Value,
    pub created: i64,
    pub updated: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    pub name: String,
    pub value: String,
    pub created: i64,
    pub updated: i64,
}

/// A body that may be written as far as it can be told alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub texts: Map<String, Value>,
    pub contacts: Option<Vec<WrittenContact>>,
    pub tags: Option<Vec<(String, String)>>,
}

/// A member that was not sent is None.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenContact {
    pub id: Option<i64>,
    pub name: Option<Value>,
    pub email: Option<Value>,
}

/// Which parts of a customer a write moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    pub texts: bool,
    pub contacts: bool,
    pub tags: bool,
}

impl Moved {
    /// Whether the customer's `update_time` moves.
    pub fn bumps(self, settings: &Settings) -> bool {
        let nothing = !self.texts && !self.contacts && !self.tags;
        self.texts
            || (self.contacts && settings.bump_on_contact_edit)
            || (self.tags && settings.bump_on_tag_edit)
            || (nothing && settings.bump_on_nothing)
    }
}

impl Customer {
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }
}

impl Contact {
    pub fn text(&self) -> (&str, &str) {
        (self.name.as_str().unwrap_or_default(), self.email.as_str().unwrap_or_default())
    }
}

/// Reads the body of a create or of a change.
///
/// # Errors
/// 400.
pub fn read(body: &Value, settings: &Settings) -> Result<Written, Refusal> {
    let mut texts = check::fields("customer", CUSTOMER, body, settings)?;
    let contacts = texts.remove("Contacts").filter(|value| !value.is_null());
    let tags = texts.remove("CustomTags").filter(|value| !value.is_null());
    Ok(Written {
        texts,
        contacts: contacts.map(|value| read_contacts(&value, settings)).transpose()?,
        tags: tags.map(|value| read_tags(&value, settings)).transpose()?,
    })
}

fn read_contacts(value: &Value, settings: &Settings) -> Result<Vec<WrittenContact>, Refusal> {
    let mut contacts: Vec<WrittenContact> = Vec::new();
    for body in check::array("Contacts", value)? {
        let mut read = check::fields("contact", CONTACT, body, settings)?;
        let id = read.get("id").and_then(int);
        let contact = WrittenContact { id, name: read.remove("name"), email: read.remove("email") };
        let unnamed = contact.name.as_ref().and_then(Value::as_str).unwrap_or_default().trim().is_empty();
        if settings.contact_name_required && unnamed {
            return Err(Refusal::invalid("contact: name must not be empty"));
        }
        if id.is_some() && contacts.iter().any(|other| other.id == id) {
            return Err(Refusal::invalid("Contacts: one id twice"));
        }
        contacts.push(contact);
    }
    Ok(contacts)
}

fn read_tags(value: &Value, settings: &Settings) -> Result<Vec<(String, String)>, Refusal> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for body in check::array("CustomTags", value)? {
        let read = check::fields("custom tag", TAG, body, settings)?;
        let word = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, value) = (word("tag_name"), word("value"));
        if tags.iter().any(|(other, _)| *other == name) {
            return Err(Refusal::invalid(format!("CustomTags: {name} twice")));
        }
        tags.push((name, value));
    }
    Ok(tags)
}

/// Puts written texts over stored ones; what was not sent is cleared or kept. True when one is another afterwards.
pub fn put_texts(stored: &mut Map<String, Value>, written: &Map<String, Value>, settings: &Settings) -> bool {
    let before = stored.clone();
    if settings.patch_without_field == "clear" {
        for (name, value) in stored.iter_mut() {
            if !written.contains_key(name) {
                *value = Value::Null;
            }
        }
    }
    stored.extend(written.iter().map(|(name, value)| (name.clone(), value.clone())));
    TEXTS.iter().any(|name| stored.get(*name).unwrap_or(&Value::Null) != before.get(*name).unwrap_or(&Value::Null))
}

/// The contacts after a write. `fresh` gives the next id.
///
/// # Errors
/// 400 for an id that this customer does not have.
pub fn put_contacts(
    old: &[Contact],
    written: &[WrittenContact],
    now: i64,
    settings: &Settings,
    fresh: &mut dyn FnMut() -> i64,
) -> Result<Vec<Contact>, Refusal> {
    let mut contacts = Vec::with_capacity(written.len());
    let mut taken: Vec<i64> = written.iter().filter_map(|contact| contact.id).collect();
    for contact in written {
        let kept = match contact.id {
            Some(id) => Some(
                old.iter()
                    .find(|old| old.id == id)
                    .ok_or_else(|| Refusal::invalid(format!("contact {id} does not belong to this customer")))?,
            ),
            None if settings.contact_without_id == "matched" => {
                let found = old.iter().find(|old| !taken.contains(&old.id) && same_email(&old.email, contact.email.as_ref()));
                taken.extend(found.map(|found| found.id));
                found
            }
            None => None,
        };
        contacts.push(match kept {
            Some(old) => rewritten(old, contact, now, settings),
            None => Contact {
                id: fresh(),
                name: contact.name.clone().unwrap_or_default(),
                email: contact.email.clone().unwrap_or_default(),
                created: now,
                updated: now,
            },
        });
    }
    Ok(contacts)
}

fn rewritten(old: &Contact, written: &WrittenContact, now: i64, settings: &Settings) -> Contact {
    let unsent = |old: &Value| if settings.patch_without_field == "clear" { Value::Null } else { old.clone() };
    let mut contact = Contact {
        name: written.name.clone().unwrap_or_else(|| unsent(&old.name)),
        email: written.email.clone().unwrap_or_else(|| unsent(&old.email)),
        ..old.clone()
    };
    if contact != *old {
        contact.updated = now;
    }
    contact
}

fn same_email(old: &Value, new: Option<&Value>) -> bool {
    let plain = |value: &Value| value.as_str().unwrap_or_default().trim().to_lowercase();
    let old = plain(old);
    !old.is_empty() && new.is_some_and(|new| plain(new) == old)
}

/// The tags after a write.
pub fn put_tags(old: &[Tag], written: &[(String, String)], now: i64) -> Vec<Tag> {
    let put = |(name, value): &(String, String)| match old.iter().find(|old| old.name == *name) {
        Some(old) if old.value == *value => old.clone(),
        Some(old) => Tag { value: value.clone(), updated: now, ..old.clone() },
        None => Tag { name: name.clone(), value: value.clone(), created: now, updated: now },
    };
    written.iter().map(put).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contact(id: i64, name: &str, email: &str) -> Contact {
        Contact { id, name: name.into(), email: email.into(), created: 1, updated: 1 }
    }

    fn put(old: &[Contact], sent: &Value, settings: &Settings) -> Result<Vec<(i64, String, i64)>, String> {
        let written = read_contacts(sent, settings).map_err(|refusal| refusal.message)?;
        let mut next = 900;
        let mut fresh = || {
            next += 1;
            next
        };
        let put = put_contacts(old, &written, 2, settings, &mut fresh).map_err(|refusal| refusal.message)?;
        Ok(put.iter().map(|contact| (contact.id, contact.text().0.to_owned(), contact.updated)).collect())
    }

    #[test]
    fn a_contact_keeps_its_id_only_when_it_is_sent() {
        let old = [contact(1, "Ada", "a@x.example"), contact(2, "Bea", "b@x.example")];
        let sent = json!([{"id": "2", "name": "Beate", "email": "b@x.example"}, {"name": "Ada", "email": "A@x.example"}]);
        let strict = Settings::default();
        let beate = (2, "Beate".to_owned(), 2);
        assert_eq!(put(&old, &sent, &strict), Ok(vec![beate.clone(), (901, "Ada".into(), 2)]));
        let matched = Settings { contact_without_id: "matched".into(), ..Settings::default() };
        assert_eq!(put(&old, &sent, &matched), Ok(vec![beate, (1, "Ada".into(), 2)]));
        let error = put(&old, &json!([{"id": 7, "name": "x"}]), &strict).expect_err("a strange id");
        assert!(error.contains("does not belong"), "{error}");
        assert!(put(&old, &json!([{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]), &strict).is_err());
        assert!(put(&old, &json!([{"id": 1}]), &strict).is_err());
    }

    #[test]
    fn what_moved_decides_about_the_stamp() {
        let settings = Settings { bump_on_contact_edit: true, bump_on_nothing: false, ..Settings::default() };
        let moved = |texts, contacts, tags| Moved { texts, contacts, tags }.bumps(&settings);
        assert_eq!([moved(true, false, false), moved(false, true, false), moved(false, false, true)], [true, true, false]);
        assert!(!moved(false, false, false));
        assert!(Moved::default().bumps(&Settings::default()));
    }

    #[test]
    fn texts_that_were_not_sent() {
        let stored = || json!({"name": "A", "city": "Bern"}).as_object().cloned().unwrap_or_default();
        let sent = json!({"name": "A"}).as_object().cloned().unwrap_or_default();
        let mut cleared = stored();
        assert!(put_texts(&mut cleared, &sent, &Settings::default()));
        assert_eq!(cleared["city"], Value::Null);
        let mut kept = stored();
        assert!(!put_texts(&mut kept, &sent, &Settings { patch_without_field: "keep".into(), ..Settings::default() }));
        let never_set = json!({"name": "A", "city": "Bern", "state": null}).as_object().cloned().unwrap_or_default();
        assert!(!put_texts(&mut kept, &never_set, &Settings::default()), "null for what was never set is no change");
    }

    #[test]
    fn a_tag_keeps_its_stamps_until_its_value_moves() {
        let old = [Tag { name: "a".into(), value: "1".into(), created: 1, updated: 1 }];
        assert_eq!(put_tags(&old, &[("a".into(), "1".into())], 2), old);
        let put = put_tags(&old, &[("a".into(), "2".into()), ("b".into(), String::new())], 2);
        assert_eq!((put[0].created, put[0].updated, put[1].created), (1, 2, 2));
    }
}
