//! Tests of `flaps`.
