//! Expressions of the rules file: conditions and computed values over one Salesforce record.
//!
//! minijinja's expression language, started from nothing: no functions, no IO, no clock, no randomness, and fuel. What
//! would only fail at run time (an unknown filter, an `if` without `else`) is found when the rules are read.

use crate::record::{Fields, Value};
use minijinja::{
    Environment, UndefinedBehavior,
    machinery::{
        self,
        ast::{CallArg, Expr},
    },
};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

/// The compiler recurses per chained operator: the source is capped and compiled on a thread with a large stack.
const MOST_BYTES: usize = 1_000;
const STACK: usize = 32 << 20;
const FILTERS: [&str; 6] = ["trim", "lower", "upper", "default", "replace", "round"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    use minijinja::filters;
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(20_000));
    environment.set_recursion_limit(64);
    environment.set_debug(true);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("default", filters::default);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("round", filters::round);
    environment
});

/// A checked expression and the record fields it reads.
#[derive(Clone)]
pub struct Expression {
    pub source: String,
    pub fields: Vec<String>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.source)
    }
}

/// What is wrong, and where in the source if that is known.
pub type Bad = (String, Option<Range<usize>>);

impl Expression {
    pub fn parse(source: &str) -> Result<Self, Bad> {
        if source.len() > MOST_BYTES {
            return Err((format!("an expression is at most {MOST_BYTES} bytes long"), None));
        }
        let own = source.to_owned();
        let compiler = std::thread::Builder::new().stack_size(STACK).spawn(move || compile(own));
        match compiler.map(std::thread::JoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(("the expression could not be compiled".to_owned(), None)),
        }
    }

    /// Its value for a record. A field that the record does not show is an error, not null.
    pub fn evaluate(&self, record: &Fields) -> Result<Value, String> {
        if let Some(absent) = self.fields.iter().find(|f| !record.contains_key(*f)) {
            return Err(format!("{absent} may not be read, but {:?} needs it", self.source));
        }
        let value = self.compiled.eval(context(record)).map_err(|e| format!("{:?}: {}", self.source, e.detail().unwrap_or("failed")))?;
        from_jinja(&value).ok_or_else(|| format!("{:?} is neither text, number, boolean nor null", self.source))
    }

    /// True only if the expression says `true`; anything but a boolean is an error.
    pub fn holds(&self, record: &Fields) -> Result<bool, String> {
        match self.evaluate(record)? {
            Value::Bool(yes) => Ok(yes),
            other => Err(format!("{:?} says {other}, not true or false", self.source)),
        }
    }
}

fn compile(source: String) -> Result<Expression, Bad> {
    let bad = |e: &minijinja::Error| (e.detail().unwrap_or("syntax error").to_owned(), e.range());
    let mut found = Vec::new();
    let mut fields = Vec::new();
    inspect(&machinery::parse_expr(&source).map_err(|e| bad(&e))?, &mut found, &mut fields);
    if let Some(first) = found.into_iter().next() {
        return Err(first);
    }
    let compiled = ENVIRONMENT.compile_expression_owned(source.clone()).map_err(|e| bad(&e))?;
    fields.sort();
    fields.dedup();
    Ok(Expression { source, fields, compiled: Arc::new(compiled) })
}

/// Finds what would only fail when it is used, and the fields that are read; `Account.Type` is one field.
fn inspect(expr: &Expr<'_>, found: &mut Vec<Bad>, fields: &mut Vec<String>) {
    let at = |span: machinery::Span| Some(span.start_offset as usize..span.end_offset as usize);
    let mut arguments = |args: &[CallArg<'_>], found: &mut Vec<Bad>| {
        for arg in args {
            match arg {
                CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => inspect(e, found, fields),
            }
        }
    };
    match expr {
        Expr::Filter(filter) => {
            if !FILTERS.contains(&filter.name) {
                found.push((format!("unknown filter {:?}; there are: {}", filter.name, FILTERS.join(", ")), at(filter.span())));
            }
            arguments(&filter.args, found);
            if let Some(inner) = &filter.expr {
                inspect(inner, found, fields);
            }
        }
        Expr::Test(test) => found.push((format!("unknown test {:?}; compare with == instead", test.name), at(test.span()))),
        Expr::Call(call) => found.push(("functions are not available here".to_owned(), at(call.span()))),
        Expr::Const(_) => {}
        Expr::Var(var) => fields.push(var.id.to_owned()),
        Expr::GetAttr(get) => match path(expr) {
            Some(path) => fields.push(path),
            None => inspect(&get.expr, found, fields),
        },
        Expr::IfExpr(branch) => {
            if branch.false_expr.is_none() {
                found.push(("an 'if' needs an 'else'; say 'else none' for null".to_owned(), at(branch.span())));
            }
            inspect(&branch.test_expr, found, fields);
            inspect(&branch.true_expr, found, fields);
            if let Some(other) = &branch.false_expr {
                inspect(other, found, fields);
            }
        }
        Expr::UnaryOp(op) => inspect(&op.expr, found, fields),
        Expr::BinOp(op) => {
            inspect(&op.left, found, fields);
            inspect(&op.right, found, fields);
        }
        Expr::Compare(compare) => {
            inspect(&compare.expr, found, fields);
            for op in &compare.ops {
                inspect(&op.expr, found, fields);
            }
        }
        Expr::List(list) => list.items.iter().for_each(|e| inspect(e, found, fields)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|e| inspect(e, found, fields)),
        Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|e| inspect(e, found, fields)),
        Expr::GetItem(get) => found.push(("name fields with a dot, not in brackets".to_owned(), at(get.span()))),
        Expr::Slice(slice) => found.push(("slices are not available here".to_owned(), at(slice.span()))),
    }
}

