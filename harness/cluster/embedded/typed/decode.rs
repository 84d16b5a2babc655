//! JSON into a built-in type and back, as Go does it: wrong types are errors in its words, unknown fields are noted,
//! empty optional fields vanish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::quantity;
use super::{Field, Shape, Type, find};

/// An object in its canonical form, with the paths of the fields that its type does not have.
#[derive(Debug, Default)]
pub(in super::super) struct Decoded {
    pub(in super::super) value: Value,
    pub(in super::super) unknown: Vec<String>,
}

/// Reads an object of a built-in type. The error is the text of Go's decoder.
pub(in super::super) fn decode(t: &'static Type, value: &Value) -> Result<Decoded, String> {
    let mut decoder = Decoder { unknown: Vec::new() };
    let value = decoder.object(t, value, &Path::root())?;
    Ok(Decoded { value, unknown: decoder.unknown })
}

struct Decoder {
    unknown: Vec<String>,
}

/// Where the decoder is: `spec.containers[0]` for warnings, `spec.containers` for errors.
struct Path {
    full: String,
    fields: String,
    owner: &'static str,
    leaf: String,
}

impl Path {
    fn root() -> Self {
        Self { full: String::new(), fields: String::new(), owner: "", leaf: String::new() }
    }
    fn field(&self, t: &'static Type, name: &str, go: &str) -> Self {
        let dot =
            |base: &str| if base.is_empty() { name.to_owned() } else { format!("{base}.{name}") };
        Self { full: dot(&self.full), fields: dot(&self.fields), owner: &t.go, leaf: go.to_owned() }
    }
    fn index(&self, index: usize) -> Self {
        let leaf = self.leaf.strip_prefix("[]").unwrap_or(&self.leaf).to_owned();
        Self {
            full: format!("{}[{index}]", self.full),
            fields: self.fields.clone(),
            owner: self.owner,
            leaf,
        }
    }
    fn key(&self, key: &str) -> Self {
        let leaf = self.leaf.strip_prefix("map[string]").unwrap_or(&self.leaf).to_owned();
        Self {
            full: format!("{}.{key}", self.full),
            fields: self.fields.clone(),
            owner: self.owner,
            leaf,
        }
    }
    fn mismatch(&self, value: &Value, go: &str) -> String {
        let go = if self.leaf.is_empty() { go } else { &self.leaf };
        let found = json_type(value);
        if self.owner.is_empty() {
            return format!("json: cannot unmarshal {found} into Go value of type {go}");
        }
        format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {go}",
            self.owner, self.fields
        )
    }
}

impl Decoder {
    fn object(&mut self, t: &'static Type, value: &Value, path: &Path) -> Result<Value, String> {
        let mut out = Map::new();
        let given = match value {
            Value::Object(map) => map,
            Value::Null => return Ok(t.zero()),
            other => return Err(path.mismatch(other, &t.go)),
        };
        for (name, value) in given {
            if path.full.is_empty() && matches!(name.as_str(), "apiVersion" | "kind") {
                out.insert(name.clone(), value.clone());
                continue;
            }
            let Some((field, owner)) = t.field(name) else {
                let dot = if path.full.is_empty() { "" } else { "." };
                self.unknown.push(format!("{}{dot}{name}", path.full));
                continue;
            };
            let go = if field.go.is_empty() { go_of(&field.shape) } else { &field.go };
            let path = path.field(owner, name, go);
            if let Some(value) = self.field(field, value, path)? {
                out.insert(name.clone(), value);
            }
        }
        for (field, _) in t.all_fields() {
            if !out.contains_key(&field.name)
                && let Some(value) = absent(field)
            {
                out.insert(field.name.clone(), value);
            }
        }
        Ok(Value::Object(out))
    }

