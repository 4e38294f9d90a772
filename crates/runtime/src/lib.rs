//! Placeholder of the room `runtime`.
