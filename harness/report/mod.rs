//! What people and machines read of a run: folds over journal and verdict.
