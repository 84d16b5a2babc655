//! The journal of a run in one file (`*.run`): gzip of JSON lines, a header first.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Entry;

/// Raised when the shape of the lines changes in a way that an older reader would get wrong.
const FORMAT: u32 = 1;

/// The first line of a run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunHeader {
    /// Version of the format.
    pub run_file_format: u32,
    /// Version of the harness that wrote it.
    pub harness_version: String,
    /// Id of the scenario.
    pub scenario: String,
    /// Path of the scenario file, as it was given.
    pub scenario_file: String,
    /// Name of the agent.
    pub agent: String,
    /// The seed of the run.
    pub seed: u64,
    /// By how much all waiting was stretched.
    pub speed_factor: f64,
    /// When the run started.
    pub started_at: Timestamp,
    /// Number of entries that follow; fewer means that the file was cut.
    pub entries: u64,
}

impl RunHeader {
    /// A header in the present format for these entries.
    #[must_use]
    pub fn new(
        scenario: String,
        scenario_file: String,
        agent: String,
        started_at: Timestamp,
    ) -> Self {
        Self {
            run_file_format: FORMAT,
            harness_version: env!("CARGO_PKG_VERSION").into(),
            scenario,
            scenario_file,
            agent,
            seed: 0,
            speed_factor: 1.0,
            started_at,
            entries: 0,
        }
    }
}

/// Why a run file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFileError {
    /// The file system refused.
    #[error("`{path}` cannot be read or written")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not one of ours.
    #[error("`{path}` is not a run file")]
    Foreign {
        /// Which file.
        path: String,
    },
    /// Written by another version of the format.
    #[error("`{path}` has run file format {found}, this harness reads format {FORMAT}")]
    Format {
        /// Which file.
        path: String,
        /// What it says.
        found: u32,
    },
    /// It ends too early, or a line is broken.
    #[error("`{path}` is damaged: {known} of {promised} entries can be read")]
    Damaged {
        /// Which file.
        path: String,
        /// Entries that could be read.
        known: u64,
        /// Entries that the header promises.
        promised: u64,
    },
}

/// Writes a run file; it appears whole or not at all.
///
/// # Errors
///
/// [`RunFileError::Io`] when the directory cannot be written.
pub fn write_run_file(
    path: &Path,
    header: &RunHeader,
    entries: &[Arc<Entry>],
) -> Result<(), RunFileError> {
    let write = || -> io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(directory)?;
        let file = tempfile::NamedTempFile::new_in(directory)?;
        let mut out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let header = RunHeader { entries: entries.len() as u64, ..header.clone() };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        for entry in entries {
            serde_json::to_writer(&mut out, &**entry)?;
            out.write_all(b"\n")?;
        }
        let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| RunFileError::Io { path: path.display().to_string(), source })
}

/// Reads a run file whole.
///
/// # Errors
///
/// Each variant of [`RunFileError`]: what is damaged is not half-read.
pub fn read_run_file(path: &Path) -> Result<(RunHeader, Vec<Entry>), RunFileError> {
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|source| RunFileError::Io { path: name.clone(), source })?;
    let mut lines = BufReader::new(GzDecoder::new(file)).lines();
    let foreign = || RunFileError::Foreign { path: name.clone() };
    let first = lines.next().and_then(Result::ok).ok_or_else(foreign)?;
    let header: RunHeader = match serde_json::from_str(&first) {
        Ok(header) => header,
        Err(_) => return Err(foreign()),
    };
    if header.run_file_format != FORMAT {
        return Err(RunFileError::Format { path: name, found: header.run_file_format });
    }
    let mut entries = Vec::new();
    for line in lines {
        let entry = line.ok().and_then(|line| serde_json::from_str(&line).ok());
        let Some(entry) = entry else { break };
        entries.push(entry);
    }
    if entries.len() as u64 != header.entries {
        return Err(RunFileError::Damaged {
            path: name,
            known: entries.len() as u64,
            promised: header.entries,
        });
    }
    Ok((header, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Action, Journal};

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let journal = Journal::new();
        for n in 0..50 {
            journal.record(Action { text: format!("action {n}") });
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("runs/one.run");
        let header =
            RunHeader::new("CC-X-001".into(), "x.yaml".into(), "a".into(), journal.started_at());
        write_run_file(&path, &header, &journal.snapshot()).expect("written");
        (directory, path)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_directory, path) = written();
        let (header, entries) = read_run_file(&path).expect("readable");
        assert_eq!(header.entries, 50);
        assert_eq!(entries.len(), 50);
        assert_eq!(entries[49].seq, 49);
    }

    #[test]
    fn a_cut_file_says_how_much_is_known() {
        let (_directory, path) = written();
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).expect("writable");
        let error = read_run_file(&path).expect_err("damaged");
        assert!(
            matches!(
                error,
                RunFileError::Damaged { promised: 50, .. } | RunFileError::Foreign { .. }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("no.run");
        std::fs::write(&path, "hello").expect("writable");
        assert!(matches!(read_run_file(&path), Err(RunFileError::Foreign { .. })));
    }
}
