//! What the operator wrote, checked: a file of text becomes `Rules`, or a list of all its problems.
//!
//! Knows records, and no side's wire: whether a resource or field exists is asked of a connector's catalogue elsewhere.

mod check;
mod expression;
mod file;
mod limits;

mod lens;
mod mapping;
mod problem;
mod schedule;
mod starter;

pub use check::check;
pub use expression::Expression;
pub use file::{FlowWord, PlanWord, PlatformTable, ResyncWord, RulesFile, SecretRef, TextValue, parse, schema};
pub use lens::{Lens, LensError, Translate};
pub use limits::{Limit, Limits};
pub use mapping::{
    Conflict, ContactRule, Create, Direction, Drift, Entry, Mapping, Merge, OnPlatformDelete, OnSalesforceDelete, OrderRules, ProductRule,
    Quantity, Rules,
};
pub use problem::{Place, Problem, render};
pub use schedule::{Schedule, duration};
pub use starter::starter;
