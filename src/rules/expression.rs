//! Expressions over one Salesforce record: filters, `provision-when`, templates.
//!
//! No IO, no clock, no chance, and an end: what an expression says depends on the record alone, and a filter that does
//! not exist is found when the rules are read. Knows nothing of mappings.

use crate::record::{Fields, Value};
use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value as Mini,
    machinery::{
        self, Span,
        ast::{CallArg, Expr},
    },
    value::{Kwargs, ValueKind},
};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

/// An expression as the operator wrote it, ready to be evaluated.
#[derive(Clone)]
pub struct Expression {
    pub source: String,
    /// The fields of the record it looks at, sorted; those of a parent record with dots (`Account.Name`).
    pub fields: Vec<String>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

/// What is wrong, and where in the source (bytes) if that is known.
pub type BadExpression = (String, Option<Range<usize>>);

impl Expression {
    /// # Errors
    /// A syntax error, an unknown filter, test or function, or a source that is too long.
    pub fn parse(source: &str) -> Result<Self, BadExpression> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err((format!("the expression is {} bytes long; at most {MAX_SOURCE_BYTES} are taken", source.len()), None));
        }
        // The compiler recurses once for each chained operator; the cap above and this stack together rule an overflow out.
        std::thread::scope(|scope| {
            let compiler = std::thread::Builder::new().name("expression".to_owned()).stack_size(COMPILER_STACK_BYTES);
            match compiler.spawn_scoped(scope, || compile(source)) {
                Ok(running) => running.join().unwrap_or_else(|_| Err(("the expression cannot be compiled".to_owned(), None))),
                Err(error) => Err((format!("no thread to compile the expression on: {error}"), None)),
            }
        })
    }

    /// # Errors
    /// A field it looks at is absent from the record, or its operators and filters do not fit the values.
    pub fn evaluate(&self, record: &Fields) -> Result<Value, String> {
        let mut seen = Vec::with_capacity(self.fields.len());
        for name in &self.fields {
            let value = record.get(name).ok_or_else(|| format!("the record shows no field {name}, which `{}` looks at", self.source))?;
            seen.push((name.as_str(), to_mini(value)));
        }
        let result = self.compiled.eval(nest(seen)).map_err(|e| format!("`{}`: {}", self.source, said(&e)))?;
        from_mini(&result).ok_or_else(|| format!("`{}` gives {}, which is no value of a field", self.source, result.kind()))
    }

    /// # Errors
    /// As `evaluate`; and a result that is neither true nor false.
    pub fn holds(&self, record: &Fields) -> Result<bool, String> {
        match self.evaluate(record)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!("`{}` gives {other}, not true or false", self.source)),
        }
    }
}

/// Two expressions are one if they are written alike.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// As written: part of the fingerprint of the rules, so nothing of the engine's insides may show.
impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("source", &self.source).finish_non_exhaustive()
    }
}

const MAX_SOURCE_BYTES: usize = 1_000;
const COMPILER_STACK_BYTES: usize = 32 << 20;
/// Instructions; a 1,000 byte source uses a few hundred.
const FUEL: u64 = 20_000;
/// What a filter may make of one value. The longest Salesforce text is 131,072 characters.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Everything there is besides operators. Documented in docs/rules.md.
pub const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lookup",
    "lower",
    "replace",
    "round",
    "split",
    "title",
    "trim",
    "upper",
];
pub const TESTS: &[&str] = &["boolean", "endingwith", "none", "number", "startingwith", "string"];

/// Starts from nothing: only what is added here exists.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    use minijinja::{filters, tests};
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    env.add_filter("abs", filters::abs);
    env.add_filter("capitalize", filters::capitalize);
    env.add_filter("default", fallback);
    env.add_filter("first", filters::first);
    env.add_filter("float", filters::float);
    env.add_filter("int", filters::int);
    env.add_filter("join", filters::join);
    env.add_filter("last", filters::last);
    env.add_filter("length", filters::length);
    env.add_filter("lookup", lookup);
    env.add_filter("lower", filters::lower);
    env.add_filter("replace", replace);
    env.add_filter("round", filters::round);
    env.add_filter("split", filters::split);
    env.add_filter("title", filters::title);
    env.add_filter("trim", filters::trim);
    env.add_filter("upper", filters::upper);
    env.add_test("boolean", tests::is_boolean);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
    env
});

