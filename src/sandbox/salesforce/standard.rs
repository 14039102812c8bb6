//! The standard objects, as a table.
//!
//! `# Name prefix "Label" "Labels" flags…` starts an object, each further line is a field: `Name kind flags…`.
//!
//! | kind | |
//! |---|---|
//! | `text(n)` `area(n)` `long(n)` `email` `phone` `url` `bool` `int(n)` `num(p,s)` `cur(p,s)` `pct(p,s)` `date` `time` | as they sound |
//! | `pick(a\|b\|*c)` `rpick(…)` | open and restricted picklist, `*` marks the default |
//! | `ref(A,B)=Path/Children` | lookup; path upwards, relationship downwards |
//! | `addr(Prefix)` | the compound and its parts |
//! | `auto(ORD-{000})` `person` `sum(Child.Lookup.Field)` `nothing` | computed |
//!
//! Flags: `req` required, `ro` read only, `fix` not updateable, `name` the name field, `cascade` `restrict` `keep` on the
//! parent's deletion, `true` default.
//!
//! Object flags: `merge`, `nobin` (never in the recycle bin), `nodel` (no deletion, no `IsDeleted`), `ro` (no writes).

use super::schema::{Field, Kind, Object, OnParentDelete, Pick, Schema, Source};
use super::value::Cell;

const TABLE: &str = r#"
# Account 001 "Account" "Accounts" merge
Name text(255) req name
Type pick(Prospect|Customer - Direct|Customer - Channel|Channel Partner / Reseller|Installation Partner|Technology Partner|Other)
RecordTypeId ref(RecordType)=RecordType/ keep
ParentId ref(Account)=Parent/ChildAccounts
BillingAddress addr(Billing)
ShippingAddress addr(Shipping)
Phone phone
Fax phone
AccountNumber text(40)
Website url
Sic text(20)
SicDesc text(80)
Industry pick(Agriculture|Apparel|Banking|Biotechnology|Chemicals|Communications|Construction|Consulting|Education|Electronics|Energy|Engineering|Entertainment|Environmental|Finance|Food & Beverage|Government|Healthcare|Hospitality|Insurance|Machinery|Manufacturing|Media|Not For Profit|Other|Recreation|Retail|Shipping|Technology|Telecommunications|Transportation|Utilities)
AnnualRevenue cur(18,0)
NumberOfEmployees int(8)
Ownership pick(Public|Private|Subsidiary|Other)
TickerSymbol text(20)
Description long(32000)
Rating pick(Hot|Warm|Cold)
Site text(80)
OwnerId ref(User)=Owner/ req owner keep
AccountSource pick(Web|Phone Inquiry|Partner Referral|Purchased List|Other)
Jigsaw text(20)

# Contact 003 "Contact" "Contacts" merge
AccountId ref(Account)=Account/Contacts cascade
LastName text(80) req
FirstName text(40)
Salutation pick(Mr.|Ms.|Mrs.|Dr.|Prof.|Mx.)
Name person
OtherAddress addr(Other)
MailingAddress addr(Mailing)
Phone phone
Fax phone
MobilePhone phone
HomePhone phone
OtherPhone phone
AssistantPhone phone
ReportsToId ref(Contact)=ReportsTo/ keep
Email email
Title text(128)
Department text(80)
AssistantName text(40)
LeadSource pick(Web|Phone Inquiry|Partner Referral|Purchased List|Other)
Birthdate date
Description long(32000)
OwnerId ref(User)=Owner/ req owner keep
HasOptedOutOfEmail bool
HasOptedOutOfFax bool
DoNotCall bool
EmailBouncedReason text(255) ro
EmailBouncedDate time ro
IsEmailBounced bool ro
Jigsaw text(20)

