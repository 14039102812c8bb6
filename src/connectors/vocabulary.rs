//! The names a side has for what is sold: products, the policies licenses are issued under, and features.
//!
//! Rules name these by code; a code that no list holds is a mistake that can be shown before anything is written.

/// Everything there is to name. Retired and archived names are in it, marked: a rule that uses one is told why it fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    pub products: Vec<ProductWord>,
    pub policies: Vec<PolicyWord>,
    pub features: Vec<FeatureWord>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductWord {
    pub code: String,
    pub name: String,
    /// Orders for it are accepted.
    pub active: bool,
    pub archived: bool,
    pub bundle: bool,
    /// What its licenses are unless their policy says otherwise; empty where the side does not say.
    pub license_type: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyWord {
    pub code: String,
    /// The code of its product, where the side tells.
    pub product: Option<String>,
    pub archived: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureWord {
    pub code: String,
    /// The code of its product; `None`: any license may have it.
    pub product: Option<String>,
    pub retired: bool,
}
