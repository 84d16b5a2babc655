//! The protobuf form of built-in types, read and written by the table of types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::decode::{micro_time, seconds};
use super::{Field, Shape, Type, find};

/// Nesting that no real object has.
const DEPTH: usize = 64;

/// Reads a message of type `t` as JSON. Zero values that Go writes for every field are still in it.
pub(in super::super) fn decode_message(t: &'static Type, bytes: &[u8]) -> Result<Value, String> {
    message(t, bytes, DEPTH).map(Value::Object)
}

/// Writes an object of type `t` as a message.
pub(in super::super) fn encode_message(t: &'static Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(t, value, &mut out);
    out
}

/// One field on the wire.
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Reads fields one after the other.
pub(in super::super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or("unexpected EOF")?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        if count > self.rest.len() {
            return Err("unexpected EOF".into());
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| "proto: illegal tag".to_owned())?;
        if number == 0 {
            return Err(format!("proto: illegal tag 0 (wire type {})", key & 7));
        }
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(
                self.take(8)?.try_into().map_err(|_| "unexpected EOF")?,
            )),
            2 => {
                let length = usize::try_from(self.varint()?)
                    .map_err(|_| "proto: negative length".to_owned())?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(
                self.take(4)?.try_into().map_err(|_| "unexpected EOF")?,
            )),
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        Ok(Some((number, wire)))
    }

    /// The next length-delimited field; others are passed over.
    pub(in super::super) fn next_bytes(&mut self) -> Result<Option<(u32, &'a [u8])>, String> {
        while let Some((number, wire)) = self.next()? {
            if let Wire::Bytes(bytes) = wire {
                return Ok(Some((number, bytes)));
            }
        }
        Ok(None)
    }
}

fn message(t: &'static Type, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth == 0 {
        return Err("proto: message nested too deeply".into());
    }
    let mut out = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = t.fields.iter().find(|field| field.tag == number) else { continue };
        if field.inline() {
            if let (Shape::Struct(name), Wire::Bytes(bytes)) = (&field.shape, &wire)
                && let Some(inner) = find(name)
            {
                out.extend(message(inner, bytes, depth - 1)?);
            }
            continue;
        }
        read_field(field, wire, &mut out, depth)?;
    }
    Ok(out)
}

fn read_field(
    field: &'static Field,
    wire: Wire<'_>,
    out: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), String> {
    match (&field.shape, wire) {
        (Shape::List(element), Wire::Bytes(bytes)) => {
            let entry = out.entry(field.name.clone()).or_insert_with(|| json!([]));
            let Value::Array(list) = entry else { return Ok(()) };
            if matches!(**element, Shape::Int32 | Shape::Int64 | Shape::Bool) {
                // Packed numbers.
                let mut reader = Reader::new(bytes);
                while !reader.rest.is_empty() {
                    let number = reader.varint()?;
                    list.push(scalar(element, Wire::Varint(number), depth)?);
                }
            } else {
                list.push(scalar(element, Wire::Bytes(bytes), depth)?);
            }
        }
        (Shape::List(element), wire) => {
            let value = scalar(element, wire, depth)?;
            if let Value::Array(list) = out.entry(field.name.clone()).or_insert_with(|| json!([])) {
                list.push(value);
            }
        }
        (Shape::Map(element), Wire::Bytes(bytes)) => {
            let (key, value) = entry(element, bytes, depth)?;
            if let Value::Object(map) = out.entry(field.name.clone()).or_insert_with(|| json!({})) {
                map.insert(key, value);
            }
        }
        (shape, wire) => {
            let value = scalar(shape, wire, depth)?;
            out.insert(field.name.clone(), value);
        }
    }
    Ok(())
}

/// One entry of a map: key 1, value 2.
fn entry(element: &'static Shape, bytes: &[u8], depth: usize) -> Result<(String, Value), String> {
    let (mut key, mut value) = (String::new(), Value::Null);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            // A map of lists is a map of messages that hold the list.
            (2, Wire::Bytes(bytes)) if matches!(element, Shape::List(_)) => {
                let mut list = Vec::new();
                let mut inner = Reader::new(bytes);
                while let Some((_, bytes)) = inner.next_bytes()? {
                    list.push(Value::String(text(bytes)?));
                }
                value = Value::Array(list);
            }
            (2, wire) => value = scalar(element, wire, depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| "proto: string field contains invalid UTF-8".into())
}

