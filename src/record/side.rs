//! The two sides. Never a/b, local/remote, source/target.

use serde::{Deserialize, Serialize};
use std::{fmt, ops};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    Salesforce,
    Platform,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Salesforce, Side::Platform];

    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Salesforce => Self::Platform,
            Self::Platform => Self::Salesforce,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Platform => "platform",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|side| side.as_str() == text)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides<T> {
    pub salesforce: T,
    pub platform: T,
}

impl<T> Sides<T> {
    pub const fn new(salesforce: T, platform: T) -> Self {
        Self { salesforce, platform }
    }

    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Sides<U> {
        Sides { salesforce: f(self.salesforce), platform: f(self.platform) }
    }

    pub const fn as_ref(&self) -> Sides<&T> {
        Sides { salesforce: &self.salesforce, platform: &self.platform }
    }
}

impl<T> ops::Index<Side> for Sides<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        match side {
            Side::Salesforce => &self.salesforce,
            Side::Platform => &self.platform,
        }
    }
}

impl<T> ops::IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Salesforce => &mut self.salesforce,
            Side::Platform => &mut self.platform,
        }
    }
}
