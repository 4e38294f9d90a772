//! What the attacker does, one module for each kind of attack. What must hold afterwards is in [`crate::judge`].

pub(crate) mod churn;
pub(crate) mod clock;
pub(crate) mod drain;
pub(crate) mod forge;
pub(crate) mod hijack;
pub(crate) mod malformed;
pub(crate) mod plant;
pub(crate) mod race;
pub(crate) mod replay;
