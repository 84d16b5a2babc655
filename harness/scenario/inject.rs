//! A fault to arm: its id, its place, its occasions, and the parameters that its own type reads.

use serde::Deserialize;
use serde::de::Deserializer;

use crate::document::{Node, Problem, Spanned, Value};
use crate::fault::{self, Armed, Named, Narrowing, Parsed, Place};

/// A fault to arm.
#[derive(Debug, Clone)]
pub struct Inject {
    /// What the scenario calls it.
    pub id: Spanned<String>,
    /// Where it sits.
    pub at: Place,
    /// `http.answer` and the like.
    pub fault: Spanned<String>,
    /// Ready to be armed.
    pub armed: Armed,
}

/// The words behind `at`.
const PLACES: [Place; 5] = [
    Place::Connector,
    Place::Director,
    Place::TokenDoor,
    Place::CertificateDoor,
    Place::Kubernetes,
];

impl<'de> Deserialize<'de> for Inject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Self::read(node).map_err(Problem::raise)
    }
}

impl Inject {
    fn read(node: Node) -> Result<Self, Problem> {
        let all = node.at;
        let Value::Map(entries) = node.value else {
            return Err(Problem::mismatch("a fault with `id`, `at` and `fault`", &node).at(all));
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
        let missing = |key: &str| Problem::new(format!("`{key}` is missing")).at(all);
        let id: Spanned<String> = id.ok_or_else(|| missing("id"))?;
        let place: Spanned<String> = place.ok_or_else(|| missing("at"))?;
        let fault: Spanned<String> = fault.ok_or_else(|| missing("fault"))?;
        if id.value == "all" || id.value.is_empty() {
            let problem = Problem::new("`all` means every fault, so none can have it as its id");
            return Err(problem.at(id.span));
        }
        let at = read_place(&place)?;
        let parameters = Node { value: Value::Map(parameters), at: fault.span };
        let parsed = read_fault(&fault, &parameters)?;
        let narrowing: Narrowing = only.as_ref().map(Node::read).transpose()?.unwrap_or_default();
        let armed =
            Armed::new(id.value.clone(), parsed, at.clone(), narrowing).map_err(|error| {
                Problem::new(error.to_string()).at(only.map_or(place.span, |o| o.at))
            })?;
        Ok(Self { id, at, fault, armed })
    }
}

/// A place that exists in every world: a listener of its own needs a scenario that opens one.
fn read_place(word: &Spanned<String>) -> Result<Place, Problem> {
    let found = PLACES.iter().find(|place| place.to_string() == word.value);
    found.cloned().ok_or_else(|| {
        let words: Vec<String> = PLACES.iter().map(ToString::to_string).collect();
        Problem::unknown("place", word, words.iter().map(String::as_str)).at(word.span)
    })
}

fn read_fault(name: &Spanned<String>, parameters: &Node) -> Result<Parsed, Problem> {
    parameters.read_seed(Named(name))?.ok_or_else(|| {
        let names = fault::KINDS.iter().map(|kind| kind.name);
        Problem::unknown("fault", name, names).at(name.span)
    })
}
