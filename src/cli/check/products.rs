//! `[products]`, held against what the platform sells. Pure: the words come from its connector.

use crate::connectors::{FeatureWord, PolicyWord, ProductWord, Vocabulary};
use crate::rules::{ProductRule, Rules, RulesFile, nearest};
use serde::Serialize;

/// How many codes are named where one was mistyped.
const MOST_NAMED: usize = 4;

/// What a line of `[products]` names and the platform cannot give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Finding {
    /// The line of the rules file, 0 where it is not known.
    pub line: usize,
    /// What stands left of the `=`.
    pub entry: String,
    pub code: &'static str,
    pub message: String,
    pub fix: String,
}

impl Finding {
    pub(in crate::cli) fn complaint(&self) -> String {
        let at = if self.line > 0 { format!(", line {}", self.line) } else { String::new() };
        format!("[products] \"{}\"{at}: {}; {}", self.entry, self.message, self.fix)
    }
}

/// How many lines name a product of the platform.
pub(in crate::cli) fn licensed(rules: &Rules) -> u64 {
    rules.products.iter().filter(|(_, rule)| matches!(rule, ProductRule::License { .. })).count() as u64
}

/// Where a product code stands in the file: its line, from 1.
pub(in crate::cli) fn lines(file: &RulesFile, source: &str) -> impl Fn(&str) -> usize {
    let places: Vec<(String, usize)> = file
        .products
        .keys()
        .map(|code| {
            let before = source.get(..code.place().start).unwrap_or_default();
            (code.to_string(), before.matches('\n').count() + 1)
        })
        .collect();
    move |entry| places.iter().find(|(code, _)| code == entry).map_or(0, |(_, line)| *line)
}

/// Everything that is wrong with the names in `[products]`, in the order of the file.
pub(in crate::cli) fn judge(rules: &Rules, words: &Vocabulary, line: &dyn Fn(&str) -> usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (entry, rule) in &rules.products {
        let ProductRule::License { product, policy, features, .. } = rule else { continue };
        let mut say = |code, message: String, fix: String| {
            findings.push(Finding { line: line(entry), entry: entry.clone(), code, message, fix });
        };
        if let Some((code, message, fix)) = of_product(product, words) {
            say(code, message, fix);
        }
        if let Some((code, message, fix)) = policy.as_deref().and_then(|policy| of_policy(policy, product, words)) {
            say(code, message, fix);
        }
        for feature in features {
            if let Some((code, message, fix)) = of_feature(feature, product, words) {
                say(code, message, fix);
            }
        }
    }
    findings
}

