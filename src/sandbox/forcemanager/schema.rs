//! The resources and their fields: names, kinds, lengths, what a create needs.
//!
//! Plain tables after the reference. What every record carries without being written (`id`, the three dates, the three
//! users) is in [`COMPUTED`]; extra fields are not here but in `extra`. It knows no row and no rule.

/// A resource. The order is the order of `/__control/state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    Account,
    Contact,
    Opportunity,
    Activity,
    Calendar,
    User,
    SalesOrder,
    SalesOrderLine,
    Product,
    AccountType,
    AccountStatus,
    AccountSegment,
    ContactType,
    OpportunityType,
    OpportunityStatus,
    ActivityType,
    SalesOrderStatus,
    Branch,
    Country,
    Currency,
    Timezone,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At most so many characters.
    Text(usize),
    /// A whole number in this range.
    Int(i64, i64),
    Number,
    Flag,
    /// An instant, kept in milliseconds since 1970.
    Stamp,
    /// A day without a zone, `yy/MM/dd` on the wire, kept as `yyyy-MM-dd`.
    Day,
    /// `HH:mm` without a zone.
    Hour,
    /// The id of a row.
    Link(Object),
    /// Ids of rows.
    Links(Object),
    /// One of an extra field's choices.
    Choice,
    /// Some of an extra field's choices.
    Choices,
}

/// A field of the vendor's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// A create without it is refused, and it cannot be cleared.
    pub required: bool,
}

/// On every record, never written.
pub const COMPUTED: [&str; 8] =
    ["id", "dateCreated", "dateUpdated", "dateDeleted", "deleted", "salesRepIdCreated", "salesRepIdUpdated", "salesRepIdDeleted"];

/// The languages of value lists.
pub const LANGUAGES: [&str; 3] = ["EN", "ES", "IT"];

/// Length of texts for which the vendor publishes none.
const LINE: usize = 255;
const COMMENT: usize = 6_000;
const ADDRESS: usize = 180;
const CITY: usize = 200;

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

const fn line(name: &'static str) -> Field {
    may(name, Kind::Text(LINE))
}

const fn flag(name: &'static str) -> Field {
    may(name, Kind::Flag)
}

const fn number(name: &'static str) -> Field {
    may(name, Kind::Number)
}

const fn whole(name: &'static str) -> Field {
    may(name, Kind::Int(0, i32::MAX as i64))
}

const fn link(name: &'static str, to: Object) -> Field {
    may(name, Kind::Link(to))
}

const SYSTEM: &[Field] = &[line("extId"), may("permissionLevel", Kind::Int(1, 5)), flag("readOnly")];

const ACCOUNT: &[Field] = &[
    must("name", Kind::Text(LINE)),
    must("branchId", Kind::Link(Object::Branch)),
    must("salesRepId1", Kind::Link(Object::User)),
    link("salesRepId2", Object::User),
    link("salesRepId3", Object::User),
    link("salesRepId4", Object::User),
    link("salesRepId5", Object::User),
    link("statusId", Object::AccountStatus),
    link("typeId", Object::AccountType),
    link("segmentId", Object::AccountSegment),
    whole("rateId"),
    line("vatNumber"),
    line("phone"),
    line("phone2"),
    line("phone3"),
    line("fax"),
    line("email"),
    line("website"),
    may("comment", Kind::Text(COMMENT)),
    may("address1", Kind::Text(ADDRESS)),
    may("address2", Kind::Text(ADDRESS)),
    may("city", Kind::Text(CITY)),
    line("postcode"),
    line("region"),
    link("countryId", Object::Country),
    number("latitude"),
    number("longitude"),
    flag("geocoded"),
    whole("geocodingAccuracy"),
    flag("public"),
];