fn scalar(shape: &'static Shape, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (shape, wire) {
        (Shape::String, Wire::Bytes(bytes)) => Value::String(text(bytes)?),
        (Shape::Bool, Wire::Varint(number)) => json!(number != 0),
        // Negative numbers are sign-extended to 64 bits on the wire.
        (Shape::Int32 | Shape::Int64, Wire::Varint(number)) => json!(number.cast_signed()),
        (Shape::Unsigned, Wire::Varint(number)) => json!(number),
        (Shape::Double, Wire::Fixed64(bits)) => json!(f64::from_bits(bits)),
        (Shape::Double, Wire::Fixed32(bits)) => json!(f32::from_bits(bits)),
        (Shape::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Shape::Time, Wire::Bytes(bytes)) => read_time(bytes, false)?,
        (Shape::MicroTime, Wire::Bytes(bytes)) => read_time(bytes, true)?,
        (Shape::Duration, Wire::Bytes(bytes)) => {
            let (nanos, _) = numbers(bytes)?;
            json!(format!("{:#}", SignedDuration::from_nanos(nanos)))
        }
        (Shape::Quantity, Wire::Bytes(bytes)) => match Reader::new(bytes).next_bytes()? {
            Some((_, bytes)) => Value::String(text(bytes)?),
            None => json!("0"),
        },
        (Shape::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Shape::Json, Wire::Bytes(bytes)) => match Reader::new(bytes).next_bytes()? {
            Some((_, raw)) => serde_json::from_slice(raw)
                .map_err(|_| "proto: embedded JSON is invalid".to_owned())?,
            None => Value::Null,
        },
        (Shape::Struct(name), Wire::Bytes(bytes)) => match find(name) {
            Some(t) => Value::Object(message(t, bytes, depth.saturating_sub(1))?),
            None => Value::Null,
        },
        (Shape::SchemaOrBool, Wire::Bytes(bytes)) => schema_or(bytes, depth, |flag| json!(flag))?,
        (Shape::SchemaOrArray | Shape::SchemaOrStrings, Wire::Bytes(bytes)) => {
            schema_or(bytes, depth, |_| json!({}))?
        }
        (Shape::List(element), wire) => json!([scalar(element, wire, depth)?]),
        (_, _) => return Err("proto: wrong wireType".into()),
    })
}

/// `JSONSchemaPropsOrBool` and its relatives: a flag in field 1, a schema in field 1 or 2, or a list in field 2.
fn schema_or(bytes: &[u8], depth: usize, other: impl Fn(bool) -> Value) -> Result<Value, String> {
    let t = find("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    let mut value = Value::Null;
    let mut reader = Reader::new(bytes);
    while let Some((_, wire)) = reader.next()? {
        match (wire, t) {
            (Wire::Varint(flag), _) if value.is_null() => value = other(flag != 0),
            (Wire::Bytes(bytes), Some(t)) => {
                value = Value::Object(message(t, bytes, depth.saturating_sub(1))?)
            }
            _ => {}
        }
    }
    Ok(value)
}

/// Fields 1 and 2 of a message of two numbers.
fn numbers(bytes: &[u8]) -> Result<(i64, i64), String> {
    let (mut first, mut second) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(value)) => first = value.cast_signed(),
            (2, Wire::Varint(value)) => second = value.cast_signed(),
            _ => {}
        }
    }
    Ok((first, second))
}

