//! Placeholder of the room `session`.
