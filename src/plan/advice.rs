//! What a person can do about a parked record: one sentence for each code. Our own codes are all here; of the vendors' the
//! common ones, and one sentence for the rest.

/// What is known of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What a person can do.
    pub act: &'static str,
    /// What is waited for besides the next try; blank where time alone may help.
    pub waits_for: &'static str,
}

/// For a code that is not in the table: a vendor's, or a newer build's.
pub const FALLBACK: Advice =
    Advice { act: "mend what the message says in the record or in the rules, then `lockstep retry`", waits_for: "a change of the record" };

/// Code, what to do, what is waited for.
const TABLE: &[(&str, &str, &str)] = &[
    // ── ours: matching ──
    ("ambiguous", "merge the records on the platform, or write the Salesforce id into the right one", "one match instead of several"),
    (
        "survivor-not-seen",
        "look at the record it was merged into: restore it, or delete the partner on the platform",
        "the surviving record",
    ),
    ("contested", "find out which of the two pairs is right and correct the planted id of the other", "one claim instead of two"),
    ("filter", "correct the filter in the rules, or the field it looks at", "a filter that can be judged"),
    ("several-by-key", "delete or merge the records with the same external id in Salesforce", "one record with its key"),
    // ── ours: values ──
    ("too-long", "shorten the value, or make the field longer on the other side", "a shorter value, or a longer field"),
    ("value-does-not-fit", "correct the value, or extend the map of values in the rules", "a value that fits"),
    ("does-not-fit", "correct the value so that it fits the type of the field", "a value that fits"),
    ("required-missing", "fill the field in Salesforce", "the missing field"),
    (
        "metadata-shape",
        "correct the metadata of the record on the platform, which must be an object of texts",
        "metadata that can be written",
    ),
    ("metadata-not-kept", "ask the platform's support why the metadata is not kept", "metadata that is kept"),
    ("unknown-word", "add the entry to the platform's list, or map the word in the rules", "an entry that is there"),
    ("ambiguous-word", "rename one of the entries of that name in the platform's list", "one entry of that name"),
    ("foreign-link", "clear the field that carries the Salesforce id on the platform, if nobody else uses it", "a link that is ours"),
    ("referred-to", "delete the records that refer to it on the platform, or let them name another", "nothing that refers to it"),
    ("not-searchable", "take the special characters out of the value, or match by another field", "a value that can be looked for"),
    ("read-only", "take the object's writes out of the rules: it can only be read there", "other rules"),
    ("bad-value", "correct the value that the message names", "a value that fits"),
    // ── ours: fields and resources ──
    ("no-such-field", "correct the field's name in the rules: `lockstep check --online`", "rules that name a field that is there"),
    ("no-such-resource", "correct the resource's name in the rules: `lockstep check --online`", "rules that name a resource that is there"),
    ("unknown-field", "create the field or let our user read it: `lockstep check --online` says which", "a field our user may read"),
    ("unknown-object", "create the object or let our user see it: `lockstep check --online`", "an object our user may see"),
    ("not-writable", "let our user edit the field, or map it `to-salesforce` only", "a field our user may edit"),
    ("field-not-writable", "let our user edit the field, or map it one way only", "a field our user may edit"),
    ("not-supported", "take the field or the object out of the rules: the side cannot do this", "other rules"),
    ("bad-id", "correct the id in the rules or in the record", "an id that is one"),
    ("no-id", "retry once; if it stays, report it with the log of the run", "nothing: this is not expected"),
    ("no-key", "give the object an external id field, as docs/salesforce-setup.md says", "a key by which it can be found again"),
    ("bad-request", "report it with the log of the run", "nothing: this is not expected"),
    ("bad-name", "correct the name in the rules", "a name that is one"),
    ("no-reason", "look at the record in Salesforce and save it by hand: the message appears there", "a change of the record"),
    ("too-large", "make the record smaller: a long text, or an order with fewer lines", "a smaller record"),
    ("in-use", "take the record out of what uses it, or leave it on the platform", "a record nobody uses"),
    ("not-permitted", "give the API key the right that the message names", "a right of the API key"),
    ("changed-meanwhile", "nothing: it is compared again", "the next try"),
    // ── ours: records inside a record ──
    ("contact-not-kept", "ask the platform's support why a new contact is not kept", "contacts that are kept"),
    ("contact-not-removed", "remove the contact on the platform by hand", "a contact that is gone"),
    ("contact-renumbered", "ask the platform's support why contacts change their numbers; restart Lockstep then", "numbers that stay"),
    ("contact-vanished", "look at the customer on the platform, put the contact back, and restart Lockstep", "a look by a person"),
    ("contact-without-id", "remove the contact without an id, or ask the platform's support", "contacts that can be named"),
    ("contacts-not-shown", "let our user read the customer's contacts", "contacts that are shown"),
    ("tags-not-shown", "let our user read the customer's custom tags", "tags that are shown"),
    ("tag-not-kept", "create the custom tag SF_Id on the platform and restart Lockstep", "a tag that is kept"),
    ("tag-undefined", "create the custom tag that the message names on the platform", "the tag"),
    ("tag-changed", "look at the customer's custom tags on the platform, put them right, and restart Lockstep", "a look by a person"),
    ("tag-vanished", "look at the customer's custom tags on the platform, put them back, and restart Lockstep", "a look by a person"),
    ("tag-names-another-account", "correct the tag SF_Id of the customer", "a tag that names its account"),
    ("one-id-on-two-customers", "take the tag SF_Id off all customers but one", "one customer with the id"),
    ("no-customer", "give the contact an account in Salesforce", "an account that is synchronised"),
    ("name-needed", "fill the name in Salesforce", "a name"),
    (
        "has-license-orders",
        "remove the license orders on the platform, or set customers-with-orders in the rules",
        "a customer without license orders",
    ),
    ("delete-not-supported", "delete the record on the platform by hand, or say customer-delete = \"off\"", "other rules"),
    // ── ours: orders and licenses ──
    (
        "product-not-mapped",
        "add the product's code to [products] in the rules, or fill its license fields in Salesforce",
        "a rule for the product",
    ),
    ("product-without-code", "fill the product code in Salesforce", "a product code"),
    ("bad-quantity", "correct the quantity of the line: a whole number above nothing", "a quantity that can be licensed"),
    ("too-many-licenses", "split the order, or license it by activations", "a smaller quantity"),
    ("line-without-id", "save the order again in Salesforce", "a line that has an id"),
    ("line-product-changed", "put the product of the line back and add a new line for the other", "a line with its first product"),
    ("lines-not-readable", "let our user read the order's products: `lockstep check --online`", "lines our user may read"),
    ("no-activated-date", "let our user read the order's activation date", "an activation date"),
    ("no-licenses", "map at least one product of the order to a license, or to \"none\"", "something to license"),
    ("no-contact", "name a contact on the order, such as the bill-to contact", "a contact"),
    ("no-account", "name an account on the order", "an account"),
    ("no-store-id", "plant the order's number in the order on the platform", "an order that carries our id"),
    (
        "subscription-owned-elsewhere",
        "change the license where its subscription is kept, or end the subscription",
        "a license without a subscription",
    ),
    ("no-order-rules", "add [orders] to the rules", "rules for orders"),
    // ── Salesforce ──
    ("REQUIRED_FIELD_MISSING", "fill the field, or map something to it", "the missing field"),
    ("STRING_TOO_LONG", "shorten the value, or make the field longer in Salesforce", "a shorter value, or a longer field"),
    (
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "add the value to the picklist in Salesforce, or map it to another",
        "the value in the picklist",
    ),
    (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "correct the record so that the org's validation rule passes",
        "a record that passes the validation rule",
    ),
    ("DUPLICATES_DETECTED", "merge the records, or let our user save duplicates", "a change of the record"),
    ("DUPLICATE_VALUE", "find the record that has the value already and merge the two", "a value nobody else has"),
    ("INSUFFICIENT_ACCESS_OR_READONLY", "let our user edit the record", "access to the record"),
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "let our user see the record it refers to", "access to the record it refers to"),
    ("INVALID_CROSS_REFERENCE_KEY", "restore the record it refers to, or name another", "the record it refers to"),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", "let our user edit the field: `lockstep check --online` says which", "a field our user may edit"),
    ("INVALID_FIELD", "let our user see the field: `lockstep check --online` says which", "a field our user may see"),
    ("INVALID_EMAIL_ADDRESS", "correct the e-mail address", "an address that is one"),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "look at the org's trigger that the message names", "a trigger that lets the record pass"),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "look at the org's flow that the message names", "a flow that lets the record pass"),
    ("ENTITY_IS_DELETED", "restore the record in Salesforce, or leave it deleted", "the deleted record"),
    ("STORAGE_LIMIT_EXCEEDED", "free storage in the org", "room in the org"),
    ("DELETE_FAILED", "take the record out of what uses it", "a record nobody uses"),
    // ── LicenseSpring ──
    ("validation_error", "correct the field that the message names", "a value the platform takes"),
    ("order_id_exists", "find the order with this number on the platform and plant the Salesforce id in it", "the order's number"),
    ("http-413", "make the record smaller: a long text, or an order with fewer lines", "a smaller record"),
    ("http-404", "check that what it refers to is still there on the platform", "what it refers to"),
];

/// What to do about a code.
#[must_use]
pub fn advice(code: &str) -> Advice {
    let known = TABLE.iter().find(|(known, ..)| *known == code);
    known.map_or(FALLBACK, |(_, act, waits_for)| Advice { act, waits_for })
}

/// True if the code has an entry of its own.
#[must_use]
pub fn has_advice(code: &str) -> bool {
    TABLE.iter().any(|(known, ..)| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_told_once_and_in_one_sentence() {
        for (i, (code, act, waits_for)) in TABLE.iter().enumerate() {
            assert!(!TABLE[..i].iter().any(|(other, ..)| other == code), "{code} twice");
            assert!(!act.is_empty() && !waits_for.is_empty() && !act.ends_with('.'), "{code}");
        }
        assert_eq!(advice("SOMETHING_NEW"), FALLBACK);
    }
}
