//! Placeholder of the room `host`.