    /// A field's value, or nothing where Go leaves it out.
    fn field(
        &mut self,
        field: &'static Field,
        value: &Value,
        path: Path,
    ) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(absent(field));
        }
        let decoded = self.shape(&field.shape, value, path)?;
        if field.pointer() {
            return Ok(Some(decoded));
        }
        let empty = match &decoded {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => {
                // A struct with a textual form is no empty string to `omitempty`.
                text.is_empty() && !matches!(field.shape, Shape::Quantity)
            }
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => {
                map.is_empty() && (matches!(field.shape, Shape::Map(_)) || field.omit_zero())
            }
        };
        if matches!(field.shape, Shape::IntOrString) {
            return Ok(Some(decoded));
        }
        Ok(if empty && (field.omit_empty() || field.omit_zero()) { None } else { Some(decoded) })
    }

    fn shape(&mut self, shape: &'static Shape, value: &Value, path: Path) -> Result<Value, String> {
        if value.is_null() {
            return Ok(zero_of(shape));
        }
        match shape {
            Shape::String => match value {
                Value::String(_) => Ok(value.clone()),
                other => Err(path.mismatch(other, "string")),
            },
            Shape::Bool => match value {
                Value::Bool(_) => Ok(value.clone()),
                other => Err(path.mismatch(other, "bool")),
            },
            Shape::Int32 | Shape::Int64 | Shape::Unsigned => integer(shape, value, &path),
            Shape::Double => match value {
                Value::Number(_) => Ok(value.clone()),
                other => Err(path.mismatch(other, "float64")),
            },
            Shape::Bytes => bytes(value, &path),
            Shape::Time => time(value, false),
            Shape::MicroTime => time(value, true),
            Shape::Duration => match value {
                Value::String(_) => Ok(value.clone()),
                other => Err(path.mismatch(other, "string")),
            },
            Shape::Quantity => match value {
                Value::String(text) => quantity::canonical(text).map(Value::String),
                Value::Number(number) => {
                    quantity::canonical(&number.to_string()).map(Value::String)
                }
                other => Err(path.mismatch(other, "resource.Quantity")),
            },
            Shape::IntOrString => match value {
                Value::String(_) => Ok(value.clone()),
                Value::Number(_) => integer(&Shape::Int32, value, &path),
                other => Err(path.mismatch(other, "string")),
            },
            Shape::Json | Shape::SchemaOrStrings => Ok(value.clone()),
            Shape::SchemaOrBool if value.is_boolean() => Ok(value.clone()),
            Shape::SchemaOrArray if value.is_array() => Ok(value.clone()),
            Shape::SchemaOrBool | Shape::SchemaOrArray => match find(JSON_SCHEMA) {
                Some(t) => self.object(t, value, &path),
                None => Ok(value.clone()),
            },
            Shape::List(element) => match value {
                Value::Array(list) => {
                    let mut out = Vec::with_capacity(list.len());
                    for (index, value) in list.iter().enumerate() {
                        out.push(self.shape(element, value, path.index(index))?);
                    }
                    Ok(Value::Array(out))
                }
                other => Err(path.mismatch(other, go_of(shape))),
            },
            Shape::Map(element) => match value {
                Value::Object(map) => {
                    let mut out = Map::new();
                    for (key, value) in map {
                        out.insert(key.clone(), self.shape(element, value, path.key(key))?);
                    }
                    Ok(Value::Object(out))
                }
                other => Err(path.mismatch(other, go_of(shape))),
            },
            Shape::Struct(name) => match find(name) {
                Some(t) => self.object(t, value, &path),
                None => Ok(value.clone()),
            },
        }
    }
}

const JSON_SCHEMA: &str =
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What a field that was not given shows.
fn absent(field: &'static Field) -> Option<Value> {
    if field.omit_zero() {
        return None;
    }
    match &field.shape {
        Shape::Struct(name) if !field.pointer() => find(name).map(Type::zero),
        _ if field.omit_empty() => match field.shape {
            // Structs with a text of their own are never "empty" to Go.
            Shape::IntOrString if !field.pointer() => Some(json!(0)),
            Shape::Time | Shape::MicroTime if !field.pointer() => Some(Value::Null),
            _ => None,
        },
        _ if field.pointer() => Some(Value::Null),
        shape => Some(zero_of(shape)),
    }
}

fn zero_of(shape: &'static Shape) -> Value {
    match shape {
        Shape::String | Shape::Bytes => json!(""),
        Shape::Bool => json!(false),
        Shape::Int32 | Shape::Int64 | Shape::Unsigned | Shape::Double | Shape::IntOrString => {
            json!(0)
        }
        Shape::Quantity => json!("0"),
        Shape::Struct(name) => find(name).map_or_else(|| json!({}), Type::zero),
        _ => Value::Null,
    }
}

fn integer(shape: &Shape, value: &Value, path: &Path) -> Result<Value, String> {
    let (go, low, high) = match shape {
        Shape::Int32 => ("int32", i64::from(i32::MIN), i64::from(i32::MAX)),
        Shape::Unsigned => ("uint32", 0, i64::from(u32::MAX)),
        _ => ("int64", i64::MIN, i64::MAX),
    };
    let Value::Number(number) = value else {
        return Err(path.mismatch(value, go));
    };
    match number.as_i64() {
        Some(whole) if (low..=high).contains(&whole) => Ok(json!(whole)),
        _ => Err(path.mismatch(&Value::Number(number.clone()), go).replacen(
            "unmarshal number",
            &format!("unmarshal number {number}"),
            1,
        )),
    }
}

