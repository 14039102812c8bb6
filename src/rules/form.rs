//! From text to the rules file as written, or to everything that is wrong with its form: all of it in one go.
//!
//! serde stops at the first key it does not know. So the parsed text is first held against the JSON schema of the file: what
//! does not fit is reported and taken out, and the rest is read as if it had never been there. Knows no key by name: what may
//! stand where says the schema alone.

use super::{
    Place, Problem,
    check::Finding,
    file::{RulesFile, schema},
};
use serde::Deserialize;
use serde_json::Value as J;
use std::{collections::BTreeMap, sync::LazyLock};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The rules file, as far as it can be read, and what is wrong with its form.
#[must_use]
pub fn read(source: &str) -> (Option<RulesFile>, Vec<Problem>) {
    if source.len() > MOST_BYTES {
        let finding =
            Finding::new(0..0, format!("the file has {} bytes; at most {MOST_BYTES} are read", source.len()), "is it the right file?");
        return (None, vec![finding.problem(source, TOO_LARGE)]);
    }
    let (mut document, faults) = DeTable::parse_recoverable(source);
    // An open bracket swallows everything below it: only the first place where that shows says anything.
    let swallowed = faults.iter().any(|f| f.message().contains("unclosed inline table") || f.message().contains("unclosed array"));
    let mut form = Form { source, problems: Vec::new(), maimed: Vec::new(), path: Vec::new(), torn: !faults.is_empty() };
    for fault in faults.iter().take(if swallowed { 1 } else { MOST_SYNTAX }) {
        let place = fault.span().unwrap_or(0..0);
        let help =
            if swallowed { "is a bracket not closed on this line or the one above?" } else { "https://toml.io explains the notation" };
        form.say(SYNTAX, place, fault.message().trim_end().replace('\n', ", "), help);
    }
    if swallowed {
        return (None, form.problems);
    }
    let root = document.span();
    form.table(&SCHEMA, document.get_mut(), &root);
    let Form { mut problems, maimed, .. } = form;
    match RulesFile::deserialize(toml::Deserializer::from(document)) {
        Ok(mut file) => {
            file.maimed = maimed;
            // After a syntax error nobody knows what the rest of a table would have said.
            if !faults.is_empty() {
                file.maimed.extend(file.places_of_tables());
            }
            (Some(file), problems)
        }
        Err(error) => {
            let place = error.span().unwrap_or(0..0);
            let finding = Finding::new(place, error.message().trim_end(), "docs/rules.md says what may stand here");
            problems.push(finding.problem(source, NOT_UNDERSTOOD));
            (None, problems)
        }
    }
}

/// The rules file as written, if its form is sound.
///
/// # Errors
/// Everything that is wrong with its form.
pub fn parse(source: &str) -> Result<RulesFile, Vec<Problem>> {
    match read(source) {
        (Some(file), problems) if problems.is_empty() => Ok(file),
        (_, problems) => Err(problems),
    }
}

/// Far more than anybody writes; a log file given by mistake must not fill the memory.
const MOST_BYTES: usize = 1 << 20;

/// Mistakes beyond these are the same one again.
const MOST_SYNTAX: usize = 20;

pub const TOO_LARGE: &str = "too-large";
pub const SYNTAX: &str = "syntax";
pub const UNKNOWN_KEY: &str = "unknown-key";
pub const MISSING_KEY: &str = "missing-key";
pub const WRONG_TYPE: &str = "wrong-type";
pub const UNKNOWN_WORD: &str = "unknown-word";
pub const OUT_OF_RANGE: &str = "out-of-range";
pub const ONE_OF: &str = "one-of";
pub const INLINE_SECRET: &str = "inline-secret";
pub const NOT_UNDERSTOOD: &str = "not-understood";

