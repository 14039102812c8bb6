//! Formula fields: parsed once, computed on every read, and so never a reason for a stamp to move.
//!
//! The part of the language that integrations meet: fields and parent paths, texts, numbers, `& + - * / = <> < <= > >=
//! && ||` and `IF AND OR NOT ISBLANK BLANKVALUE TEXT CASE UPPER LOWER TRIM LEFT RIGHT LEN ROUND TODAY NOW`. Anything else
//! is an error when the field is added, not a silent null.

use std::borrow::Cow;
use std::cmp::Ordering;

use chrono::DateTime;

use super::value::Val;

#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Num(f64),
    Bool(bool),
    Null,
    Field(String),
    Call(Function, Vec<Node>),
    Binary(Op, Box<Node>, Box<Node>),
    Negative(Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Join,
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    If,
    And,
    Or,
    Not,
    IsBlank,
    BlankValue,
    Text,
    Case,
    Upper,
    Lower,
    Trim,
    Left,
    Right,
    Len,
    Round,
    Today,
    Now,
}

/// What a formula may look at: a field by its path, and the time.
pub trait Scope {
    fn field(&self, path: &str) -> Val<'static>;
    fn now(&self) -> i64;
}

const DEPTH_MAX: u32 = 60;

impl Formula {
    /// # Errors
    /// Says what is not understood and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, text, depth: 0 };
        let root = parser.expression(0)?;
        parser.skip();
        if parser.rest.is_empty() { Ok(Self { root }) } else { Err(parser.says("does not end here")) }
    }

    #[must_use]
    pub fn value(&self, scope: &dyn Scope) -> Val<'static> {
        value(&self.root, scope)
    }
}

struct Parser<'t> {
    rest: &'t str,
    text: &'t str,
    depth: u32,
}

const OPERATORS: [(&str, Op, u8); 14] = [
    ("||", Op::Or, 1),
    ("&&", Op::And, 2),
    ("<>", Op::Ne, 3),
    ("!=", Op::Ne, 3),
    ("<=", Op::Le, 4),
    (">=", Op::Ge, 4),
    ("<", Op::Lt, 4),
    (">", Op::Gt, 4),
    ("=", Op::Eq, 3),
    ("&", Op::Join, 5),
    ("+", Op::Add, 6),
    ("-", Op::Sub, 6),
    ("*", Op::Mul, 7),
    ("/", Op::Div, 7),
];

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn says(&self, what: &str) -> String {
        format!("formula: {what} at character {}", self.text.len() - self.rest.len() + 1)
    }

    fn expression(&mut self, least: u8) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.says("nested too deep"));
        }
        let mut left = self.operand()?;
        loop {
            self.skip();
            let found = OPERATORS.iter().find(|(sign, _, _)| self.rest.starts_with(sign));
            let Some((sign, op, strength)) = found.filter(|(_, _, strength)| *strength > least) else {
                break;
            };
            self.rest = &self.rest[sign.len()..];
            let right = self.expression(*strength)?;
            left = Node::Binary(*op, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Node, String> {
        self.skip();
        let first = self.rest.chars().next().ok_or_else(|| self.says("ends too early"))?;
        match first {
            '(' => {
                self.rest = &self.rest[1..];
                let inner = self.expression(0)?;
                self.expect(')')?;
                Ok(inner)
            }
            '-' => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(self.says("nested too deep"));
                }
                self.rest = &self.rest[1..];
                let inner = self.operand()?;
                self.depth -= 1;
                Ok(Node::Negative(Box::new(inner)))
            }
            '"' | '\'' => self.string(first),
            '0'..='9' => {
                let end = self.rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.').unwrap_or(self.rest.len());
                let number = self.rest[..end].parse().map_err(|_| self.says("no number"))?;
                self.rest = &self.rest[end..];
                Ok(Node::Num(number))
            }
            ch if ch.is_ascii_alphabetic() => self.word(),
            _ => Err(self.says("not understood")),
        }
    }

    fn string(&mut self, quote: char) -> Result<Node, String> {
        let inner = &self.rest[1..];
        let end = inner.find(quote).ok_or_else(|| self.says("a text without an end"))?;
        self.rest = &inner[end + 1..];
        Ok(Node::Text(inner[..end].to_owned()))
    }

    fn word(&mut self) -> Result<Node, String> {
        let end = self.rest.find(|ch: char| !ch.is_ascii_alphanumeric() && ch != '_' && ch != '.').unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let before = self.says("an unknown function");
        self.rest = &self.rest[end..];
        self.skip();
        if !self.rest.starts_with('(') {
            return Ok(match word.to_ascii_uppercase().as_str() {
                "TRUE" => Node::Bool(true),
                "FALSE" => Node::Bool(false),
                "NULL" => Node::Null,
                _ => Node::Field(word.to_owned()),
            });
        }
        let (function, arguments) = function(word).ok_or(before)?;
        self.rest = &self.rest[1..];
        let mut given = Vec::new();
        self.skip();
        if !self.rest.starts_with(')') {
            loop {
                given.push(self.expression(0)?);
                self.skip();
                if !self.rest.starts_with(',') {
                    break;
                }
                self.rest = &self.rest[1..];
            }
        }
        self.expect(')')?;
        if !arguments.contains(&given.len()) {
            return Err(self.says(&format!("{word} takes another number of arguments,")));
        }
        Ok(Node::Call(function, given))
    }

    fn expect(&mut self, ch: char) -> Result<(), String> {
        self.skip();
        self.rest = self.rest.strip_prefix(ch).ok_or_else(|| self.says(&format!("`{ch}` is missing")))?;
        Ok(())
    }
}

