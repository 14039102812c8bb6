//! What Salesforce ever said of an order, kept apart from the engine: the most and the least that may be licensed for it.

use super::world::Rec;
use crate::record::{Fields, Life, Value};

/// The products of the shop, with what the shipped rules make of them.
pub const PRODUCTS: [(&str, Sold); 5] = [
    ("LS-BASIC", Sold::Activations("orbit-basic")),
    ("LS-PRO", Sold::Licenses("orbit-pro")),
    ("LS-TEAM", Sold::Activations("orbit-team")),
    ("SERVICES-DAY", Sold::Nothing),
    ("XX-1", Sold::Unmapped),
];

/// What a line of so many is, on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sold {
    /// One license with so many activations.
    Activations(&'static str),
    /// So many licenses.
    Licenses(&'static str),
    Nothing,
    Unmapped,
}

#[must_use]
pub fn sold(code: &str) -> Sold {
    PRODUCTS.iter().find(|(c, _)| *c == code).map_or(Sold::Unmapped, |(_, sold)| *sold)
}

impl Sold {
    #[must_use]
    pub const fn product(self) -> Option<&'static str> {
        match self {
            Self::Activations(product) | Self::Licenses(product) => Some(product),
            Self::Nothing | Self::Unmapped => None,
        }
    }

    /// How many licenses a quantity is.
    #[must_use]
    pub const fn units(self, quantity: i64) -> i64 {
        match self {
            Self::Activations(_) if quantity > 0 => 1,
            Self::Licenses(_) => quantity,
            Self::Activations(_) | Self::Nothing | Self::Unmapped => 0,
        }
    }
}

/// Of one order, over all its time.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Everything it ever was, with the moment it became so.
    pub states: Vec<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub from: u64,
    pub due: bool,
    /// However long ago.
    pub activated: bool,
    pub cancelled: bool,
    pub deleted: bool,
    /// Whom it is to be licensed to.
    pub contact: Option<String>,
    pub lines: Vec<LineSaid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSaid {
    pub id: String,
    pub code: String,
    pub quantity: i64,
}

#[must_use]
pub fn is_due(order: &Rec) -> bool {
    order.text("Status") != Some("Cancelled")
        && order.text("StatusCode") == Some("Activated")
        && order.text("ActivatedDate").is_some_and(|at| at >= "2026-01-01T00:00:00Z")
}

/// The lines as Salesforce shows them.
pub fn lines_of(order: &Rec) -> Vec<LineSaid> {
    let rows = order.fields.get("lines").and_then(Value::as_rows).unwrap_or_default();
    let text = |row: &Fields, name: &str| row.get(name).and_then(Value::as_text).unwrap_or_default().to_owned();
    let line = |row: &Fields| LineSaid {
        id: text(row, "Id"),
        code: text(row, "ProductCode"),
        quantity: if let Some(Value::Int(n)) = row.get("Quantity") { *n } else { 0 },
    };
    rows.iter().map(line).collect()
}

impl Said {
    pub fn note(&mut self, order: &Rec, at: u64) {
        let deleted = order.life != Life::Live;
        let state = State {
            from: at,
            due: is_due(order) && !deleted,
            activated: order.text("StatusCode") == Some("Activated"),
            cancelled: order.text("Status") == Some("Cancelled"),
            deleted,
            contact: ["License_Contact__c", "BillToContactId"].into_iter().find_map(|field| order.text(field)).map(str::to_owned),
            lines: lines_of(order),
        };
        if self.states.last().is_none_or(|last| State { from: at, ..last.clone() } != state) {
            self.states.push(state);
        }
    }

    /// What it was at that moment, and everything after.
    pub fn since(&self, at: u64) -> impl Iterator<Item = &State> {
        let first = self.states.iter().rposition(|s| s.from <= at).unwrap_or(0);
        self.states[first..].iter()
    }

    pub fn due_states(&self) -> impl Iterator<Item = &State> {
        self.states.iter().filter(|s| s.due)
    }

    /// Licenses were due at some moment.
    #[must_use]
    pub fn ever_due(&self) -> bool {
        self.states.iter().any(|s| s.due)
    }
}

impl State {
    pub fn line(&self, id: &str) -> Option<&LineSaid> {
        self.lines.iter().find(|l| l.id == id)
    }

    /// It is due, and one of its lines calls for this unit of this product.
    #[must_use]
    pub fn calls_for(&self, unit: &str, product: Option<&str>) -> bool {
        let Some((line, n)) = split(unit) else { return false };
        let fits = |l: &LineSaid| n >= 1 && sold(&l.code).product() == product && n <= sold(&l.code).units(l.quantity);
        self.due && self.line(line).is_some_and(fits)
    }
}

/// The line of a unit, and its number.
#[must_use]
pub fn split(unit: &str) -> Option<(&str, i64)> {
    let (line, n) = unit.rsplit_once('-')?;
    Some((line, n.parse().ok()?))
}
