//! The objects of the platform and their fields: names, kinds, what a new row holds, who may write them.
//!
//! Tables of data only. What a value must look like is `check`, how it is shown is `show`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// One kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    Account,
    Customer,
    Label,
    CustomerLabel,
    Order,
    OrderItem,
    License,
    LicenseFeature,
    Product,
    ProductFeature,
    Policy,
    Device,
    LicenseUser,
    Import,
}

/// What a field holds. Stamps are stored as microseconds since 1970 and shown as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Email,
    Int,
    Bool,
    Date,
    Stamp,
    /// `35d`, `4m`, `2y`
    Duration,
    /// `daily`, … `annually`: the yearly one has two spellings on the wire
    Cycle,
    Json,
    List,
    Link(Object),
    OneOf(&'static [&'static str]),
}

/// What a new row holds when nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    Null,
    Blank,
    Int(i64),
    Bool(bool),
    Map,
    List,
    Word(&'static str),
}

/// Through which calls a client may set a field. A person in the vendor's own pages may set all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Open,
    OnCreate,
    Closed,
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub initial: Initial,
    pub access: Access,
    pub required: bool,
    pub indexed: bool,
    pub shown: bool,
}

const fn field(name: &'static str, kind: Kind, initial: Initial) -> Field {
    Field { name, kind, initial, access: Access::Open, required: false, indexed: false, shown: true }
}
const fn text(name: &'static str) -> Field {
    field(name, Kind::Text, Initial::Blank)
}
const fn int(name: &'static str, initial: i64) -> Field {
    field(name, Kind::Int, Initial::Int(initial))
}
const fn flag(name: &'static str, initial: bool) -> Field {
    field(name, Kind::Bool, Initial::Bool(initial))
}
const fn link(name: &'static str, to: Object) -> Field {
    field(name, Kind::Link(to), Initial::Null).indexed()
}
const fn stamp(name: &'static str) -> Field {
    field(name, Kind::Stamp, Initial::Null).closed()
}
const fn date(name: &'static str) -> Field {
    field(name, Kind::Date, Initial::Null)
}
const fn duration(name: &'static str) -> Field {
    field(name, Kind::Duration, Initial::Null)
}
const fn cycle(name: &'static str) -> Field {
    field(name, Kind::Cycle, Initial::Null)
}
const fn json(name: &'static str) -> Field {
    field(name, Kind::Json, Initial::Map)
}
const fn list(name: &'static str) -> Field {
    field(name, Kind::List, Initial::List).closed()
}

impl Field {
    const fn on_create(mut self) -> Field {
        self.access = Access::OnCreate;
        self
    }
    const fn closed(mut self) -> Field {
        self.access = Access::Closed;
        self
    }
    const fn required(mut self) -> Field {
        self.required = true;
        self
    }
    const fn indexed(mut self) -> Field {
        self.indexed = true;
        self
    }
    const fn hidden(mut self) -> Field {
        self.shown = false;
        self
    }
    const fn nullable(mut self) -> Field {
        self.initial = Initial::Null;
        self
    }

    fn initial_value(&self) -> Value {
        match self.initial {
            Initial::Null => Value::Null,
            Initial::Blank => Value::String(String::new()),
            Initial::Int(n) => Value::from(n),
            Initial::Bool(yes) => Value::Bool(yes),
            Initial::Map => Value::Object(Map::new()),
            Initial::List => Value::Array(Vec::new()),
            Initial::Word(word) => Value::from(word),
        }
    }
}

pub const LICENSE_TYPES: &[&str] = &["perpetual", "time-limited", "subscription", "consumption"];
const FEATURE_TYPES: &[&str] = &["activation", "consumption"];

/// Fields that a policy (or, without one, the product) hands to a new license.
pub const ENTITLEMENTS: &[&str] = &[
    "max_activations",
    "allow_unlimited_activations",
    "max_transfers",
    "max_license_users",
    "prevent_vm",
    "valid_duration",
    "enable_maintenance_period",
    "maintenance_duration",
    "is_floating",
    "is_floating_cloud",
    "floating_users",
    "floating_timeout",
    "can_borrow",
    "max_borrow_time",
    "is_air_gapped",
    "is_hardware_key_auth",
    "max_consumptions",
    "allow_unlimited_consumptions",
    "allow_negative_consumptions",
    "allow_overages",
    "max_overages",
    "reset_consumption",
    "consumption_period",
    "allow_grace_period",
    "grace_period",
];

/// Fields that a feature definition (or a policy's template of it) hands to a license feature row.
pub const FEATURE_LIMITS: &[&str] = &[
    "max_consumption",
    "allow_unlimited_consumptions",
    "allow_negative_consumptions",
    "allow_overages",
    "max_overages",
    "reset_consumption",
    "consumption_period",
    "is_floating",
    "is_floating_cloud",
    "floating_users",
    "floating_timeout",
];