# Order 801 "Order" "Orders"
OwnerId ref(User)=Owner/ req owner keep
ContractId ref(Contract)=Contract/Orders keep
AccountId ref(Account)=Account/Orders cascade
Pricebook2Id ref(Pricebook2)=Pricebook2/Orders keep
OriginalOrderId ref(Order)=OriginalOrder/ fix keep
EffectiveDate date req
EndDate date
IsReductionOrder bool
Status rpick(*Draft|Activated) req
Description long(32000)
CustomerAuthorizedById ref(Contact)=CustomerAuthorizedBy/
CustomerAuthorizedDate date
CompanyAuthorizedById ref(User)=CompanyAuthorizedBy/ keep
CompanyAuthorizedDate date
Type pick(New|Renewal|Add-On)
BillingAddress addr(Billing)
ShippingAddress addr(Shipping)
Name text(80)
PoDate date
PoNumber text(80)
OrderReferenceNumber text(80)
BillToContactId ref(Contact)=BillToContact/
ShipToContactId ref(Contact)=ShipToContact/
ActivatedDate time ro
ActivatedById ref(User)=ActivatedBy/ ro keep
StatusCode rpick(Draft|Activated) ro
OrderNumber auto({00000000}) name
TotalAmount sum(OrderItem.OrderId.TotalPrice)

# OrderItem 802 "Order Product" "Order Products" nobin
Product2Id ref(Product2)=Product2/OrderItems fix keep
OrderId ref(Order)=Order/OrderItems req fix cascade
PricebookEntryId ref(PricebookEntry)=PricebookEntry/OrderItems req fix keep
OriginalOrderItemId ref(OrderItem)=OriginalOrderItem/ fix keep
AvailableQuantity num(18,2) ro
Quantity num(18,2) req
UnitPrice cur(18,2) req
ListPrice cur(18,2) ro
TotalPrice cur(18,2) ro
ServiceDate date
EndDate date
Description text(255)
OrderItemNumber auto({0000000000}) name

# Product2 01t "Product" "Products"
Name text(255) req name
ProductCode text(255)
Description long(4000)
IsActive bool
Family pick(None|Software|Service|Hardware)
ExternalDataSourceId nothing
ExternalId text(255)
DisplayUrl url
QuantityUnitOfMeasure pick(Each)
IsArchived bool ro
StockKeepingUnit text(180)

# Pricebook2 01s "Price Book" "Price Books"
Name text(255) req name
IsActive bool
IsArchived bool ro
Description text(255)
IsStandard bool ro

# PricebookEntry 01u "Price Book Entry" "Price Book Entries"
Name text(255) ro name
Pricebook2Id ref(Pricebook2)=Pricebook2/PricebookEntries req fix keep
Product2Id ref(Product2)=Product2/PricebookEntries req fix cascade
UnitPrice cur(18,2) req
IsActive bool
UseStandardPrice bool
ProductCode text(255) ro
IsArchived bool ro

# Opportunity 006 "Opportunity" "Opportunities"
AccountId ref(Account)=Account/Opportunities cascade
RecordTypeId ref(RecordType)=RecordType/ keep
IsPrivate bool
Name text(120) req name
Description long(32000)
StageName pick(Prospecting|Qualification|Needs Analysis|Value Proposition|Id. Decision Makers|Perception Analysis|Proposal/Price Quote|Negotiation/Review|Closed Won|Closed Lost) req
Amount cur(18,2)
Probability pct(3,0)
ExpectedRevenue cur(18,2) ro
TotalOpportunityQuantity num(18,2)
CloseDate date req
Type pick(Existing Customer - Upgrade|Existing Customer - Replacement|Existing Customer - Downgrade|New Customer)
NextStep text(255)
LeadSource pick(Web|Phone Inquiry|Partner Referral|Purchased List|Other)
IsClosed bool ro
IsWon bool ro
Pricebook2Id ref(Pricebook2)=Pricebook2/Opportunities keep
OwnerId ref(User)=Owner/ req owner keep
ContactId ref(Contact)=Contact/Opportunities fix

# OrderStatus 0Ts "Order Status" "Order Status" nodel ro
ApiName text(255)
MasterLabel text(255) name
SortOrder int(9)
IsDefault bool
StatusCode rpick(Draft|Activated)

# Contract 800 "Contract" "Contracts"
AccountId ref(Account)=Account/Contracts req cascade
OwnerId ref(User)=Owner/ req owner keep
Status rpick(*Draft|In Approval Process|Activated) req
StatusCode rpick(Draft|InApproval|Activated) ro
StartDate date
EndDate date ro
ContractTerm int(4)
Description long(32000)
ContractNumber auto({00000000}) name

