//! How an agent is described, started and ended.
