//! One order for each way an order can stand.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::rules::{SHIPPED, check, parse};
use rust_decimal::Decimal;

fn rules() -> Rules {
    check(&parse(SHIPPED).unwrap(), SHIPPED).unwrap()
}

fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn row(code: &str, quantity: Value) -> Fields {
    let (id, name) = (format!("802{code}"), format!("The {code}"));
    fields(&[("Id", Value::text(id)), ("ProductCode", Value::text(code)), ("ProductName", Value::text(name)), ("Quantity", quantity)])
}

fn linked_party(id: &str, name: &str) -> Party {
    Party { id: id.to_owned(), name: name.to_owned(), state: PartyState::Linked { platform_id: "7".to_owned() } }
}

/// An activated order of two LS-PRO for Mina Okafor of Northwind, whom the platform knows.
fn good() -> OrderFacts {
    OrderFacts {
        order: fields(&[
            ("StatusCode", Value::text("Activated")),
            ("ActivatedDate", Value::text("2026-11-24T10:00:00Z")),
            ("AccountId", Value::text("001A")),
            ("BillToContactId", Value::text("003C")),
            ("lines", Value::Rows(vec![row("LS-PRO", Value::Decimal(Decimal::new(200, 2)))])),
        ]),
        account: Some(linked_party("001A", "Northwind")),
        contact: Some(linked_party("003C", "Mina Okafor")),
        ..OrderFacts::default()
    }
}

fn with(change: impl FnOnce(&mut OrderFacts)) -> OrderFacts {
    let mut facts = good();
    change(&mut facts);
    facts
}

fn lines_of(rows: Vec<Fields>) -> OrderFacts {
    with(|f| drop(f.order.insert("lines".to_owned(), Value::Rows(rows))))
}

fn contact(state: PartyState) -> OrderFacts {
    with(|f| f.contact = Some(Party { state, ..linked_party("003C", "Mina Okafor") }))
}

fn parked(code: &str, message: &str) -> Parked {
    Parked { code: code.to_owned(), message: message.to_owned() }
}

fn call(state: IntentState, code: &str, message: &str) -> Call {
    Call { state, code: Some(code.to_owned()).filter(|c| !c.is_empty()), message: Some(message.to_owned()).filter(|m| !m.is_empty()) }
}

fn issued_order(issued: Option<u64>, back: u64, more: impl FnOnce(&mut OrderFacts)) -> OrderFacts {
    with(|f| {
        f.link = Some(OrderLink { platform_id: "9".to_owned(), state: LinkState::Live, made: issued.is_some() });
        f.licenses = LicenseFacts { issued, back, ..LicenseFacts::default() };
        more(f);
    })
}

