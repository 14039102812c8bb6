//! The values of the rules file that can be written in more than one way, and the place a value stands at.

use super::{FieldTable, FieldValue, ProductTable, ProductValue};
use crate::record::Value;
use crate::rules::Place;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, fmt, ops::Deref};
use toml::Spanned;

/// Where a secret is to be found. It never stands in the rules file itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("x-secret" = true))]
pub enum SecretRef {
    /// The name of an environment variable.
    Env(String),
    /// The name of a systemd credential (`LoadCredential=`).
    Credential(String),
    /// The path of a file with mode 0600 or 0400 that belongs to the user Lockstep runs as.
    File(String),
}

/// An address or a name, as it is or from where a secret would come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextValue {
    Plain(String),
    From(SecretRef),
}

/// Text, a whole number, true or false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

impl Scalar {
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::text(text.clone()),
            Self::Integer(number) => Value::Int(*number),
            Self::Boolean(truth) => Value::Bool(*truth),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

/// A value and where it stands: the bytes of the file it takes, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct At<T>(Spanned<T>);

impl<T> At<T> {
    #[must_use]
    pub fn place(&self) -> Place {
        self.0.span()
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.get_ref()
    }
}

/// A place does not show in the schema.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Reads one of several forms without buffering it, because a buffered value loses its place.
macro_rules! one_of_forms {
    ($name:ident, $expects:literal, { $($method:ident($argument:ty) => $made:expr),+ $(,)? } $(, table $table:ident($inner:ty))?) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expects)
                    }
                    $(fn $method<E: de::Error>(self, value: $argument) -> Result<$name, E> {
                        let make: fn($argument) -> Option<$name> = $made;
                        make(value).ok_or_else(|| E::custom(concat!("expected ", $expects)))
                    })+
                    $(fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        <$inner>::deserialize(de::value::MapAccessDeserializer::new(map)).map($name::$table)
                    })?
                }
                d.deserialize_any(Visitor)
            }
        }
    };
}

one_of_forms!(FieldValue, "a platform field name, or a table with `to`", { visit_str(&str) => |t| Some(FieldValue::Name(t.to_owned())) },
    table Table(FieldTable));
one_of_forms!(ProductValue, "\"none\", or a table with `product`",
    { visit_str(&str) => |t| Some(ProductValue::Word(t.to_owned())) }, table Table(ProductTable));
one_of_forms!(TextValue, "text, or where it comes from", { visit_str(&str) => |t| Some(TextValue::Plain(t.to_owned())) },
    table From(SecretRef));
one_of_forms!(Scalar, "text, a whole number, true or false", {
    visit_str(&str) => |t| Some(Scalar::Text(t.to_owned())),
    visit_i64(i64) => |n| Some(Scalar::Integer(n)),
    visit_bool(bool) => |b| Some(Scalar::Boolean(b)),
});

impl JsonSchema for FieldValue {
    fn schema_name() -> Cow<'static, str> {
        "FieldValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<FieldTable>();
        json_schema!({ "description": "A platform field name, or a table that says more.", "anyOf": [{ "type": "string" }, table] })
    }
}

impl JsonSchema for ProductValue {
    fn schema_name() -> Cow<'static, str> {
        "ProductValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<ProductTable>();
        json_schema!({
            "description": "What the platform issues, or \"none\" for a product that carries no license.",
            "anyOf": [{ "type": "string", "pattern": "^(none|Product2|&.*)$" }, table]
        })
    }
}

impl JsonSchema for TextValue {
    fn schema_name() -> Cow<'static, str> {
        "TextValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<SecretRef>();
        json_schema!({ "description": "Text as it is, or where it comes from.", "anyOf": [{ "type": "string" }, secret] })
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}
