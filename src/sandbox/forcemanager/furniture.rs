//! What every company has before it has a customer: users, one branch, value lists.
//!
//! Three users have the names of the simulated org's users, so that they can be linked by equal name.

use serde_json::{Map, Value, json};

use super::check::Writer;
use super::schema::Object;
use super::world::World;

/// Name, last name, nickname.
const USERS: [(&str, &str, &str); 4] =
    [("Lockstep", "Integration", "api"), ("Dana", "Reyes", "dreyes"), ("Sam", "Okafor", "sokafor"), ("Noor", "Haddad", "nhaddad")];
/// The user of the key pair, and the one who edits when nobody else is named.
const INTEGRATION: usize = 0;
const PERSON: usize = 3;

/// English, Spanish, Italian.
type Words = &'static [(&'static str, &'static str, &'static str)];

const LISTS: [(Object, Words); 8] = [
    (Object::AccountType, &[("Customer", "Cliente", "Cliente"), ("Prospect", "Potencial", "Potenziale"), ("Partner", "Socio", "Partner")]),
    (Object::AccountStatus, &[("Active", "Activo", "Attivo"), ("Inactive", "Inactivo", "Inattivo")]),
    (Object::AccountSegment, &[("A", "A", "A"), ("B", "B", "B"), ("C", "C", "C")]),
    (Object::ContactType, &[("Decision maker", "Decisor", "Decisore"), ("User", "Usuario", "Utente")]),
    (Object::OpportunityType, &[("New Business", "Nuevo negocio", "Nuovo affare"), ("Renewal", "Renovación", "Rinnovo")]),
    (
        Object::OpportunityStatus,
        &[
            ("Prospecting", "Prospección", "Ricerca"),
            ("Qualification", "Calificación", "Qualificazione"),
            ("Proposal", "Propuesta", "Proposta"),
            ("Negotiation", "Negociación", "Negoziazione"),
            ("Closed Won", "Ganada", "Vinta"),
            ("Closed Lost", "Perdida", "Persa"),
        ],
    ),
    (
        Object::ActivityType,
        &[("Visit", "Visita", "Visita"), ("Call", "Llamada", "Chiamata"), ("Email", "Correo", "Posta"), ("Meeting", "Reunión", "Riunione")],
    ),
    (Object::SalesOrderStatus, &[("Open", "Abierto", "Aperto"), ("Closed", "Cerrado", "Chiuso")]),
];

/// English, Spanish, Italian, ISO 3166.
const COUNTRIES: [(&str, &str, &str, &str); 10] = [
    ("Spain", "España", "Spagna", "ES"),
    ("Italy", "Italia", "Italia", "IT"),
    ("Germany", "Alemania", "Germania", "DE"),
    ("France", "Francia", "Francia", "FR"),
    ("Switzerland", "Suiza", "Svizzera", "CH"),
    ("Sweden", "Suecia", "Svezia", "SE"),
    ("United Kingdom", "Reino Unido", "Regno Unito", "GB"),
    ("United States", "Estados Unidos", "Stati Uniti", "US"),
    ("Canada", "Canadá", "Canada", "CA"),
    ("Japan", "Japón", "Giappone", "JP"),
];
const CURRENCIES: [(&str, &str); 3] = [("Euro", "EUR"), ("US Dollar", "USD"), ("Swiss Franc", "CHF")];
const TIMEZONES: [(&str, &str); 3] = [("Madrid", "Europe/Madrid"), ("Greenwich", "Etc/UTC"), ("New York", "America/New_York")];

/// Fills an empty world.
pub fn place(world: &mut World) {
    let zones: Vec<i64> = TIMEZONES
        .iter()
        .filter_map(|(name, iana)| add(world, Object::Timezone, json!({"descriptionEN": name, "idIanaZone": iana})))
        .collect();
    let branch = json!({"descriptionEN": "Headquarter", "descriptionES": "Sede central", "descriptionIT": "Sede centrale", "timeZoneId": zones.first()});
    let branch = add(world, Object::Branch, branch);
    for (object, words) in LISTS {
        for (english, spanish, italian) in words {
            add(world, object, json!({"descriptionEN": english, "descriptionES": spanish, "descriptionIT": italian}));
        }
    }
    for (english, spanish, italian, iso2) in COUNTRIES {
        add(world, Object::Country, json!({"descriptionEN": english, "descriptionES": spanish, "descriptionIT": italian, "iso2": iso2}));
    }
    for (name, code) in CURRENCIES {
        add(world, Object::Currency, json!({"descriptionEN": name, "isoCode": code}));
    }
    let users: Vec<i64> = USERS.iter().filter_map(|user| add(world, Object::User, person(user, branch))).collect();
    world.integration_user = users.get(INTEGRATION).copied().unwrap_or_default();
    world.person = users.get(PERSON).copied().unwrap_or_default();
}

fn person((name, last, nic): &(&str, &str, &str), branch: Option<i64>) -> Value {
    let email = format!("{}.{}@lockstep.example", name.to_lowercase(), last.to_lowercase());
    json!({
        "name": name, "lastName": last, "nic": nic, "email": email, "isActive": true, "billable": *nic != "api", "level": 1,
        "branches": branch.into_iter().collect::<Vec<_>>(), "locale": "en",
    })
}

/// The tables above are of the right form, so nothing is refused.
fn add(world: &mut World, object: Object, fields: Value) -> Option<i64> {
    let fields: Map<String, Value> = fields.as_object()?.clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
    let added = world.create(object, &fields, Writer::Person(0));
    debug_assert!(added.is_ok(), "{object:?}: {added:?}");
    added.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::clock::Clock;

    #[test]
    fn a_new_company_has_users_lists_and_no_customers() {
        let world = World::new(Clock::system());
        for object in Object::ALL {
            let furnished = object.is_value_list() || object == Object::User;
            assert_eq!(world.count(object) > 0, furnished, "{object:?}");
        }
        assert_eq!(world.row(Object::User, world.integration_user).map(|row| row.text("nic")), Some("api"));
        assert_eq!(world.row(Object::User, world.person).map(|row| row.text("nic")), Some("nhaddad"));
    }
}
