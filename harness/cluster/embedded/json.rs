//! JSON and YAML bodies: values with the duplicate keys that were met, failures in the words of Go's decoders.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A body, and the paths of keys that stood in it twice (the last one counts).
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

/// Reads JSON. The error is the text of Go's decoder.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Node { path: Path::Root, duplicates: &duplicates };
    let value =
        seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(value) => Ok(Parsed { value, duplicates: duplicates.into_inner() }),
        Err(error) => Err(super::go_json::complaint(bytes).unwrap_or_else(|| error.to_string())),
    }
}

/// Reads YAML 1.1 (`y` is a boolean), of which JSON is a part.
pub(super) fn parse_yaml(bytes: &[u8]) -> Result<Parsed, String> {
    if let Ok(parsed) = parse(bytes) {
        return Ok(parsed);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
    let value = super::yaml::parse(text)?;
    Ok(Parsed { value, duplicates: Vec::new() })
}

/// A number as Go's decoder keeps it: whole numbers are integers, however they were written.
fn float(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Where something stands, written out only when somebody wants to read it.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    path: Path<'a>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(if value > i64::MAX as u64 { float(value as f64) } else { value.into() })
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Node {
            path: Path::Index(&self.path, list.len()),
            duplicates: self.duplicates,
        })? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = Path::Key(&self.path, &key);
            let value = access.next_value_seed(Node { path, duplicates: self.duplicates })?;
            if map.contains_key(&key) {
                let text = path.to_string();
                let mut seen = self.duplicates.borrow_mut();
                if seen.len() > 1000 {
                    return Err(A::Error::custom("too many duplicate keys"));
                }
                if !seen.contains(&text) {
                    seen.push(text);
                }
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicates_are_noted_and_the_last_one_counts() {
        let parsed = parse(br#"{"a":{"b":1,"b":2},"l":[{"x":1,"x":3}]}"#).expect("JSON");
        assert_eq!(parsed.value, json!({ "a": { "b": 2 }, "l": [{ "x": 3 }] }));
        assert_eq!(parsed.duplicates, ["a.b", "l[0].x"]);
    }

    #[test]
    fn whole_floats_are_integers() {
        assert_eq!(parse(b"[3.0, 1e2, 1.5]").expect("JSON").value, json!([3, 100, 1.5]));
    }

    #[test]
    fn failures_are_worded_as_go_words_them() {
        for (body, wanted) in [
            ("{not json", "invalid character 'n' looking for beginning of object key string"),
            ("", "unexpected end of JSON input"),
            ("{\"a\":1", "unexpected end of JSON input"),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("{} x", "invalid character 'x' after top-level value"),
        ] {
            assert_eq!(parse(body.as_bytes()).expect_err("malformed"), wanted, "{body}");
        }
    }
}
