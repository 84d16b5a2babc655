//! YAML documents: read strictly, with line, column, excerpt and the nearest right word in every error.
//!
//! A file is parsed to a tree of [`Node`]s that know their places, and a type is read from the tree.
//! So every error, the ones of later checks included ([`Document::error`]), points at the key or
//! value that is wrong. Strict means: an unknown key, an empty value, a number where a text belongs
//! and a key that stands twice are errors, whatever type is read.

mod error;
mod node;
mod quantity;
mod reader;
mod source;
mod span;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use error::{DocumentError, Problem, nearest};
pub use node::{Key, Node, Value};
pub use quantity::{Period, Share};
pub use source::Source;
pub use span::{Span, Spanned};

/// The version of all document kinds.
pub const API_VERSION: &str = "compass.test/v1alpha1";

/// Larger files are refused before they are parsed.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A kind of document: the type of what stands beside `apiVersion` and `kind`.
pub trait Kind: DeserializeOwned {
    /// The word after `kind:`.
    const KIND: &'static str;
}

/// A file that was read, and what it takes to point into it.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// What it says.
    pub content: T,
    source: Source,
}

impl<T> Document<T> {
    /// The name of the file, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// The file, for errors that point into it.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// An error that points to a place in this document.
    #[must_use]
    pub fn error(&self, problem: Problem) -> DocumentError {
        self.source.error(problem)
    }
}

/// Reads a document from a file.
///
/// # Errors
///
/// [`DocumentError`] when there is no such file, or it is not such a document.
pub fn load<T: Kind>(path: &Path) -> Result<Document<T>, DocumentError> {
    let name = path.display().to_string();
    let unreadable = |cause| DocumentError::unreadable(&name, cause);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(DocumentError::new(
            Source::new(&name, String::new()),
            Problem::new(format!("the file is larger than {} KiB", LARGEST_FILE / 1024)),
        ));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(DocumentError::not_utf8(&name, &error)),
    };
    parse(&name, text)
}

/// Reads a document from a text; `name` is what errors call it.
///
/// # Errors
///
/// [`DocumentError`] when it is not such a document.
pub fn parse<T: Kind>(name: &str, text: impl Into<String>) -> Result<Document<T>, DocumentError> {
    let source = Source::new(name, text.into());
    let read = || {
        let mut node = Node::parse(source.text())?;
        check_envelope(&mut node, T::KIND)?;
        node.read::<T>()
    };
    match read() {
        Ok(content) => Ok(Document { content, source }),
        Err(problem) => Err(DocumentError::new(source, problem)),
    }
}

/// Checks `apiVersion` and `kind` before anything else, because with the wrong kind every other
/// complaint would mislead; and takes them away, so that the kinds need not repeat them.
fn check_envelope(node: &mut Node, kind: &str) -> Result<(), Problem> {
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", kind)] {
        let Value::Map(entries) = &mut node.value else {
            return Err(Problem::mismatch(
                "a mapping that begins with `apiVersion` and `kind`",
                node,
            )
            .at(node.at));
        };
        let Some(index) = entries.iter().position(|(found, _)| found.text == key) else {
            return Err(Problem::new(format!("`{key}` is missing"))
                .at(node.at)
                .help(format!("begin the file with `{key}: {expected}`")));
        };
        let (_, value) = entries.remove(index);
        if !matches!(&value.value, Value::Text(found) if found == expected) {
            return Err(Problem::mismatch(&format!("`{expected}`"), &value).at(value.at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
