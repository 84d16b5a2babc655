//! Finds the program that an agent file names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The name by which agent files call this very program.
const OURSELVES: &str = "compass-harness";

/// Why a program cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The agent file names no program.
    #[error("the command of the agent is empty\n[give at least a program: `command: [./agent]`]")]
    Empty,
    /// There is no such file.
    #[error(
        "there is no program `{program}`\n\
         [looked for the file `{path}`; a relative path starts at the agent file]"
    )]
    NoFile {
        /// As the agent file has it.
        program: String,
        /// What was looked for.
        path: PathBuf,
    },
    /// No directory in `PATH` has it.
    #[error("there is no program `{program}` in `PATH`\n[looked in {searched}]")]
    NotInPath {
        /// As the agent file has it.
        program: String,
        /// The directories, or that there are none.
        searched: String,
    },
    /// There is something, but it cannot be run.
    #[error("`{path}` is not executable\n[try `chmod +x {path}`]")]
    NotExecutable {
        /// Which file.
        path: PathBuf,
    },
    /// It is a directory.
    #[error("`{path}` is a directory, not a program")]
    Directory {
        /// Which.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("`{path}` cannot be looked at")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The file to execute for `program`, whose agent file lies in `directory`.
///
/// # Errors
///
/// [`ProgramError`], which says where was looked.
pub(super) fn find(
    program: &str,
    ourselves: &Path,
    directory: &Path,
    search_path: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    if program.is_empty() {
        return Err(ProgramError::Empty);
    }
    if program == OURSELVES {
        return executable(program, ourselves.to_path_buf());
    }
    if program.contains('/') {
        let path = directory.join(program);
        // The child starts in another directory, so the path must hold from anywhere.
        let path = std::path::absolute(&path)
            .map_err(|source| ProgramError::Unreadable { path, source })?;
        return executable(program, path);
    }
    let directories: Vec<PathBuf> =
        search_path.map(std::env::split_paths).into_iter().flatten().collect();
    let mut blocked = None;
    for candidate in directories.iter().map(|directory| directory.join(program)) {
        match executable(program, candidate) {
            Ok(path) => return Ok(path),
            // As a shell does: what cannot be run does not hide a program further on.
            Err(error @ ProgramError::NotExecutable { .. }) => {
                blocked.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    Err(blocked.unwrap_or_else(|| ProgramError::NotInPath {
        program: program.into(),
        searched: if directories.is_empty() {
            "nothing: `PATH` is not set".into()
        } else {
            let names: Vec<_> =
                directories.iter().map(|path| format!("`{}`", path.display())).collect();
            names.join(", ")
        },
    }))
}

fn executable(program: &str, path: PathBuf) -> Result<PathBuf, ProgramError> {
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Err(ProgramError::Directory { path }),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(ProgramError::NotExecutable { path })
        }
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ProgramError::NoFile { program: program.into(), path })
        }
        Err(source) => Err(ProgramError::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_path_and_the_error_says_where() {
        let path = OsStr::new("/nowhere:/bin");
        let found = find("sh", Path::new("/x"), Path::new("/"), Some(path)).expect("sh exists");
        assert_eq!(found, Path::new("/bin/sh"));
        let error = find("no-such-agent", Path::new("/x"), Path::new("/"), Some(path));
        let text = error.expect_err("not there").to_string();
        assert!(text.contains("`no-such-agent`") && text.contains("`/nowhere`, `/bin`"), "{text}");
    }

    #[test]
    fn a_relative_path_starts_at_the_agent_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let error = find("./agent", Path::new("/x"), directory.path(), None).expect_err("no file");
        assert!(error.to_string().contains(&*directory.path().to_string_lossy()), "{error}");
        std::fs::write(directory.path().join("agent"), "#!/bin/sh\n").expect("writable");
        let error = find("./agent", Path::new("/x"), directory.path(), None).expect_err("no x");
        assert!(matches!(error, ProgramError::NotExecutable { .. }), "{error}");
    }

    #[test]
    fn our_own_name_is_this_program() {
        let found = find("compass-harness", Path::new("/bin/sh"), Path::new("/"), None);
        assert_eq!(found.expect("given by the caller"), Path::new("/bin/sh"));
    }

    #[test]
    fn a_directory_is_not_a_program() {
        let error = find("/bin", Path::new("/x"), Path::new("/"), None).expect_err("a directory");
        assert!(matches!(error, ProgramError::Directory { .. }), "{error}");
    }
}
