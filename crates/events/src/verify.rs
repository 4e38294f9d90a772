//! Proves from written event files that sessions behaved.