/// The other value where this one is null or empty.
fn fallback(value: &Mini, other: Mini, none: Kwargs) -> Result<Mini, Error> {
    none.assert_all_used()?;
    let blank = value.is_none() || value.as_str().is_some_and(str::is_empty);
    Ok(if blank { other } else { value.clone() })
}

/// The entry of a table; a word without one is an error, never nothing.
fn lookup(word: &str, table: &Mini) -> Result<Mini, Error> {
    let found = table.get_attr(word).ok().filter(|entry| !entry.is_undefined());
    found.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("lookup has no entry for {word:?}")))
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let hits = text.matches(from).count();
    if hits.saturating_mul(to.len()).saturating_add(text.len()) > MAX_TEXT_BYTES {
        return Err(Error::new(ErrorKind::InvalidOperation, "replace would make a text of more than a megabyte"));
    }
    Ok(text.replace(from, to))
}

fn compile(source: &str) -> Result<Expression, BadExpression> {
    let bad = |error: &Error| (said(error), error.range().map(|range| whole_letters(source, range)));
    let parsed = machinery::parse_expr(source).map_err(|e| bad(&e))?;
    let mut complaints = Vec::new();
    names(&parsed, &mut complaints);
    if let Some(first) = complaints.into_iter().next() {
        return Err(first);
    }
    let compiled = ENVIRONMENT.compile_expression_owned(source.to_owned()).map_err(|e| bad(&e))?;
    let mut fields: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    fields.sort();
    Ok(Expression { source: source.to_owned(), fields, compiled: Arc::new(compiled) })
}

