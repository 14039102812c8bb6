//! From tokens to the shape of a query. Names are not looked up here.

use chrono::NaiveDate;

use super::error_at;
use super::lex::{Placed, Token, tokens};
use crate::sandbox::salesforce::error::SfError;

#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub select: Vec<Item>,
    pub from: Path,
    pub alias: Option<String>,
    pub filter: Option<Cond>,
    pub group: Vec<Path>,
    pub order: Vec<OrderBy>,
    pub limit: Option<usize>,
    pub offset: usize,
}

/// A dotted name and its place in the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub steps: Vec<String>,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Field(Path, Option<String>),
    /// `ALL`, `CUSTOM` or `STANDARD`.
    Fields(String, usize),
    Child(Box<Query>),
    Aggregate(Aggregate),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub function: Function,
    /// Absent in `COUNT()`.
    pub path: Option<Path>,
    pub alias: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
    Compare(Path, Op, Literal),
    OneOf(Path, bool, Vec<Literal>),
    Among(Path, bool, Box<Query>),
    Includes(Path, bool, Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    Num(f64),
    Bool(bool),
    Null,
    Date(NaiveDate),
    Time(i64),
    /// `TODAY`, `LAST_N_DAYS:7`
    Relative(String, i64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    pub by: OrderItem,
    pub descending: bool,
    pub nulls_last: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OrderItem {
    Path(Path),
    Aggregate(Function, Path),
}

const QUERY_MAX_CHARS: usize = 100_000;
const DEPTH_MAX: u32 = 50;

/// # Errors
/// `MALFORMED_QUERY` and its kin, with the place.
pub fn parse(query: &str) -> Result<Query, SfError> {
    if query.chars().count() > QUERY_MAX_CHARS {
        return Err(SfError::bad("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters."));
    }
    let tokens = tokens(query)?;
    let mut parser = Parser { query, tokens, next: 0, depth: 0 };
    let parsed = parser.query(false)?;
    match parser.peek() {
        None => Ok(parsed),
        Some(_) => Err(parser.unexpected()),
    }
}

struct Parser<'q> {
    query: &'q str,
    tokens: Vec<Placed>,
    next: usize,
    depth: u32,
}

type Parsed<T> = Result<T, SfError>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(self.query.len(), |(_, at)| *at)
    }

    fn unexpected(&self) -> SfError {
        let shown = match self.peek() {
            None => "<EOF>".to_owned(),
            Some(Token::Word(word)) => word.clone(),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
            Some(_) => {
                let end = self.tokens.get(self.next + 1).map_or(self.query.len(), |(_, at)| *at);
                self.query[self.place()..end].trim().to_owned()
            }
        };
        self.malformed(&format!("unexpected token: '{shown}'"))
    }

    fn malformed(&self, message: &str) -> SfError {
        error_at(self.query, self.place(), "MALFORMED_QUERY", message)
    }

    fn is_word(&self, keyword: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let taken = self.is_word(keyword);
        self.next += usize::from(taken);
        taken
    }

    fn need_word(&mut self, keyword: &str) -> Parsed<()> {
        if self.take_word(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn is_sign(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(sign)) if *sign == wanted)
    }

    fn take_sign(&mut self, wanted: &str) -> bool {
        let taken = self.is_sign(wanted);
        self.next += usize::from(taken);
        taken
    }

    fn need_sign(&mut self, wanted: &str) -> Parsed<()> {
        if self.take_sign(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn path(&mut self) -> Parsed<Path> {
        match self.tokens.get(self.next) {
            Some((Token::Word(word), at)) if !word.starts_with('.') && !word.ends_with('.') && !word.contains("..") => {
                let path = Path { steps: word.split('.').map(str::to_owned).collect(), at: *at };
                self.next += 1;
                Ok(path)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn query(&mut self, inner: bool) -> Parsed<Query> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("nested too deep"));
        }
        self.need_word("SELECT")?;
        let mut select = vec![self.item()?];
        while self.take_sign(",") {
            select.push(self.item()?);
        }
        self.need_word("FROM")?;
        let from = self.path()?;
        let mut query = Query { select, from, alias: None, filter: None, group: Vec::new(), order: Vec::new(), limit: None, offset: 0 };
        self.take_word("AS");
        if !self.at_clause(inner) {
            query.alias = Some(self.path()?.steps.concat());
        }
        if self.take_word("USING") {
            self.need_word("SCOPE")?;
            self.path()?;
        }
        if self.take_word("WHERE") {
            query.filter = Some(self.condition()?);
        }
        if self.take_word("WITH") {
            // SECURITY_ENFORCED, USER_MODE: the API user's view is enforced anyway.
            self.path()?;
        }
        if self.take_word("GROUP") {
            self.need_word("BY")?;
            query.group.push(self.path()?);
            while self.take_sign(",") {
                query.group.push(self.path()?);
            }
        }
        if self.take_word("ORDER") {
            self.need_word("BY")?;
            query.order.push(self.order()?);
            while self.take_sign(",") {
                query.order.push(self.order()?);
            }
        }
        if self.take_word("LIMIT") {
            query.limit = Some(self.count()?);
        }
        if self.take_word("OFFSET") {
            query.offset = self.count()?;
            if query.offset > 2000 {
                return Err(SfError::bad("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
            }
        }
        self.depth -= 1;
        Ok(query)
    }

    fn at_clause(&self, inner: bool) -> bool {
        const CLAUSES: [&str; 8] = ["WHERE", "ORDER", "LIMIT", "OFFSET", "GROUP", "WITH", "USING", "FOR"];
        self.peek().is_none()
            || (inner && self.is_sign(")"))
            || CLAUSES.iter().any(|clause| self.is_word(clause))
            || !matches!(self.peek(), Some(Token::Word(_)))
    }

    fn item(&mut self) -> Parsed<Item> {
        if self.is_sign("(") {
            self.next += 1;
            let child = self.query(true)?;
            self.need_sign(")")?;
            return Ok(Item::Child(Box::new(child)));
        }
        let path = self.path()?;
        if !self.is_sign("(") {
            let alias = self.alias();
            return Ok(Item::Field(path, alias));
        }
        let name = path.steps.concat();
        if name.eq_ignore_ascii_case("FIELDS") {
            self.next += 1;
            let which = self.path()?.steps.concat().to_ascii_uppercase();
            self.need_sign(")")?;
            if !["ALL", "CUSTOM", "STANDARD"].contains(&which.as_str()) {
                return Err(self.unexpected());
            }
            return Ok(Item::Fields(which, path.at));
        }
        let Some(function) = function(&name) else {
            self.next -= 1;
            return Err(self.malformed(&format!("unexpected token: '{name}'")));
        };
        self.next += 1;
        let of = if self.is_sign(")") && function == Function::Count { None } else { Some(self.path()?) };
        self.need_sign(")")?;
        let alias = self.alias();
        Ok(Item::Aggregate(Aggregate { function, path: of, alias }))
    }

    fn alias(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) if !word.eq_ignore_ascii_case("FROM") => {
                let word = word.clone();
                self.next += 1;
                Some(word)
            }
            _ => None,
        }
    }

    /// AND and OR on one level need parentheses.
    fn condition(&mut self) -> Parsed<Cond> {
        let first = self.negation()?;
        for (word, build) in [("AND", Cond::All as fn(Vec<Cond>) -> Cond), ("OR", Cond::Any)] {
            if !self.is_word(word) {
                continue;
            }
            let mut all = vec![first];
            while self.take_word(word) {
                all.push(self.negation()?);
            }
            if self.is_word("AND") || self.is_word("OR") {
                return Err(self.unexpected());
            }
            return Ok(build(all));
        }
        Ok(first)
    }

    fn negation(&mut self) -> Parsed<Cond> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("nested too deep"));
        }
        let cond = if self.take_word("NOT") {
            Cond::Not(Box::new(self.negation()?))
        } else if self.take_sign("(") {
            let inner = self.condition()?;
            self.need_sign(")")?;
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(cond)
    }

    fn test(&mut self) -> Parsed<Cond> {
        let path = self.path()?;
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            self.need_sign("(")?;
            if self.is_word("SELECT") {
                let inner = self.query(true)?;
                self.need_sign(")")?;
                return Ok(Cond::Among(path, negated, Box::new(inner)));
            }
            let mut list = vec![self.literal()?];
            while self.take_sign(",") {
                list.push(self.literal()?);
            }
            self.need_sign(")")?;
            return Ok(Cond::OneOf(path, negated, list));
        }
        if negated {
            return Err(self.unexpected());
        }
        for (word, without) in [("INCLUDES", false), ("EXCLUDES", true)] {
            if self.take_word(word) {
                self.need_sign("(")?;
                let mut list = vec![self.text()?];
                while self.take_sign(",") {
                    list.push(self.text()?);
                }
                self.need_sign(")")?;
                return Ok(Cond::Includes(path, without, list));
            }
        }
        let op = if self.take_word("LIKE") {
            Op::Like
        } else {
            const OPS: [(&str, Op); 6] = [("=", Op::Eq), ("!=", Op::Ne), ("<", Op::Lt), ("<=", Op::Le), (">", Op::Gt), (">=", Op::Ge)];
            let found = OPS.iter().find(|(sign, _)| self.is_sign(sign));
            let (_, op) = found.ok_or_else(|| self.unexpected())?;
            self.next += 1;
            *op
        };
        Ok(Cond::Compare(path, op, self.literal()?))
    }

    fn text(&mut self) -> Parsed<String> {
        match self.literal()? {
            Literal::Text(text) => Ok(text),
            _ => Err(self.unexpected()),
        }
    }

    fn literal(&mut self) -> Parsed<Literal> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Num(num)) => Literal::Num(*num),
            Some(Token::Date(date)) => Literal::Date(*date),
            Some(Token::Time(time)) => Literal::Time(*time),
            Some(Token::Word(word)) => match word.to_ascii_uppercase().as_str() {
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                "NULL" => Literal::Null,
                relative if is_relative(relative) => Literal::Relative(relative.to_owned(), 0),
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        if let Literal::Relative(word, _) = &literal
            && (word.contains("_N_") || word.starts_with("N_"))
        {
            self.need_sign(":")?;
            let count = i64::try_from(self.count()?).unwrap_or(0).min(100_000);
            return Ok(Literal::Relative(word.clone(), count));
        }
        Ok(literal)
    }

    fn order(&mut self) -> Parsed<OrderBy> {
        let path = self.path()?;
        let by = if self.take_sign("(") {
            let function = function(&path.steps.concat()).ok_or_else(|| self.unexpected())?;
            let of = self.path()?;
            self.need_sign(")")?;
            OrderItem::Aggregate(function, of)
        } else {
            OrderItem::Path(path)
        };
        let descending = self.take_word("DESC") || {
            self.take_word("ASC");
            false
        };
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.need_word("FIRST")?;
            }
        }
        Ok(OrderBy { by, descending, nulls_last })
    }

    fn count(&mut self) -> Parsed<usize> {
        match self.peek() {
            Some(Token::Num(num)) if *num >= 0.0 && num.fract() == 0.0 && *num < 1e9 => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below 1e9")]
                let count = *num as usize;
                self.next += 1;
                Ok(count)
            }
            _ => Err(self.unexpected()),
        }
    }
}

