//! Which agent is meant by `--agent`: a file, or the reference agent that is built in.

use std::path::{Path, PathBuf};

use crate::agent::AgentFile;
use crate::document::{self, Document, DocumentError};

/// The word for the built-in agent file.
pub const REFERENCE: &str = "reference";

/// Loads the agent file that the word stands for.
///
/// # Errors
///
/// [`DocumentError`] when there is no such file, or it is no agent file.
pub fn load(word: &str) -> Result<Document<AgentFile>, DocumentError> {
    if word == REFERENCE {
        return document::parse(REFERENCE, include_str!("../../fixtures/agents/reference.yaml"));
    }
    document::load(Path::new(word))
}

/// The path that relative commands in the agent file start from.
pub fn path(word: &str) -> PathBuf {
    PathBuf::from(if word == REFERENCE { "." } else { word })
}
