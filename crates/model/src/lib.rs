//! Every order of events, up to a bound: the model checker `stateright` over the code of the house.
//!
//! [`requests`] explores the verifier, tickets, window and state machine under a network that repeats and reorders for
//! ever. What a model does not cover is written down where it stands.
//!
//! Deliberately not here: sockets, threads, clocks, randomness that is not seeded. Nothing depends on this room.
#![forbid(unsafe_code)]

pub mod requests;