fn function(name: &str) -> Option<Function> {
    match name.to_ascii_uppercase().as_str() {
        "COUNT" => Some(Function::Count),
        "COUNT_DISTINCT" => Some(Function::CountDistinct),
        "SUM" => Some(Function::Sum),
        "AVG" => Some(Function::Avg),
        "MIN" => Some(Function::Min),
        "MAX" => Some(Function::Max),
        _ => None,
    }
}

fn is_relative(word: &str) -> bool {
    const WORDS: [&str; 21] = [
        "TODAY",
        "YESTERDAY",
        "TOMORROW",
        "LAST_WEEK",
        "THIS_WEEK",
        "NEXT_WEEK",
        "LAST_MONTH",
        "THIS_MONTH",
        "NEXT_MONTH",
        "LAST_YEAR",
        "THIS_YEAR",
        "NEXT_YEAR",
        "LAST_90_DAYS",
        "NEXT_90_DAYS",
        "LAST_N_DAYS",
        "NEXT_N_DAYS",
        "N_DAYS_AGO",
        "LAST_N_WEEKS",
        "LAST_N_MONTHS",
        "NEXT_N_MONTHS",
        "LAST_N_YEARS",
    ];
    WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_query() {
        let query = parse(
            "SELECT Id, Account.Name, (SELECT Id FROM Contacts WHERE Email != null ORDER BY Id LIMIT 5) FROM Account a \
             WHERE (Name LIKE 'A%' OR NOT Name = 'b') AND Id IN ('x', 'y') AND CreatedDate >= LAST_N_DAYS:7 \
             ORDER BY Name DESC NULLS LAST, Id LIMIT 10 OFFSET 20",
        )
        .expect("a good query");
        assert_eq!((query.select.len(), query.alias.as_deref(), query.limit, query.offset), (3, Some("a"), Some(10), 20));
        assert!(matches!(&query.filter, Some(Cond::All(all)) if all.len() == 3));
        assert!(query.order[0].descending && query.order[0].nulls_last && !query.order[1].descending);
    }

    #[test]
    fn malformed_queries_tell_the_token_and_the_place() {
        for (query, says) in [
            ("SELECT Id FORM Account", "unexpected token: 'Account'"),
            ("SELECT Id FROM Account WHERE", "unexpected token: '<EOF>'"),
            ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "unexpected token: 'OR'"),
            ("SELECT Id FROM Account WHERE Name NOT 'a'", "unexpected token: ''a''"),
            ("SELECT FROM Account", "unexpected token"),
            ("SELECT Id FROM Account LIMIT x", "unexpected token: 'x'"),
            ("SELECT Id FROM Account OFFSET 3000", "Maximum SOQL offset"),
            ("DELETE Id FROM Account", "ERROR at Row:1:Column:1"),
            ("SELECT Id FROM Account WHERE Name = 'a' FOR UPDATE", "unexpected token: 'FOR'"),
            (&format!("SELECT Id FROM A WHERE {}a = 1", "(".repeat(300)), "nested too deep"),
        ] {
            let error = parse(query).expect_err(query);
            assert!(error.message.contains(says), "{query}: {}", error.message);
        }
    }
}
