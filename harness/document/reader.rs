//! Reads a type from a tree of nodes: serde's way in, with our errors and places.

use serde::de::value::{SeqDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::error::Problem;
use super::node::{Key, NODE, Node, Value};
use super::span::{SPANNED, Span};

/// Reads from one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'n> {
    node: &'n Node,
}

impl<'n> Reader<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        Self { node }
    }

    fn mismatch(self, expected: &str) -> Problem {
        let problem = Problem::mismatch(expected, self.node).at(self.node.at);
        match &self.node.value {
            // Its spelling is lost by now (`1.10` is 1.1), so it is not repeated.
            Value::Number(_) if expected == "a text" => problem.help("put it in quotes"),
            Value::Bool(value) if expected == "a text" => {
                problem.help(format!("put it in quotes: \"{value}\""))
            }
            Value::Null => problem.help("leave the key out, or give it a value"),
            _ => problem,
        }
    }

    fn text<V>(self, visit: impl FnOnce(&str) -> Result<V, Problem>) -> Result<V, Problem> {
        match &self.node.value {
            Value::Text(text) => visit(text).map_err(|problem| problem.at(self.node.at)),
            _ => Err(self.mismatch("a text")),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, kind: &str, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Number(_) => self.deserialize_any(visitor),
            _ => Err(self.mismatch(kind)),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let Value::List(items) = &self.node.value else { return Err(self.mismatch("a list")) };
        let mut items = Items(items.iter());
        let value = visitor.visit_seq(&mut items).map_err(|problem| problem.at(self.node.at))?;
        match items.0.next() {
            None => Ok(value),
            Some(extra) => Err(Problem::new("one item too many").at(extra.at)),
        }
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        keys: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Value::Map(entries) = &self.node.value else {
            return Err(match keys {
                Some(keys) => {
                    let problem = self.mismatch("a mapping");
                    if matches!(self.node.value, Value::Null) {
                        problem
                    } else {
                        problem.help(format!("its keys are {}", keys.join(", ")))
                    }
                }
                None => self.mismatch("a mapping"),
            });
        };
        visitor
            .visit_map(Entries { entries: entries.iter(), value: None, keys })
            .map_err(|problem| problem.at(self.node.at))
    }
}

macro_rules! numbers {
    ($kind:literal: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            self.number($kind, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let read = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(Problem::new("a number too large")),
            },
            Value::Text(text) => visitor.visit_str(text),
            Value::List(_) => return self.list(visitor),
            Value::Map(_) => return self.map(None, visitor),
        };
        read.map_err(|problem| problem.at(self.node.at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.mismatch("`true` or `false`")),
        }
    }

    numbers!("a whole number": deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64);
    numbers!("a number": deserialize_f32 deserialize_f64);

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(|text| visitor.visit_str(text))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(|text| visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(|text| visitor.visit_str(text))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.text(|text| visitor.visit_bytes(text.as_bytes()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_bytes(visitor)
    }

    /// A key that is there has a value: an empty one is a mistake, not an absence.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self).map_err(|problem| problem.at(self.node.at))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            _ => Err(self.mismatch("nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let read = match name {
            SPANNED => visitor.visit_seq(Placed { at: Some(self.node.at), value: Some(self) }),
            NODE => return self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        };
        read.map_err(|problem| problem.at(self.node.at))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let unknown =
            |word: &str, at| Problem::unknown("word", word, variants.iter().copied()).at(at);
        let (name, at, content) = match &self.node.value {
            Value::Text(text) => (text, self.node.at, None),
            Value::Map(entries) => match entries.as_slice() {
                [(key, node)] => (&key.text, key.span, Some(Reader::new(node))),
                [_, (second, _), ..] => {
                    return Err(Problem::new(format!("`{}` is one key too many", second.text))
                        .at(second.span)
                        .help(format!("exactly one of these: {}", variants.join(", "))));
                }
                [] => return Err(self.mismatch(&format!("one of {}", variants.join(", ")))),
            },
            _ => return Err(self.mismatch(&format!("one of {}", variants.join(", ")))),
        };
        if !variants.contains(&name.as_str()) {
            return Err(unknown(name, at));
        }
        visitor
            .visit_enum(Variant { name: name.clone(), at, content })
            .map_err(|problem| problem.at(at))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    /// Nothing is ignored: what nobody reads is a mistake of the writer.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Problem> {
        Err(Problem::new("nothing reads this value").at(self.node.at))
    }
}

struct Items<'n>(std::slice::Iter<'n, Node>);

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader::new(node)).map(Some).map_err(|problem| problem.at(node.at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'n> {
    entries: std::slice::Iter<'n, (Key, Node)>,
    value: Option<&'n Node>,
    keys: Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some((key, node)) = self.entries.next() else { return Ok(None) };
        if let Some(keys) = self.keys
            && !keys.contains(&key.text.as_str())
        {
            return Err(Problem::unknown("key", &key.text, keys.iter().copied()).at(key.span));
        }
        self.value = Some(node);
        seed.deserialize(KeyReader(key)).map(Some).map_err(|problem| problem.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let node = self.value.take();
        let node = node.ok_or_else(|| Problem::new("a value was asked for before its key"))?;
        seed.deserialize(Reader::new(node)).map_err(|problem| problem.at(node.at))
    }
}

/// Reads a key: a word, or a word with its place.
struct KeyReader<'n>(&'n Key);

impl<'de> Deserializer<'de> for KeyReader<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(&self.0.text).map_err(|problem: Problem| problem.at(self.0.span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match name {
            SPANNED => visitor.visit_seq(Placed { at: Some(self.0.span), value: Some(self) }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Key { text, span } = self.0;
        if !variants.contains(&text.as_str()) {
            return Err(Problem::unknown("key", text, variants.iter().copied()).at(*span));
        }
        visitor.visit_enum(text.as_str().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The two parts of a [`super::Spanned`]: the place, then the value.
struct Placed<R> {
    at: Option<Span>,
    value: Option<R>,
}

impl<'de, R: Deserializer<'de, Error = Problem>> SeqAccess<'de> for Placed<R> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Problem> {
        if let Some(Span { line, column, offset, length }) = self.at.take() {
            let parts: SeqDeserializer<_, Problem> =
                SeqDeserializer::new([line, column, offset, length].into_iter());
            return seed.deserialize(parts).map(Some);
        }
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}

struct Variant<'n> {
    name: String,
    at: Span,
    content: Option<Reader<'n>>,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Problem;
    type Variant = VariantContent<'n>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantContent<'n>), Problem> {
        let content =
            VariantContent { name: self.name.clone(), at: self.at, content: self.content };
        let name: StringDeserializer<Problem> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, content))
    }
}

struct VariantContent<'n> {
    name: String,
    at: Span,
    content: Option<Reader<'n>>,
}

impl<'n> VariantContent<'n> {
    fn content(self) -> Result<Reader<'n>, Problem> {
        let Self { name, at, content } = self;
        content.ok_or_else(|| {
            Problem::new(format!("`{name}` needs a value"))
                .at(at)
                .help(format!("write `{name}: …`"))
        })
    }
}

impl<'de> VariantAccess<'de> for VariantContent<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        match self.content {
            None => Ok(()),
            Some(content) => {
                let problem = Problem::new(format!("`{}` takes no value", self.name));
                Err(problem.at(content.node.at).help(format!("write it alone: `{}`", self.name)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        let content = self.content()?;
        seed.deserialize(content).map_err(|problem| problem.at(content.node.at))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.content()?.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.content()?.map(Some(fields), visitor)
    }
}