/// What it is called, the facts, the status, what the message says, who must act.
fn ways() -> Vec<(&'static str, OrderFacts, Option<&'static str>, &'static str, &'static str)> {
    vec![
        (
            "draft",
            with(|f| drop(f.order.insert("StatusCode".to_owned(), Value::text("Draft")))),
            None,
            "Not due yet: the order is Draft, not Activated. It would issue 2 licenses of orbit-pro (policy orbit-pro-1y).",
            "sales: activate",
        ),
        (
            "before provision-from",
            with(|f| drop(f.order.insert("ActivatedDate".to_owned(), Value::text("2025-12-31T23:00:00Z")))),
            None,
            "Activated 2025-12-31T23:00:00Z, before `provision-from` (2026-01-01T00:00:00Z)",
            "nobody",
        ),
        (
            "no contact",
            with(|f| f.contact = None),
            FAILED,
            "Nobody to license it to: License Contact or Bill To Contact",
            "sales: fill License Contact",
        ),
        (
            "contact ambiguous",
            contact(PartyState::Parked(parked("ambiguous", "2 platform records match: 5, 6; merge them"))),
            FAILED,
            "The contact Mina Okafor fits more than one customer: 2 platform records match: 5, 6",
            "operations: merge",
        ),
        ("contact waits", contact(PartyState::Waits), PENDING, "Waits for the contact Mina Okafor", "nobody"),
        (
            "contact refused",
            contact(PartyState::Parked(parked("required-missing", "platform field email must not be empty"))),
            FAILED,
            "The contact Mina Okafor is refused: platform field email must not be empty (required-missing).",
            "sales: correct the contact",
        ),
        (
            "contact held",
            contact(PartyState::Held("9 planned, 2 allowed in one run".to_owned())),
            PENDING,
            "which the guard holds (more than [limits]",
            "operations: lockstep hold release contact",
        ),
        ("contact not seen", contact(PartyState::Unseen), FAILED, "not among those that are kept in step", "sales: choose another contact"),
        (
            "account waits",
            with(|f| f.account = Some(Party { state: PartyState::Waits, ..linked_party("001A", "Northwind") })),
            PENDING,
            "Waits for the account Northwind",
            "nobody",
        ),
        (
            "product not mapped",
            lines_of(vec![row("LS-PRO", Value::Int(1)), row("GADGET", Value::Int(1))]),
            FAILED,
            "The product GADGET (The GADGET) is not in [products] of the rules.",
            "operations: add GADGET to [products]",
        ),
        (
            "product without code",
            lines_of(vec![fields(&[("Id", Value::text("802")), ("ProductName", Value::text("Gadget")), ("Quantity", Value::Int(1))])]),
            FAILED,
            "The product Gadget has no Product Code",
            "sales: give the product Gadget",
        ),
        (
            "bad quantity",
            lines_of(vec![row("LS-PRO", Value::Decimal(Decimal::new(25, 1)))]),
            FAILED,
            "The quantity 2.5 of The LS-PRO is not a whole number above 0.",
            "sales: correct the quantity",
        ),
        (
            "too many",
            lines_of(vec![row("LS-PRO", Value::Int(10_001))]),
            FAILED,
            "10001 licenses of The LS-PRO",
            "sales: correct the quantity",
        ),
        (
            "no license in it",
            lines_of(vec![row("SERVICES-1", Value::Int(1))]),
            PROVISIONED,
            "No product of this order carries a license",
            "nobody",
        ),
        (
            "lines not readable",
            with(|f| drop(f.order.remove("lines"))),
            FAILED,
            "The products of the order may not be read.",
            "Salesforce administrator",
        ),
        ("due", good(), PENDING, "Due: 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, Northwind.", "nobody"),
        (
            "an old row about a product that is mapped now",
            with(|f| f.parked = Some(parked("product-not-mapped", "LS-PRO is not in [products]"))),
            PENDING,
            "Due: 2 licenses",
            "nobody",
        ),
        (
            "held by the guard",
            with(|f| f.held = Some("120 planned, 100 allowed in one run".to_owned())),
            PENDING,
            "Held by the guard: 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, Northwind waits until a person agrees",
            "operations: lockstep hold release order platform create",
        ),
        ("discarded", with(|f| f.discarded = true), FAILED, "Somebody said no", "operations"),
        ("being sent", with(|f| f.call = Some(call(IntentState::Promised, "", ""))), PENDING, "Being sent to the platform.", "nobody"),
        (
            "outcome unknown",
            with(|f| f.call = Some(call(IntentState::Unknown, "unknown-outcome", "no answer within 60 s for ABCD-EFGH-JKLM-NPQR"))),
            PENDING,
            "the answer was lost (no answer within 60 s for …NPQR). It is looked for",
            "nobody",
        ),
        (
            "refused by the platform",
            with(|f| f.parked = Some(parked("unknown_product", "Product orbit-pro does not exist."))),
            FAILED,
            "The platform refuses 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, Northwind: Product orbit-pro does not exist (unknown_product).",
            "operations: mend",
        ),
        (
            "order ambiguous",
            with(|f| f.parked = Some(parked("ambiguous", "2 platform records match: 5, 6"))),
            FAILED,
            "More than one order of the platform fits",
            "operations: leave only one",
        ),
        (
            "retried",
            with(|f| f.call = Some(call(IntentState::Dropped, "http-503", "status 503"))),
            PENDING,
            "could not be reached or asked to come back (http-503: status 503); it is tried again.",
            "nobody",
        ),
        (
            "provisioned",
            issued_order(Some(2), 2, |_| {}),
            PROVISIONED,
            "Issued as order 9 on the platform with 2 licenses, all in Salesforce.",
            "nobody",
        ),
        (
            "found",
            issued_order(None, 1, |_| {}),
            PROVISIONED,
            "Linked to order 9, which was on the platform already, with 1 license.",
            "nobody",
        ),
        ("partly", issued_order(Some(2), 1, |_| {}), PARTLY, "Issued as order 9: 1 of 2 licenses in Salesforce, 1 on the way.", "nobody"),
        (
            "partly, one refused by Salesforce",
            issued_order(Some(2), 1, |f| f.licenses.parked = Some(parked("STRING_TOO_LONG", "Note: data value too large"))),
            PARTLY,
            "one is parked: Note: data value too large (STRING_TOO_LONG).",
            "operations: mend",
        ),
        (
            "partly, held",
            issued_order(Some(2), 0, |f| f.licenses.held = Some("9 planned, 2 allowed".to_owned())),
            PARTLY,
            "held by the guard",
            "operations: lockstep hold release license salesforce create",
        ),
        (
            "a later change parked",
            issued_order(Some(2), 2, |f| f.parked = Some(parked("clash", "no"))),
            PARTLY,
            "a later change of it is parked: no (clash).",
            "operations",
        ),
        (
            "gone on the platform",
            issued_order(Some(2), 0, |f| f.link.as_mut().unwrap().state = LinkState::Buried),
            FAILED,
            "Its order 9 is gone on the platform.",
            "operations",
        ),
        ("deleted before", with(|f| f.deleted = true), None, "Deleted in Salesforce before anything was issued.", "nobody"),
    ]
}

