//! What an agent prints: free of secrets, bounded on disk, the last lines at hand.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::Scrubber;

/// Bytes of the log that go to disk as they come.
const HEAD_BYTES: usize = 16 << 20;
/// Bytes that ends of runs may add after that.
const TAIL_BYTES: usize = 4 << 20;
/// Lines kept at hand.
const LINES_AT_HAND: usize = 200;
/// Bytes of a line that are looked at; the rest of an endless line is dropped.
const LINE_BYTES: usize = 64 << 10;
/// Bytes of a line that are kept. The margin to [`LINE_BYTES`] is wider than any secret, so that
/// none is cut in two before it can be recognised.
const KEPT_LINE_BYTES: usize = LINE_BYTES - (8 << 10);
/// Bytes of a line that are kept at hand.
const LINE_AT_HAND_BYTES: usize = 4 << 10;

/// The log of one agent over all its starts; clones share it.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    file: File,
    scrubber: Scrubber,
    head_left: usize,
    tail_left: usize,
    line: Vec<u8>,
    at_hand: VecDeque<String>,
    /// Lines since the head was full that are not on disk.
    left_out: usize,
}

impl Log {
    /// A new, empty log file, readable by its owner only.
    pub(super) fn create(path: &Path, scrubber: Scrubber) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            state: Arc::new(Mutex::new(State {
                file,
                scrubber,
                head_left: HEAD_BYTES,
                tail_left: TAIL_BYTES,
                line: Vec::new(),
                at_hand: VecDeque::with_capacity(LINES_AT_HAND),
                left_out: 0,
            })),
        })
    }

    /// Where the log is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines, oldest first.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let skip = state.at_hand.len().saturating_sub(count);
        state.at_hand.iter().skip(skip).cloned().collect()
    }

    /// Takes the next bytes that the agent printed.
    pub(super) fn write(&self, mut bytes: &[u8]) {
        let mut state = self.state();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            state.add(&bytes[..end]);
            state.end_line();
            bytes = &bytes[end + 1..];
        }
        state.add(bytes);
    }

    /// Ends a run: an unfinished line is finished, and what did not fit is on disk as far as its end.
    pub(super) fn finish(&self) {
        let mut state = self.state();
        if !state.line.is_empty() {
            state.end_line();
        }
        state.write_tail();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The worst that a panic elsewhere can leave is half a line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        let mut line = String::from_utf8_lossy(&self.line).into_owned();
        let cut = self.line.len() == LINE_BYTES;
        self.line.clear();
        self.scrubber.scrub(&mut line);
        if cut {
            line.truncate(line.floor_char_boundary(KEPT_LINE_BYTES));
            line.push('…');
        }
        if self.at_hand.len() == LINES_AT_HAND {
            self.at_hand.pop_front();
        }
        let short = line.floor_char_boundary(LINE_AT_HAND_BYTES);
        self.at_hand.push_back(line[..short].to_owned());
        if line.len() < self.head_left {
            self.head_left -= line.len() + 1;
            line.push('\n');
            self.put(&line);
        } else {
            self.head_left = 0;
            self.left_out += 1;
        }
    }

    fn write_tail(&mut self) {
        let skip = self.at_hand.len().saturating_sub(self.left_out);
        let lost = self.left_out.saturating_sub(self.at_hand.len());
        let tail: Vec<String> = self.at_hand.iter().skip(skip).cloned().collect();
        if self.left_out == 0 || self.tail_left == 0 {
            return;
        }
        let text = format!("[{lost} lines left out]\n{}\n", tail.join("\n"));
        self.tail_left = self.tail_left.saturating_sub(text.len());
        self.left_out = 0;
        self.put(&text);
    }

    fn put(&mut self, text: &str) {
        // A full disk must not end a run: the last lines are still at hand for the report.
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            tracing::warn!(%error, "the agent's log cannot be written");
            (self.head_left, self.tail_left) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, Log) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let scrubber = Scrubber::default();
        scrubber.hide("one-time-token");
        let log = Log::create(&directory.path().join("agent.log"), scrubber).expect("writable");
        (directory, log)
    }

    fn on_disk(log: &Log) -> String {
        std::fs::read_to_string(log.path()).expect("readable")
    }

    #[test]
    fn a_secret_is_hidden_also_when_it_comes_in_two_pieces() {
        let (_directory, log) = log();
        log.write(b"asking with one-ti");
        log.write(b"me-token now\nnext");
        log.finish();
        assert_eq!(on_disk(&log), "asking with [hidden] now\nnext\n");
    }

    #[test]
    fn a_secret_at_the_cut_of_an_endless_line_is_not_left_in_part() {
        let (_directory, log) = log();
        let secret = b"one-time-token";
        for start in [LINE_BYTES - 7, KEPT_LINE_BYTES - 7] {
            let mut line = vec![b'x'; start];
            line.extend_from_slice(secret);
            line.extend_from_slice(&vec![b'x'; LINE_BYTES]);
            line.push(b'\n');
            log.write(&line);
        }
        assert!(!on_disk(&log).contains("one-ti"), "a piece of the secret is on disk");
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let (_directory, log) = log();
        log.write(b"\xff\xfe binary \x00\n");
        assert_eq!(log.last_lines(1), ["\u{fffd}\u{fffd} binary \0"]);
    }

    #[test]
    fn a_flood_keeps_its_beginning_and_its_end() {
        let (_directory, log) = log();
        let filler = "y".repeat(100);
        for number in 0..400_000 {
            log.write(format!("{number} {filler}\n").as_bytes());
        }
        log.finish();
        let text = on_disk(&log);
        assert!(text.len() < HEAD_BYTES + TAIL_BYTES, "{}", text.len());
        assert!(text.starts_with("0 y") && text.contains("\n399999 y"));
        assert!(text.contains(" lines left out]"));
        assert_eq!(log.last_lines(1_000).len(), LINES_AT_HAND);
    }
}
