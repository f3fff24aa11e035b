//! `list`, the verdicts of a person, and `export`.
