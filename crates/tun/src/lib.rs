//! Placeholder of the room `tun`.
