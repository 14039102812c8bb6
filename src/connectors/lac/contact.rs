//! Creating, changing, moving and deleting a contact: writes of its customer.
//!
//! There is nothing on a contact that could carry our id, so a create is looked for by e-mail address and name, inside its
//! customer only. A contact that goes to another customer is made there before it is taken out here, and has another id then.

use super::Lac;
use super::catalogue::{CATALOGUE, CONTACT};
use super::customer::{gone, moved};
use super::known::Part;
use super::list::{Row, row_id};
use super::outcome::{Steps, failed, rejected, still_unknown, unsent};
use super::refusal::Refusal;
use super::row::{Reading, contact_parts, contacts_of, customer_number, same_person};
use super::whole::{Change, People, person};
use super::wire::Trouble;
use super::write::fields_for;
use crate::connectors::ResourceSpec;
use crate::plan::{Outcome, Write};
use crate::record::{Fields, RecordId, Value};

impl Lac {
    pub(super) async fn create_contact(&self, write: &Write, resource: &ResourceSpec, steps: &mut Steps) -> Result<Outcome, Outcome> {
        checked(resource, write).map_err(rejected)?;
        let customer = customer_of(write).map_err(rejected)?;
        let row = self.customer(customer).await.map_err(|t| customer_missing(customer, t))?;
        let (name, email) = named(write);
        self.add(write, resource, &row, name, email, steps).await
    }

    /// Several new contacts of one customer by one write of it. `None`: each is to be tried by itself, because one of them is
    /// there already, cannot be told from another, or was refused with the others.
    pub(super) async fn create_contacts(&self, customer: i64, writes: &[&Write]) -> Option<Vec<Outcome>> {
        let resource = CATALOGUE.resource(CONTACT)?;
        let row = self.customer(customer).await.ok()?;
        if self.known.moved(Part::Contacts, &row) || writes.iter().any(|w| checked(resource, w).is_err()) {
            return None;
        }
        let people: Vec<(Value, Value)> = writes.iter().map(|w| named(w)).collect();
        let new = people.iter().all(|(name, email)| matches!(one(customer, &row, name, email), Ok(None)));
        let apart = (1..people.len()).all(|at| !people[..at].contains(&people[at]));
        if !new || !apart {
            return None;
        }
        let held: Vec<i64> = contacts_of(&row).unwrap_or_default().into_iter().filter_map(row_id).collect();
        let mut steps = Steps::default();
        let after = match self.patch(&row, &Change { people: People::Add(people.clone()), ..Change::default() }, &mut steps).await {
            Ok(after) => after,
            Err(Outcome::Unknown { message }) => {
                return Some(writes.iter().map(|_| Outcome::Unknown { message: message.clone() }).collect());
            }
            Err(_) => return None,
        };
        let made: Vec<&Row> = contacts_of(&after)?.into_iter().filter(|c| row_id(c).is_some_and(|id| !held.contains(&id))).collect();
        let each = writes.iter().zip(&people).map(|(write, (name, email))| {
            let mine: Vec<&&Row> = made.iter().filter(|c| same_person(c, name, email)).collect();
            match mine.as_slice() {
                [contact] => self.done_contact(write, resource, customer, contact),
                [] => rejected(Refusal::new(
                    "contact-not-kept",
                    format!("LAC accepted a new contact of customer {customer} and does not show it"),
                    &[],
                )),
                _ => rejected(Refusal::new("ambiguous", format!("customer {customer} now has a new contact several times"), &[])),
            }
        });
        Some(each.collect())
    }

    /// The person in this customer: found, or made.
    async fn add(
        &self,
        write: &Write,
        resource: &ResourceSpec,
        row: &Row,
        name: Value,
        email: Value,
        steps: &mut Steps,
    ) -> Result<Outcome, Outcome> {
        let customer = row_id(row).unwrap_or_default();
        if let Some(contact) = one(customer, row, &name, &email).map_err(rejected)? {
            steps.say("look-up", format!("found {}", row_id(contact).unwrap_or_default()));
            return Ok(self.done_contact(write, resource, customer, contact));
        }
        if self.known.moved(Part::Contacts, row) {
            return Err(moved(customer));
        }
        steps.say("look-up", "absent");
        let held: Vec<i64> = contacts_of(row).unwrap_or_default().into_iter().filter_map(row_id).collect();
        let change = Change { people: People::Add(vec![(name.clone(), email.clone())]), ..Change::default() };
        let after = self.patch(row, &change, steps).await?;
        let new = |c: &&Row| row_id(c).is_some_and(|id| !held.contains(&id)) && same_person(c, &name, &email);
        let made: Vec<&Row> = contacts_of(&after).unwrap_or_default().into_iter().filter(new).collect();
        match made.as_slice() {
            [contact] => {
                steps.say("create", format!("created {}", row_id(contact).unwrap_or_default()));
                Ok(self.done_contact(write, resource, customer, contact))
            }
            [] => Err(rejected(Refusal::new(
                "contact-not-kept",
                format!("LAC accepted the new contact of customer {customer} and does not show it"),
                &[],
            ))),
            _ => Err(rejected(Refusal::new("ambiguous", format!("customer {customer} now has the new contact several times"), &[]))),
        }
    }