static ACCOUNT: &[Field] = &[
    text("code").required().indexed(),
    text("name").required(),
    text("description"),
    text("phone"),
    text("address"),
    field("email", Kind::Email, Initial::Blank),
    text("reference").indexed(),
    json("metadata"),
    text("cognito_user_pool_id").closed(),
];

static CUSTOMER: &[Field] = &[
    field("email", Kind::Email, Initial::Blank).indexed(),
    text("first_name"),
    text("last_name"),
    text("company_name"),
    text("phone"),
    text("reference").indexed(),
    text("address"),
    text("postcode"),
    text("city"),
    text("country"),
    text("state"),
    link("customer_account", Object::Account),
    json("metadata"),
    link("license_user", Object::LicenseUser).closed(),
    text("cognito_user_pool_id").closed(),
];

static LABEL: &[Field] = &[text("label").required(), text("color")];

static CUSTOMER_LABEL: &[Field] =
    &[link("customer", Object::Customer).required().on_create(), link("customer_label", Object::Label).required().on_create()];

static ORDER: &[Field] = &[
    text("store_id").indexed(),
    field("type", Kind::OneOf(&["normal"]), Initial::Word("normal")),
    flag("is_test", false),
    flag("is_trial", false),
    text("download_id").nullable(),
    text("language").nullable(),
    text("campaign_params").nullable(),
    link("customer", Object::Customer),
    link("customer_account", Object::Account),
    json("metadata"),
    stamp("created_at"),
    stamp("updated_at"),
];

static ORDER_ITEM: &[Field] = &[
    link("order", Object::Order).closed(),
    link("product", Object::Product).closed().hidden(),
    text("note").closed(),
    stamp("created_at"),
    stamp("updated_at"),
];

static LICENSE: &[Field] = &[
    text("license_key").nullable().on_create().indexed(),
    field("license_type", Kind::OneOf(LICENSE_TYPES), Initial::Word("perpetual")).on_create(),
    flag("enabled", true).on_create(),
    flag("active", false).on_create(),
    flag("is_trial", false),
    int("trial_days", 0),
    stamp("created_at"),
    stamp("updated_at"),
    stamp("time_activated"),
    stamp("time_disabled"),
    stamp("last_check"),
    duration("valid_duration"),
    date("validity_period"),
    date("start_date").on_create(),
    flag("enable_maintenance_period", false),
    duration("maintenance_duration"),
    date("maintenance_period"),
    int("max_activations", 1),
    int("times_activated", 0).closed(),
    flag("allow_unlimited_activations", false),
    int("max_transfers", 0),
    int("max_license_users", 0),
    flag("prevent_vm", false),
    text("note"),
    flag("is_floating", false),
    flag("is_floating_cloud", false),
    int("floating_users", 1),
    int("floating_timeout", 0),
    int("floating_in_use_devices", 0).closed(),
    flag("can_borrow", false).on_create(),
    int("max_borrow_time", 0).on_create(),
    flag("is_air_gapped", false).on_create(),
    flag("is_hardware_key_auth", false).on_create(),
    int("max_consumptions", 0),
    int("total_consumptions", 0),
    flag("allow_unlimited_consumptions", false).on_create(),
    flag("allow_negative_consumptions", false).on_create(),
    flag("allow_overages", false),
    int("max_overages", 0),
    flag("reset_consumption", false),
    cycle("consumption_period"),
    flag("allow_grace_period", false),
    int("grace_period", 0),
    text("subscription_id").nullable().on_create(),
    int("installation_file", 0).nullable(),
    json("metadata"),
    link("order", Object::Order),
    link("order_item", Object::OrderItem).closed(),
    link("product", Object::Product).closed(),
    link("license_template", Object::Policy).closed(),
    int("disabled_user", 0).nullable().closed(),
    list("license_users"),
];

static LICENSE_FEATURE: &[Field] = &[
    link("license", Object::License).required().on_create(),
    link("product_feature", Object::ProductFeature).required().on_create(),
    list("device_features"),
    int("max_consumption", 0),
    int("total_consumptions", 0).on_create(),
    flag("allow_unlimited_consumptions", false),
    flag("allow_negative_consumptions", false),
    date("expiry_date"),
    flag("allow_overages", false),
    int("max_overages", 0).on_create(),
    flag("reset_consumption", false),
    cycle("consumption_period"),
    flag("is_floating", false),
    flag("is_floating_cloud", false),
    int("floating_users", 1),
    int("floating_timeout", 120),
    json("metadata"),
];