const CONTACT: &[Field] = &[
    must("firstName", Kind::Text(LINE)),
    must("lastName", Kind::Text(LINE)),
    must("accountId", Kind::Link(Object::Account)),
    must("salesRepId", Kind::Link(Object::User)),
    link("typeId", Object::ContactType),
    line("phone1"),
    line("phone2"),
    line("fax"),
    line("email"),
    line("email2"),
    line("email3"),
    may("address1", Kind::Text(ADDRESS)),
    may("city", Kind::Text(CITY)),
    line("postcode"),
    line("region"),
    link("countryId", Object::Country),
    may("birthday", Kind::Stamp),
    line("linkedin"),
    line("skype"),
    flag("useCompanyAddress"),
    may("gender", Kind::Int(0, 1)),
    flag("marketingCommunications"),
    may("comment", Kind::Text(COMMENT)),
];

const OPPORTUNITY: &[Field] = &[
    must("reference", Kind::Text(LINE)),
    must("branchId", Kind::Link(Object::Branch)),
    must("salesRepId", Kind::Link(Object::User)),
    must("statusId", Kind::Link(Object::OpportunityStatus)),
    must("salesProbability", Kind::Int(0, 10)),
    link("typeId", Object::OpportunityType),
    number("total"),
    link("currencyId", Object::Currency),
    link("accountId1", Object::Account),
    link("accountId2", Object::Account),
    link("accountId3", Object::Account),
    may("salesForecastDate", Kind::Stamp),
    may("comments", Kind::Text(COMMENT)),
    may("closedDate", Kind::Stamp),
    may("wonDate", Kind::Stamp),
    may("lostDate", Kind::Stamp),
    may("address1", Kind::Text(ADDRESS)),
    may("address2", Kind::Text(ADDRESS)),
    may("city", Kind::Text(CITY)),
    line("postcode"),
    line("region"),
    link("countryId", Object::Country),
];

const ACTIVITY: &[Field] = &[
    must("accountId", Kind::Link(Object::Account)),
    must("typeId", Kind::Link(Object::ActivityType)),
    must("salesRepId", Kind::Link(Object::User)),
    must("date", Kind::Stamp),
    link("contactId", Object::Contact),
    link("opportunityId", Object::Opportunity),
    may("comment", Kind::Text(COMMENT)),
    flag("checkin"),
    whole("checkinTypeId"),
    may("checkoutDate", Kind::Stamp),
    number("latitude"),
    number("longitude"),
    flag("geocoded"),
    whole("geocodingAccuracy"),
];

const CALENDAR: &[Field] = &[
    line("subject"),
    may("comment", Kind::Text(COMMENT)),
    link("accountId", Object::Account),
    link("contactId", Object::Contact),
    link("opportunityId", Object::Opportunity),
    link("typeId", Object::ActivityType),
    link("branchId", Object::Branch),
    link("salesRepId", Object::User),
    may("startDate", Kind::Day),
    may("startHour", Kind::Hour),
    may("endDate", Kind::Day),
    may("endHour", Kind::Hour),
    flag("allDay"),
    flag("sendNotification"),
    flag("task"),
    flag("completed"),
    may("city", Kind::Text(CITY)),
    whole("reminder"),
];

const USER: &[Field] = &[
    must("name", Kind::Text(LINE)),
    line("lastName"),
    line("email"),
    line("nic"),
    flag("isActive"),
    flag("billable"),
    whole("level"),
    link("managerId", Object::User),
    may("branches", Kind::Links(Object::Branch)),
    whole("userTypeId"),
    line("locale"),
];

const SALES_ORDER: &[Field] = &[
    line("reference"),
    whole("number"),
    whole("year"),
    must("statusId", Kind::Link(Object::SalesOrderStatus)),
    number("total"),
    number("discount1"),
    number("discount2"),
    number("discount3"),
    number("discount4"),
    link("currencyId", Object::Currency),
    link("accountId", Object::Account),
    link("contactId", Object::Contact),
    link("opportunityId", Object::Opportunity),
    link("salesRepId", Object::User),
    link("branchId", Object::Branch),
    may("closedDate", Kind::Stamp),
    may("comment", Kind::Text(COMMENT)),
    may("internalComment", Kind::Text(COMMENT)),
    flag("archived"),
    flag("blocked"),
    link("mainSalesorder", Object::SalesOrder),
];