#[test]
fn every_way_has_its_words() {
    let rules = rules();
    for (way, facts, status, message, who) in ways() {
        let told = standing(&rules, &facts);
        assert_eq!(told.status, status, "{way}: {told:?}");
        assert!(told.message.contains(message), "{way}: {}", told.message);
        assert!(told.who.starts_with(who), "{way}: {}", told.who);
        assert!(!told.next.is_empty() && told.message.ends_with('.'), "{way}: {told:?}");
    }
}

#[test]
fn the_words_do_not_move_while_nothing_does() {
    let rules = rules();
    // The guard's figures change from run to run; the sentence does not.
    let of = |reason: &str| standing(&rules, &with(|f| f.held = Some(reason.to_owned())));
    assert_eq!(of("120 planned, 100 allowed in one run"), of("121 planned after 3 in the last 24 h, 100 allowed"));
}

#[test]
fn the_first_contact_that_is_filled_counts() {
    let rules = rules();
    let order = fields(&[("License_Contact__c", Value::Null), ("BillToContactId", Value::text("003B"))]);
    assert_eq!(contact_of(&rules, &order), Some(("BillToContactId", "003B")));
    let order = fields(&[("License_Contact__c", Value::text("003L")), ("BillToContactId", Value::text("003B"))]);
    assert_eq!(contact_of(&rules, &order), Some(("License_Contact__c", "003L")));
    assert_eq!(contact_of(&rules, &Fields::new()), None);
}

#[test]
fn keys_are_hidden_and_nothing_else() {
    for (text, shown) in [
        ("key ABCD-EFGH-2345-6789 is taken", "key …6789 is taken"),
        ("(ABCD-EFGH-2345-6789)", "(…6789)"),
        (
            "2026-11-24T10:00:00Z, SF-801D000000IqhSLIAZ, LS-PRO, orbit-pro-1y",
            "2026-11-24T10:00:00Z, SF-801D000000IqhSLIAZ, LS-PRO, orbit-pro-1y",
        ),
        ("a – b", "a – b"),
    ] {
        assert_eq!(hide_keys(text), shown);
    }
}

#[test]
fn no_message_is_longer_than_the_field() {
    let facts = with(|f| f.parked = Some(parked("x", &"é".repeat(5_000))));
    assert_eq!(standing(&rules(), &facts).message.chars().count(), 2_000);
}
