//! Reading and writing little-endian fields in order; the only place that slices message bytes.

use crate::Malformed;

/// Takes fields from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Starts at the first byte of a message that must be exactly `len` bytes long.
    pub(crate) fn exact(bytes: &'a [u8], len: usize) -> Result<Self, Malformed> {
        if bytes.len() == len { Ok(Self::new(bytes)) } else { Err(Malformed::Length) }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(Malformed::TooShort)?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed::TooShort)?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes `len` reserved bytes, which must all be zero.
    pub(crate) fn zeros(&mut self, len: usize) -> Result<(), Malformed> {
        if self.bytes(len)?.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Malformed::Reserved) }
    }

    /// What has not been taken yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Puts fields at the front of a buffer whose length the caller has fixed.
///
/// The buffer is always an array of the message's own length or a slice checked by the caller; a put that does
/// not fit is a fault of this crate, found by the round-trip tests, and is cut off instead of panicking.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let rest = core::mem::take(&mut self.rest);
        debug_assert!(bytes.len() <= rest.len(), "a message outgrew its fixed length");
        let len = bytes.len().min(rest.len());
        let (head, tail) = rest.split_at_mut(len);
        head.copy_from_slice(&bytes[..len]);
        self.rest = tail;
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.put(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    /// Puts `len` zero bytes.
    pub(crate) fn zeros(&mut self, len: usize) -> &mut Self {
        for _ in 0..len {
            self.u8(0);
        }
        self
    }
}