const SALES_ORDER_LINE: &[Field] = &[
    line("description"),
    link("productId", Object::Product),
    number("quantity"),
    number("price"),
    number("total"),
    number("discount1"),
    number("discount2"),
    number("discount3"),
    number("discount4"),
    link("salesOrderId", Object::SalesOrder),
    whole("order"),
];

const PRODUCT: &[Field] = &[must("model", Kind::Text(LINE)), may("description", Kind::Text(COMMENT)), number("price")];

const VALUE_LIST: &[Field] = &[must("descriptionEN", Kind::Text(LINE)), line("descriptionES"), line("descriptionIT")];
const BRANCH: &[Field] =
    &[must("descriptionEN", Kind::Text(LINE)), line("descriptionES"), line("descriptionIT"), link("timeZoneId", Object::Timezone)];
const COUNTRY: &[Field] =
    &[must("descriptionEN", Kind::Text(LINE)), line("descriptionES"), line("descriptionIT"), may("iso2", Kind::Text(2))];
const CURRENCY: &[Field] =
    &[must("descriptionEN", Kind::Text(LINE)), line("descriptionES"), line("descriptionIT"), may("isoCode", Kind::Text(3))];
const TIMEZONE: &[Field] = &[must("descriptionEN", Kind::Text(LINE)), line("descriptionES"), line("descriptionIT"), line("idIanaZone")];

impl Object {
    pub const ALL: [Object; 21] = [
        Object::Account,
        Object::Contact,
        Object::Opportunity,
        Object::Activity,
        Object::Calendar,
        Object::User,
        Object::SalesOrder,
        Object::SalesOrderLine,
        Object::Product,
        Object::AccountType,
        Object::AccountStatus,
        Object::AccountSegment,
        Object::ContactType,
        Object::OpportunityType,
        Object::OpportunityStatus,
        Object::ActivityType,
        Object::SalesOrderStatus,
        Object::Branch,
        Object::Country,
        Object::Currency,
        Object::Timezone,
    ];