# Asset 02i "Asset" "Assets"
Name text(255) req name
AccountId ref(Account)=Account/Assets cascade
ContactId ref(Contact)=Contact/Assets
Product2Id ref(Product2)=Product2/Assets keep
ParentId ref(Asset)=Parent/ChildAssets
SerialNumber text(80)
Status pick(Shipped|Installed|Registered|Obsolete|Purchased)
InstallDate date
PurchaseDate date
UsageEndDate date
Quantity num(10,2)
Price cur(18,0)
Description long(32000)
OwnerId ref(User)=Owner/ req owner keep

# Task 00T "Task" "Tasks"
WhoId ref(Contact)=Who/Tasks
WhatId ref(Account,Order,Opportunity,Asset,Contract,Product2)=What/Tasks cascade
Subject text(255) name
ActivityDate date
Status pick(*Not Started|In Progress|Completed|Waiting on someone else|Deferred) req
Priority pick(High|*Normal|Low) req
OwnerId ref(User)=Owner/ req owner keep
Description long(32000)
IsClosed bool ro
CompletedDateTime time ro
IsRecurrence bool fix
IsReminderSet bool
ReminderDateTime time
IsArchived bool ro
AccountId ref(Account)=Account/ ro keep
CallDurationInSeconds int(8)
CallType pick(Internal|Inbound|Outbound)
TaskSubtype pick(*Task|Email|Call) fix

# Event 00U "Event" "Events"
WhoId ref(Contact)=Who/Events
WhatId ref(Account,Order,Opportunity,Asset,Contract,Product2)=What/Events cascade
Subject text(255) name
Location text(255)
IsAllDayEvent bool
ActivityDateTime time
ActivityDate date
DurationInMinutes int(8)
StartDateTime time
EndDateTime time
Description long(32000)
AccountId ref(Account)=Account/ ro keep
OwnerId ref(User)=Owner/ req owner keep
IsPrivate bool
ShowAs pick(*Busy|OutOfOffice|Free)
IsRecurrence bool fix
IsReminderSet bool
ReminderDateTime time
IsArchived bool ro

# User 005 "User" "Users" nodel
Username text(80) req
LastName text(80) req
FirstName text(40)
Name person
CompanyName text(80)
Division text(80)
Department text(80)
Title text(80)
Email email req
Phone phone
MobilePhone phone
Alias text(8)
CommunityNickname text(40)
IsActive bool true
TimeZoneSidKey text(40)
LocaleSidKey text(40)
LanguageLocaleKey text(40)
EmailEncodingKey text(40)
UserType pick(*Standard|Guest)
ProfileId ref(Profile)=Profile/Users keep
UserRoleId nothing

# Profile 00e "Profile" "Profile" nodel ro
Name text(255) name
UserType text(40)

# Organization 00D "Organization" "Organization" nodel ro
Name text(80) name
InstanceName text(5)
IsSandbox bool
OrganizationType pick(Developer Edition|Enterprise Edition|Unlimited Edition)
TrialExpirationDate time
NamespacePrefix text(15)
LanguageLocaleKey text(40)
DefaultLocaleSidKey text(40)
TimeZoneSidKey text(40)
PrimaryContact text(80)
Country text(80)

# RecordType 012 "Record Type" "Record Types" nodel ro
Name text(80) name
DeveloperName text(80)
NamespacePrefix text(15)
Description text(255)
SobjectType text(40)
IsActive bool true
"#;

/// The standard objects, not yet connected.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = Schema::default();
    let mut current: Option<Object> = None;
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        if let Some(head) = line.strip_prefix("# ") {
            if let Some(done) = current.take() {
                schema.push(finished(done));
            }
            current = Some(object(head));
        } else if let Some(object) = &mut current {
            add_fields(object, line);
        }
    }
    if let Some(done) = current {
        schema.push(finished(done));
    }
    schema
}

fn object(head: &str) -> Object {
    let mut quoted = head.split('"');
    let mut words = quoted.next().unwrap_or_default().split_whitespace();
    let (name, prefix) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let label = quoted.next().unwrap_or_default();
    let plural = quoted.nth(1).unwrap_or_default();
    let mut object = Object::new(name, label, plural, prefix);
    object.push(Field { label: format!("{label} ID"), length: 18, source: Source::Id, ..Field::new("Id", Kind::Id).read_only() });
    for flag in quoted.next().unwrap_or_default().split_whitespace() {
        match flag {
            "merge" => object.mergeable = true,
            "nobin" => object.bin = false,
            "nodel" => {
                object.deletable = false;
                object.bin = false;
            }
            "ro" => object.writable = false,
            _ => {}
        }
    }
    if object.deletable {
        object.push(Field { source: Source::IsDeleted, label: "Deleted".to_owned(), ..Field::new("IsDeleted", Kind::Boolean).read_only() });
    }
    if object.mergeable {
        object.push(lookup("MasterRecordId", Source::Master, &object.name.clone(), "MasterRecord"));
    }
    object
}

