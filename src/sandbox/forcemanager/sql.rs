//! The `where=` language: what is documented (`=`, `>`, `LIKE`, `NOT LIKE`, `AND`, `OR`, texts in single quotes), and behind
//! a switch the rest of what SQL has.
//!
//! Whatever it does not take is answered 901, a literal of the wrong form for its column too.

use super::dates;
use super::filter::{Cell, Column, Condition, Operator};
use super::reply::Refusal;
use super::schema::{Kind, Object};
use super::world::World;

impl Condition {
    /// Reads an expression about `object`.
    ///
    /// # Errors
    /// 901 for everything that is not of the language.
    pub fn parse(world: &World, object: Object, text: &str) -> Result<Condition, Refusal> {
        let words = words(text)?;
        let mut parser = Parser { world, object, words: &words, at: 0 };
        let condition = parser.any()?;
        match parser.next() {
            None => Ok(condition),
            Some(word) => Err(unexpected(word)),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Quoted(String),
    Number(String),
    Sign(&'static str),
}

fn words(text: &str) -> Result<Vec<Word>, Refusal> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let signs = [">=", "<=", "<>", "!=", "=", ">", "<", "(", ")", ","];
        if first == ' ' {
            rest = &rest[1..];
        } else if first == '\'' {
            let (quoted, after) = quoted(&rest[1..])?;
            words.push(Word::Quoted(quoted));
            rest = after;
        } else if let Some(sign) = signs.into_iter().find(|sign| rest.starts_with(sign)) {
            words.push(Word::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let end = rest.find(|ch: char| !(ch.is_ascii_alphanumeric() || "_.-".contains(ch))).unwrap_or(rest.len());
            if end == 0 {
                return Err(Refusal::sql(format!("unexpected character {first:?}")));
            }
            let word = rest[..end].to_owned();
            let number = word.starts_with(|ch: char| ch.is_ascii_digit() || ch == '-');
            words.push(if number { Word::Number(word) } else { Word::Name(word) });
            rest = &rest[end..];
        }
    }
    Ok(words)
}

/// What stands up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Refusal> {
    let mut quoted = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, ch)) = chars.next() {
        match ch {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                quoted.push('\'');
            }
            '\'' => return Ok((quoted, &text[at + 1..])),
            ch if ch.is_control() || ch == ';' => return Err(Refusal::sql(format!("unexpected character {ch:?} in a text"))),
            ch => quoted.push(ch),
        }
    }
    Err(Refusal::sql("a quote is not closed"))
}

fn unexpected(word: &Word) -> Refusal {
    let said = match word {
        Word::Name(text) | Word::Number(text) => text.clone(),
        Word::Quoted(text) => format!("'{text}'"),
        Word::Sign(sign) => (*sign).to_owned(),
    };
    Refusal::sql(format!("incorrect syntax near {said}"))
}

