//! The reference agent: keeps the whole catalogue, and is a process of its own.