/// Adds what every object has at its end.
pub(super) fn finished(mut object: Object) -> Object {
    let time = |name: &str, source| Field { source, ..Field::new(name, Kind::DateTime).read_only() };
    object.push(time("CreatedDate", Source::Created));
    object.push(lookup("CreatedById", Source::CreatedBy, "User", "CreatedBy"));
    object.push(time("LastModifiedDate", Source::Modified));
    object.push(lookup("LastModifiedById", Source::ModifiedBy, "User", "LastModifiedBy"));
    object.push(time("SystemModstamp", Source::Stamp));
    if object.deletable && object.bin {
        object.push(Field { source: Source::Nothing, ..Field::new("LastActivityDate", Kind::Date).read_only() });
        object.push(time("LastViewedDate", Source::Nothing));
        object.push(time("LastReferencedDate", Source::Nothing));
    }
    object
}

fn lookup(name: &str, source: Source, target: &str, path: &str) -> Field {
    Field {
        source,
        length: 18,
        refers: vec![target.to_owned()],
        relationship: Some(path.to_owned()),
        on_parent_delete: OnParentDelete::Keep,
        ..Field::new(name, Kind::Reference).read_only()
    }
}

/// The fields a custom object starts with.
pub(super) fn custom_object(name: &str, label: &str, plural: &str, prefix: &str) -> Object {
    let mut object = object(&format!("{name} {prefix} \"{label}\" \"{plural}\""));
    object.custom = true;
    object.push(Field {
        label: "Owner ID".to_owned(),
        required: true,
        createable: true,
        updateable: true,
        ..lookup("OwnerId", Source::Stored, "User", "Owner")
    });
    object
}

fn add_fields(object: &mut Object, line: &str) {
    // Picklist values contain blanks: the kind ends at its closing parenthesis.
    let Some((name, rest)) = line.split_once(' ') else {
        return;
    };
    let (kind, arguments, rest) = match rest.find('(') {
        Some(open) if !rest[..open].contains(' ') => {
            let close = rest.rfind(')').unwrap_or(rest.len());
            (&rest[..open], &rest[open + 1..close], rest.get(close + 1..).unwrap_or_default())
        }
        _ => {
            let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            (kind, "", rest)
        }
    };
    if kind == "addr" {
        add_address(object, name, arguments);
        return;
    }
    let mut field = of_kind(name, kind, arguments);
    for flag in rest.split_whitespace() {
        set_flag(&mut field, flag);
    }
    object.push(field);
}

fn of_kind(name: &str, kind: &str, arguments: &str) -> Field {
    let numbers: Vec<u32> = arguments.split(',').filter_map(|number| number.parse().ok()).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let sized = |kind, length| Field { length, ..Field::new(name, kind) };
    let number = |kind| Field { precision: first, scale: numbers.get(1).copied().unwrap_or(0), ..Field::new(name, kind) };
    match kind {
        "text" => sized(Kind::Text, first),
        "area" => sized(Kind::TextArea, first),
        "long" => sized(Kind::LongText, first),
        "email" => sized(Kind::Email, 80),
        "phone" => sized(Kind::Phone, 40),
        "url" => sized(Kind::Url, 255),
        "bool" => Field { default: Some(Cell::Bool(false)), required: true, ..Field::new(name, Kind::Boolean) },
        "int" => Field { precision: first, ..Field::new(name, Kind::Int) },
        "num" => number(Kind::Double),
        "cur" => number(Kind::Currency),
        "pct" => number(Kind::Percent),
        "date" => Field::new(name, Kind::Date),
        "time" => Field::new(name, Kind::DateTime),
        "pick" | "rpick" => picklist(name, arguments, kind == "rpick"),
        "ref" => Field { length: 18, refers: arguments.split(',').map(str::to_owned).collect(), ..Field::new(name, Kind::Reference) },
        "person" => Field { length: 121, name_field: true, source: Source::PersonName, ..Field::new(name, Kind::Text).read_only() },
        "auto" => Field { length: 30, source: Source::AutoNumber(arguments.to_owned()), ..Field::new(name, Kind::Text).read_only() },
        "sum" => {
            let mut path = arguments.split('.').map(str::to_owned);
            let mut next = || path.next().unwrap_or_default();
            let source = Source::Sum { child: next(), lookup: next(), field: next() };
            Field { precision: 18, scale: 2, source, ..Field::new(name, Kind::Currency).read_only() }
        }
        _ => Field { length: 18, source: Source::Nothing, ..Field::new(name, Kind::Text).read_only() },
    }
}

