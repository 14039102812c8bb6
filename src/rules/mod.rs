//! What the operator wrote, checked: a file of text becomes `Rules`, or a list of all its problems.
//!
//! Knows records, and no side's wire: whether a resource or field exists is asked of a connector's catalogue elsewhere.

mod check;
mod expression;
mod file;
mod form;
mod lens;
mod limits;
mod mapping;
mod meaning;
mod outline;
mod problem;
mod schedule;
mod starter;

pub use check::{ADDRESS_HELP, CHECKS, Check, Finding, address, complaints};
pub use expression::{BadExpression, Expression, FILTERS, TESTS};
pub use file::{
    At, ConnectionTable, CustomFieldsWord, CustomerDelete, CustomersWithOrders, ExtraKindWord, FieldTable, FieldValue, FirstLoadWord,
    FlowWord, ForceManagerTable, LacTable, LensWord, LicenseSpringTable, LimitTable, LimitsTable, Line, ObjectTable, OrdersTable, PlanWord,
    PlatformTable, ProductTable, ProductValue, ResyncAt, RulesFile, SalesforceTable, Scalar, ScheduleTable, SecretRef, TextValue, schema,
};
#[cfg(test)]
pub use form::fits;
pub use form::{CODES, NOT_UNDERSTOOD, nearest, parse, read};
pub use lens::{Lens, LensError, Translate};
pub use limits::{Limit, Limits};
pub use mapping::{
    Conflict, ContactRule, Create, Direction, Drift, Entry, Mapping, Merge, OnContactChange, OnLess, OnLoss, OnMore, OnPlatformDelete,
    OnSalesforceDelete, OrderRules, ProductRule, Quantity, Rules,
};
pub use meaning::{census, check, limits, meaning, schedule};
pub use outline::{Outline, changes};
pub use problem::{Place, Problem, render};
pub use schedule::{Schedule, duration};
pub use starter::{FORCEMANAGER, LAC, SHIPPED, starter, starter_of};