static PRODUCT: &[Field] = &[
    text("product_name").required(),
    text("short_code").required().indexed(),
    flag("active", true),
    flag("is_archived", false),
    flag("is_bundle", false),
    field("authorization_method", Kind::OneOf(&["license-key", "user"]), Initial::Word("license-key")),
    field("default_license_type", Kind::OneOf(LICENSE_TYPES), Initial::Word("perpetual")),
    flag("allow_trial", false),
    int("trial_days", 0),
    int("max_activations", 1),
    flag("allow_unlimited_activations", false),
    int("max_transfers", 0),
    int("max_license_users", 0),
    duration("valid_duration"),
    flag("enable_maintenance_period", false),
    duration("maintenance_duration"),
    flag("is_floating", false),
    flag("is_floating_cloud", false),
    int("floating_users", 1),
    int("floating_timeout", 0),
    flag("can_borrow", false),
    int("max_borrow_time", 0),
    int("max_consumptions", 0),
    flag("allow_unlimited_consumptions", false),
    flag("allow_negative_consumptions", false),
    flag("allow_overages", false),
    int("max_overages", 0),
    flag("reset_consumption", false),
    cycle("consumption_period"),
    flag("allow_grace_period", false),
    int("grace_period", 0),
    flag("prevent_vm", false),
    flag("hardware_id_required", true),
    flag("is_node_locked", true),
    flag("is_user_locked", false),
    flag("is_upgrade", false),
    list("upgrade_from"),
    int("subscription_duration", 0).nullable(),
    list("custom_fields"),
    list("bundle_products").hidden(),
    json("metadata"),
    stamp("created_at"),
    stamp("updated_at"),
];

static PRODUCT_FEATURE: &[Field] = &[
    text("name").required(),
    text("code").required().indexed(),
    field("feature_type", Kind::OneOf(FEATURE_TYPES), Initial::Word("activation")).required(),
    flag("is_deleted", false),
    link("product", Object::Product),
    int("max_consumption", 0),
    flag("allow_unlimited_consumptions", false),
    flag("allow_negative_consumptions", false),
    flag("allow_overages", false),
    int("max_overages", 0),
    flag("reset_consumption", false),
    cycle("consumption_period"),
    flag("is_floating", false),
    flag("is_floating_cloud", false),
    int("floating_users", 1),
    int("floating_timeout", 120),
    json("metadata"),
    stamp("created_at"),
    stamp("updated_at"),
];

static POLICY: &[Field] = &[
    text("name").required(),
    text("code").required().indexed(),
    link("product", Object::Product).hidden(),
    flag("is_default", false),
    flag("is_archived", false),
    flag("is_sku", false),
    field("default_license_type", Kind::OneOf(LICENSE_TYPES), Initial::Word("perpetual")),
    duration("valid_duration"),
    int("max_activations", 1),
    flag("allow_unlimited_activations", false),
    int("max_transfers", 0),
    int("max_license_users", 0),
    int("user_max_activations", 0),
    flag("prevent_vm", false),
    flag("enable_maintenance_period", false),
    duration("maintenance_duration"),
    flag("is_floating", false),
    flag("is_floating_cloud", false),
    int("floating_users", 1),
    int("floating_timeout", 0),
    flag("can_borrow", false),
    int("max_borrow_time", 0),
    flag("is_air_gapped", false),
    flag("is_hardware_key_auth", false),
    int("max_consumptions", 0),
    flag("allow_unlimited_consumptions", false),
    flag("allow_negative_consumptions", false),
    flag("allow_overages", false),
    int("max_overages", 0),
    flag("reset_consumption", false),
    cycle("consumption_period"),
    flag("allow_grace_period", false),
    int("grace_period", 0),
    list("license_product_feature_templates"),
    list("license_custom_field_templates"),
    json("metadata"),
    stamp("created_at"),
    stamp("updated_at"),
];

static DEVICE: &[Field] = &[
    link("license", Object::License).closed(),
    text("hardware_id").closed().indexed(),
    text("hostname").closed(),
    text("os").closed(),
    field("type", Kind::Text, Initial::Word("desktop")).closed(),
    text("ip").closed(),
    text("external_ip").closed(),
    text("mac_address").nullable().closed(),
    flag("is_vm", false).closed(),
    text("vm_info").nullable().closed(),
    text("app_ver").closed(),
    text("sdk_build_version").closed(),
    flag("device_active", true).closed(),
    flag("blacklisted", false).closed(),
    flag("floating_in_use", false).closed(),
    stamp("floating_last_seen"),
    stamp("time_activated"),
    stamp("time_deactivated"),
    date("validity_period").closed(),
    stamp("last_check"),
    list("device_variables"),
    stamp("created_at"),
    stamp("updated_at"),
];

