//! Documents, parsed and validated once for each text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use apollo_compiler::executable::{ExecutableDocument, Operation};
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{Schema, parser::Parser};

use super::lenient::without_empty_arguments;
use super::plan::Plan;

/// Documents kept at most twice in this number; gqlgen keeps 1000.
const KEPT: usize = 500;
/// Nor are there more than twice this many bytes of text: memory must not grow with odd requests.
const KEPT_BYTES: usize = 1024 * 1024;
/// Nesting beyond this is refused by the parser, long before a stack could end.
const DEEPEST: usize = 200;

/// Why a request is not executed, in gqlgen's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// `GRAPHQL_PARSE_FAILED`
    Parse,
    /// `GRAPHQL_VALIDATION_FAILED`
    Validation,
    /// The request is no GraphQL request; gqlgen has no code for it.
    Transport,
}

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestError {
    pub(crate) message: String,
    /// Line and column, from 1.
    pub(crate) location: Option<(usize, usize)>,
    pub(crate) code: ErrorCode,
}

impl RequestError {
    /// A mistake that stands nowhere in particular.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self { message: message.into(), location: None, code: ErrorCode::Validation }
    }

    /// A request that has no document.
    pub(super) fn transport(message: String) -> Self {
        Self { message, location: None, code: ErrorCode::Transport }
    }
}

/// A document that can be executed, with its plan as soon as it has one.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) valid: Valid<ExecutableDocument>,
    /// The plan, when it does not depend on a request's variables.
    pub(super) plan: OnceLock<Result<Plan, RequestError>>,
}

impl Document {
    /// The operation that a request asks for; without a name there may be only one.
    pub(super) fn operation(&self, name: Option<&str>) -> Result<&Operation, RequestError> {
        if self.valid.operations.is_empty() {
            return Err(RequestError::validation("no operation provided"));
        }
        let found = self.valid.operations.get(name.filter(|name| !name.is_empty()));
        found.map(|operation| &**operation).map_err(|_| match name {
            Some(name) if !name.is_empty() => {
                RequestError::validation(format!("operation {name} not found"))
            }
            _ => RequestError::validation("operation  not found"),
        })
    }

    /// The names of the root fields in the order of the document.
    pub(super) fn root_fields(&self, name: Option<&str>) -> Vec<String> {
        let Ok(operation) = self.operation(name) else { return Vec::new() };
        operation.root_fields(&self.valid).map(|field| field.name.to_string()).collect()
    }
}

/// What came of a text.
type Outcome = Result<Arc<Document>, Arc<Vec<RequestError>>>;

/// The documents of one schema. Those used lately are kept.
pub(crate) struct Documents {
    schema: &'static Valid<Schema>,
    kept: Mutex<Generations>,
}

/// Two generations: a text that is used again moves to the young one, and when that is full it
/// becomes the old one.
#[derive(Default)]
struct Generations {
    young: HashMap<Arc<str>, Outcome>,
    young_bytes: usize,
    old: HashMap<Arc<str>, Outcome>,
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Documents").finish_non_exhaustive()
    }
}

impl Documents {
    /// No documents yet.
    pub(crate) fn new(schema: &'static Valid<Schema>) -> Self {
        Self { schema, kept: Mutex::default() }
    }

    /// The schema that they are valid for.
    pub(super) fn schema(&self) -> &'static Valid<Schema> {
        self.schema
    }

    /// The document of a text.
    pub(super) fn document(&self, text: &str) -> Outcome {
        if let Some(known) = self.kept().find(text) {
            return known;
        }
        let outcome = self.read(text);
        self.kept().keep(text.into(), outcome.clone());
        outcome
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, text: &str) -> Outcome {
        let text = without_empty_arguments(text);
        let mut parser = Parser::new().recursion_limit(DEEPEST);
        let parsed = parser
            .parse_ast(&*text, "input")
            .map_err(|broken| errors_of(&broken.errors, ErrorCode::Parse))?;
        match parsed.to_executable_validate(self.schema) {
            Ok(valid) => Ok(Arc::new(Document { valid, plan: OnceLock::new() })),
            Err(broken) => Err(errors_of(&broken.errors, ErrorCode::Validation)),
        }
    }
}

