//! What the attacker does, one module for each kind of attack. What must hold afterwards is in [`crate::judge`].

pub(crate) mod malformed;
pub(crate) mod race;
pub(crate) mod replay;