/// Every code of this page, with what it means, for docs/rules.md.
pub const CODES: &[(&str, &str)] = &[
    (TOO_LARGE, "The file is too large to be a rules file."),
    (SYNTAX, "The text is not TOML."),
    (UNKNOWN_KEY, "A key or table that does not exist; the help names the nearest one that does."),
    (MISSING_KEY, "A key or table that must be there is not."),
    (WRONG_TYPE, "Text where a number belongs, and the like."),
    (UNKNOWN_WORD, "A word that is none of the words that may stand there."),
    (OUT_OF_RANGE, "A number that is too small or too large."),
    (ONE_OF, "A table in which exactly one of several keys must stand has none or more."),
    (INLINE_SECRET, "A secret stands in the file itself."),
    (NOT_UNDERSTOOD, "The text cannot be read for a reason that has no name of its own."),
];

static SCHEMA: LazyLock<J> = LazyLock::new(schema);

struct Form<'s> {
    source: &'s str,
    problems: Vec<Problem>,
    maimed: Vec<Place>,
    /// The keys that lead to the table in hand.
    path: Vec<String>,
    /// There are syntax errors: what seems to be missing may be in the part that was not read.
    torn: bool,
}

/// What one part of the schema lets stand.
#[derive(Default)]
struct Shape<'j> {
    types: Vec<&'j str>,
    words: Vec<&'j str>,
    /// Keys are named, or every key has the same kind of value.
    table: Option<&'j J>,
    /// Exactly one of these keys.
    one_of: BTreeMap<&'j str, &'j J>,
    items: Option<&'j J>,
    range: (Option<i64>, Option<i64>),
    secret: bool,
}

impl<'j> Shape<'j> {
    fn of(schema: &'j J) -> Self {
        let mut shape = Self::default();
        shape.take(schema);
        shape
    }

    fn take(&mut self, schema: &'j J) {
        self.secret |= schema.get("x-secret").is_some();
        if let Some(name) = schema.get("$ref").and_then(J::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            self.take(&SCHEMA["$defs"][name]);
        }
        for form in ["anyOf", "oneOf"].iter().filter_map(|k| schema.get(k)).filter_map(J::as_array).flatten() {
            match single_key(form) {
                Some((key, value)) => drop(self.one_of.insert(key, value)),
                None => self.take(form),
            }
        }
        self.words.extend(schema.get("const").and_then(J::as_str));
        self.words.extend(schema.get("enum").and_then(J::as_array).into_iter().flatten().filter_map(J::as_str));
        if schema.get("enum").is_none() && schema.get("const").is_none() {
            match schema.get("type") {
                Some(J::String(ty)) => self.types.push(ty),
                Some(J::Array(types)) => self.types.extend(types.iter().filter_map(J::as_str)),
                _ => {}
            }
        }
        if schema.get("type").is_some_and(|t| t == "object") {
            self.table = Some(schema);
        }
        self.items = self.items.or_else(|| schema.get("items"));
        self.range = (self.range.0.or(bound(schema, "minimum")), self.range.1.or(bound(schema, "maximum")));
    }

    /// For "expected …".
    fn expected(&self) -> String {
        let mut forms: Vec<String> = self.words.iter().map(|w| format!("{w:?}")).collect();
        for ty in &self.types {
            forms.push(
                match *ty {
                    "string" => "text in quotes",
                    "integer" => "a whole number",
                    "boolean" => "true or false",
                    "array" => "a list",
                    "object" => "a table",
                    other => other,
                }
                .to_owned(),
            );
        }
        if !self.one_of.is_empty() {
            forms.push(self.one_of.keys().map(|k| format!("{{ {k} = \"…\" }}")).collect::<Vec<_>>().join(" or "));
        }
        forms.join(" or ")
    }
}

/// A table with one key that must be there: one way of writing an externally tagged enum.
fn single_key(schema: &J) -> Option<(&str, &J)> {
    let properties = schema.get("properties")?.as_object()?;
    let mut all = properties.iter();
    let (key, value) = all.next()?;
    (all.next().is_none() && schema.get("required")?.as_array()?.len() == 1).then_some((key.as_str(), value))
}

fn bound(schema: &J, key: &str) -> Option<i64> {
    let bound = schema.get(key)?;
    bound.as_i64().or_else(|| bound.as_f64().map(|f| f as i64))
}