fn bytes(value: &Value, path: &Path) -> Result<Value, String> {
    let Value::String(text) = value else {
        return Err(path.mismatch(value, "[]uint8"));
    };
    // Go's decoder skips line ends.
    let clean: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&clean) {
        Ok(_) => Ok(Value::String(clean)),
        Err(
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _),
        ) => Err(format!("illegal base64 data at input byte {at}")),
        Err(_) => Err(format!("illegal base64 data at input byte {}", clean.len())),
    }
}

/// `metav1.Time` (whole seconds) or `metav1.MicroTime` (six digits), in UTC.
fn time(value: &Value, micro: bool) -> Result<Value, String> {
    let layout =
        if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let Value::String(text) = value else {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type string",
            json_type(value)
        ));
    };
    let fraction =
        text.split_once('.').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
    if micro && fraction != Some(6) {
        let rest = text.get(19..).unwrap_or(text);
        return Err(format!(
            "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \".000000\""
        ));
    }
    let Some(parsed) =
        text.parse::<Timestamp>().ok().filter(|_| text.as_bytes().get(10) == Some(&b'T'))
    else {
        return Err(go_time_error(text, layout));
    };
    Ok(Value::String(if micro { micro_time(parsed) } else { seconds(parsed) }))
}

/// Go names the first element of the layout that does not fit.
fn go_time_error(text: &str, layout: &str) -> String {
    let steps = [
        (0, 4, "2006"),
        (4, 5, "-"),
        (5, 7, "01"),
        (7, 8, "-"),
        (8, 10, "02"),
        (10, 11, "T"),
        (11, 13, "15"),
    ];
    let more = [(13, 14, ":"), (14, 16, "04"), (16, 17, ":"), (17, 19, "05"), (19, 20, "Z07:00")];
    for (from, to, element) in steps.into_iter().chain(more) {
        let part = text.get(from..to).unwrap_or("");
        let digits = element.as_bytes()[0].is_ascii_digit();
        let fits = if digits {
            part.len() == to - from && part.bytes().all(|b| b.is_ascii_digit())
        } else {
            part == element
        };
        let fits = fits || element == "Z07:00" && matches!(part, "Z" | "+" | "-");
        if !fits {
            let rest = text.get(from..).unwrap_or("");
            return format!(
                "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"
            );
        }
    }
    format!("parsing time {text:?}: out of range")
}

/// A time as `metav1.Time` shows it.
pub(in super::super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as `metav1.MicroTime` shows it.
pub(in super::super) fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The name that messages of Go's decoder give to a JSON value.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::String => "string",
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::Double => "float64",
        Shape::Bytes => "[]uint8",
        Shape::List(inner) if **inner == Shape::String => "[]string",
        Shape::Map(inner) if **inner == Shape::String => "map[string]string",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(value: Value) -> Result<Decoded, String> {
        decode(find("io.k8s.api.core.v1.Secret").expect("in the table"), &value)
    }

    #[test]
    fn empty_optional_fields_vanish_and_null_entries_become_empty() {
        let decoded = secret(
            json!({ "metadata": { "name": "a", "labels": {} }, "data": { "k": null }, "type": "" }),
        );
        assert_eq!(
            decoded.expect("decodes").value,
            json!({ "metadata": { "name": "a" }, "data": { "k": "" } })
        );
    }

    #[test]
    fn unknown_fields_are_named_with_their_path() {
        let decoded = secret(json!({ "metadata": { "bogus": 1 }, "top": 2 })).expect("decodes");
        assert_eq!(decoded.unknown, ["metadata.bogus", "top"]);
    }

    #[test]
    fn wrong_types_are_refused_in_the_words_of_go() {
        let error = secret(json!({ "data": { "k": 5 } })).expect_err("a number is no string");
        assert_eq!(
            error,
            "json: cannot unmarshal number into Go struct field Secret.data of type []uint8"
        );
        let error = secret(json!({ "data": { "k": "not base64!" } })).expect_err("no base64");
        assert_eq!(error, "illegal base64 data at input byte 3");
    }

    #[test]
    fn times_are_brought_to_utc() {
        assert_eq!(
            time(&json!("2026-01-01T02:00:00+02:00"), false),
            Ok(json!("2026-01-01T00:00:00Z"))
        );
        assert_eq!(
            time(&json!("2026-01-01T02:00:00.000001+02:00"), true),
            Ok(json!("2026-01-01T00:00:00.000001Z"))
        );
        assert!(time(&json!("2026-01-01T00:00:00Z"), true).is_err());
    }
}
