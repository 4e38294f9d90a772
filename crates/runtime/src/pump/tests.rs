//! Tests of the pump with an engine that encrypts nothing.