/// The engine's ranges may end within a letter.
fn whole_letters(source: &str, range: Range<usize>) -> Range<usize> {
    let start = (0..=range.start.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
    let end = (range.end.min(source.len())..=source.len()).find(|at| source.is_char_boundary(*at)).unwrap_or(source.len());
    start..end.max(start)
}

fn said(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

/// Names that do not exist are found by the engine only when it comes by them, never in a branch not taken: find them now.
fn names(expression: &Expr<'_>, out: &mut Vec<BadExpression>) {
    let place = |span: Span| Some(span.start_offset as usize..span.end_offset as usize);
    let unknown = |what: &str, name: &str, known: &[&str], span: Span, out: &mut Vec<BadExpression>| {
        if !known.contains(&name) {
            out.push((format!("there is no {what} {name:?}; there are: {}", known.join(", ")), place(span)));
        }
    };
    match expression {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(slice) => {
            names(&slice.expr, out);
            [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|e| names(e, out));
        }
        Expr::UnaryOp(op) => names(&op.expr, out),
        Expr::BinOp(op) => [&op.left, &op.right].into_iter().for_each(|e| names(e, out)),
        Expr::Compare(compare) => {
            names(&compare.expr, out);
            compare.ops.iter().for_each(|op| names(&op.expr, out));
        }
        Expr::IfExpr(branch) => {
            names(&branch.test_expr, out);
            names(&branch.true_expr, out);
            match &branch.false_expr {
                Some(otherwise) => names(otherwise, out),
                None => out.push(("`if` needs an `else` (say `else none` for nothing)".to_owned(), place(branch.span()))),
            }
        }
        Expr::Filter(filter) => {
            unknown("filter", filter.name, FILTERS, filter.span(), out);
            filter.expr.iter().for_each(|e| names(e, out));
            arguments(&filter.args, out);
        }
        Expr::Test(test) => {
            unknown("test", test.name, TESTS, test.span(), out);
            names(&test.expr, out);
            arguments(&test.args, out);
        }
        Expr::GetAttr(get) => names(&get.expr, out),
        Expr::GetItem(get) => {
            names(&get.expr, out);
            // A field's name must be readable off the source, or it could not be asked for.
            match &get.subscript_expr {
                Expr::Const(index) if index.value.is_integer() => {}
                _ => out.push(("only a number stands in `[ ]`; write Account.Name for a parent's field".to_owned(), place(get.span()))),
            }
        }
        Expr::Call(call) => out.push(("there are no functions; use filters: `Name|lower`".to_owned(), place(call.span()))),
        Expr::List(list) => list.items.iter().for_each(|e| names(e, out)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|e| names(e, out)),
        Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|e| names(e, out)),
    }
}

fn arguments(arguments: &[CallArg<'_>], out: &mut Vec<BadExpression>) {
    for argument in arguments {
        match argument {
            CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => names(e, out),
        }
    }
}

/// Field names with dots become records within the record.
fn nest(fields: Vec<(&str, Mini)>) -> Mini {
    let mut here: BTreeMap<String, Mini> = BTreeMap::new();
    let mut below: BTreeMap<&str, Vec<(&str, Mini)>> = BTreeMap::new();
    for (name, value) in fields {
        match name.split_once('.') {
            None => drop(here.insert(name.to_owned(), value)),
            Some((parent, rest)) => below.entry(parent).or_default().push((rest, value)),
        }
    }
    here.extend(below.into_iter().map(|(parent, fields)| (parent.to_owned(), nest(fields))));
    Mini::from(here)
}

fn to_mini(value: &Value) -> Mini {
    match value {
        Value::Null => Mini::from(()),
        Value::Bool(b) => Mini::from(*b),
        Value::Int(i) => Mini::from(*i),
        // Whole amounts stay whole; the rest is computed in binary floating point, like any expression language does.
        Value::Decimal(d) if d.fract().is_zero() => d.to_i64().map_or_else(|| Mini::from(d.to_f64().unwrap_or(f64::NAN)), Mini::from),
        Value::Decimal(d) => Mini::from(d.to_f64().unwrap_or(f64::NAN)),
        Value::Text(t) => Mini::from(t.as_str()),
        Value::List(items) => Mini::from(items.iter().map(to_mini).collect::<Vec<_>>()),
        Value::Rows(rows) => {
            Mini::from(rows.iter().map(|row| nest(row.iter().map(|(k, v)| (k.as_str(), to_mini(v))).collect())).collect::<Vec<_>>())
        }
    }
}

/// `None` where the result is nothing a field could hold.
fn from_mini(value: &Mini) -> Option<Value> {
    match value.kind() {
        ValueKind::None => Some(Value::Null),
        ValueKind::Bool => Some(Value::Bool(value.is_true())),
        ValueKind::Number if value.is_integer() => i64::try_from(value.clone()).ok().map(Value::Int),
        ValueKind::Number => {
            let number = f64::try_from(value.clone()).ok()?.to_string();
            number.parse::<Decimal>().ok().map(|d| Value::Decimal(d.normalize()))
        }
        ValueKind::String => value.as_str().filter(|t| t.len() <= MAX_TEXT_BYTES).map(Value::text),
        ValueKind::Seq => value.try_iter().ok()?.map(|item| from_mini(&item)).collect::<Option<Vec<_>>>().map(Value::List),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> Fields {
        [
            ("Email", Value::text("  A@B.c ")),
            ("Seats", Value::Int(42)),
            ("Price", Value::Decimal("99.5".parse().unwrap())),
            ("Whole", Value::Decimal("7".parse().unwrap())),
            ("On", Value::Bool(true)),
            ("Nil", Value::Null),
            ("Empty", Value::text("")),
            ("Account.Name", Value::text("Orbit Ltd")),
            ("Account.Owner.Name", Value::text("Iris")),
            ("Tags", Value::List(vec![Value::text("x"), Value::text("y")])),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into()
    }

    fn says(source: &str) -> Value {
        Expression::parse(source).unwrap().evaluate(&record()).unwrap()
    }

    /// Golden: an upgrade of the engine that changes one of these would rewrite customers' records.
    #[test]
    fn values_stay_what_they_were() {
        let d = |s: &str| Value::Decimal(s.parse().unwrap());
        for (source, want) in [
            ("Email|trim|lower", Value::text("a@b.c")),
            ("(Email|trim|lower) ~ '/' ~ Account.Name if On and Seats > 1 else none", Value::text("a@b.c/Orbit Ltd")),
            ("Account.Owner.Name|upper", Value::text("IRIS")),
            ("Seats + 1", Value::Int(43)),
            ("Seats // 5", Value::Int(8)),
            ("Seats % 5", Value::Int(2)),
            ("Price * 2", d("199")),
            ("Price + 0.25", d("99.75")),
            ("Whole", Value::Int(7)),
            ("2.5|round", d("2")),
            ("3.5|round", d("4")),
            ("Nil", Value::Null),
            ("Nil|default('none')", Value::text("none")),
            ("Empty|default('none')", Value::text("none")),
            ("Seats|default(1)", Value::Int(42)),
            ("Nil is none", Value::Bool(true)),
            ("Email is not none", Value::Bool(true)),
            ("'Hot'|lookup({'Hot': 'h'})", Value::text("h")),
            ("Tags|join('-')", Value::text("x-y")),
            ("Tags[0]", Value::text("x")),
            ("'x' in Tags", Value::Bool(true)),
            ("Account.Name is startingwith 'Orb'", Value::Bool(true)),
            ("'a b'|split(' ')", Value::List(vec![Value::text("a"), Value::text("b")])),
            ("On == 1", Value::Bool(true)),
            ("Empty == none", Value::Bool(false)),
            ("'a-b-c'|replace('-', '')", Value::text("abc")),
            ("'orbit pro'|title", Value::text("Orbit Pro")),
        ] {
            assert_eq!(says(source), want, "{source}");
        }
    }

    /// Nothing is less than every number and every text, and equal to nothing else.
    #[test]
    fn nothing_compares_as_it_always_did() {
        for (source, want) in [("Nil > 0", false), ("Nil < 0", true), ("Nil == 0", false), ("Nil == false", false), ("Nil in Tags", false)]
        {
            assert_eq!(says(source), Value::Bool(want), "{source}");
        }
        assert!(Expression::parse("Nil + 1").unwrap().evaluate(&record()).is_err());
    }

    #[test]
    fn the_fields_it_looks_at_are_listed() {
        let expression = Expression::parse("Account.Owner.Name ~ Email if On else Account.Name").unwrap();
        assert_eq!(expression.fields, ["Account.Name", "Account.Owner.Name", "Email", "On"]);
    }

    #[test]
    fn mistakes_are_found_before_any_record_is_seen_and_where_they_stand() {
        for (source, place, part) in [
            ("Email|trimm|lower", Some("trimm"), "no filter \"trimm\""),
            ("1 if true else (2|nofilter)", Some("nofilter"), "no filter"),
            ("Seats is odd", Some("odd"), "no test \"odd\""),
            ("range(10)", Some("range(10)"), "no functions"),
            ("Email.upper()", None, "no functions"),
            ("1 if On", None, "`if` needs an `else`"),
            ("Account['Name']", None, "only a number"),
            ("Email + ", None, "end of"),
            ("é ~ 'x'", Some("é"), ""),
            ("'x", None, ""),
            ("", None, ""),
        ] {
            let (message, range) = Expression::parse(source).unwrap_err();
            assert!(message.contains(part), "{source}: {message}");
            if let Some(place) = place {
                let at = source.find(place).unwrap();
                let range = range.unwrap();
                assert!(range.contains(&at) || range.start == at, "{source}: {range:?}");
            }
        }
    }

    #[test]
    fn a_field_that_the_record_does_not_show_is_named() {
        let error = Expression::parse("Nope == 1 or Seats == 42").unwrap().evaluate(&record()).unwrap_err();
        assert!(error.contains("no field Nope"), "{error}");
        let error = Expression::parse("Account.Nope").unwrap().evaluate(&record()).unwrap_err();
        assert!(error.contains("Account.Nope"), "{error}");
    }

    #[test]
    fn only_true_and_false_hold_or_not() {
        let holds = |source: &str| Expression::parse(source).unwrap().holds(&record());
        assert_eq!(holds("Seats > 41"), Ok(true));
        assert_eq!(holds("not On"), Ok(false));
        for neither in ["Seats", "Nil", "Email"] {
            assert!(holds(neither).unwrap_err().contains("not true or false"), "{neither}");
        }
    }

    #[test]
    fn nothing_written_here_can_stop_the_daemon() {
        for (what, source) in [
            ("nesting", format!("{}1{}", "(".repeat(490), ")".repeat(490))),
            ("a chain", format!("1{}", "+1".repeat(499))),
            ("nots", format!("{}true", "not ".repeat(249))),
            ("a long text", format!("1{}", "+1".repeat(100_000))),
            ("a power", "9**9**9**9".to_owned()),
            ("a repetition", "'x' * 1000000000".to_owned()),
            ("a doubling", format!("'{}'{}", "x".repeat(100), "|replace('x', 'xxxxxxxxxxxxxxxxxxxx')".repeat(20))),
        ] {
            // On a stack as small as a worker's: neither may abort the process.
            let small = std::thread::Builder::new().stack_size(1 << 20);
            let run = move || Expression::parse(&source).map_err(|(m, _)| m).and_then(|e| e.evaluate(&Fields::new()));
            let result = small.spawn(run).unwrap().join();
            assert!(result.is_ok(), "{what}");
        }
    }

    #[test]
    fn it_shows_as_it_was_written() {
        let expression = Expression::parse("Seats > 1").unwrap();
        assert_eq!(format!("{expression:?}"), r#"Expression { source: "Seats > 1", .. }"#);
        assert_eq!(expression.clone(), expression);
    }
}