impl Form<'_> {
    fn say(&mut self, code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Finding::new(place, message, help).problem(self.source, code));
    }

    /// As it stands in the file: `[objects.contact]`.
    fn here(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path.join(".")) }
    }

    fn table(&mut self, schema: &J, table: &mut DeTable<'_>, place: &Place) {
        let empty = serde_json::Map::new();
        let known = schema.get("properties").and_then(J::as_object).unwrap_or(&empty);
        let other = schema.get("additionalProperties").filter(|s| s.is_object());
        for key in schema.get("required").and_then(J::as_array).into_iter().flatten().filter_map(J::as_str) {
            if !table.contains_key(key) && !self.torn {
                let says = known.get(key).and_then(|s| s.get("description")).and_then(J::as_str).unwrap_or_default();
                let (what, at) = if self.path.is_empty() { ("table", 0..0) } else { ("key", place.clone()) };
                self.say(MISSING_KEY, at, format!("{} has no {what} `{key}`", self.here()), first_sentence(says));
            }
        }
        let mut out = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            match known.get(name).or(other) {
                None => {
                    let help = help_with_key(name, known.keys().map(String::as_str), &self.here());
                    self.say(UNKNOWN_KEY, key.span(), format!("{} has no key `{name}`", self.here()), help);
                    out.push(name.to_owned());
                }
                Some(schema) => {
                    self.path.push(name.to_owned());
                    if !self.value(schema, value, &key.span()) {
                        out.push(name.to_owned());
                    }
                    self.path.pop();
                }
            }
        }
        if !out.is_empty() {
            self.maimed.push(place.clone());
        }
        for name in out {
            table.remove(name.as_str());
        }
    }

    /// False if the value cannot stay.
    fn value(&mut self, schema: &J, value: &mut Spanned<DeValue<'_>>, key: &Place) -> bool {
        let shape = Shape::of(schema);
        let place = value.span();
        let name = self.path.last().cloned().unwrap_or_default();
        let takes = |ty: &str| shape.types.contains(&ty);
        match value.get_mut() {
            DeValue::Table(table) if !shape.one_of.is_empty() => return self.single(&shape, table, &place),
            DeValue::Table(table) => {
                if let Some(schema) = shape.table {
                    self.table(schema, table, &place);
                    return true;
                }
            }
            DeValue::String(_) if takes("string") => return true,
            DeValue::String(_) if shape.secret => {
                let message = format!("the secret `{name}` stands in the file itself");
                self.say(INLINE_SECRET, key.clone(), message, format!("write {} and take it out of the file", shape.expected()));
                return false;
            }
            DeValue::String(text) if !shape.words.is_empty() => {
                let known = shape.words.contains(&text.as_ref());
                if !known {
                    let help = match nearest(text, shape.words.iter().copied()) {
                        Some(word) => format!("did you mean {word:?}? It may be {}", shape.expected()),
                        None => format!("it may be {}", shape.expected()),
                    };
                    self.say(UNKNOWN_WORD, place, format!("{text:?} says nothing to `{name}`"), help);
                }
                return known;
            }
            DeValue::Boolean(_) if takes("boolean") => return true,
            DeValue::Integer(written) if takes("integer") => {
                let number = i64::from_str_radix(written.as_str(), written.radix()).ok();
                let (low, high) = shape.range;
                let fits = number.is_some_and(|n| low.is_none_or(|low| n >= low) && high.is_none_or(|high| n <= high));
                if !fits {
                    let help = match (low, high) {
                        (Some(low), Some(high)) => format!("{low} to {high} is possible"),
                        (Some(low), None) => format!("{low} is the least"),
                        (None, Some(high)) => format!("{high} is the most"),
                        (None, None) => "the number is too large".to_owned(),
                    };
                    self.say(OUT_OF_RANGE, place, format!("{} is out of range for `{name}`", written.as_str()), help);
                }
                return fits;
            }
            DeValue::Array(items) if takes("array") => {
                let Some(schema) = shape.items else { return true };
                // Every item is looked at, also after one that does not fit.
                let mut fits = true;
                for item in items.iter_mut() {
                    let place = item.span();
                    fits &= self.value(schema, item, &place);
                }
                return fits;
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {}
        }
        let found = match value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date without quotes",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        // A secret must not be shown, whatever it was written as: the key is underlined instead.
        let place = if shape.secret { key.clone() } else { place };
        self.say(WRONG_TYPE, place, format!("`{name}` is {found}"), format!("it may be {}", shape.expected()));
        false
    }

    fn single(&mut self, shape: &Shape<'_>, table: &mut DeTable<'_>, place: &Place) -> bool {
        let name = self.path.last().cloned().unwrap_or_default();
        let mut sound = true;
        for (key, value) in table.iter_mut() {
            let word = key.get_ref().as_ref();
            match shape.one_of.get(word) {
                None => {
                    let help = help_with_key(word, shape.one_of.keys().copied(), &format!("`{name}`"));
                    self.say(UNKNOWN_KEY, key.span(), format!("`{name}` has no key `{word}`"), help);
                    sound = false;
                }
                Some(schema) => {
                    self.path.push(word.to_owned());
                    sound &= self.value(schema, value, &key.span());
                    self.path.pop();
                }
            }
        }
        if sound && table.len() != 1 {
            self.say(ONE_OF, place.clone(), format!("`{name}` needs exactly one source"), format!("write {}", shape.expected()));
            sound = false;
        }
        sound
    }
}