struct Parser<'a> {
    world: &'a World,
    object: Object,
    words: &'a [Word],
    at: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Word> {
        self.at += 1;
        self.words.get(self.at - 1)
    }

    /// Takes the next word if it is this one.
    fn takes(&mut self, wanted: &str) -> bool {
        let found = match self.words.get(self.at) {
            Some(Word::Name(name)) => name.eq_ignore_ascii_case(wanted),
            Some(Word::Sign(sign)) => *sign == wanted,
            Some(Word::Quoted(_) | Word::Number(_)) | None => false,
        };
        self.at += usize::from(found);
        found
    }

    fn extended(&self, what: &str) -> Result<(), Refusal> {
        if self.world.settings.where_extended { Ok(()) } else { Err(Refusal::sql(format!("incorrect syntax near {what}"))) }
    }

    fn any(&mut self) -> Result<Condition, Refusal> {
        let mut any = vec![self.all()?];
        while self.takes("OR") {
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }

    fn all(&mut self) -> Result<Condition, Refusal> {
        let mut all = vec![self.one()?];
        while self.takes("AND") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::All(all) })
    }

    fn one(&mut self) -> Result<Condition, Refusal> {
        if self.takes("(") {
            self.extended("(")?;
            let inside = self.any()?;
            return if self.takes(")") { Ok(inside) } else { Err(Refusal::sql("a parenthesis is not closed")) };
        }
        let column = match self.next() {
            Some(Word::Name(name)) => Column::find(self.world, self.object, name)
                .ok_or_else(|| Refusal::sql(format!("invalid column name {name} of {}", self.object.path())))?,
            Some(word) => return Err(unexpected(word)),
            None => return Err(Refusal::sql("a condition is missing")),
        };
        if self.takes("IS") {
            self.extended("IS")?;
            let negated = self.takes("NOT");
            return if self.takes("NULL") { Ok(Condition::IsNull { column, negated }) } else { Err(Refusal::sql("NULL is missing")) };
        }
        if self.takes("IN") {
            self.extended("IN")?;
            return self.list(column);
        }
        let negated = self.takes("NOT");
        if self.takes("LIKE") {
            let Some(Word::Quoted(pattern)) = self.next() else {
                return Err(Refusal::sql("a text is missing after LIKE"));
            };
            if !column.is_text() {
                return Err(Refusal::sql("LIKE is for texts"));
            }
            return Ok(Condition::Like { column, pattern: pattern.clone(), negated });
        }
        if negated {
            return Err(Refusal::sql("incorrect syntax near NOT"));
        }
        let operator = self.operator()?;
        let cell = self.value(&column)?;
        Ok(Condition::Compare(column, operator, cell))
    }

    fn list(&mut self, column: Column) -> Result<Condition, Refusal> {
        let mut values = Vec::new();
        if !self.takes("(") {
            return Err(Refusal::sql("incorrect syntax near IN"));
        }
        loop {
            values.push(self.value(&column)?);
            if self.takes(")") {
                return Ok(Condition::In(column, values));
            }
            if !self.takes(",") {
                return Err(Refusal::sql("a parenthesis is not closed"));
            }
        }
    }

    fn operator(&mut self) -> Result<Operator, Refusal> {
        let (operator, documented, sign) = match self.next() {
            Some(Word::Sign("=")) => (Operator::Equal, true, "="),
            Some(Word::Sign(">")) => (Operator::Greater, true, ">"),
            Some(Word::Sign(">=")) => (Operator::GreaterOrEqual, false, ">="),
            Some(Word::Sign("<")) => (Operator::Less, false, "<"),
            Some(Word::Sign("<=")) => (Operator::LessOrEqual, false, "<="),
            Some(Word::Sign("<>" | "!=")) => (Operator::NotEqual, false, "<>"),
            Some(word) => return Err(unexpected(word)),
            None => return Err(Refusal::sql("an operator is missing")),
        };
        if !documented {
            self.extended(sign)?;
        }
        Ok(operator)
    }

    /// A literal for a column of this kind.
    fn value(&mut self, column: &Column) -> Result<Cell, Refusal> {
        let word = self.next().ok_or_else(|| Refusal::sql("a value is missing"))?;
        let conversion = || {
            let Refusal::Coded(status, code, text) = unexpected(word) else { return unexpected(word) };
            Refusal::Coded(status, code, format!("conversion failed: {text}"))
        };
        let (text, quoted) = match word {
            Word::Quoted(text) => (text.as_str(), true),
            Word::Name(text) | Word::Number(text) => (text.as_str(), false),
            Word::Sign(_) => return Err(unexpected(word)),
        };
        let whole = || text.parse::<i64>().map(Cell::Whole).ok();
        let cell = match column {
            Column::Id | Column::By(_) => whole(),
            Column::Deleted => flag(text),
            Column::Date(_) => self.instant(text, quoted),
            Column::Field(_, kind) => match kind {
                Kind::Int(..) | Kind::Link(_) | Kind::Links(_) => whole(),
                Kind::Number => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Cell::Number),
                Kind::Flag => flag(text),
                Kind::Stamp => self.instant(text, quoted),
                Kind::Day => dates::short_day(text).or_else(|| dates::day(text)).map(|day| Cell::Text(day.to_string())).filter(|_| quoted),
                Kind::Text(_) | Kind::Hour | Kind::Choice | Kind::Choices => quoted.then(|| Cell::Text(text.to_owned())),
            },
        };
        cell.ok_or_else(conversion)
    }

    fn instant(&self, text: &str, quoted: bool) -> Option<Cell> {
        let form = self.world.settings.where_dates.as_str();
        let space = dates::space(text).filter(|_| matches!(form, "space" | "any"));
        let iso = dates::iso(text).filter(|_| matches!(form, "iso" | "any"));
        let zoned = dates::zoned(text).filter(|_| form == "any");
        let ahead = i64::from(self.world.settings.where_ahead_minutes) * 60_000;
        space.or(iso).map(|at| at - ahead).or(zoned).filter(|_| quoted).map(Cell::Whole)
    }
}

