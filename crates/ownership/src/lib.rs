//! Placeholder of the room `ownership`.
