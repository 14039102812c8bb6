//! The documented filters of every list: their names, the path each looks at, and how it compares.
//!
//! Not modelled, hence ignored: `license_user_group`, and the negated form of the order's account filters, whose spelling
//! is not published.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::path::Path;
use super::schema::Object;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Exact,
    IExact,
    IContains,
    StartsWith,
    In,
    IsNull,
    Compare(Bound),
    CompareDay(Bound),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Gt,
    Gte,
    Lt,
    Lte,
}

#[derive(Debug)]
pub struct Filter {
    pub path: Path,
    pub op: Op,
}

/// By object, then by name.
pub static FILTERS: LazyLock<Vec<HashMap<String, Filter>>> = LazyLock::new(|| {
    Object::ALL
        .into_iter()
        .map(|object| {
            let mut all = Filters(object, HashMap::new());
            all.fill();
            all.1
        })
        .collect()
});

struct Filters(Object, HashMap<String, Filter>);

const ACCOUNT_FIELDS: [&str; 7] = ["name", "code", "description", "phone", "address", "email", "reference"];
const BOUNDS: [(&str, Bound); 4] = [("gt", Bound::Gt), ("gte", Bound::Gte), ("lt", Bound::Lt), ("lte", Bound::Lte)];

impl Filters {
    fn add(&mut self, name: String, path: &str, op: Op) {
        let path = Path::parse(self.0, path);
        debug_assert!(path.is_some(), "filter {name} of {:?} leads nowhere", self.0);
        if let Some(path) = path {
            self.1.insert(name, Filter { path, op });
        }
    }

    /// `name` is exact; `ops` add their suffixes.
    fn exact(&mut self, name: &str, path: &str, ops: &[Op]) {
        self.add(name.to_owned(), path, Op::Exact);
        self.also(name, path, ops);
    }

    fn also(&mut self, name: &str, path: &str, ops: &[Op]) {
        for op in ops {
            let suffix = match op {
                Op::IContains => "icontains",
                Op::StartsWith => "startswith",
                Op::IExact => "iexact",
                Op::In => "in",
                Op::IsNull => "isnull",
                Op::Exact | Op::Compare(_) | Op::CompareDay(_) => "exact",
            };
            self.add(format!("{name}__{suffix}"), path, *op);
        }
    }

    fn same(&mut self, names: &[&str], ops: &[Op]) {
        for name in names {
            self.exact(name, name, ops);
        }
    }

    fn range(&mut self, name: &str, with_days: bool) {
        for (suffix, bound) in BOUNDS {
            self.add(format!("{name}__{suffix}"), name, Op::Compare(bound));
            if with_days {
                self.add(format!("{name}__date__{suffix}"), name, Op::CompareDay(bound));
            }
        }
    }

    /// A link to a customer account, and its fields, exact and by part.
    fn account(&mut self, name: &str, path: &str) {
        self.add(name.to_owned(), path, Op::Exact);
        for field in ACCOUNT_FIELDS {
            self.exact(&format!("{name}__{field}"), &format!("{path}.{field}"), &[Op::IContains]);
        }
    }

    fn fill(&mut self) {
        use Op::{IContains, IExact, In, IsNull, StartsWith};
        match self.0 {
            Object::Account => self.same(&["code", "name", "description", "phone", "address", "email", "reference"], &[]),
            Object::Customer => {
                self.same(&["email"], &[IContains, StartsWith]);
                self.same(&["reference"], &[Op::Exact, IContains, StartsWith]);
                for name in ["company_name", "first_name", "last_name", "phone"] {
                    self.also(name, name, &[IContains]);
                }
                self.also("label", "labels.customer_label", &[In]);
                self.account("account", "customer_account");
            }
            Object::Order => {
                self.same(&["store_id"], &[StartsWith, IContains]);
                self.same(&["company"], &[]);
                self.exact("customer__email", "customer.email", &[StartsWith, IContains]);
                self.exact("customer_id", "customer", &[]);
                self.exact("customer_email", "customer.email", &[]);
                self.exact("customer_company_name", "customer.company_name", &[IContains]);
                self.also("customer_reference", "customer.reference", &[IContains]);
                self.also("customer_name", "customer.full_name", &[IContains]);
                self.also("customer_label", "customer.labels.customer_label", &[In]);
                self.account("customer__account", "customer.customer_account");
                self.account("customer_account", "customer_account");
            }
            Object::License => self.license(),
            Object::LicenseFeature => self.same(&["license"], &[]),
            Object::Device => self.same(&["license", "blacklisted", "hostname", "hardware_id"], &[]),
            Object::Product => self.same(&["short_code", "is_archived"], &[]),
            Object::ProductFeature => self.same(&["product"], &[]),
            Object::LicenseUser => {
                self.also("true_email", "true_email", &[IContains, IExact]);
                self.also("first_name", "first_name", &[IContains]);
                self.also("last_name", "last_name", &[IContains]);
                self.also("phone", "phone_number", &[IContains]);
                self.also("managing_orders", "managing", &[IsNull]);
            }
            Object::Import => self.add("status_iexact".into(), "status", IExact),
            Object::Label | Object::CustomerLabel | Object::OrderItem | Object::Policy => {}
        }
    }