type Complaint = (&'static str, String, String);

fn of_product(code: &str, words: &Vocabulary) -> Option<Complaint> {
    let named: Vec<&ProductWord> = words.products.iter().filter(|p| p.code == code).collect();
    // An archived product's code may have been given to another one: that one counts.
    let Some(product) = named.iter().find(|p| !p.archived).or(named.first()) else {
        let close = close(code, words.products.iter().filter(|p| !p.archived).map(|p| p.code.as_str()));
        let fix = format!("create the product there, or write the right code{close}");
        return Some(("unknown-product", format!("the platform has no product {code}"), fix));
    };
    let called = if product.name == code { code.to_owned() } else { format!("{code} ({})", product.name) };
    if product.archived {
        return Some((
            "archived-product",
            format!("product {called} is archived"),
            "restore it on the platform, or name another".to_owned(),
        ));
    }
    if !product.active {
        return Some((
            "inactive-product",
            format!("product {called} is not active"),
            "activate it on the platform, or name another".to_owned(),
        ));
    }
    if product.bundle {
        let fix = "give each product of the bundle a line of its own".to_owned();
        return Some(("bundle-product", format!("product {called} is a bundle: bundles are not supported"), fix));
    }
    None
}

fn of_policy(code: &str, product: &str, words: &Vocabulary) -> Option<Complaint> {
    let named: Vec<&PolicyWord> = words.policies.iter().filter(|p| p.code == code).collect();
    let own = |p: &&&PolicyWord| p.product.as_deref().is_none_or(|owner| owner == product);
    let fitting: Vec<&PolicyWord> = named.iter().filter(own).copied().collect();
    if fitting.iter().any(|p| !p.archived) {
        return None;
    }
    if !fitting.is_empty() {
        let fix = "restore it on the platform, or name another".to_owned();
        return Some(("archived-policy", format!("policy {code} is archived"), fix));
    }
    let usable = words.policies.iter().filter(|p| !p.archived && p.product.as_deref().is_none_or(|owner| owner == product));
    let close = close(code, usable.map(|p| p.code.as_str()));
    Some(match named.first().and_then(|p| p.product.as_deref()) {
        Some(owner) => {
            let fix = format!("name a policy of {product}{close}");
            ("policy-of-another-product", format!("policy {code} belongs to product {owner}, not to {product}"), fix)
        }
        None => {
            let fix = format!("create the policy there, or write the right code{close}");
            ("unknown-policy", format!("the platform has no policy {code}"), fix)
        }
    })
}

fn of_feature(code: &str, product: &str, words: &Vocabulary) -> Option<Complaint> {
    let own = |f: &&FeatureWord| f.product.as_deref().is_none_or(|owner| owner == product);
    let fitting: Vec<&FeatureWord> = words.features.iter().filter(|f| f.code == code).filter(own).collect();
    if fitting.iter().any(|f| !f.retired) {
        return None;
    }
    if !fitting.is_empty() {
        let fix = "take it out of the line, or bring it back on the platform".to_owned();
        return Some(("retired-feature", format!("feature {code} of product {product} is retired"), fix));
    }
    let close = close(code, words.features.iter().filter(|f| !f.retired).filter(own).map(|f| f.code.as_str()));
    let fix = format!("add the feature to the product there, or write the right code{close}");
    Some(("unknown-feature", format!("product {product} has no feature {code}"), fix))
}

/// ` (there are: a, b)`: the code that was probably meant, then those that begin alike.
fn close<'a>(code: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    known.dedup();
    let head = |text: &str| text.split(['-', '_', '.', ' ']).next().unwrap_or_default().to_lowercase();
    let meant = nearest(code, known.iter().copied());
    let alike = known.iter().copied().filter(|k| Some(*k) != meant && (head(k) == head(code) || k.starts_with(code)));
    let mut named: Vec<&str> = meant.into_iter().chain(alike).collect();
    if named.is_empty() && known.len() <= MOST_NAMED {
        named = known;
    }
    let more = named.len().saturating_sub(MOST_NAMED);
    named.truncate(MOST_NAMED);
    match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" (there is: {})", named.join(", ")),
        (false, more) => format!(" (there is: {} and {more} more)", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{Ask, Calls, Catalogue, Fault, Fetched, Identity, Page, Polled, Reader, Schema};
    use crate::record::{Record, RecordId, Side, Value};
    use crate::rules::{check, parse, starter};
    use async_trait::async_trait;
    use std::collections::BTreeMap;
    use tokio::sync::mpsc;

    fn product(code: &str) -> ProductWord {
        let (code, license_type) = (code.to_owned(), "perpetual".to_owned());
        ProductWord { name: code.clone(), code, active: true, archived: false, bundle: false, license_type }
    }

    fn policy(code: &str, product: Option<&str>, archived: bool) -> PolicyWord {
        PolicyWord { code: code.to_owned(), product: product.map(str::to_owned), archived }
    }

    fn feature(code: &str, product: Option<&str>, retired: bool) -> FeatureWord {
        FeatureWord { code: code.to_owned(), product: product.map(str::to_owned), retired }
    }

    fn words() -> Vocabulary {
        Vocabulary {
            products: vec![
                product("orbit-pro"),
                product("orbit-basic"),
                product("orbit-team"),
                product("comet"),
                ProductWord { active: false, name: "Orbit Off".to_owned(), ..product("orbit-off") },
                ProductWord { archived: true, ..product("orbit-old") },
                ProductWord { archived: true, ..product("orbit-team") },
                ProductWord { bundle: true, ..product("orbit-all") },
            ],
            policies: vec![
                policy("orbit-pro-1y", Some("orbit-pro"), false),
                policy("orbit-pro-0y", Some("orbit-pro"), true),
                policy("comet-1y", Some("comet"), false),
                policy("trial30", None, false),
                policy("trial10", None, true),
            ],
            features: vec![
                feature("pdf", Some("orbit-pro"), false),
                feature("sso", None, false),
                feature("dwg", Some("comet"), false),
                feature("old", Some("orbit-pro"), true),
            ],
        }
    }

    /// The rules of the starter with these lines as their whole `[products]`.
    fn rules_of(lines: &str) -> (Rules, RulesFile, String) {
        let text = starter("test", "2026-01-01T00:00:00Z");
        let at = text.find("\n[products]").unwrap();
        let end = at + 1 + text[at + 1..].find("\n[objects").unwrap();
        let text = format!("{}\n[products]\n{lines}\n{}", &text[..at], &text[end..]);
        let file = parse(&text).unwrap();
        let rules = check(&file, &text).unwrap();
        (rules, file, text)
    }

    fn found(lines: &str) -> Vec<Finding> {
        judge(&rules_of(lines).0, &words(), &|_| 0)
    }

    #[test]
    fn each_name_that_is_not_there_or_of_no_use_is_told() {
        for (line, code, message, fix) in [
            (
                r#"A = { product = "orbit-por" }"#,
                "unknown-product",
                "no product orbit-por",
                "(there is: orbit-pro, orbit-all, orbit-basic, orbit-off and 1 more)",
            ),
            (r#"A = { product = "com" }"#, "unknown-product", "no product com", "(there is: comet)"),
            (r#"A = { product = "zzz" }"#, "unknown-product", "no product zzz", "write the right code"),
            (r#"A = { product = "orbit-off" }"#, "inactive-product", "orbit-off (Orbit Off) is not active", "activate it"),
            (r#"A = { product = "orbit-old" }"#, "archived-product", "orbit-old is archived", "restore it"),
            (r#"A = { product = "orbit-all" }"#, "bundle-product", "bundles are not supported", "a line of its own"),
            (
                r#"A = { product = "orbit-pro", policy = "orbit-pro-2y" }"#,
                "unknown-policy",
                "no policy orbit-pro-2y",
                "(there is: orbit-pro-1y)",
            ),
            (r#"A = { product = "orbit-pro", policy = "orbit-pro-0y" }"#, "archived-policy", "orbit-pro-0y is archived", "name another"),
            (r#"A = { product = "orbit-pro", policy = "trial10" }"#, "archived-policy", "trial10 is archived", "name another"),
            (
                r#"A = { product = "orbit-pro", policy = "comet-1y" }"#,
                "policy-of-another-product",
                "comet-1y belongs to product comet, not to orbit-pro",
                "name a policy of orbit-pro",
            ),
            (r#"A = { product = "orbit-pro", features = ["pfd"] }"#, "unknown-feature", "orbit-pro has no feature pfd", "add the feature"),
            (r#"A = { product = "orbit-pro", features = ["dwg"] }"#, "unknown-feature", "orbit-pro has no feature dwg", "add the feature"),
            (
                r#"A = { product = "orbit-pro", features = ["old"] }"#,
                "retired-feature",
                "old of product orbit-pro is retired",
                "take it out",
            ),
        ] {
            let findings = found(line);
            assert_eq!(findings.len(), 1, "{line}: {findings:?}");
            assert_eq!(findings[0].code, code, "{line}");
            assert!(findings[0].message.contains(message), "{line}: {}", findings[0].message);
            assert!(findings[0].fix.contains(fix), "{line}: {}", findings[0].fix);
        }
    }

    #[test]
    fn what_can_be_issued_is_not_complained_of() {
        for line in [
            r#"A = { product = "orbit-pro", policy = "orbit-pro-1y", features = ["pdf", "sso"] }"#,
            r#"A = { product = "comet", policy = "trial30" }"#,
            // The archived one's code was given to a new product.
            r#"A = { product = "orbit-team" }"#,
            r#"A = "none""#,
        ] {
            assert_eq!(found(line), [], "{line}");
        }
    }

    #[test]
    fn all_of_a_line_is_told_and_where_it_stands() {
        let (rules, file, text) = rules_of("\"X-*\" = \"none\"\nBAD = { product = \"nope\", policy = \"nope\", features = [\"nope\"] }");
        let findings = judge(&rules, &words(), &lines(&file, &text));
        assert_eq!(findings.iter().map(|f| f.code).collect::<Vec<_>>(), ["unknown-product", "unknown-policy", "unknown-feature"]);
        let line = text.lines().position(|l| l.starts_with("BAD")).unwrap() + 1;
        let start = format!("[products] \"BAD\", line {line}: the platform has no product nope; create");
        assert!(findings[0].complaint().starts_with(&start), "{}", findings[0].complaint());
        assert_eq!(licensed(&rules), 1);
    }

    /// A side without a word of its own.
    struct Silent(Catalogue);

    #[async_trait]
    impl Reader for Silent {
        fn side(&self) -> Side {
            Side::Platform
        }
        fn catalogue(&self) -> &Catalogue {
            &self.0
        }
        async fn identity(&self) -> Result<Identity, Fault> {
            Ok(Identity { id: String::new(), name: String::new(), is_sandbox: true })
        }
        async fn schema(&self, _: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
            Ok(BTreeMap::new())
        }
        async fn poll(&self, _: &[Ask], _: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
            Ok(Vec::new())
        }
        async fn get_many(&self, _: &str, _: &[String], _: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
            Ok(Vec::new())
        }
        async fn find(&self, _: &str, _: &[String], _: &str, _: &[Value]) -> Result<Vec<Record>, Fault> {
            Ok(Vec::new())
        }
        async fn count(&self, _: &str) -> Result<u64, Fault> {
            Ok(0)
        }
        fn calls(&self) -> Calls {
            Calls::default()
        }
    }

    #[tokio::test]
    async fn a_side_that_publishes_no_names_says_none() {
        let silent = Silent(Catalogue { name: "silent", resources: Vec::new(), open: false });
        assert_eq!(silent.vocabulary().await, Ok(None));
    }
}
