//! Placeholder of the room `policy`.
