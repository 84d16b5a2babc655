//! The patches that are no apply: merge, JSON, strategic merge.

mod json;
mod merge;
mod strategic;

pub(super) use json::json_patch;
pub(super) use merge::merge_patch;
pub(super) use strategic::strategic_merge;
