//! Tests of `choose`.
