//! The pure function from scenario and journal to verdict.