/// What is wrong with a value where this part of the schema applies. For the examples in the documentation.
#[cfg(test)]
pub fn fits(part: &J, text: &str) -> Vec<Problem> {
    let source = format!("x = {text}\n");
    let (mut document, faults) = DeTable::parse_recoverable(&source);
    assert!(faults.is_empty(), "{source}{faults:?}");
    let mut form = Form { source: &source, problems: Vec::new(), maimed: Vec::new(), path: Vec::new(), torn: false };
    for (key, value) in document.get_mut().iter_mut() {
        form.value(part, value, &key.span());
    }
    form.problems
}

fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    let sentence = text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.');
    sentence.to_owned()
}

fn help_with_key<'a>(word: &str, known: impl Iterator<Item = &'a str>, place: &str) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{place} knows {}", known.join(", ")),
    }
}

/// The word that was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    known.map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= most).min().map(|(_, k)| k)
}

/// Letters to insert, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOUND: &str = "\
[connection]
name = \"acme\"
[salesforce]
login-url = \"https://acme.my.salesforce.com\"
client-id = { env = \"ID\" }
client-secret = { credential = \"secret\" }
[platform.licensespring]
url = \"https://saas.licensespring.com\"
api-key = { file = \"/key\" }
requests-per-minute = 0x10
[objects.account]
salesforce = \"Account\"
platform = \"customer-account\"
[objects.account.fields]
Name = \"name\"
";

    fn codes(source: &str) -> Vec<(&'static str, usize)> {
        read(source).1.iter().map(|p| (p.code, p.line)).collect()
    }

    #[test]
    fn a_sound_file_is_read_with_its_places() {
        let (file, problems) = read(SOUND);
        assert_eq!(problems, []);
        let file = file.unwrap();
        let connection = file.connection.unwrap();
        assert_eq!(&SOUND[connection.place()], "[connection]");
        assert_eq!(&SOUND[connection.name.as_ref().unwrap().place()], "\"acme\"");
        assert_eq!(file.platform.unwrap().licensespring.as_ref().unwrap().requests_per_minute, Some(16));
        let (name, account) = file.objects.first_key_value().unwrap();
        assert_eq!((&SOUND[name.place()], &SOUND[account.place()]), ("account", "[objects.account]"));
    }

    #[test]
    fn each_fault_of_form_has_its_code_and_its_line() {
        for (from, to, want) in [
            ("name = \"acme\"", "nmae = \"acme\"", vec![(MISSING_KEY, 1), (UNKNOWN_KEY, 2)]),
            ("[connection]\nname = \"acme\"\n", "", vec![(MISSING_KEY, 1)]),
            ("\"https://acme.my.salesforce.com\"", "5", vec![(WRONG_TYPE, 4)]),
            ("{ env = \"ID\" }", "{ evn = \"ID\" }", vec![(UNKNOWN_KEY, 5)]),
            ("{ env = \"ID\" }", "{ env = \"ID\", file = \"x\" }", vec![(ONE_OF, 5)]),
            ("{ env = \"ID\" }", "{}", vec![(ONE_OF, 5)]),
            ("{ credential = \"secret\" }", "\"hunter2\"", vec![(INLINE_SECRET, 6)]),
            ("{ credential = \"secret\" }", "12345", vec![(WRONG_TYPE, 6)]),
            ("0x10", "0", vec![(OUT_OF_RANGE, 10)]),
            ("0x10", "99999999999999999999", vec![(OUT_OF_RANGE, 10)]),
            ("0x10", "1.5", vec![(WRONG_TYPE, 10)]),
            ("Name = \"name\"", "Name = { to = \"name\", as = \"coppy\" }", vec![(UNKNOWN_WORD, 15)]),
            ("Name = \"name\"", "Name = { to = \"name\", conflict = \"me\" }", vec![(UNKNOWN_WORD, 15)]),
            ("Name = \"name\"", "Name = {}", vec![(MISSING_KEY, 15)]),
            ("Name = \"name\"", "Name = [\"name\"]", vec![(WRONG_TYPE, 15)]),
            ("salesforce = \"Account\"", "salesforce = \"Account\"\nsalesforce = \"x\"", vec![(SYNTAX, 13)]),
            ("[objects.account]", "match = [1, \"x\", [2]]\n[objects.account]", vec![(UNKNOWN_KEY, 11)]),
            (
                "platform = \"customer-account\"",
                "platform = \"customer-account\"\nmatch = [1, [2], [\"x\"]]",
                vec![(WRONG_TYPE, 14), (WRONG_TYPE, 14)],
            ),
        ] {
            let source = SOUND.replacen(from, to, 1);
            assert_ne!(source, SOUND);
            assert_eq!(codes(&source), want, "{to}\n{:#?}", read(&source).1);
        }
    }

    #[test]
    fn what_was_meant_is_guessed() {
        let (_, problems) = read(&SOUND.replace("client-id", "clientid").replace("platform = ", "plattform = "));
        let helps: Vec<_> = problems.iter().filter(|p| p.code == UNKNOWN_KEY).map(|p| p.help.as_str()).collect();
        assert_eq!(helps, ["did you mean `platform`?", "did you mean `client-id`?"]);
        assert_eq!(nearest("xyz", ["every", "cron"].into_iter()), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("é", "e")), (3, 3, 1));
    }

    #[test]
    fn the_rest_is_read_as_if_a_fault_were_not_there() {
        let source = SOUND.replacen("Name = \"name\"", "Name = \"name\"\nPhone = 5", 1);
        let file = read(&source).0.unwrap();
        assert_eq!(file.lines().len(), 1);
        assert!(file.connection.is_some());
    }

    #[test]
    fn an_open_bracket_is_one_problem_and_not_one_for_each_line_below() {
        for (from, to) in [("{ env = \"ID\" }", "{ env = \"ID\""), ("Name = \"name\"", "Name = [\"name\""), ("{ file", "{{ file")] {
            let found = codes(&SOUND.replacen(from, to, 1));
            assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [SYNTAX], "{to}");
        }
        // A mistake on one line leaves the others to be looked at.
        let source = SOUND.replacen("[connection]", "[connection", 1).replacen("Account\"", "Account\"\nx = 1", 1);
        assert_eq!(codes(&source), [(SYNTAX, 1), (UNKNOWN_KEY, 13)]);
    }

    #[test]
    fn outside_text_never_panics() {
        for source in
            ["", "\u{0}", "[", "[objects]\nx = 5", "a = [[[[", "é = \"", "objects = 5", "[[objects]]", "\"\" = 1", "[products]\nX = 7"]
        {
            let (_, problems) = read(source);
            assert!(!problems.is_empty(), "{source:?}");
        }
        let deep = format!("x = {}", "[".repeat(100_000));
        assert!(!read(&deep).1.is_empty());
        assert_eq!(codes(&"#".repeat(MOST_BYTES + 1)), [(TOO_LARGE, 1)]);
    }
}
