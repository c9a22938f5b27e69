//! Scores of a multi-label classifier on plain slices.
