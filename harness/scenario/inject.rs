//! The frame of a fault: its id, its place, its occasions, and the parameters that its own type reads.

use serde::Deserialize;
use serde::de::Deserializer;

use crate::document::{Node, Problem, Spanned, Value};

/// A fault to arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Inject {
    /// What the scenario calls it.
    pub id: Spanned<String>,
    /// Where it sits.
    pub at: Spanned<String>,
    /// `http.answer` and the like.
    pub fault: Spanned<String>,
    /// What narrows it.
    pub only: Option<Node>,
    /// Everything else: the fault's own parameters.
    pub parameters: Node,
}

impl<'de> Deserialize<'de> for Inject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Self::read(node).map_err(Problem::raise)
    }
}

impl Inject {
    fn read(node: Node) -> Result<Self, Problem> {
        let at = node.at;
        let Value::Map(entries) = node.value else {
            return Err(Problem::mismatch("a fault with `id`, `at` and `fault`", &node).at(at));
        };
        let (mut id, mut place, mut fault, mut only) = (None, None, None, None);
        let mut parameters = Vec::new();
        for (key, value) in entries {
            match key.text.as_str() {
                "id" => id = Some(value.read()?),
                "at" => place = Some(value.read()?),
                "fault" => fault = Some(value.read()?),
                "only" => only = Some(value),
                _ => parameters.push((key, value)),
            }
        }
        let missing = |key: &str| Problem::new(format!("`{key}` is missing")).at(at);
        let id: Spanned<String> = id.ok_or_else(|| missing("id"))?;
        if id.value == "all" || id.value.is_empty() {
            let problem = Problem::new("`all` means every fault, so none can have it as its id");
            return Err(problem.at(id.span));
        }
        Ok(Self {
            id,
            at: place.ok_or_else(|| missing("at"))?,
            fault: fault.ok_or_else(|| missing("fault"))?,
            only,
            parameters: Node { value: Value::Map(parameters), at },
        })
    }
}