fn function(word: &str) -> Option<(Function, std::ops::RangeInclusive<usize>)> {
    Some(match word.to_ascii_uppercase().as_str() {
        "IF" => (Function::If, 3..=3),
        "AND" => (Function::And, 1..=30),
        "OR" => (Function::Or, 1..=30),
        "NOT" => (Function::Not, 1..=1),
        "ISBLANK" | "ISNULL" => (Function::IsBlank, 1..=1),
        "BLANKVALUE" | "NULLVALUE" => (Function::BlankValue, 2..=2),
        "TEXT" => (Function::Text, 1..=1),
        "CASE" => (Function::Case, 4..=60),
        "UPPER" => (Function::Upper, 1..=1),
        "LOWER" => (Function::Lower, 1..=1),
        "TRIM" => (Function::Trim, 1..=1),
        "LEFT" => (Function::Left, 2..=2),
        "RIGHT" => (Function::Right, 2..=2),
        "LEN" => (Function::Len, 1..=1),
        "ROUND" => (Function::Round, 2..=2),
        "TODAY" => (Function::Today, 0..=0),
        "NOW" => (Function::Now, 0..=0),
        _ => return None,
    })
}

fn value(node: &Node, scope: &dyn Scope) -> Val<'static> {
    match node {
        Node::Text(text) => filled(text.clone()),
        Node::Num(num) => Val::Num(*num),
        Node::Bool(bool) => Val::Bool(*bool),
        Node::Null => Val::Null,
        Node::Field(path) => scope.field(path),
        Node::Negative(inner) => numeric(value(inner, scope).number().map(|num| -num)),
        Node::Binary(op, left, right) => binary(*op, &value(left, scope), &value(right, scope)),
        Node::Call(function, given) => call(*function, given, scope),
    }
}

fn binary(op: Op, left: &Val<'_>, right: &Val<'_>) -> Val<'static> {
    let numbers = || left.number().zip(right.number());
    let is = |wanted: &[Ordering]| Val::Bool(wanted.contains(&left.order(right)));
    match op {
        Op::Join => filled(left.text() + &right.text()),
        Op::Add if numbers().is_none() => filled(left.text() + &right.text()),
        Op::Add => numeric(numbers().map(|(a, b)| a + b)),
        Op::Sub => numeric(numbers().map(|(a, b)| a - b)),
        Op::Mul => numeric(numbers().map(|(a, b)| a * b)),
        Op::Div => numeric(numbers().filter(|(_, b)| *b != 0.0).map(|(a, b)| a / b)),
        Op::Eq => is(&[Ordering::Equal]),
        Op::Ne => is(&[Ordering::Less, Ordering::Greater]),
        Op::Lt => is(&[Ordering::Less]),
        Op::Le => is(&[Ordering::Less, Ordering::Equal]),
        Op::Gt => is(&[Ordering::Greater]),
        Op::Ge => is(&[Ordering::Greater, Ordering::Equal]),
        Op::And => Val::Bool(truth(left) && truth(right)),
        Op::Or => Val::Bool(truth(left) || truth(right)),
    }
}

