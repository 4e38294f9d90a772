//! The name of one life of a gateway.

use std::fmt;

/// One life of a gateway: from the moment it joins until its right to act is over. Made anew at each start and after each loss of
/// that right, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// The incarnation of that node (4 bytes of the hash of its name) with that random number.
    pub fn new(node_id: [u8; 4], random: [u8; 12]) -> Incarnation {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&node_id);
        bytes[4..].copy_from_slice(&random);
        Incarnation(bytes)
    }

    /// Which node it is a life of.
    pub fn node_id(self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }

    /// The node as route tokens name it: the low 2 bytes of its id.
    pub fn route_node(self) -> u16 {
        let [.., high, low] = self.node_id();
        u16::from_be_bytes([high, low])
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
