//! A rules file as lines that can be left out, changed and added without losing a comment. What is left out stays to be read,
//! with the reason.

use crate::rules::Mapping;

/// The text, line by line. Lines are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sheet {
    lines: Vec<String>,
}

impl Sheet {
    pub(super) fn of(text: &str) -> Self {
        Self { lines: text.lines().map(str::to_owned).collect() }
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Below the first line: what the file is.
    pub(super) fn note(&mut self, text: &str) {
        self.lines.insert(1.min(self.lines.len()), format!("# {text}"));
    }

    /// The object a line belongs to.
    pub(super) fn object_at(&self, line: usize) -> Option<String> {
        let head = self.lines.get(..=line)?.iter().rev().find_map(|l| heading(l))?;
        Some(head.strip_prefix("objects.")?.split('.').next()?.to_owned())
    }

    /// A line of `[objects.….fields]`, and not its heading.
    pub(super) fn is_field(&self, line: usize) -> bool {
        let Some(above) = self.lines.get(..=line) else { return false };
        let head = above.iter().rev().find_map(|l| heading(l));
        heading(&above[line]).is_none() && head.is_some_and(|h| h.starts_with("objects.") && h.ends_with(".fields"))
    }

    /// `match = …` and the like.
    pub(super) fn is_setting(&self, line: usize, key: &str) -> bool {
        self.lines.get(line).is_some_and(|l| sets(l, key))
    }

    /// The line stays as a comment with the reason.
    pub(super) fn leave_out(&mut self, line: usize, why: &str) {
        if let Some(text) = self.lines.get_mut(line) {
            *text = aligned(&format!("# {}", code(text)), &format!("left out: {}", one_line(why)));
        }
    }

    /// All of an object, with all that refers to it by kind.
    pub(super) fn leave_object_out(&mut self, object: &str, why: &str) {
        self.leave_table_out(&format!("objects.{object}"), why);
        self.forget_kind(object);
    }

    /// The same, with the tables that are there for its sake.
    pub(super) fn leave_mapping_out(&mut self, mapping: &Mapping, why: &str) {
        self.leave_object_out(&mapping.object, why);
        if mapping.provisions {
            for table in ["orders", "products"] {
                self.leave_table_out(table, "no object provisions");
            }
        }
    }

    /// A whole table that is no object's.
    fn leave_table_out(&mut self, table: &str, why: &str) {
        let Some((start, end)) = self.section(table) else { return };
        for line in &mut self.lines[start..end] {
            if !line.trim().is_empty() && !line.starts_with('#') {
                *line = format!("# {line}");
            }
        }
        self.lines.insert(start, format!("# Left out: {}", one_line(why)));
    }

    /// `kinds = { "001" = "account", "006" = "opportunity" }` without one of them.
    fn forget_kind(&mut self, object: &str) {
        const OPEN: &str = "kinds = {";
        let named = format!("\"{object}\"");
        for i in 0..self.lines.len() {
            let line = &self.lines[i];
            if line.starts_with('#') {
                continue;
            }
            let Some(start) = line.find(OPEN).map(|at| at + OPEN.len()) else { continue };
            let Some(end) = line[start..].find('}').map(|at| start + at) else { continue };
            let all: Vec<&str> = line[start..end].split(',').map(str::trim).collect();
            let kept: Vec<&str> = all.iter().copied().filter(|kind| !kind.ends_with(&named)).collect();
            if kept.is_empty() {
                self.leave_out(i, &format!("there is no object {object}"));
            } else if kept.len() < all.len() {
                self.lines[i] = format!("{} {} {}", &line[..start], kept.join(", "), &line[end..]);
            }
        }
    }

    /// Sets a key of a table: in its place, or right below the heading. False where it says that already.
    pub(super) fn set(&mut self, table: &str, key: &str, value: &str, why: &str) -> bool {
        let Some(start) = self.lines.iter().position(|l| heading(l).as_deref() == Some(table)) else { return false };
        let wanted = format!("{key} = {value}");
        let length = self.lines[start + 1..].iter().take_while(|l| heading(l).is_none()).count();
        let found = (start + 1..=start + length).find(|i| sets(&self.lines[*i], key));
        let text = aligned(&wanted, &one_line(why));
        match found {
            Some(i) if code(&self.lines[i]) == wanted => return false,
            Some(i) => self.lines[i] = text,
            None => self.lines.insert(start + 1, text),
        }
        true
    }

    /// A commented `# key = …` of a table, as it would be set.
    pub(super) fn offered(&self, table: &str, key: &str) -> Option<String> {
        let start = self.lines.iter().position(|l| heading(l).as_deref() == Some(table))?;
        let own = self.lines[start + 1..].iter().take_while(|l| heading(l).is_none());
        let bare = own.filter_map(|l| l.strip_prefix("# ")).find(|l| sets(l, key))?;
        Some(code(bare).split_once(" = ")?.1.to_owned())
    }

    /// Puts a line where a commented one offers it.
    pub(super) fn take_offer(&mut self, table: &str, key: &str) {
        let Some(start) = self.lines.iter().position(|l| heading(l).as_deref() == Some(table)) else { return };
        let length = self.lines[start + 1..].iter().take_while(|l| heading(l).is_none()).count();
        for line in &mut self.lines[start + 1..=start + length] {
            if let Some(bare) = line.strip_prefix("# ").filter(|l| sets(l, key)) {
                *line = bare.to_owned();
                return;
            }
        }
    }

    /// Makes a field line one-way.
    pub(super) fn narrow(&mut self, line: usize, direction: &str, why: &str) {
        let Some(text) = self.lines.get_mut(line) else { return };
        let bare = code(text).to_owned();
        let Some((key, value)) = bare.split_once(" = ") else { return };
        let value = match value.strip_suffix('}') {
            None => format!("{{ to = {value}, direction = \"{direction}\" }}"),
            Some(open) => match open.split_once("direction = \"") {
                Some((before, after)) => {
                    let after = after.split_once('"').map_or("", |(_, after)| after);
                    format!("{before}direction = \"{direction}\"{after}}}")
                }
                None => format!("{}, direction = \"{direction}\" }}", open.trim_end()),
            },
        };
        *text = aligned(&format!("{key} = {value}"), &one_line(why));
    }

    /// Behind the last line of a table that says something.
    pub(super) fn add(&mut self, table: &str, line: &str, why: &str) {
        let Some(start) = self.lines.iter().position(|l| heading(l).as_deref() == Some(table)) else { return };
        let length = self.lines[start + 1..].iter().take_while(|l| heading(l).is_none()).count();
        let own = &self.lines[start..=start + length];
        let last = own.iter().rposition(|l| !code(l).is_empty() || l.contains("left out: ")).unwrap_or(0);
        self.lines.insert(start + last + 1, if why.is_empty() { line.to_owned() } else { aligned(line, &one_line(why)) });
    }

    /// From a table's heading to the next table that is not below it; comments before that belong to the next one.
    fn section(&self, table: &str) -> Option<(usize, usize)> {
        let start = self.lines.iter().position(|l| heading(l).as_deref() == Some(table))?;
        let below = format!("{table}.");
        let next = self.lines[start + 1..].iter().position(|l| heading(l).is_some_and(|h| !h.starts_with(&below)));
        Some((start, next.map_or(self.lines.len(), |n| start + 1 + n)))
    }
}

fn heading(line: &str) -> Option<String> {
    let code = code(line);
    Some(code.strip_prefix('[')?.strip_suffix(']')?.to_owned())
}

fn sets(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    line.trim_end()
}

/// A reason comes from outside and may have any length and form.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control()).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// With the comments of a table in one column.
fn aligned(code: &str, comment: &str) -> String {
    if comment.is_empty() { code.to_owned() } else { format!("{code:<53} # {comment}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Title\n[orders]\nwhen = 'a # b'   # why\n\n# ── A\n\n[objects.a]\n# match = [[\"name\"]]    # two hits stop\nfilter = \"x\"\n\n\
                        [objects.a.fields]\nName = \"name\"\nOther = { to = \"o\", as = \"x\", direction = \"both\" }\n# T = \"t\"\n\n# ── B\n\n[objects.b]\n\
                        [objects.b.fields]\nWhat = { to = \"w\", as = \"related\", kinds = { \"001\" = \"a\", \"006\" = \"c\" } }\n";

    fn line(sheet: &Sheet, start: &str) -> usize {
        sheet.lines.iter().position(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start} in {sheet:#?}"))
    }

    #[test]
    fn nothing_done_is_nothing_changed() {
        assert_eq!(Sheet::of(TEXT).text(), TEXT);
        assert_eq!(code("a = 'x # y' # z"), "a = 'x # y'");
    }

    #[test]
    fn lines_know_where_they_are() {
        let sheet = Sheet::of(TEXT);
        let at = line(&sheet, "Name");
        assert!(sheet.is_field(at) && !sheet.is_field(at - 1) && !sheet.is_field(line(&sheet, "filter")));
        assert_eq!(sheet.object_at(at).as_deref(), Some("a"));
        assert_eq!(sheet.object_at(line(&sheet, "when")), None);
        assert_eq!(sheet.offered("objects.a", "match").as_deref(), Some("[[\"name\"]]"));
        assert_eq!(sheet.offered("objects.b", "match"), None);
    }

    #[test]
    fn what_is_left_out_stays_to_be_read() {
        let mut sheet = Sheet::of(TEXT);
        sheet.leave_out(line(&sheet, "Name"), "not\nthere");
        assert!(sheet.text().contains("# Name = \"name\"") && sheet.text().contains("# left out: not there\n"));
        sheet.leave_object_out("a", "nobody sees it");
        let text = sheet.text();
        assert!(text.contains("# Left out: nobody sees it\n# [objects.a]\n"), "{text}");
        assert!(text.contains("kinds = { \"006\" = \"c\" }") && text.contains("\n[objects.b]\n"), "{text}");
        assert!(text.contains("\n# filter = \"x\"\n"), "{text}");
    }

    #[test]
    fn lines_are_changed_where_they_stand() {
        let mut sheet = Sheet::of(TEXT);
        sheet.narrow(line(&sheet, "Name"), "to-platform", "why");
        sheet.narrow(line(&sheet, "Other"), "to-salesforce", "why");
        sheet.narrow(line(&sheet, "What"), "to-platform", "why");
        assert!(sheet.set("orders", "when", "1", "") && !sheet.set("orders", "when", "1", "") && sheet.set("orders", "new", "2", ""));
        sheet.add("objects.a.fields", "X = \"x\"", "same name");
        sheet.take_offer("objects.a", "match");
        sheet.note("made");
        let text = sheet.text();
        for part in [
            "# Title\n# made\n",
            "Name = { to = \"name\", direction = \"to-platform\" }",
            "Other = { to = \"o\", as = \"x\", direction = \"to-salesforce\" }",
            "\"c\" }, direction = \"to-platform\" }",
            "[orders]\nnew = 2\nwhen = 1\n",
            "\nmatch = [[\"name\"]]    # two hits stop\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.find("X = \"x\"") > text.find("Other") && text.find("X = \"x\"") < text.find("── B"), "{text}");
    }
}
