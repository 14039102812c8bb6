//! What a mapping makes the engine write, line by line, so that two states of the rules can be told apart in words.

use super::{Entry, Mapping};
use std::collections::BTreeMap;

/// A name, and what the rules say under it. Entries stand under their own names, policies under the rules' keys.
pub type Outline = BTreeMap<String, String>;

impl Mapping {
    /// Everything of the mapping that decides what is written. Who wins a conflict is not among it: that needs two edits.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let mut outline: Outline = self.entries.iter().map(|e| (e.name.clone(), entry(e))).collect();
        for (key, says) in [
            ("salesforce", self.salesforce.clone()),
            ("platform", self.platform.clone()),
            ("create", word(&self.create)),
            ("match", format!("{:?}", self.match_keys)),
            ("parent", self.parent.clone().unwrap_or_else(|| "none".to_owned())),
            ("filter", self.filter.as_ref().map_or_else(|| "none".to_owned(), |f| f.source.clone())),
            ("drift", word(&self.drift)),
            ("on-salesforce-delete", word(&self.on_salesforce_delete)),
            ("on-platform-delete", word(&self.on_platform_delete)),
            ("fill-salesforce-blanks", self.fill_salesforce_blanks.to_string()),
        ] {
            outline.insert(format!("[{key}]"), says);
        }
        outline
    }
}

/// What is new, gone or otherwise in `now`, in words; empty where nothing is.
#[must_use]
pub fn changes(before: &Outline, now: &Outline) -> Vec<String> {
    let plain = |name: &str| name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut told: Vec<String> = now
        .iter()
        .filter_map(|(name, says)| match before.get(name) {
            None => Some(format!("{} is new ({says})", plain(name))),
            Some(was) if was != says => Some(format!("{} was {was}, is {says}", plain(name))),
            Some(_) => None,
        })
        .collect();
    told.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{} is gone", plain(name))));
    told
}

fn entry(e: &Entry) -> String {
    let lens = format!("{:?}", e.lens);
    let lens = if lens == "Copy" { String::new() } else { format!(" as {lens}") };
    format!("to {}{lens}, {}", e.platform.join(" + "), word(&e.direction))
}

/// As the rules file writes it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_name() {
        let outline = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Outline>();
        let before = outline(&[("Fax", "to fax, both"), ("Phone", "to phone, both"), ("[filter]", "none"), ("[create]", "both")]);
        let now = outline(&[("Phone", "to phone, to-platform"), ("Title", "to title, both"), ("[filter]", "A"), ("[create]", "both")]);
        assert_eq!(
            changes(&before, &now),
            ["Phone was to phone, both, is to phone, to-platform", "Title is new (to title, both)", "filter was none, is A", "Fax is gone"]
        );
        assert_eq!(changes(&now, &now), Vec::<String>::new());
    }
}
