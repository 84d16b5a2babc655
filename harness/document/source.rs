//! The name and text of a file, and the excerpt of it that an error shows.

use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::error::{DocumentError, Problem};
use super::span::Span;

/// Longer lines are shown in part, and without their neighbours.
const LONGEST_LINE: usize = 160;

/// The name and text of a file, shared by all errors that point into it.
#[derive(Debug, Clone)]
pub struct Source(Arc<Text>);

#[derive(Debug)]
struct Text {
    name: String,
    text: String,
}

impl Source {
    pub(super) fn new(name: &str, text: String) -> Self {
        Self(Arc::new(Text { name: name.into(), text }))
    }

    /// The name of the file, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// An error that points to a place in this file.
    #[must_use]
    pub fn error(&self, problem: Problem) -> DocumentError {
        DocumentError::new(self.clone(), problem)
    }

    /// The part of the place that is in the excerpt: what goes beyond its first line is not marked.
    pub(super) fn marked(&self, span: Span) -> Range<usize> {
        let start = floor(self.text(), span.offset as usize);
        let shown = self.shown_line(start);
        let end = floor(self.text(), start.saturating_add(span.length as usize));
        let line = self.text().get(start..shown.end).unwrap_or_default().trim_end();
        start..end.min(start + line.len()).max(start)
    }

    /// The line around a place, or the part of it that is shown.
    fn shown_line(&self, offset: usize) -> Range<usize> {
        let line = self.line(offset);
        if line.len() <= LONGEST_LINE {
            return line;
        }
        let start = floor(self.text(), offset.saturating_sub(LONGEST_LINE / 3)).max(line.start);
        start..floor(self.text(), start + LONGEST_LINE).min(line.end)
    }

    fn line(&self, offset: usize) -> Range<usize> {
        let text = self.text();
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
        start..end
    }
}

/// The nearest place at or before this one where a character begins.
pub(super) fn floor(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}

/// As miette's own for texts, but columns count characters, and a line of a megabyte is not drawn
/// (miette pads up to the mark with a width that Rust's formatting refuses).
impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = self.text();
        let offset = floor(text, span.offset());
        let line = self.line(offset);
        let number = text[..line.start].matches('\n').count();
        let contents = |range: Range<usize>, number, column| {
            let data = &text.as_bytes()[range.clone()];
            let span = (range.start, range.len()).into();
            MietteSpanContents::new_named(self.name().into(), data, span, number, column, 1)
        };
        if before == 0 && after == 0 {
            let end = floor(text, offset.saturating_add(span.len())).min(line.end).max(offset);
            let column = text[line.start..offset].chars().count();
            return Ok(Box::new(contents(offset..end, number, column)));
        }
        let mut shown = self.shown_line(offset);
        let mut first = number;
        if shown == line {
            let fits = |neighbour: &Range<usize>| neighbour.len() <= LONGEST_LINE;
            let previous = line.start.checked_sub(1).map(|newline| self.line(newline));
            if let Some(previous) = previous.filter(fits) {
                shown.start = previous.start;
                first -= 1;
            }
            let next = (line.end + 1 < text.len()).then(|| self.line(line.end + 1));
            if let Some(next) = next.filter(fits) {
                shown.end = next.end;
            }
        }
        Ok(Box::new(contents(shown, first, 0)))
    }
}
