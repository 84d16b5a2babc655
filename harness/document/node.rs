//! A parsed YAML file as a tree in which every key and value knows its place.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::Number;
use serde_saphyr::{Error, Location, MessageFormatter, UserMessageFormatter};

use super::error::Problem;
use super::reader::Reader;
use super::span::{Span, Spanned};

/// The name by which [`Node`] asks the reader for itself.
pub(super) const NODE: &str = "$document::Node";

/// A value somewhere in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// What an error about it points to: the value, or its key when it is a list or a mapping.
    pub at: Span,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Everything else that stands on its own.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Node {
    /// Parses a whole file; exactly one document must be in it.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            // A scenario is two screens long; these are a hundred times that, and end a YAML bomb
            // within milliseconds.
            budget: serde_saphyr::budget! {
                max_depth: 40,
                max_nodes: 50_000,
                max_events: 200_000,
                max_aliases: 200,
                max_anchors: 200,
                max_documents: 2,
                max_recorded_anchor_events: 50_000,
                max_recorded_anchor_bytes: 1024 * 1024,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: 50_000,
                max_replay_stack_depth: 8,
            },
            strict_booleans: true,
            underscored_numbers_as_strings: true,
            leading_zero_numbers_as_strings: true,
            reject_unsupported_tags: true,
            reject_tagged_field_names: true,
            emit_comments: false,
            with_snippet: false,
        };
        let parsed = serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
            Parsed::deserialize(yaml)
        });
        match parsed {
            Ok(Parsed(Self { value: Value::Null, .. })) | Err(Error::Eof { .. }) => {
                Err(Problem::new("the file is empty"))
            }
            Ok(Parsed(node)) => Ok(node),
            Err(error) => Err(not_yaml(&error, text)),
        }
    }

    /// Reads a type from this part of a document.
    ///
    /// # Errors
    ///
    /// [`Problem`] when it is not such a thing.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(Reader::new(self)).map_err(|problem: Problem| problem.at(self.at))
    }

    /// Reads what only the caller knows how to read, such as a type that depends on another key.
    ///
    /// # Errors
    ///
    /// [`Problem`] when it is not such a thing.
    pub fn read_seed<'de, S: DeserializeSeed<'de>>(&self, seed: S) -> Result<S::Value, Problem> {
        seed.deserialize(Reader::new(self)).map_err(|problem: Problem| problem.at(self.at))
    }

    /// The value under a key, when this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find_map(|(found, node)| (found.text == key).then_some(node))
    }

    /// What stands here, in the words of an error.
    #[must_use]
    pub fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(number) => format!("the number {number}"),
            Value::Text(text) => found_text(text),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// A text in the words of an error; a long one is cut.
pub(super) fn found_text(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.is_empty() {
        return "an empty text".into();
    }
    let shown: String = text.chars().take(LONGEST).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("`{}{cut}`", shown.escape_debug())
}

fn not_yaml(error: &Error, text: &str) -> Problem {
    let mut cause = error;
    while let Error::WithSnippet { error, .. } | Error::AliasError { error, .. } = cause {
        cause = error;
    }
    let problem = match cause {
        Error::MultipleDocuments { .. } => {
            Problem::new("a second document begins here").help("a file holds one document")
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            Problem::new(format!("the key `{key}` stands twice"))
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            Problem::new("the document is too large, or nested too deeply")
        }
        other => Problem::new(UserMessageFormatter.format_message(other).into_owned()),
    };
    match cause.location() {
        Some(location) => problem.at(located(location, text)),
        None => problem,
    }
}

/// Errors of the scanner know line and column only.
fn located(location: Location, text: &str) -> Span {
    let mut span = span(location);
    if location.span().byte_offset().is_none() {
        let line = (span.line as usize).saturating_sub(1);
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let column = (span.column as usize).saturating_sub(1);
        let inside =
            text[start..].char_indices().nth(column).map_or(text.len() - start, |(i, _)| i);
        span.offset = u32::try_from(start + inside).unwrap_or(u32::MAX);
        span.length = 1;
    }
    span
}

fn span(location: Location) -> Span {
    let part = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Span {
        line: part(location.line()),
        column: part(location.column()),
        offset: part(location.span().byte_offset().unwrap_or_default()),
        length: part(location.span().byte_len().unwrap_or_default()),
    }
}

/// A node as the YAML parser gives it.
struct Parsed(Node);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parsed = serde_saphyr::Spanned::<ParsedValue>::deserialize(deserializer)?;
        Ok(Self(Node { value: parsed.value.0, at: span(parsed.referenced) }))
    }
}

struct ParsedValue(Value);

impl<'de> Deserialize<'de> for ParsedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number without end"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Parsed(node)) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<serde_saphyr::Spanned<String>>()? {
            let key = Key { text: key.value, span: span(key.referenced) };
            let Parsed(mut node) = entries.next_value()?;
            // An empty value has no place of its own, a container has a long one.
            if matches!(node.value, Value::Null | Value::List(_) | Value::Map(_)) {
                node.at = key.span;
            }
            map.push((key, node));
        }
        Ok(Value::Map(map))
    }
}

/// A node is read from a node: a part whose type is known only later keeps its places.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Spanned<Kept> = Spanned::deserialize(deserializer)?;
        Ok(Self { value: read.value.0, at: read.span })
    }
}

struct Kept(Value);

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NODE, KeptVisitor).map(Self)
    }
}

/// As [`ValueVisitor`], for the reader's own way of giving places.
struct KeptVisitor;

impl<'de> Visitor<'de> for KeptVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        ValueVisitor.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        ValueVisitor.visit_bool(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        ValueVisitor.visit_i64(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        ValueVisitor.visit_u64(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        ValueVisitor.visit_f64(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        ValueVisitor.visit_str(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key_seed(KeySeed)? {
            map.push((key, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        let key = Spanned::<String>::deserialize(deserializer)?;
        Ok(Key { text: key.value, span: key.span })
    }
}