fn flag(text: &str) -> Option<Cell> {
    match text.to_lowercase().as_str() {
        "1" | "true" => Some(Cell::Flag(true)),
        "0" | "false" => Some(Cell::Flag(false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;
    use serde_json::json;

    fn world() -> World {
        let clock = Clock::system();
        clock.freeze("2026-01-05T06:31:19.902Z".parse().unwrap());
        World::new(clock)
    }

    fn found(world: &World, text: &str) -> usize {
        let condition = Condition::parse(world, Object::Account, text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        world.table(Object::Account).rows().filter(|row| condition.holds(Object::Account, row, &world.settings)).count()
    }

    #[test]
    fn documented_conditions_find_what_they_say() {
        let mut world = world();
        let one = world.add(Object::Account, &json!({"name": "O'Hara", "extId": "001", "email": "a@b.example"})).unwrap();
        world.add(Object::Account, &json!({"name": "Alder", "city": "Bern", "public": true})).unwrap();
        for (text, rows) in [
            (format!("id={one}"), 1),
            (format!("id > {one}"), 1),
            ("name = 'O''Hara'".into(), 1),
            ("NAME='o''hara'".into(), 1),
            ("name LIKE '%ld_r'".into(), 1),
            ("name NOT LIKE 'A%'".into(), 1),
            ("city NOT LIKE 'X%'".into(), 1),
            ("city='Bern' OR email='a@b.example' AND name='nobody'".into(), 1),
            ("public=1 AND deleted=false".into(), 1),
            ("dateCreated > '2026-01-05 06:31:19'".into(), 2),
            ("dateCreated > '2026-01-05 06:31:20'".into(), 0),
            ("dateUpdated > '1990-01-01 00:00:00'".into(), 0),
        ] {
            assert_eq!(found(&world, &text), rows, "{text}");
        }
        world.settings.where_ignores_case = false;
        assert_eq!(found(&world, "name='o''hara'"), 0);
    }

    #[test]
    fn everything_else_is_bad_sql_until_switched_on() {
        let mut world = world();
        world.add(Object::Account, &json!({"name": "Alder", "city": "Bern"})).unwrap();
        let extended = [
            ("(city='Bern' OR city='X') AND name<>'X'", 1),
            ("id>=1 AND id<=99999 AND city IN ('Bern','X')", 1),
            ("email IS NULL AND city IS NOT NULL", 1),
            ("city < 'B'", 0),
        ];
        let wrong = [
            "",
            "name",
            "name=",
            "name='a",
            "name=Alder",
            "nobody='x'",
            "name='a';",
            "name='a;b'",
            "id='x'",
            "name = 'a' AND",
            "= 'a'",
            "public LIKE 'x'",
            "dateCreated > '2026-01-05T06:31:19'",
            "dateCreated > 2026-01-05",
            "name='a\tb'",
            "name='a' name='b'",
        ];
        for text in extended.iter().map(|(text, _)| *text).chain(wrong) {
            let refusal = Condition::parse(&world, Object::Account, text).unwrap_err();
            assert_eq!((refusal.status(), refusal.body()["code"].clone()), (400, json!(901)), "{text}");
        }
        world.settings.where_extended = true;
        for (text, rows) in extended {
            assert_eq!(found(&world, text), rows, "{text}");
        }
        for (form, space, iso, zoned) in
            [("space", true, false, false), ("iso", false, true, false), ("any", true, true, true), ("none", false, false, false)]
        {
            world.settings.where_dates = form.into();
            let taken = |at: &str| Condition::parse(&world, Object::Account, &format!("dateCreated > '{at}'")).is_ok();
            let all = (taken("2026-01-05 06:31:19"), taken("2026-01-05T06:31:19"), taken("2026-01-05T06:31:19Z"));
            assert_eq!(all, (space, iso, zoned), "{form}");
        }
    }
}