    pub(super) async fn update_contact(&self, write: &Write, resource: &ResourceSpec, steps: &mut Steps) -> Result<Outcome, Outcome> {
        checked(resource, write).map_err(rejected)?;
        let (customer, contact) = id_of(write).map_err(rejected)?;
        let row = self.customer(customer).await.map_err(unsent)?;
        let Some(held) = by_number(&row, contact) else { return Err(Outcome::Missing) };
        if self.known.moved(Part::Contacts, &row) {
            return Err(moved(customer));
        }
        if let Some(to) = goes_to(write, customer).map_err(rejected)? {
            return self.move_contact(write, resource, &row, held, to, steps).await;
        }
        let fields = own(write);
        let (name, email) = person(held);
        let same = |(field, value): (&String, &Value)| if field == "email" { *value == email } else { *value == name };
        if fields.iter().all(same) {
            steps.say("look", "it is so already");
            return Ok(self.done_contact(write, resource, customer, held));
        }
        steps.say("patch", fields.keys().cloned().collect::<Vec<_>>().join(", "));
        let after = self.patch(&row, &Change { people: People::Change(contact, fields), ..Change::default() }, steps).await?;
        match by_number(&after, contact) {
            Some(now) => Ok(self.done_contact(write, resource, customer, now)),
            None => Err(Outcome::Missing),
        }
    }

    /// Made in the other customer, then taken out of this one: what breaks off in between leaves one too many, never none.
    async fn move_contact(
        &self,
        write: &Write,
        resource: &ResourceSpec,
        row: &Row,
        held: &Row,
        to: i64,
        steps: &mut Steps,
    ) -> Result<Outcome, Outcome> {
        let (mut name, mut email) = person(held);
        let fields = own(write);
        name = fields.get("name").cloned().unwrap_or(name);
        email = fields.get("email").cloned().unwrap_or(email);
        let target = self.customer(to).await.map_err(|t| customer_missing(to, t))?;
        let there = self.add(write, resource, &target, name, email, steps).await?;
        steps.say("move", format!("into customer {to}"));
        let Some(contact) = row_id(held) else { return Err(Outcome::Missing) };
        // What was made is there whatever becomes of this: only looking tells what is left to do.
        self.patch(row, &Change { people: People::Remove(contact), ..Change::default() }, steps).await.map_err(
            |outcome| match outcome {
                Outcome::Failed { code, message } | Outcome::Rejected { code, message, .. } => Outcome::Unknown {
                    message: format!("the contact is in customer {to} already and could not be taken out: {message} ({code})"),
                },
                other => other,
            },
        )?;
        Ok(there)
    }

    pub(super) async fn delete_contact(&self, write: &Write, steps: &mut Steps) -> Result<Outcome, Outcome> {
        let (customer, contact) = id_of(write).map_err(rejected)?;
        let row = match self.customer(customer).await {
            Ok(row) => row,
            Err(Trouble::Missing) => return Ok(gone(write)),
            Err(trouble) => return Err(unsent(trouble)),
        };
        if by_number(&row, contact).is_none() {
            steps.say("delete", "was not there");
            return Ok(gone(write));
        }
        self.patch(&row, &Change { people: People::Remove(contact), ..Change::default() }, steps).await?;
        steps.say("delete", "taken out of the customer");
        Ok(gone(write))
    }

    pub(super) async fn resolve_create_contact(&self, write: &Write, resource: &ResourceSpec) -> Result<Outcome, Outcome> {
        let customer = customer_of(write).map_err(rejected)?;
        let row = match self.customer(customer).await {
            Ok(row) => row,
            Err(Trouble::Missing) => return Err(failed("not-done", format!("customer {customer} is gone"))),
            Err(trouble) => return Err(still_unknown(trouble)),
        };
        let (name, email) = named(write);
        match one(customer, &row, &name, &email).map_err(rejected)? {
            Some(contact) => Ok(self.done_contact(write, resource, customer, contact)),
            None => Err(failed("not-done", format!("customer {customer} has no such contact"))),
        }
    }

