//! Pages: the Director's cursor, its limits, and the objects that carry them.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::DirectorError;
use crate::compass::connector::unknown_field;
use crate::compass::graphql::{Failure, Field, Object, Resolved};

/// Constant beginning of every cursor before it is encoded.
const CURSOR_PREFIX: &str = "DpKtJ4j9jDq";

/// How long a page may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// 1 and more: `applicationsForRuntime`.
    AtLeastOne,
    /// 1 to 200: everything else.
    UpTo200,
}

/// The part of a list that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    range: Range<usize>,
    total: usize,
    start_cursor: String,
}

impl Page {
    /// The page that the arguments `first` and `after` ask for, of a list with `total` items.
    pub(crate) fn asked(field: &Field, total: usize, limit: Limit) -> Result<Self, DirectorError> {
        let first = match field.arguments.get("first") {
            Some(Value::Number(first)) => first.as_i64().unwrap_or(i64::MAX),
            _ => return Err(DirectorError::invalid_data("missing required parameter 'first'")),
        };
        let after = field.text("after");
        let offset = offset_of(after)?;
        if limit == Limit::UpTo200 && !(1..=200).contains(&first) {
            return Err(DirectorError::invalid_data("page size must be between 1 and 200"));
        }
        let Some(size) = usize::try_from(first).ok().filter(|size| *size > 0) else {
            return Err(DirectorError::invalid_data("page size cannot be smaller than 1"));
        };
        let start = offset.min(total);
        let end = offset.saturating_add(size).min(total).max(start);
        Ok(Self { range: start..end, total, start_cursor: after.into() })
    }

    /// A page of nothing.
    pub(crate) fn empty() -> Self {
        Self { range: 0..0, total: 0, start_cursor: String::new() }
    }

    /// The places of its items in the list.
    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

fn offset_of(cursor: &str) -> Result<usize, DirectorError> {
    if cursor.is_empty() {
        return Ok(0);
    }
    let wrong = || DirectorError::internal("cursor is not correct: while decoding the cursor");
    let text = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(wrong)?;
    let number: i64 =
        text.strip_prefix(CURSOR_PREFIX).unwrap_or(&text).parse().map_err(|_| wrong())?;
    usize::try_from(number).map_err(|_| DirectorError::invalid_data("cursor is not correct"))
}

/// A page with its items, as one of the `…Page` types.
pub(crate) struct PageOf<O> {
    type_name: &'static str,
    page: Page,
    items: Vec<O>,
}

impl<O: Object> PageOf<O> {
    /// The part of all items that a request asks for.
    pub(crate) fn new(type_name: &'static str, page: Page, items: Vec<O>) -> Self {
        Self { type_name, page, items }
    }
}

impl<O: Object> Object for PageOf<O> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        Ok(match field.name.as_str() {
            "data" => Resolved::objects(self.items.iter()),
            "pageInfo" => Resolved::object(PageInfo(&self.page)),
            "totalCount" => Resolved::Int(self.page.total),
            other => return Err(unknown_field(other)),
        })
    }
}

struct PageInfo<'a>(&'a Page);

impl Object for PageInfo<'_> {
    fn type_name(&self) -> &'static str {
        "PageInfo"
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        let more = self.0.range.end < self.0.total;
        Ok(match field.name.as_str() {
            "startCursor" => Resolved::text(&self.0.start_cursor),
            "endCursor" if more => {
                let next = format!("{CURSOR_PREFIX}{}", self.0.range.end);
                Resolved::owned(STANDARD.encode(next))
            }
            "endCursor" => Resolved::text(""),
            "hasNextPage" => Resolved::Bool(more),
            other => return Err(unknown_field(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_decoded_as_the_director_does() {
        let encoded = |text: &str| STANDARD.encode(text);
        let message =
            |cursor: &str| offset_of(cursor).map_err(|error| Failure::from(error).message);
        assert_eq!(message(""), Ok(0));
        assert_eq!(message(&encoded("DpKtJ4j9jDq200")), Ok(200));
        assert_eq!(message(&encoded("200")), Ok(200));
        for cursor in ["!", &encoded("DpKtJ4j9jDq"), &encoded("x"), &encoded("1.5")] {
            let message = message(cursor).expect_err("refused");
            assert!(message.starts_with("Internal Server Error [errorID="), "{message}");
            assert!(message.contains("cursor is not correct"), "{message}");
        }
        assert_eq!(
            message(&encoded("DpKtJ4j9jDq-1")),
            Err("Invalid data [reason=cursor is not correct]".into())
        );
    }
}
