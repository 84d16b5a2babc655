//! What is wrong with a document, at which place, and what would be right.

use std::fmt;
use std::io;
use std::string::FromUtf8Error;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use serde::de::{Expected, Unexpected};
use serde::{Deserialize, Serialize};

use super::node::{Node, found_text};
use super::source::Source;
use super::span::Span;

/// Precedes a [`Problem`] that travels through serde's texts.
const SEALED: &str = "\u{1}problem ";

/// What is wrong, before it is known in which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    message: String,
    span: Option<Span>,
    help: Option<String>,
}

impl Problem {
    /// Something is wrong; says what, as a fragment.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None }
    }

    /// One thing was expected and another found.
    #[must_use]
    pub fn mismatch(expected: &str, found: &Node) -> Self {
        Self::new(format!("expected {expected}, found {}", found.found()))
    }

    /// A word that is not one of those allowed here; `what` is `key`, `fault` and the like.
    #[must_use]
    pub fn unknown<'a>(
        what: &str,
        word: &str,
        allowed: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let nearest = nearest(word, allowed.clone());
        let list: Vec<&str> = allowed.into_iter().collect();
        let problem = Self::new(format!("unknown {what} {}", found_text(word)));
        let list = match list.as_slice() {
            [] => return problem.help("nothing may stand here"),
            list => list.join(", "),
        };
        problem.help(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`? Allowed: {list}"),
            None => format!("allowed: {list}"),
        })
    }

    /// Points to a place, unless the problem points to one already: the innermost is the best.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Makes it the error of any deserializer, place included.
    #[must_use]
    pub fn raise<E: serde::de::Error>(self) -> E {
        match serde_json::to_string(&self) {
            Ok(sealed) => E::custom(format_args!("{SEALED}{sealed}")),
            Err(_) => E::custom(self.message),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let sealed = message.strip_prefix(SEALED).and_then(|text| serde_json::from_str(text).ok());
        sealed.unwrap_or_else(|| Self::new(message))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", plain(expected), unexpected(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {length} items", plain(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("word", variant, expected.iter().copied())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("key", field, expected.iter().copied())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` stands twice"))
    }
}

/// Rust's names of types in plain words.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        _ => text,
    }
}

fn unexpected(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => found_text(text),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a mapping".into(),
        other => other.to_string(),
    }
}

/// The allowed word that is most like this one, when one is alike at all.
#[must_use]
pub fn nearest<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this likeness a suggestion only confuses.
    const ALIKE: f64 = 0.7;
    // The measure is quadratic in the length; nobody misspells a word with a page of text.
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    allowed
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// A document that cannot be used: what is wrong, where, and what would be right.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", problem.message)]
pub struct DocumentError {
    file: Source,
    problem: Box<Problem>,
    #[source]
    cause: Option<Arc<io::Error>>,
}

impl DocumentError {
    pub(crate) fn new(file: Source, problem: Problem) -> Self {
        Self { file, problem: Box::new(problem), cause: None }
    }

    pub(crate) fn unreadable(name: &str, cause: io::Error) -> Self {
        let message = match cause.kind() {
            io::ErrorKind::NotFound => format!("there is no file `{name}`"),
            _ => format!("`{name}` cannot be read"),
        };
        Self {
            file: Source::new(name, String::new()),
            problem: Box::new(Problem::new(message)),
            cause: Some(Arc::new(cause)),
        }
    }

    pub(super) fn not_utf8(name: &str, error: &FromUtf8Error) -> Self {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        let problem = Problem::new(format!("the file is not UTF-8: line {line} holds other bytes"))
            .help("save it as UTF-8");
        Self::new(Source::new(name, String::new()), problem)
    }

    /// The name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        self.file.name()
    }

    /// The place in the file, when there is one.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.problem.span
    }

    /// What is wrong, as a fragment.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.problem.message
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.problem.help.as_deref()
    }

    /// The whole error as text: the message, the excerpt with a mark, and what to do.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120);
        // Writing to a String cannot fail; and half a report is better than none.
        let _ = handler.render_report(&mut text, self);
        text
    }
}

impl Diagnostic for DocumentError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.map(|_| &self.file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let marked = self.file.marked(self.problem.span?);
        let label = LabeledSpan::new(Some("here".into()), marked.start, marked.len());
        Some(Box::new(std::iter::once(label)))
    }
}
