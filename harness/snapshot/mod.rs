//! The status transitions of a run as stable prose, kept by insta.
