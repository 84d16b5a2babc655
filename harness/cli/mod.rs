//! The command line: one short file a verb.

pub mod agent;
mod exit;
mod terminal;

pub use exit::Exit;
pub use terminal::{Colour, Terminal, Tone};
