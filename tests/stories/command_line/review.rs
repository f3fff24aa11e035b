//! `plan` and `review`.
