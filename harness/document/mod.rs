//! YAML documents: read strictly, with line, column, excerpt and the nearest right word in every error.