    fn license(&mut self) {
        use Op::{IContains, In, IsNull, StartsWith};
        self.also("id", "id", &[In]);
        self.same(&["license_key"], &[IContains, StartsWith, IsNull]);
        self.same(&["active", "enabled", "company", "subscription_id"], &[]);
        self.exact("is_any_floating", "any_floating", &[]);
        self.exact("order__store_id", "order.store_id", &[IContains, StartsWith]);
        self.exact("order__customer_account", "order.customer_account", &[]);
        for field in ["name", "code"] {
            let path = format!("order.customer_account.{field}");
            self.exact(&format!("order__customer_account__{field}"), &path, &[IContains]);
        }
        self.exact("customer_id", "order.customer", &[]);
        self.exact("customer_email", "order.customer.email", &[IContains]);
        self.also("customer_company_name", "order.customer.company_name", &[IContains]);
        self.also("customer_name", "order.customer.full_name", &[IContains]);
        self.also("customer__reference", "order.customer.reference", &[IContains]);
        self.account("customer__account", "order.customer.customer_account");
        self.exact("product_id", "product", &[]);
        self.exact("product_short_code", "product.short_code", &[]);
        self.also("product_name", "product.product_name", &[IContains]);
        self.exact("product__authorization_method", "product.authorization_method", &[]);
        self.exact("product_features__id", "features.product_feature", &[]);
        self.exact("license_users__id", "users.id", &[]);
        self.exact("license_users__true_email", "users.true_email", &[IContains]);
        self.exact("manager__true_email", "managers", &[]);
        self.exact("devices__hostname", "devices.hostname", &[IContains]);
        self.exact("devices__hardware_id", "devices.hardware_id", &[]);
        self.exact("devices__os", "devices.os", &[]);
        self.exact("license_template_id", "license_template", &[]);
        self.exact("license_template__code", "license_template.code", &[]);
        self.also("note", "note", &[IContains]);
        self.range("updated_at", true);
        self.range("time_activated", true);
        self.range("validity_period", false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_filter_leads_somewhere() {
        for (object, names) in [
            (
                Object::Customer,
                "label__in email email__icontains email__startswith company_name__icontains first_name__icontains last_name__icontains phone__icontains reference reference__exact reference__icontains reference__startswith account account__name account__code__icontains account__reference",
            ),
            (Object::Account, "code name description phone address email reference"),
            (
                Object::Order,
                "store_id store_id__startswith store_id__icontains customer__email customer__email__startswith company customer_id customer_email customer_company_name customer_company_name__icontains customer_reference__icontains customer_name__icontains customer_label__in customer__account customer__account__name__icontains customer_account customer_account__code",
            ),
            (
                Object::License,
                "license_key active order__store_id order__customer_account order__customer_account__name customer_id customer_email customer__account customer__account__email product_id product_short_code product_features__id product__authorization_method license_users__id license_users__true_email devices__hostname devices__hardware_id devices__os subscription_id license_template_id license_template__code id__in company enabled is_any_floating license_key__isnull manager__true_email note__icontains license_key__icontains order__store_id__startswith customer_company_name__icontains customer_name__icontains customer__reference__icontains product_name__icontains devices__hostname__icontains updated_at__gt updated_at__gte updated_at__lt updated_at__lte updated_at__date__gt updated_at__date__lte time_activated__gte time_activated__date__lt validity_period__lte",
            ),
        ] {
            for name in names.split(' ') {
                assert!(FILTERS[object as usize].contains_key(name), "{object:?} {name}");
            }
        }
    }
}
