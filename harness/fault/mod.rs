//! Scripted failures: one file a fault, and the list of those that are armed.
