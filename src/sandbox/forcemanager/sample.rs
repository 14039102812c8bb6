//! A company that used ForceManager before: what a first load finds and replaces, users to link, an extra field of each kind.

use serde_json::{Value, json};

use super::reply::Refusal;
use super::schema::Object;
use super::world::World;

/// Four accounts with contacts, opportunities, calendar entries and activities; users that cannot be linked by name (an
/// equal pair, one who left); extra fields that people made.
///
/// # Errors
/// When the world has fields of these names already.
pub fn fill(world: &mut World) -> Result<(), Refusal> {
    for (name, last, active) in [("Kim", "Larsen", true), ("Kim", "Larsen", true), ("Pat", "Quinn", false)] {
        let email = format!("{}.{}@lockstep.example", name.to_lowercase(), last.to_lowercase());
        world.add(
            Object::User,
            &json!({"name": name, "lastName": last, "email": email, "isActive": active, "billable": true, "locale": "es"}),
        )?;
    }
    for field in [
        json!({"fieldName": "Motto", "type": "text", "labelEN": "Motto"}),
        json!({"fieldName": "FirstVisit", "type": "datetime"}),
        json!({"fieldName": "EmployeesNumber", "type": "decimal"}),
        json!({"fieldName": "Vip", "type": "bit"}),
        json!({"fieldName": "Tier", "type": "list", "values": ["Gold", "Silver"]}),
        json!({"fieldName": "Interests", "type": "multivalue", "values": ["CAD", "CAM", "PLM"]}),
    ] {
        world.add_extra_field(Object::Account, &field)?;
    }
    let by = |world: &World, nic: &str| world.table(Object::User).rows().find(|row| row.text("nic") == nic).map(|row| row.id);
    let (dana, sam) = (by(world, "dreyes"), by(world, "sokafor"));
    let companies = [
        ("Talleres Ibarra SL", "Bilbao", dana, "Ane", "Ibarra"),
        ("Officine Moretti SpA", "Torino", sam, "Luca", "Moretti"),
        ("Nordlicht Werke GmbH", "Kiel", dana, "Jule", "Petersen"),
        ("Atelier Renard SARL", "Nantes", sam, "Marc", "Renard"),
    ];
    for (number, (company, city, rep, first, last)) in (0..).zip(companies) {
        one(world, number, &json!({"name": company, "city": city, "salesRepId1": rep}), &json!({"firstName": first, "lastName": last}))?;
    }
    Ok(())
}

fn one(world: &mut World, number: usize, company: &Value, person: &Value) -> Result<(), Refusal> {
    let rep = &company["salesRepId1"];
    let mut company = company.clone();
    company["phone"] = json!(format!("+34 555 01 {number:02}"));
    company["Z_EmployeesNumber"] = json!(10 * (number + 1));
    company["Z_Tier"] = json!(if number.is_multiple_of(2) { "Gold" } else { "Silver" });
    let account = world.add(Object::Account, &company)?;
    let mut person = person.clone();
    person["email"] = json!(format!("{}@old-customer-{number}.example", person["firstName"].as_str().unwrap_or_default().to_lowercase()));
    person["accountId"] = json!(account);
    person["salesRepId"] = rep.clone();
    let contact = world.add(Object::Contact, &person)?;
    if number >= 3 {
        return Ok(());
    }
    let opportunity = world.add(
        Object::Opportunity,
        &json!({"reference": format!("Old opportunity {}", number + 1), "accountId1": account, "salesRepId": rep, "total": 1_200.5 * (number as f64 + 1.0), "salesProbability": 3 + number, "salesForecastDate": "2026-12-15 00:00:00"}),
    )?;
    world.add(
        Object::Calendar,
        &json!({"subject": "Visit", "task": false, "accountId": account, "contactId": contact, "salesRepId": rep, "startDate": "26/02/03", "startHour": "09:00", "endDate": "26/02/03", "endHour": "10:30"}),
    )?;
    world.add(Object::Calendar, &json!({"subject": "Send the offer", "task": true, "accountId": account, "opportunityId": opportunity, "salesRepId": rep, "startDate": "26/02/05", "endDate": "26/02/06"}))?;
    world.add(Object::Activity, &json!({"accountId": account, "contactId": contact, "salesRepId": rep, "date": "2026-01-20 09:15:00", "comment": "Called about the offer"}))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;

    #[test]
    fn the_sample_fills_every_kind_and_is_the_same_in_every_run() {
        let filled = || {
            let clock = Clock::system();
            clock.freeze("2026-03-10T12:00:00Z".parse().unwrap());
            let mut world = World::new(clock);
            fill(&mut world).unwrap();
            world
        };
        let (one, two) = (filled(), filled());
        for (object, rows) in [
            (Object::Account, 4),
            (Object::Contact, 4),
            (Object::Opportunity, 3),
            (Object::Activity, 3),
            (Object::Calendar, 6),
            (Object::User, 7),
        ] {
            assert_eq!(one.count(object), rows, "{object:?}");
            assert_eq!(one.rows(object), two.rows(object), "{object:?}");
        }
    }
}
