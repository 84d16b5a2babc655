//! From scenario to journal: builds a world, walks the steps, takes the world down.