    pub(super) async fn resolve_update_contact(
        &self,
        write: &Write,
        resource: &ResourceSpec,
        steps: &mut Steps,
    ) -> Result<Outcome, Outcome> {
        let (customer, contact) = id_of(write).map_err(rejected)?;
        let row = self.customer(customer).await.map_err(still_unknown)?;
        // Taken out already: where it went cannot be told without its name. The engine finds it there by its address.
        let Some(held) = by_number(&row, contact) else { return Err(Outcome::Missing) };
        let fields = own(write);
        let (name, email) = person(held);
        if let Some(to) = goes_to(write, customer).map_err(rejected)? {
            let target = self.customer(to).await.map_err(still_unknown)?;
            let name = fields.get("name").cloned().unwrap_or(name);
            let email = fields.get("email").cloned().unwrap_or(email);
            return match one(to, &target, &name, &email).map_err(rejected)? {
                Some(_) => self.move_contact(write, resource, &row, held, to, steps).await,
                None => Err(failed("not-done", format!("contact {contact} is still in customer {customer}"))),
            };
        }
        let same = |(field, value): (&String, &Value)| if field == "email" { *value == email } else { *value == name };
        if fields.iter().all(same) {
            return Ok(self.done_contact(write, resource, customer, held));
        }
        Err(failed("not-done", format!("contact {contact} of customer {customer} does not show the change")))
    }

    pub(super) async fn resolve_delete_contact(&self, write: &Write) -> Result<Outcome, Outcome> {
        let (customer, contact) = id_of(write).map_err(rejected)?;
        match self.customer(customer).await {
            Err(Trouble::Missing) => Ok(gone(write)),
            Ok(row) if by_number(&row, contact).is_none() => Ok(gone(write)),
            Ok(_) => Err(failed("not-done", format!("contact {contact} of customer {customer} is still there"))),
            Err(trouble) => Err(still_unknown(trouble)),
        }
    }

    fn done_contact(&self, write: &Write, resource: &ResourceSpec, customer: i64, row: &Row) -> Outcome {
        let record = Reading { zone: self.zone, whole: true }.contact(resource, customer, row, &write.read);
        let Some(record) = record else { return Outcome::Unknown { message: "the contact shows no id".to_owned() } };
        Outcome::Done { id: record.id.clone(), record: Some(record), steps: Vec::new() }
    }
}

pub fn by_number(row: &Row, contact: i64) -> Option<&Row> {
    contacts_of(row)?.into_iter().find(|c| row_id(c) == Some(contact))
}

/// The one contact that is this person; two are one too many to choose from.
fn one<'r>(customer: i64, row: &'r Row, name: &Value, email: &Value) -> Result<Option<&'r Row>, Refusal> {
    let found: Vec<&Row> = contacts_of(row).unwrap_or_default().into_iter().filter(|c| same_person(c, name, email)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        many => {
            let ids: Vec<String> = many.iter().filter_map(|c| row_id(c)).map(|id| id.to_string()).collect();
            let text = format!("customer {customer} has contacts {} with one name and address", ids.join(", "));
            Err(Refusal::new("ambiguous", text, &["email"]))
        }
    }
}

fn customer_missing(customer: i64, trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => failed("customer-missing", format!("customer {customer} is not there any more")),
        other => unsent(other),
    }
}

fn named(write: &Write) -> (Value, Value) {
    let of = |name: &str| write.fields.get(name).cloned().unwrap_or(Value::Null);
    (of("name"), of("email"))
}

/// What a contact itself can hold of the write.
fn own(write: &Write) -> Fields {
    write.fields.iter().filter(|(name, _)| matches!(name.as_str(), "name" | "email")).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn customer_of(write: &Write) -> Result<i64, Refusal> {
    let id = write.fields.get("customer").and_then(Value::as_text).map(RecordId::from);
    id.as_ref()
        .and_then(customer_number)
        .ok_or_else(|| Refusal::new("no-customer", "a contact without a customer cannot be made", &["customer"]))
}

/// The other customer a contact is to go to.
fn goes_to(write: &Write, customer: i64) -> Result<Option<i64>, Refusal> {
    if !write.fields.contains_key("customer") {
        return Ok(None);
    }
    Ok(Some(customer_of(write)?).filter(|to| *to != customer))
}

fn id_of(write: &Write) -> Result<(i64, i64), Refusal> {
    let shown = write.id.as_ref().map_or("nothing", |id| id.as_str());
    write.id.as_ref().and_then(contact_parts).ok_or_else(|| Refusal::new("no-id", format!("{shown:?} is no contact of LAC"), &[]))
}

fn checked(resource: &ResourceSpec, write: &Write) -> Result<(), Refusal> {
    fields_for(resource, write)?;
    if write.fields.get("name").is_some_and(Value::is_blank) || (write.id.is_none() && !write.fields.contains_key("name")) {
        return Err(Refusal::new("name-needed", "a contact must have a name", &["name"]));
    }
    Ok(())
}
