//! LIST_PART: the signed list of a cell's gateways, piece by piece. What the pieces say is nobody's business here.

use crate::Malformed;
use crate::cursor::{Reader, Writer};

/// Longest list, bytes: 64 gateways with two endpoints each take 14 KiB as text.
pub const LIST_MAX_LEN: usize = 32 << 10;

/// Longest part, bytes. With all headers 1,076 bytes: every path carries it (IPv6 promises 1,280, RFC 8200 section 5).
pub const LIST_PART_MAX_LEN: usize = 1024;

/// A part of a list, 16 bytes and the part: serial 8, length of the whole list 4, offset 4. No list: length, offset and part are
/// empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPart<'a> {
    serial: u64,
    len: u32,
    offset: u32,
    bytes: &'a [u8],
}

impl<'a> ListPart<'a> {
    const HEAD_LEN: usize = 16;

    /// The part of `list` from `offset` on; nothing where the list is too long, or ends there.
    pub fn of(serial: u64, list: &'a [u8], offset: u32) -> Option<Self> {
        let rest = list.get(usize::try_from(offset).ok()?..)?;
        let bytes = &rest[..rest.len().min(LIST_PART_MAX_LEN)];
        let len = u32::try_from(list.len()).ok().filter(|_| list.len() <= LIST_MAX_LEN)?;
        (!bytes.is_empty()).then_some(Self { serial, len, offset, bytes })
    }

    /// That there is no list above the serial the client has; `serial` is the one there is, or 0.
    pub fn none(serial: u64) -> Self {
        Self { serial, len: 0, offset: 0, bytes: &[] }
    }

    /// Number of the list.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Length of the whole list, bytes, at most [`LIST_MAX_LEN`]; 0 where none is offered.
    pub fn list_len(&self) -> usize {
        self.len as usize
    }

    /// Where the part begins.
    pub fn offset(&self) -> usize {
        self.offset as usize
    }

    /// The part: within the list, and not empty unless that is.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn body_len(&self) -> usize {
        Self::HEAD_LEN + self.bytes.len()
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        writer.u64(self.serial).u32(self.len).u32(self.offset).put(self.bytes);
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (serial, len, offset) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let bytes = reader.bytes(reader.rest().len())?;
        let part = Self { serial, len, offset, bytes };
        // Each part but the last is a full one: a list has at most 32.
        let rest = part.list_len().checked_sub(part.offset());
        let full = rest.map(|rest| rest.min(LIST_PART_MAX_LEN)) == Some(bytes.len());
        let empty = bytes.is_empty() && part.len > 0;
        if full && !empty && part.list_len() <= LIST_MAX_LEN {
            Ok(part)
        } else {
            Err(Malformed::Field("list"))
        }
    }
}
