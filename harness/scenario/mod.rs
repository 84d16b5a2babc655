//! The scenario language: the keys of a YAML file as types.