fn picklist(name: &str, values: &str, restricted: bool) -> Field {
    let pick = |value: &str| {
        let plain = value.trim_start_matches('*');
        Pick { value: plain.to_owned(), label: plain.to_owned(), active: true, default: plain != value }
    };
    let picklist: Vec<Pick> = values.split('|').map(pick).collect();
    let default = picklist.iter().find(|pick| pick.default).map(|pick| Cell::Text(pick.value.as_str().into()));
    Field { length: 255, picklist, restricted, default, ..Field::new(name, Kind::Picklist) }
}

fn set_flag(field: &mut Field, flag: &str) {
    match flag {
        "req" => field.required = true,
        "ro" => {
            field.createable = false;
            field.updateable = false;
        }
        "fix" => field.updateable = false,
        "name" => field.name_field = true,
        "true" => field.default = Some(Cell::Bool(true)),
        "cascade" => field.on_parent_delete = OnParentDelete::Cascade,
        "restrict" => field.on_parent_delete = OnParentDelete::Restrict,
        "keep" => field.on_parent_delete = OnParentDelete::Keep,
        _ => {
            if let Some((path, children)) = flag.strip_prefix('=').and_then(|paths| paths.split_once('/')) {
                field.relationship = Some(path.to_owned());
                field.child_relationship = Some(children.to_owned()).filter(|children| !children.is_empty());
            }
        }
    }
}

fn add_address(object: &mut Object, name: &str, prefix: &str) {
    let mut part = |suffix: &str, kind: Kind, length: u32| {
        let mut field = Field { length, compound: Some(name.to_owned()), ..Field::new(&format!("{prefix}{suffix}"), kind) };
        if kind == Kind::Double {
            (field.precision, field.scale) = (18, 15);
        }
        object.push(field);
    };
    part("Street", Kind::TextArea, 255);
    part("City", Kind::Text, 40);
    part("State", Kind::Text, 80);
    part("PostalCode", Kind::Text, 20);
    part("Country", Kind::Text, 80);
    part("Latitude", Kind::Double, 0);
    part("Longitude", Kind::Double, 0);
    object.push(Field { source: Source::Address(prefix.to_owned()), ..Field::new(name, Kind::Address).read_only() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_as_it_stands() {
        let mut schema = schema();
        schema.connect();
        let account = schema.named("account").expect("in the table");
        assert_eq!(account.named("Name").map(|field| (field.length, field.required, field.name_field)), Some((255, true, true)));
        assert_eq!(account.named("Industry").map(|field| field.picklist.len()), Some(32));
        assert_eq!(account.named("BillingCity").and_then(|field| field.compound.as_deref()), Some("BillingAddress"));
        assert!(account.children.iter().any(|child| child.relationship.as_deref() == Some("Contacts")));
        let order = schema.named("Order").expect("in the table");
        let status = order.named("Status").expect("in the table");
        assert!(status.restricted && status.default == Some(Cell::Text("Draft".into())));
        let item = schema.named("OrderItem").expect("in the table");
        assert!(!item.bin && item.deletable);
        let stage = schema.named("Opportunity").and_then(|object| object.named("StageName")).expect("in the table");
        assert!(stage.required && stage.picklist.iter().any(|pick| pick.value == "Proposal/Price Quote"));
        for object in &schema.objects {
            assert!(object.name_field().is_some(), "{} has no name", object.name);
            for field in &object.fields {
                assert_eq!(field.targets.len(), field.refers.len(), "{}.{}", object.name, field.name);
            }
        }
    }
}
