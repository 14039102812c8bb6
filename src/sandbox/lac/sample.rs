//! A few customers that are in LAC already, so that the adoption of two filled systems can be seen.
//!
//! They are made from accounts and contacts of the other system, handed in as plain rows with Salesforce's names.

use serde_json::{Value, json};

use super::reply::Refusal;
use super::world::{SF_ID, World};

/// What was made, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Tagged years ago with the account's id, of 18 or of 15 characters.
    pub tagged: Vec<i64>,
    /// Without a tag, named as an account is.
    pub named: Vec<i64>,
    /// Nobody else's.
    pub own: Vec<i64>,
}

/// Customers for the first six accounts (three tagged, three of the same name) and one that only LAC has, with a license
/// order. `contacts` are of these accounts; their people are found by e-mail. Also defines a tag that is not Salesforce's.
///
/// # Errors
/// What the world refuses, such as text that is too long.
pub fn fill(world: &mut World, accounts: &[Value], contacts: &[Value]) -> Result<Adopted, Refusal> {
    world.define_tag("vat_number", "VAT number");
    let mut adopted = Adopted::default();
    for (number, account) in accounts.iter().take(6).enumerate() {
        let id = account["Id"].as_str().unwrap_or_default();
        let people: Vec<Value> = contacts
            .iter()
            .filter(|contact| contact["AccountId"] == account["Id"] && contact["Email"].is_string())
            .map(|contact| json!({"name": full_name(contact), "email": contact["Email"]}))
            .collect();
        let name = account["Name"].as_str().unwrap_or_default();
        let mut tags = vec![json!({"tag_name": "vat_number", "value": format!("DE {}", 811_000_100 + number)})];
        let tag = match number {
            0 | 1 => Some(id),
            2 => Some(id.get(..15).unwrap_or(id)),
            _ => None,
        };
        tags.extend(tag.map(|tag| json!({"tag_name": SF_ID, "value": tag})));
        let customer = json!({
            // Two were typed in by somebody else: in capitals, and with another telephone number.
            "name": if number == 4 { name.to_uppercase() } else { name.to_owned() },
            "phone_number": if number == 5 { json!("+49 40 555 01 99") } else { account["Phone"].clone() },
            "street": account["BillingStreet"], "zip_code": account["BillingPostalCode"], "city": account["BillingCity"],
            "state": account["BillingState"], "country": account["BillingCountry"],
            "Contacts": people, "CustomTags": tags,
        });
        let made = world.add_customer(&customer)?;
        if tag.is_some() { adopted.tagged.push(made) } else { adopted.named.push(made) }
    }
    let own = world.add_customer(&json!({
        "name": "Lantern Optics Oy", "city": "Tampere", "country": "Finland", "phone_number": "+358 3 555 01 20",
        "Contacts": [{"name": "Aino Virta", "email": "aino.virta@lantern-optics.example"}, {"name": "Licence Desk"}],
    }))?;
    world.issue(own, &json!({}))?;
    adopted.own.push(own);
    for (number, id) in adopted.tagged.iter().chain(&adopted.named).chain(&adopted.own).enumerate() {
        let days = 90 - 3 * i64::try_from(number).unwrap_or_default();
        age(world, *id, days * 86_400);
    }
    Ok(adopted)
}

/// Makes a customer, its people, tags and orders as old as if nobody had touched them since.
fn age(world: &mut World, id: i64, seconds: i64) {
    let then = world.now() - seconds;
    if let Some(row) = world.customers.get_mut(&id) {
        (row.created, row.updated) = (then, then);
        for contact in &mut row.contacts {
            (contact.created, contact.updated) = (then, then);
        }
        for tag in &mut row.tags {
            (tag.created, tag.updated) = (then, then);
        }
    }
    for order in world.orders.values_mut().filter(|order| order.customer == id) {
        order.created = then;
    }
}

fn full_name(contact: &Value) -> String {
    let part = |name: &str| contact[name].as_str().unwrap_or_default();
    format!("{} {}", part("FirstName"), part("LastName")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::product::seed_products;
    use super::*;
    use crate::sandbox::clock::Clock;

    #[test]
    fn some_are_tagged_some_only_named_and_one_is_lac_s_own() {
        let mut world = World::new(Clock::system());
        seed_products(&mut world).expect("products");
        let account =
            |n: usize| json!({"Id": format!("001RM000000000{n}YAA"), "Name": format!("Firm {n}"), "Phone": "1", "BillingStreet": null});
        let accounts: Vec<Value> = (0..9).map(account).collect();
        let contacts = [json!({"AccountId": "001RM0000000003YAA", "FirstName": null, "LastName": "Cher", "Email": "c@x.example"})];
        let adopted = fill(&mut world, &accounts, &contacts).expect("filled");
        assert_eq!((adopted.tagged.len(), adopted.named.len(), adopted.own.len()), (3, 3, 1));
        let tag = |at: usize| world.customer(adopted.tagged[at]).expect("it").tag(SF_ID).map(str::len);
        assert_eq!((tag(0), tag(2)), (Some(18), Some(15)));
        assert_eq!(world.customer(adopted.named[1]).expect("it").text("name"), "FIRM 4");
        assert_eq!(world.customer(adopted.named[0]).expect("it").contacts[0].text(), ("Cher", "c@x.example"));
        assert_eq!(world.orders.len(), 1);
        let newest = world.customers().map(|row| row.updated).max();
        assert!(newest.is_some_and(|newest| newest < world.now() - 60 * 86_400), "an old, quiet installation");
    }
}
