//! The two output streams: results on stdout, everything else on stderr, colour when wanted.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::{env, fmt};

use clap::ValueEnum;

use crate::document::DocumentError;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the program writes. Colour never carries a meaning that the words do not.
#[derive(Debug)]
pub struct Terminal {
    colour: bool,
    /// Lines of parallel scenarios must not mix.
    turn: Mutex<()>,
}

/// A word's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Passed.
    Good,
    /// Failed.
    Bad,
    /// Neither.
    Doubtful,
    /// Less important.
    Quiet,
}

impl Terminal {
    /// A terminal with the wished colour.
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                !set("NO_COLOR") && (set("CLICOLOR_FORCE") || io::stdout().is_terminal())
            }
        };
        Self { colour, turn: Mutex::default() }
    }

    /// Whether somebody watches stderr, so that progress may be redrawn.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// The text in its tone.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.into();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Doubtful => 33,
            Tone::Quiet => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A line of result.
    pub fn result(&self, line: impl fmt::Display) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away (`| head`) is no reason to fail.
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// A line about the work, not of its result.
    pub fn note(&self, line: impl fmt::Display) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// An error that points into a file, with its excerpt.
    pub fn report(&self, error: &DocumentError) {
        self.note(error.render(self.colour).trim_end());
    }

    /// An error and what led to it, each said once.
    pub fn error(&self, error: &dyn Error) {
        let mut text = format!("{}: {error}", self.paint(Tone::Bad, "error"));
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(
                &format!("\n  because {inner}").replace('\n', "\n  ").replacen("\n  ", "\n", 1),
            );
            cause = inner.source();
        }
        self.note(text);
    }
}
