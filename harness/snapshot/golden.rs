//! The kept snapshots: insta's files, so that `cargo insta review` works on them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use insta::Snapshot;
use insta::internals::{SnapshotContents, TextSnapshotContents};

/// What to do with a snapshot that is new or differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMode {
    /// Compare only; nothing is written.
    Check,
    /// Compare, and leave what differs as `*.snap.new` for review.
    Propose,
    /// Take what was seen as the snapshot.
    Record,
}

impl SnapshotMode {
    /// What the environment asks for: insta's `INSTA_UPDATE` when it is set, else never writing
    /// where `CI` is set, else proposing.
    #[must_use]
    pub fn from_environment() -> Self {
        let ci = env::var_os("CI")
            .is_some_and(|value| value != "false" && value != "0" && !value.is_empty());
        match env::var("INSTA_UPDATE").as_deref() {
            Ok("always" | "force") => Self::Record,
            Ok("new" | "unseen") => Self::Propose,
            Ok("no") => Self::Check,
            _ if ci => Self::Check,
            _ => Self::Propose,
        }
    }
}

/// The snapshot of one scenario, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Golden {
    path: PathBuf,
    /// The scenario file, as the snapshot's header names it.
    source: String,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Same,
    /// There is none yet.
    Missing,
    /// Another text; the two, line by line.
    Changed(Difference),
    /// It was written as asked.
    Recorded,
}

/// Two texts, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    kept: String,
    seen: String,
}

/// The snapshot's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// Not a snapshot of insta's making.
    #[error("`{path}` is not a snapshot: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What insta says.
        reason: String,
    },
    /// The file system refused.
    #[error("`{path}` cannot be written")]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Golden {
    /// The snapshot at `path` (`….snap`) of the scenario file `source`.
    #[must_use]
    pub fn new(path: PathBuf, source: String) -> Self {
        Self { path, source }
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compares what was seen with what is kept, and writes as `mode` allows.
    ///
    /// # Errors
    ///
    /// [`GoldenError`] when the kept file is broken or a write is refused.
    pub fn check(&self, seen: &str, mode: SnapshotMode) -> Result<Comparison, GoldenError> {
        let seen = normalised(seen);
        let kept = self.kept()?;
        if kept.as_deref() == Some(&*seen) {
            self.forget_proposal()?;
            return Ok(Comparison::Same);
        }
        match mode {
            SnapshotMode::Check => {}
            SnapshotMode::Propose => self.write(&self.proposal(), &seen)?,
            SnapshotMode::Record => {
                self.write(&self.path, &seen)?;
                self.forget_proposal()?;
                return Ok(Comparison::Recorded);
            }
        }
        Ok(kept.map_or(Comparison::Missing, |kept| Comparison::Changed(Difference { kept, seen })))
    }

    /// Where insta looks for what waits for review.
    #[must_use]
    pub fn proposal(&self) -> PathBuf {
        self.path.with_extension("snap.new")
    }

    fn kept(&self) -> Result<Option<String>, GoldenError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let unreadable =
            |reason: String| GoldenError::Unreadable { path: self.path.clone(), reason };
        let snapshot =
            Snapshot::from_file(&self.path).map_err(|error| unreadable(error.to_string()))?;
        match snapshot.contents() {
            SnapshotContents::Text(text) => Ok(Some(text.to_string())),
            SnapshotContents::Binary(_) => Err(unreadable("it is binary".into())),
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), GoldenError> {
        // The form that insta itself writes; `source` is what `cargo insta review` shows.
        let text = format!("---\nsource: {}\n---\n{text}\n", self.source);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new(".")))?;
            fs::write(path, text)
        };
        write().map_err(|source| GoldenError::Unwritable { path: path.into(), source })
    }

    fn forget_proposal(&self) -> Result<(), GoldenError> {
        match fs::remove_file(self.proposal()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(GoldenError::Unwritable { path: self.proposal(), source })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Difference {
    /// `-` stands before a kept line, `+` before a seen one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in similar::TextDiff::from_lines(&self.kept, &self.seen).iter_all_changes() {
            write!(f, "{}{change}", change.tag())?;
        }
        Ok(())
    }
}

/// The text as insta compares it.
fn normalised(text: &str) -> String {
    TextSnapshotContents::new(text.into(), insta::TextSnapshotKind::File).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(directory: &tempfile::TempDir) -> Golden {
        Golden::new(
            directory.path().join("connection/pairing.snap"),
            "scenarios/connection/pairing.yaml".into(),
        )
    }

    #[test]
    fn checking_never_writes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let golden = golden(&directory);
        assert_eq!(
            golden.check("a\n", SnapshotMode::Check).expect("no trouble"),
            Comparison::Missing
        );
        assert!(!golden.path().exists() && !golden.proposal().exists());
    }

    #[test]
    fn what_was_recorded_is_the_same_next_time() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let golden = golden(&directory);
        assert_eq!(
            golden.check("a\n  b\n", SnapshotMode::Record).expect("no trouble"),
            Comparison::Recorded
        );
        assert_eq!(
            golden.check("a\n  b\n", SnapshotMode::Check).expect("no trouble"),
            Comparison::Same
        );
    }

    #[test]
    fn a_difference_is_proposed_and_the_proposal_vanishes_when_it_does() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let golden = golden(&directory);
        golden.check("a\nb\n", SnapshotMode::Record).expect("no trouble");
        let changed = golden.check("a\nc\n", SnapshotMode::Propose).expect("no trouble");
        let Comparison::Changed(difference) = changed else { panic!("{changed:?}") };
        assert_eq!(difference.to_string(), " a\n-b\n+c\n");
        assert!(golden.proposal().exists());
        golden.check("a\nb\n", SnapshotMode::Propose).expect("no trouble");
        assert!(!golden.proposal().exists());
    }
}