impl Generations {
    fn find(&mut self, text: &str) -> Option<Outcome> {
        if let Some(known) = self.young.get(text) {
            return Some(known.clone());
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.keep(text, known.clone());
        Some(known)
    }

    fn keep(&mut self, text: Arc<str>, outcome: Outcome) {
        if text.len() > KEPT_BYTES {
            return;
        }
        self.young_bytes += text.len();
        if self.young.len() >= KEPT || self.young_bytes > KEPT_BYTES {
            self.young_bytes = text.len();
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, outcome);
    }
}

fn errors_of(diagnostics: &DiagnosticList, code: ErrorCode) -> Arc<Vec<RequestError>> {
    let errors = diagnostics.iter().map(|diagnostic| {
        let error = diagnostic.to_json();
        let location = error.locations.first().map(|at| (at.line, at.column));
        RequestError { message: as_gqlparser(error.message), location, code }
    });
    Arc::new(errors.collect())
}

/// The mistakes that people make most, in gqlparser's words.
fn as_gqlparser(message: String) -> String {
    let quoted = Vec::from_iter(message.split('`'));
    match quoted[..] {
        ["type ", on, " does not have a field ", field, ""] => {
            format!("Cannot query field \"{field}\" on type \"{on}\".")
        }
        ["the required argument ", argument, " is not provided"] => {
            format!("Argument \"{argument}\" of required type was not provided.")
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
        Schema::parse_and_validate("type Query { a(b: Int): Int }", "schema").expect("valid")
    });

    #[test]
    fn a_text_is_read_once() {
        let documents = Documents::new(&SCHEMA);
        let first = documents.document("{ a() }").expect("valid");
        let second = documents.document("{ a() }").expect("valid");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.root_fields(None), ["a"]);
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_used_goes() {
        let documents = Documents::new(&SCHEMA);
        let used = documents.document("{ a }").expect("valid");
        for n in 0..10 * KEPT {
            documents.document(&format!("{{ a(b: {n}) }}")).expect("valid");
            assert!(Arc::ptr_eq(&used, &documents.document("{ a }").expect("valid")));
        }
        let kept = documents.kept();
        assert!(kept.young.len() + kept.old.len() <= 2 * KEPT);
    }

    #[test]
    fn long_texts_take_no_more_room_than_short_ones() {
        let documents = Documents::new(&SCHEMA);
        for n in 0..50 {
            let padding = " ".repeat(100_000);
            documents.document(&format!("{{ a(b: {n}) }}{padding}")).expect("valid");
        }
        let kept = documents.kept();
        let bytes: usize = kept.young.keys().chain(kept.old.keys()).map(|text| text.len()).sum();
        assert!(bytes <= 2 * KEPT_BYTES, "{bytes}");
    }

    #[test]
    fn mistakes_have_gqlgens_codes_and_a_place() {
        let documents = Documents::new(&SCHEMA);
        let error = |text: &str| documents.document(text).expect_err("refused")[0].clone();
        let syntax = error("{ a");
        assert_eq!(syntax.code, ErrorCode::Parse);
        assert!(syntax.location.is_some());
        let unknown = error("{\n  b\n}");
        assert_eq!(unknown.code, ErrorCode::Validation);
        assert_eq!(unknown.message, "Cannot query field \"b\" on type \"Query\".");
        assert_eq!(unknown.location, Some((2, 3)));
        assert_eq!(error("{ a(b: \"x\") }").code, ErrorCode::Validation);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let documents = Documents::new(&SCHEMA);
        let text = "{ a ".repeat(100_000);
        assert_eq!(documents.document(&text).expect_err("refused")[0].code, ErrorCode::Parse);
        let list = format!("{{ a(b: {}) }}", "[".repeat(100_000));
        assert_eq!(documents.document(&list).expect_err("refused")[0].code, ErrorCode::Parse);
    }

    #[test]
    fn a_long_chain_of_fragments_ends_no_stack() {
        let documents = Documents::new(&SCHEMA);
        for length in [100, 10_000] {
            let mut text = String::from("{ ...F0 }");
            text.extend((0..length).map(|n| format!("fragment F{n} on Query {{ ...F{} }}", n + 1)));
            text.extend([format!("fragment F{length} on Query {{ a }}")]);
            if let Ok(document) = documents.document(&text) {
                let variables = serde_json::Map::new();
                let _ = Plan::new(&SCHEMA, &document, None, &variables);
                document.root_fields(None);
            }
        }
    }
}