/// The zero time is written as an empty message.
fn read_time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (whole, nanos) = numbers(bytes)?;
    let nanos = i32::try_from(nanos).unwrap_or(0);
    let time = Timestamp::new(whole, nanos).map_err(|_| "proto: time out of range".to_owned())?;
    Ok(Value::String(if micro { micro_time(time) } else { seconds(time) }))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut kind, mut number, mut string) = (0, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match (field, wire) {
            (1, Wire::Varint(value)) => kind = value,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Ok(if kind == 0 { json!(number) } else { json!(string) })
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_number(tag: u32, value: i64, out: &mut Vec<u8>) {
    put_varint(u64::from(tag) << 3, out);
    put_varint(value.cast_unsigned(), out);
}

/// Writes a length-delimited field.
pub(in super::super) fn put_bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(tag) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_message(t: &'static Type, value: &Value, out: &mut Vec<u8>) {
    for field in &t.fields {
        match (&field.shape, field.inline()) {
            (Shape::Struct(name), true) => {
                if let Some(inner) = find(name) {
                    put_bytes(field.tag, &encode_message(inner, value), out);
                }
            }
            _ if field.tag == 0 => {}
            (shape, _) => match value.get(&field.name) {
                None | Some(Value::Null) => {}
                Some(value) => put_field(field.tag, shape, value, out),
            },
        }
    }
}

fn put_field(tag: u32, shape: &'static Shape, value: &Value, out: &mut Vec<u8>) {
    match (shape, value) {
        (Shape::List(element), Value::Array(list)) => {
            list.iter().for_each(|one| put_field(tag, element, one, out))
        }
        (Shape::Map(element), Value::Object(map)) => {
            for (key, value) in map {
                let mut entry = Vec::new();
                put_bytes(1, key.as_bytes(), &mut entry);
                if let (Shape::List(inner), Value::Array(_)) = (&**element, value) {
                    let mut list = Vec::new();
                    if let Value::Array(values) = value {
                        values.iter().for_each(|one| put_field(1, inner, one, &mut list));
                    }
                    put_bytes(2, &list, &mut entry);
                } else {
                    put_field(2, element, value, &mut entry);
                }
                put_bytes(tag, &entry, out);
            }
        }
        (Shape::Bool, Value::Bool(flag)) => put_number(tag, i64::from(*flag), out),
        (Shape::Int32 | Shape::Int64 | Shape::Unsigned, Value::Number(number)) => {
            put_number(tag, number.as_i64().unwrap_or(0), out);
        }
        (Shape::Double, Value::Number(number)) => {
            put_varint(u64::from(tag) << 3 | 1, out);
            out.extend_from_slice(&number.as_f64().unwrap_or(0.0).to_bits().to_le_bytes());
        }
        (Shape::String, Value::String(text)) => put_bytes(tag, text.as_bytes(), out),
        (Shape::Bytes, Value::String(text)) => {
            put_bytes(tag, &STANDARD.decode(text).unwrap_or_default(), out)
        }
        (Shape::Time | Shape::MicroTime, Value::String(text)) => {
            let mut inner = Vec::new();
            if let Ok(time) = text.parse::<Timestamp>() {
                put_number(1, time.as_second(), &mut inner);
                put_number(2, i64::from(time.subsec_nanosecond()), &mut inner);
            }
            put_bytes(tag, &inner, out);
        }
        (Shape::Quantity, Value::String(text)) => {
            let mut inner = Vec::new();
            put_bytes(1, text.as_bytes(), &mut inner);
            put_bytes(tag, &inner, out);
        }
        (Shape::IntOrString, value) => {
            let mut inner = Vec::new();
            match value {
                Value::String(text) => {
                    put_number(1, 1, &mut inner);
                    put_bytes(3, text.as_bytes(), &mut inner);
                }
                other => put_number(2, other.as_i64().unwrap_or(0), &mut inner),
            }
            put_bytes(tag, &inner, out);
        }
        (Shape::Json, value) => {
            let mut inner = Vec::new();
            put_bytes(1, value.to_string().as_bytes(), &mut inner);
            put_bytes(tag, &inner, out);
        }
        (Shape::Struct(name), value) => {
            if let Some(t) = find(name) {
                put_bytes(tag, &encode_message(t, value), out);
            }
        }
        (Shape::SchemaOrBool, Value::Bool(flag)) => {
            let mut inner = Vec::new();
            put_number(1, i64::from(*flag), &mut inner);
            put_bytes(tag, &inner, out);
        }
        (Shape::SchemaOrBool | Shape::SchemaOrArray, value @ Value::Object(_)) => {
            let mut inner = Vec::new();
            let field = if matches!(shape, Shape::SchemaOrBool) { 2 } else { 1 };
            put_field(field, schema(), value, &mut inner);
            put_bytes(tag, &inner, out);
        }
        _ => {}
    }
}

fn schema() -> &'static Shape {
    static SCHEMA: std::sync::OnceLock<Shape> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        Shape::Struct(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let t = find("io.k8s.api.core.v1.Pod").expect("in the table");
        let pod = json!({
            "metadata": { "name": "a", "labels": { "x": "1" }, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": {
                "containers": [{
                    "name": "c", "ports": [{ "containerPort": 80 }], "resources": { "limits": { "cpu": "500m" } },
                    "livenessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 3 }
                }],
                "volumes": [{ "name": "v", "secret": { "secretName": "s", "defaultMode": 420 } }],
                "terminationGracePeriodSeconds": 0
            }
        });
        assert_eq!(decode_message(t, &encode_message(t, &pod)), Ok(pod));
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        let t = find("io.k8s.api.core.v1.Pod").expect("in the table");
        for bytes in
            [&b"\x0a\xff"[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x00", b"\x0f"]
        {
            assert!(decode_message(t, bytes).is_err());
        }
    }
}
