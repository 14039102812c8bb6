//! What is known of an org without asking it. Open: custom objects and fields exist that are not named here.

use crate::connectors::{Catalogue, DeleteFeed, Feed, FieldSpec, ResourceSpec};
use crate::record::{FieldType, LOCKSTEP_ID};

/// Text of at most so many characters.
const fn text(max: u32) -> FieldType {
    FieldType::Text { max: Some(max), blank_is_null: true }
}

fn to(object: &str) -> FieldType {
    FieldType::Reference { to: object.to_owned() }
}

fn writable(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { name, ty, create: true, update: true, required: false, secret: false }
}

fn required(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { required: true, ..writable(name, ty) }
}

fn shown(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { create: false, update: false, ..writable(name, ty) }
}

fn resource(name: &'static str, planted: bool, fields: Vec<FieldSpec>) -> ResourceSpec {
    let mut fields = fields;
    fields.push(shown("CreatedDate", FieldType::Instant));
    fields.push(shown("LastModifiedDate", FieldType::Instant));
    if planted {
        fields.push(writable(LOCKSTEP_ID, text(80)));
    }
    ResourceSpec {
        name,
        fields,
        planted: planted.then_some(LOCKSTEP_ID),
        feed: Feed::Since,
        deletes: DeleteFeed::Reported,
        can_create: true,
        can_update: true,
        can_delete: true,
        stamped: true,
        free_prefix: None,
    }
}

/// Sources: Object Reference v65.0 for the standard objects; `salesforce/` of this project for the custom ones.
#[must_use]
pub fn catalogue() -> Catalogue {
    let email = || FieldType::Email { max: Some(80), blank_is_null: true };
    let money = || FieldType::Decimal { scale: 2 };
    let mut account = vec![required("Name", text(255)), writable("ParentId", to("Account")), shown("Owner.Name", FieldType::text())];
    for (name, max) in
        [("AccountNumber", 40), ("Type", 255), ("Industry", 255), ("Phone", 40), ("Fax", 40), ("Website", 255), ("Description", 32_000)]
    {
        account.push(writable(name, text(max)));
    }
    for (name, max) in [
        ("BillingStreet", 255),
        ("BillingCity", 40),
        ("BillingState", 80),
        ("BillingPostalCode", 20),
        ("BillingCountry", 80),
        ("ShippingStreet", 255),
        ("ShippingCity", 40),
        ("ShippingState", 80),
        ("ShippingPostalCode", 20),
        ("ShippingCountry", 80),
    ] {
        account.push(writable(name, text(max)));
    }
    account.extend([writable("Licenses_Sold__c", FieldType::Integer), writable("Licenses_Active__c", FieldType::Integer)]);

    let mut contact = vec![
        required("LastName", text(80)),
        shown("Name", text(121)),
        writable("AccountId", to("Account")),
        shown("Account.Name", FieldType::text()),
        writable("Email", email()),
        writable("ReportsToId", to("Contact")),
        writable("HasOptedOutOfEmail", FieldType::Boolean),
    ];
    for (name, max) in [
        ("FirstName", 40),
        ("Salutation", 40),
        ("Title", 128),
        ("Department", 80),
        ("Phone", 40),
        ("MobilePhone", 40),
        ("Fax", 40),
        ("LeadSource", 255),
        ("Description", 32_000),
        ("MailingStreet", 255),
        ("MailingCity", 40),
        ("MailingState", 80),
        ("MailingPostalCode", 20),
        ("MailingCountry", 80),
    ] {
        contact.push(writable(name, text(max)));
    }

    let mut order = vec![
        required("AccountId", to("Account")),
        required("EffectiveDate", FieldType::Date),
        required("Status", text(255)),
        shown("StatusCode", text(255)),
        shown("OrderNumber", text(30)),
        shown("ActivatedDate", FieldType::Instant),
        shown("TotalAmount", money()),
        shown("Account.Name", FieldType::text()),
        shown(super::orders::LINES, FieldType::Rows),
        writable("Pricebook2Id", to("Pricebook2")),
        writable("EndDate", FieldType::Date),
        writable("Licenses_Sold__c", FieldType::Integer),
        writable("Licenses_Active__c", FieldType::Integer),
        writable("Last_Activation__c", FieldType::Instant),
    ];
    for name in ["BillToContactId", "ShipToContactId", "CustomerAuthorizedById", "License_Contact__c"] {
        order.push(writable(name, to("Contact")));
    }
    for (name, max) in [
        ("Name", 80),
        ("PoNumber", 80),
        ("OrderReferenceNumber", 80),
        ("Type", 255),
        ("Description", 32_000),
        ("License_Message__c", 2_000),
        ("License_Preview__c", 2_000),
        ("License_Platform_Id__c", 64),
        ("License_Status__c", 255),
    ] {
        order.push(writable(name, text(max)));
    }

    let mut license = vec![
        shown("Name", text(80)),
        writable("Account__c", to("Account")),
        writable("Contact__c", to("Contact")),
        writable("Order__c", to("Order")),
        writable("Enabled__c", FieldType::Boolean),
        writable("Reset_Requested__c", FieldType::Boolean),
        writable("Activations__c", FieldType::Integer),
        writable("Max_Activations__c", FieldType::Integer),
        writable("Last_Check__c", FieldType::Instant),
        writable("Last_Activation__c", FieldType::Instant),
        writable("Reset_At__c", FieldType::Instant),
        writable("Reset_Count__c", FieldType::Integer),
        writable("Max_Consumption__c", FieldType::Integer),
        writable("Total_Consumption__c", FieldType::Integer),
        writable("Valid_Until__c", FieldType::Date),
        FieldSpec { secret: true, ..writable("License_Key__c", text(255)) },
    ];
    for (name, max) in [
        ("Note__c", 32_000),
        ("Order_Line__c", 40),
        ("Platform_Id__c", 64),
        ("Platform_Url__c", 255),
        ("Policy__c", 255),
        ("Product__c", 255),
        ("Reset_Outcome__c", 255),
        ("State__c", 80),
        ("Subscription_Id__c", 255),
        ("Type__c", 40),
    ] {
        license.push(writable(name, text(max)));
    }

    let feature = vec![
        shown("Name", text(80)),
        writable("License__c", to("License__c")),
        writable("Code__c", text(100)),
        writable("Label__c", text(255)),
        writable("Feature_Type__c", text(40)),
        writable("Expiry_Date__c", FieldType::Date),
        writable("Max_Consumption__c", FieldType::Integer),
        writable("Total_Consumption__c", FieldType::Integer),
    ];
    // An order is born in Salesforce and nowhere else.
    let order = ResourceSpec { can_create: false, can_delete: false, ..resource("Order", false, order) };
    let resources = vec![
        resource("Account", true, account),
        resource("Contact", true, contact),
        order,
        resource("License__c", true, license),
        resource("License_Feature__c", true, feature),
    ];
    Catalogue { name: "salesforce", resources, open: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_name_and_stands_once() {
        for resource in catalogue().resources {
            let mut seen = std::collections::BTreeSet::new();
            for field in &resource.fields {
                assert!(super::super::soql::name(field.name).is_ok(), "{}.{}", resource.name, field.name);
                assert!(seen.insert(field.name), "{}.{} twice", resource.name, field.name);
            }
        }
    }
}
