//! Placeholders: filled into requests, matched against answers, with the order of versions checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

/// What the placeholders of one file stand for.
#[derive(Debug, Clone)]
pub(crate) struct Binder {
    pattern: Regex,
    values: BTreeMap<String, String>,
}

/// Placeholders that keep their value once they have one.
const BINDING: [&str; 8] = ["uid", "rv", "lrv", "ctime", "dtime", "continue", "token", "gen"];

fn form(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "uid" => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "rv" | "lrv" => "[1-9][0-9]*",
        "time" | "ctime" | "dtime" => r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        "age" => r"(?:\d+[smhdy])+|<invalid>|<unknown>",
        "continue" => r"[^\s&]+",
        "token" => r"\S+",
        "gen" => "[bcdfghjklmnpqrstvwxz2456789]{5}",
        "num" => r"\d+",
        "any" => ".*",
        _ => return None,
    })
}

impl Binder {
    pub(crate) fn new() -> Self {
        let pattern = Regex::new(r"\{\{([a-z]+)(?::([^{}]*))?\}\}").expect("a valid expression");
        Self { pattern, values: BTreeMap::new() }
    }

    /// Replaces the placeholders of a request; one without a value is an error of an earlier exchange.
    pub(crate) fn fill(&self, text: &str, in_url: bool) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = 0;
        for found in self.pattern.captures_iter(text) {
            let whole = found.get(0).expect("a match has a whole");
            out.push_str(&text[rest..whole.start()]);
            rest = whole.end();
            let (kind, argument) = (&found[1], found.get(2).map_or("", |m| m.as_str()));
            out.push_str(&self.value_of(whole.as_str(), kind, argument, in_url)?);
        }
        out.push_str(&text[rest..]);
        Ok(out)
    }

    fn value_of(
        &self,
        whole: &str,
        kind: &str,
        argument: &str,
        in_url: bool,
    ) -> Result<String, String> {
        match kind {
            "repeat" => {
                let (text, count) =
                    argument.rsplit_once(':').ok_or("a repetition needs a count")?;
                return Ok(text.repeat(count.parse().map_err(|_| "a repetition needs a count")?));
            }
            "jsonpatch" => {
                let count: usize = argument.parse().map_err(|_| "a patch needs a count")?;
                let operation = r#"{"op":"add","path":"/data/a","value":"b"}"#;
                return Ok(format!("[{}]", vec![operation; count].join(",")));
            }
            _ => {}
        }
        if let Some(value) = self.values.get(whole) {
            if in_url && kind == "continue" {
                return Ok(value.bytes().map(|byte| format!("%{byte:02X}")).collect());
            }
            return Ok(value.clone());
        }
        match kind {
            "time" | "ctime" | "dtime" => {
                Ok(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            }
            _ => Err(format!("{whole} has no value (an earlier exchange failed)")),
        }
    }

    /// Replaces the placeholders of a JSON value, in keys too.
    pub(crate) fn fill_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::Object(map) => {
                let mut out = Map::new();
                for (key, value) in map {
                    out.insert(self.fill(key, false)?, self.fill_json(value)?);
                }
                Value::Object(out)
            }
            Value::Array(list) => {
                Value::Array(list.iter().map(|one| self.fill_json(one)).collect::<Result<_, _>>()?)
            }
            Value::String(text) => Value::String(self.fill(text, false)?),
            other => other.clone(),
        })
    }

    /// Matches an answer's text against a template and binds what is new; the error says what is wrong.
    pub(crate) fn match_text(&mut self, expected: &str, got: &str) -> Result<(), String> {
        if !expected.contains("{{") {
            return if expected == got { Ok(()) } else { Err("differs".into()) };
        }
        let mut expression = String::from("(?s)^");
        let mut names = Vec::new();
        let mut rest = 0;
        for found in self.pattern.captures_iter(expected) {
            let whole = found.get(0).expect("a match has a whole");
            expression.push_str(&regex::escape(&expected[rest..whole.start()]));
            rest = whole.end();
            let (kind, argument) = (&found[1], found.get(2).map_or("", |m| m.as_str()));
            if kind == "repeat" {
                let (text, count) =
                    argument.rsplit_once(':').ok_or("a repetition needs a count")?;
                let text = regex::escape(text);
                let large = count.parse::<u32>().is_ok_and(|count| count >= 1000);
                let part =
                    if large { format!("(?:{text})+") } else { format!("(?:{text}){{{count}}}") };
                expression.push_str(&part);
            } else if let Some(value) = self.values.get(whole.as_str()) {
                expression.push_str(&regex::escape(value));
            } else if let Some(form) = form(kind) {
                expression.push('(');
                expression.push_str(form);
                expression.push(')');
                names.push((kind.to_owned(), whole.as_str().to_owned()));
            } else {
                expression.push_str(&regex::escape(whole.as_str()));
            }
        }
        expression.push_str(&regex::escape(&expected[rest..]));
        expression.push('$');
        let compiled =
            Regex::new(&expression).map_err(|error| format!("no expression: {error}"))?;
        let found = compiled.captures(got).ok_or("does not match")?;
        let mut fresh: BTreeMap<String, String> = BTreeMap::new();
        for (at, (kind, name)) in names.iter().enumerate() {
            if !BINDING.contains(&kind.as_str()) {
                continue;
            }
            let value = found[at + 1].to_owned();
            if fresh.insert(name.clone(), value.clone()).is_some_and(|before| before != value) {
                return Err(format!("{name} has two values"));
            }
        }
        fresh.into_iter().try_for_each(|(name, value)| self.bind(&name, &value))
    }

    /// Gives a placeholder its value, and checks uniqueness and order.
    fn bind(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name.starts_with("{{uid:")
            && self.values.iter().any(|(other, v)| other.starts_with("{{uid:") && v == value)
        {
            return Err(format!("{name} has the value of another uid"));
        }
        self.values.insert(name.to_owned(), value.to_owned());
        let Some((kind, rank)) = version(name) else { return Ok(()) };
        let own: u64 = value.parse().map_err(|_| "a version is a number")?;
        for (other, other_value) in &self.values {
            let Some((other_kind, other_rank)) = version(other).filter(|_| other != name) else {
                continue;
            };
            let theirs: u64 = other_value.parse().map_err(|_| "a version is a number")?;
            let broken = match (kind, other_kind) {
                ("rv", "rv") => (own < theirs) != (rank < other_rank) || own == theirs,
                ("rv", _) => {
                    if rank <= other_rank {
                        theirs < own
                    } else {
                        theirs >= own
                    }
                }
                (_, "rv") => {
                    if other_rank <= rank {
                        own < theirs
                    } else {
                        own >= theirs
                    }
                }
                _ => false,
            };
            if broken {
                return Err(format!("{name}={value} breaks the order with {other}={other_value}"));
            }
        }
        Ok(())
    }
}

/// Kind and rank of a version's placeholder.
fn version(name: &str) -> Option<(&'static str, u64)> {
    let inner = name.strip_prefix("{{")?.strip_suffix("}}")?;
    let (kind, argument) = inner.split_once(':')?;
    let kind = match kind {
        "rv" => "rv",
        "lrv" => "lrv",
        _ => return None,
    };
    argument.split('.').next()?.parse().ok().map(|rank| (kind, rank))
}