    /// As control routes call it, and as the vendor's paths do (their spelling is irregular).
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Object::Account => ("account", "accounts"),
            Object::Contact => ("contact", "contacts"),
            Object::Opportunity => ("opportunity", "opportunities"),
            Object::Activity => ("activity", "activities"),
            Object::Calendar => ("calendar", "calendar"),
            Object::User => ("user", "users"),
            Object::SalesOrder => ("salesorder", "salesorders"),
            Object::SalesOrderLine => ("salesorder_line", "salesordersLines"),
            Object::Product => ("product", "products"),
            Object::AccountType => ("account_type", "accountTypes"),
            Object::AccountStatus => ("account_status", "accountStatuses"),
            Object::AccountSegment => ("account_segment", "accountSegments"),
            Object::ContactType => ("contact_type", "contactTypes"),
            Object::OpportunityType => ("opportunity_type", "opportunityTypes"),
            Object::OpportunityStatus => ("opportunity_status", "opportunityStatuses"),
            Object::ActivityType => ("activity_type", "activityTypes"),
            Object::SalesOrderStatus => ("salesorder_status", "salesorderStatuses"),
            Object::Branch => ("branch", "branches"),
            Object::Country => ("country", "countries"),
            Object::Currency => ("currency", "currencies"),
            Object::Timezone => ("timezone", "timezones"),
        }
    }

    pub fn name(self) -> &'static str {
        self.names().0
    }

    pub fn path(self) -> &'static str {
        self.names().1
    }

    pub fn parse(name: &str) -> Option<Object> {
        Object::ALL.into_iter().find(|object| object.name() == name)
    }

    /// By the first part of a path; case counts.
    pub fn at(path: &str) -> Option<Object> {
        Object::ALL.into_iter().find(|object| object.path() == path)
    }

    /// By what calls about fields name it: `accounts` or `account`, in any case.
    pub fn of_entity(entity: &str) -> Option<Object> {
        Object::ALL.into_iter().find(|object| entity.eq_ignore_ascii_case(object.path()) || entity.eq_ignore_ascii_case(object.name()))
    }

    pub fn is_value_list(self) -> bool {
        self >= Object::AccountType
    }

    /// Whether an API key may write it: users cost a seat, lists are the administrator's.
    pub fn is_writable(self) -> bool {
        self != Object::User && !self.is_value_list()
    }

    pub fn takes_extra_fields(self) -> bool {
        !self.is_value_list() && self != Object::SalesOrderLine
    }

    fn has_ext_id(self) -> bool {
        !self.is_value_list() && !matches!(self, Object::SalesOrderLine | Object::Product)
    }

    fn own(self) -> &'static [Field] {
        match self {
            Object::Account => ACCOUNT,
            Object::Contact => CONTACT,
            Object::Opportunity => OPPORTUNITY,
            Object::Activity => ACTIVITY,
            Object::Calendar => CALENDAR,
            Object::User => USER,
            Object::SalesOrder => SALES_ORDER,
            Object::SalesOrderLine => SALES_ORDER_LINE,
            Object::Product => PRODUCT,
            Object::Branch => BRANCH,
            Object::Country => COUNTRY,
            Object::Currency => CURRENCY,
            Object::Timezone => TIMEZONE,
            Object::AccountType
            | Object::AccountStatus
            | Object::AccountSegment
            | Object::ContactType
            | Object::OpportunityType
            | Object::OpportunityStatus
            | Object::ActivityType
            | Object::SalesOrderStatus => VALUE_LIST,
        }
    }

    /// Fields that are stored, the vendor's own.
    pub fn fields(self) -> impl Iterator<Item = &'static Field> {
        let system = if self.is_value_list() { &[] } else { SYSTEM };
        self.own().iter().chain(system.iter().filter(move |field| field.name != "extId" || self.has_ext_id()))
    }

    /// By name in any case: the vendor's own pages drift between `completed` and `Completed`. An opportunity's type has two
    /// names.
    pub fn field(self, name: &str) -> Option<&'static Field> {
        let name = if self == Object::Opportunity && name == "type_id" { "typeId" } else { name };
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// What a reference to such a row shows beside the id.
    pub fn title(self) -> &'static [&'static str] {
        match self {
            Object::Account => &["name"],
            Object::Contact => &["firstName", "lastName"],
            Object::User => &["name", "lastName"],
            Object::Opportunity | Object::SalesOrder => &["reference"],
            Object::Product => &["model"],
            Object::Calendar => &["subject"],
            Object::Activity => &["comment"],
            Object::SalesOrderLine => &["description"],
            _ => &["descriptionEN"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_object_is_found_by_name_and_by_path_and_field_names_are_unique() {
        for object in Object::ALL {
            assert_eq!(Object::parse(object.name()), Some(object));
            assert_eq!(Object::at(object.path()), Some(object));
            let names: Vec<String> = object.fields().map(|field| field.name.to_lowercase()).collect();
            let distinct: BTreeSet<&String> = names.iter().collect();
            assert_eq!(names.len(), distinct.len(), "{object:?}");
            assert!(COMPUTED.iter().all(|name| object.field(name).is_none()), "{object:?}");
        }
        assert_eq!(Object::at("salesOrdersLines"), None);
    }

    #[test]
    fn a_field_is_found_in_any_case_and_a_type_under_two_names() {
        assert_eq!(Object::Calendar.field("Completed").map(|field| field.name), Some("completed"));
        assert_eq!(Object::Opportunity.field("type_id").map(|field| field.name), Some("typeId"));
        assert_eq!(Object::Contact.field("type_id"), None);
        assert_eq!(Object::Product.field("extId"), None);
    }
}