fn call(function: Function, given: &[Node], scope: &dyn Scope) -> Val<'static> {
    let argument = |at: usize| given.get(at).map_or(Val::Null, |node| value(node, scope));
    let text = |at: usize| argument(at).text();
    match function {
        Function::If => argument(if truth(&argument(0)) { 1 } else { 2 }),
        Function::And => Val::Bool((0..given.len()).all(|at| truth(&argument(at)))),
        Function::Or => Val::Bool((0..given.len()).any(|at| truth(&argument(at)))),
        Function::Not => Val::Bool(!truth(&argument(0))),
        Function::IsBlank => Val::Bool(argument(0).text().is_empty()),
        Function::BlankValue => argument(usize::from(text(0).is_empty())),
        Function::Text => filled(match argument(0) {
            Val::Num(num) => num.to_string(),
            other => other.text(),
        }),
        Function::Case => {
            let of = argument(0);
            let pairs = (1..given.len().saturating_sub(1)).step_by(2);
            let hit = pairs.into_iter().find(|at| at + 1 < given.len() && argument(*at).order(&of) == Ordering::Equal);
            argument(hit.map_or(given.len() - 1, |at| at + 1))
        }
        Function::Upper => filled(text(0).to_uppercase()),
        Function::Lower => filled(text(0).to_lowercase()),
        Function::Trim => filled(text(0).trim().to_owned()),
        Function::Left => filled(text(0).chars().take(count(&argument(1))).collect()),
        Function::Right => {
            let text = text(0);
            let skipped = text.chars().count().saturating_sub(count(&argument(1)));
            filled(text.chars().skip(skipped).collect())
        }
        #[allow(clippy::cast_precision_loss, reason = "a length of a text")]
        Function::Len => Val::Num(text(0).chars().count() as f64),
        Function::Round => {
            let places = i32::try_from(count(&argument(1))).unwrap_or(0).min(15);
            numeric(argument(0).number().map(|num| (num * 10_f64.powi(places)).round() / 10_f64.powi(places)))
        }
        Function::Today => DateTime::from_timestamp(scope.now(), 0).map_or(Val::Null, |at| Val::Date(at.date_naive())),
        Function::Now => Val::Time(scope.now()),
    }
}

fn numeric(num: Option<f64>) -> Val<'static> {
    num.map_or(Val::Null, Val::Num)
}

fn filled(text: String) -> Val<'static> {
    if text.is_empty() { Val::Null } else { Val::Text(Cow::Owned(text)) }
}

fn truth(val: &Val<'_>) -> bool {
    matches!(val, Val::Bool(true))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a text can hold")]
fn count(val: &Val<'_>) -> usize {
    val.number().unwrap_or(0.0).clamp(0.0, 100_000.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row;

    impl Scope for Row {
        fn field(&self, path: &str) -> Val<'static> {
            match path {
                "Account.Name" => Val::Text("Acme".into()),
                "Seats__c" => Val::Num(3.0),
                _ => Val::Null,
            }
        }
        fn now(&self) -> i64 {
            1_767_323_045
        }
    }

    fn of(text: &str) -> String {
        Formula::parse(text).expect("a good formula").value(&Row).text()
    }

    #[test]
    fn formulas_compute() {
        for (formula, expected) in [
            ("Account.Name & \": \" & TEXT(Seats__c * 2)", "Acme: 6"),
            ("IF(Seats__c > 2 && NOT(ISBLANK(Account.Name)), 'many', 'few')", "many"),
            ("1 + 2 * 3 - (4 - 1)", "4.0"),
            ("CASE(Seats__c, 1, 'one', 3, 'three', 'other')", "three"),
            ("CASE(Seats__c, 1, 'one', 'other')", "other"),
            ("BLANKVALUE(Nothing__c, LEFT('abcdef', 2) & RIGHT('abcdef', 2))", "abef"),
            ("TODAY()", "2026-01-02"),
            ("1 / 0", ""),
            ("UPPER(Account.Name) = 'acme'", "true"),
        ] {
            assert_eq!(of(formula), expected, "{formula}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for formula in ["VLOOKUP(a)", "IF(1)", "'open", "(1", "1 +", "a b", &"(".repeat(200), &"-".repeat(100_000)] {
            assert!(Formula::parse(formula).is_err(), "{formula}");
        }
    }
}
