//! Placeholder of the room `lab`.
