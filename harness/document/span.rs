//! Where a value stands in its file.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};

/// The name by which [`Spanned`] asks the reader for its place.
pub(super) const SPANNED: &str = "$document::Spanned";

/// A piece of a file. Lines and columns count from 1, in characters; offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Derive)]
pub struct Span {
    /// Line, from 1; 0 when the place is not known.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// First byte.
    pub offset: u32,
    /// Number of bytes.
    pub length: u32,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and its place: the value itself, or its key when the value is a list or a mapping.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// Two values are the same wherever they stand.
impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Place<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let place = parts.next_element()?.unwrap_or((0, 0, 0, 0));
                let (line, column, offset, length) = place;
                let value = parts.next_element()?;
                let value = value.ok_or_else(|| serde::de::Error::custom("a value is missing"))?;
                Ok(Spanned { value, span: Span { line, column, offset, length } })
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Spanned<T>, D::Error> {
                T::deserialize(deserializer).map(|value| Spanned { value, span: Span::default() })
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Place(PhantomData))
    }
}