static LICENSE_USER: &[Field] = &[
    field("true_email", Kind::Email, Initial::Blank).closed().indexed(),
    text("first_name"),
    text("last_name"),
    text("phone_number"),
    flag("is_active", true).closed(),
    flag("is_manager", false).closed(),
    flag("is_staff", false).closed(),
    text("initial_password").closed(),
    flag("is_initial_password", true).closed(),
    stamp("last_login"),
    list("managed_orders").hidden(),
    list("managed_accounts").hidden(),
    stamp("created_at"),
    stamp("updated_at"),
];

static IMPORT: &[Field] =
    &[text("status").closed(), int("created_count", 0).closed(), list("errors"), stamp("created_at"), stamp("updated_at")];

impl Object {
    pub const ALL: [Object; 14] = [
        Object::Account,
        Object::Customer,
        Object::Label,
        Object::CustomerLabel,
        Object::Order,
        Object::OrderItem,
        Object::License,
        Object::LicenseFeature,
        Object::Product,
        Object::ProductFeature,
        Object::Policy,
        Object::Device,
        Object::LicenseUser,
        Object::Import,
    ];

    /// The name used at the control routes.
    pub fn name(self) -> &'static str {
        match self {
            Object::Account => "customer_account",
            Object::Customer => "customer",
            Object::Label => "label",
            Object::CustomerLabel => "customer_label",
            Object::Order => "order",
            Object::OrderItem => "order_item",
            Object::License => "license",
            Object::LicenseFeature => "license_feature",
            Object::Product => "product",
            Object::ProductFeature => "product_feature",
            Object::Policy => "policy",
            Object::Device => "device",
            Object::LicenseUser => "license_user",
            Object::Import => "import_result",
        }
    }

    pub fn parse(name: &str) -> Option<Object> {
        Object::ALL.into_iter().find(|object| object.name() == name)
    }

    pub fn fields(self) -> &'static [Field] {
        match self {
            Object::Account => ACCOUNT,
            Object::Customer => CUSTOMER,
            Object::Label => LABEL,
            Object::CustomerLabel => CUSTOMER_LABEL,
            Object::Order => ORDER,
            Object::OrderItem => ORDER_ITEM,
            Object::License => LICENSE,
            Object::LicenseFeature => LICENSE_FEATURE,
            Object::Product => PRODUCT,
            Object::ProductFeature => PRODUCT_FEATURE,
            Object::Policy => POLICY,
            Object::Device => DEVICE,
            Object::LicenseUser => LICENSE_USER,
            Object::Import => IMPORT,
        }
    }

    /// Orders, items, licenses, products, devices and feature rows have 16-digit ids, the rest small ones.
    pub fn has_long_ids(self) -> bool {
        matches!(self, Object::Order | Object::OrderItem | Object::License | Object::LicenseFeature | Object::Product | Object::Device)
    }

    /// Newer tables keep the microseconds of their stamps; the others round to the second.
    pub fn keeps_microseconds(self) -> bool {
        self == Object::Policy
    }

    pub fn position(self, name: &str) -> Option<u8> {
        FACTS[self as usize].positions.get(name).copied()
    }

    pub fn field(self, at: u8) -> &'static Field {
        &self.fields()[usize::from(at)]
    }

    /// What a new row holds, by position.
    pub fn initial(self, at: u8) -> &'static Value {
        &FACTS[self as usize].initial[usize::from(at)]
    }
}

struct Facts {
    positions: HashMap<&'static str, u8>,
    initial: Vec<Value>,
}

static FACTS: LazyLock<Vec<Facts>> = LazyLock::new(|| {
    Object::ALL
        .into_iter()
        .map(|object| Facts {
            positions: (0u8..).zip(object.fields()).map(|(at, field)| (field.name, at)).collect(),
            initial: object.fields().iter().map(Field::initial_value).collect(),
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_stands_at_its_own_place_and_names_are_unique() {
        for (at, object) in Object::ALL.into_iter().enumerate() {
            assert_eq!(object as usize, at);
            assert_eq!(Object::parse(object.name()), Some(object));
            assert_eq!(FACTS[at].positions.len(), object.fields().len(), "{object:?}");
        }
    }

    #[test]
    fn what_is_handed_down_exists_on_both_ends() {
        for name in ENTITLEMENTS {
            assert!(Object::License.position(name).is_some(), "license {name}");
            assert!(Object::Policy.position(name).is_some(), "policy {name}");
        }
        for name in FEATURE_LIMITS {
            assert!(Object::LicenseFeature.position(name).is_some(), "row {name}");
            assert!(Object::ProductFeature.position(name).is_some(), "definition {name}");
        }
    }

    #[test]
    fn customers_and_accounts_have_no_stamps() {
        for object in [Object::Account, Object::Customer, Object::LicenseFeature] {
            assert!(object.position("updated_at").is_none(), "{object:?}");
            assert!(object.position("created_at").is_none(), "{object:?}");
        }
    }
}
