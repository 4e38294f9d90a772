//! Agent and gateway against each other over a small world of two paths, in virtual time.
mod birth;
mod jump;
mod world;