fn path(expr: &Expr<'_>) -> Option<String> {
    match expr {
        Expr::Var(var) => Some(var.id.to_owned()),
        Expr::GetAttr(get) => Some(format!("{}.{}", path(&get.expr)?, get.name)),
        _ => None,
    }
}

/// Dotted field names become nested objects, so that `Account.Type` reads as it is written.
fn context(record: &Fields) -> minijinja::Value {
    let mut root = serde_json::Map::new();
    for (name, value) in record {
        let mut parts: Vec<&str> = name.split('.').collect();
        let Some(last) = parts.pop() else { continue };
        let mut at = &mut root;
        for part in parts {
            let next = at.entry(part).or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            if !next.is_object() {
                *next = serde_json::Value::Object(serde_json::Map::new());
            }
            match next {
                serde_json::Value::Object(inner) => at = inner,
                _ => unreachable!("made an object above"),
            }
        }
        at.entry(last).or_insert_with(|| plain(value));
    }
    minijinja::Value::from(minijinja::value::Serde(serde_json::Value::Object(root)))
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        // A number, so that it compares as one.
        Value::Decimal(d) => {
            d.to_string().parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(serde_json::Value::Null, Into::into)
        }
        other => other.to_plain_json(),
    }
}

fn from_jinja(value: &minijinja::Value) -> Option<Value> {
    match serde_json::to_value(value).ok()? {
        serde_json::Value::Null => (!value.is_undefined()).then_some(Value::Null),
        serde_json::Value::Bool(b) => Some(Value::Bool(b)),
        serde_json::Value::Number(n) => match n.as_i64() {
            Some(i) => Some(Value::Int(i)),
            None => n.to_string().parse().ok().map(Value::Decimal),
        },
        serde_json::Value::String(s) => Some(Value::Text(s)),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> Fields {
        [
            ("StatusCode", Value::text("Activated")),
            ("Email", Value::text("  A@B.c ")),
            ("Seats", Value::Int(42)),
            ("Nil", Value::Null),
            ("Account.Type", Value::text("Customer")),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into()
    }

    #[test]
    fn conditions_and_values() {
        let holds = |e: &str| Expression::parse(e).unwrap().holds(&record()).unwrap();
        assert!(holds("StatusCode == 'Activated'"));
        assert!(holds("Account.Type == 'Customer' and Seats > 41 and Nil == none"));
        assert!(!holds("StatusCode in ['Draft', 'Superseded']"));
        let value = Expression::parse("(Email|trim|lower) ~ '/' ~ Account.Type if Seats > 1 else none").unwrap();
        assert_eq!(value.fields, ["Account.Type", "Email", "Seats"]);
        assert_eq!(value.evaluate(&record()).unwrap(), Value::text("a@b.c/Customer"));
    }

    #[test]
    fn what_would_fail_later_is_found_now() {
        for bad in ["Seats|trimm", "1 if true else (2|nofilter)", "range(10)", "Seats is odd", "1 if Seats", "Seats +", "a[0]"] {
            assert!(Expression::parse(bad).is_err(), "{bad}");
        }
        let (message, place) = Expression::parse("Email|trimm").unwrap_err();
        assert!(message.contains("trimm") && message.contains("trim,"), "{message}");
        assert!(place.is_some());
    }

    #[test]
    fn an_absent_field_is_an_error_not_null() {
        let error = Expression::parse("Hidden__c == none").unwrap().holds(&record()).unwrap_err();
        assert!(error.contains("Hidden__c"), "{error}");
    }

    #[test]
    fn bombs_do_not_go_off() {
        for source in ["+1".repeat(400), "9**9**9**9".to_owned(), format!("{}1{}", "(".repeat(450), ")".repeat(450)), "1".repeat(5_000)] {
            if let Ok(e) = Expression::parse(&format!("1{source}")) {
                let _ = e.evaluate(&Fields::new());
            }
        }
    }
}
