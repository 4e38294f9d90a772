//! Placeholder of the room `events`.
