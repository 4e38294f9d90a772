//! The binary form: fixed length, little-endian, first byte the format. Zero where a field is absent; bits that mean
//! nothing must be zero, so that equal records have equal bytes and a compare of bytes is a compare of records.

use std::net::{Ipv4Addr, Ipv6Addr};

use jumpvpn_events::Time;

use super::{BadRecord, Handle, RecordState, SessionRecord};

/// First byte of this format. A later format gets the next number and is read beside this one.
const FORMAT: u8 = 1;

const FLAG_TERMINATED: u8 = 1;
const FLAG_V4: u8 = 2;
const FLAG_V6: u8 = 4;

impl SessionRecord {
    /// Length of the binary form: format 1, flags 1, owner node 2, reason 2, zero 2, handle 8, sid 16, peer 32,
    /// owner epoch 8, version 8, created 8, expires 8, inner IPv4 4, inner IPv6 16.
    pub const LEN: usize = 116;

    /// The binary form.
    pub fn encode(&self) -> [u8; SessionRecord::LEN] {
        let (terminated, reason_number) = match self.state {
            RecordState::Live => (0, 0),
            RecordState::Terminated { reason_number } => (FLAG_TERMINATED, reason_number),
        };
        let v4 = if self.inner_v4.is_some() { FLAG_V4 } else { 0 };
        let v6 = if self.inner_v6.is_some() { FLAG_V6 } else { 0 };
        let mut out = Writer { bytes: [0; SessionRecord::LEN], at: 0 };
        out.put(&[FORMAT, terminated | v4 | v6]);
        out.put(&self.owner_node.to_le_bytes());
        out.put(&reason_number.to_le_bytes());
        out.put(&[0; 2]);
        out.put(&self.handle.number().to_le_bytes());
        out.put(&self.sid);
        out.put(&self.peer);
        for number in [self.owner_epoch, self.version, self.created.as_nanos(), self.expires.as_nanos()] {
            out.put(&number.to_le_bytes());
        }
        out.put(&self.inner_v4.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        out.put(&self.inner_v6.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        out.bytes
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// Anything [`SessionRecord::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<SessionRecord, BadRecord> {
        if bytes.first().is_some_and(|format| *format != FORMAT) {
            return Err(BadRecord::Format);
        }
        let bytes: &[u8; SessionRecord::LEN] = bytes.try_into().map_err(|_| BadRecord::Length)?;
        let mut input = Reader { rest: bytes };
        let [_, flags] = input.take()?;
        let owner_node = u16::from_le_bytes(input.take()?);
        let reason_number = u16::from_le_bytes(input.take()?);
        let zero: [u8; 2] = input.take()?;
        if flags & !(FLAG_TERMINATED | FLAG_V4 | FLAG_V6) != 0 || zero != [0; 2] {
            return Err(BadRecord::Field("reserved"));
        }
        Ok(SessionRecord {
            handle: Handle::new(input.number()?).ok_or(BadRecord::Field("handle"))?,
            sid: input.take()?,
            peer: input.take()?,
            state: state(flags, reason_number)?,
            owner_epoch: input.number()?,
            owner_node,
            version: input.number()?,
            created: Time::from_nanos(input.number()?),
            expires: Time::from_nanos(input.number()?),
            inner_v4: present(flags & FLAG_V4 != 0, input.take::<4>()?, "inner_v4")?.map(Ipv4Addr::from),
            inner_v6: present(flags & FLAG_V6 != 0, input.take::<16>()?, "inner_v6")?.map(Ipv6Addr::from),
        })
    }
}

fn state(flags: u8, reason_number: u16) -> Result<RecordState, BadRecord> {
    match (flags & FLAG_TERMINATED != 0, reason_number) {
        (true, reason_number) => Ok(RecordState::Terminated { reason_number }),
        (false, 0) => Ok(RecordState::Live),
        (false, _) => Err(BadRecord::Field("reason")),
    }
}

fn present<const N: usize>(
    flag: bool,
    bytes: [u8; N],
    field: &'static str,
) -> Result<Option<[u8; N]>, BadRecord> {
    match (flag, bytes == [0; N]) {
        (true, _) => Ok(Some(bytes)),
        (false, true) => Ok(None),
        (false, false) => Err(BadRecord::Field(field)),
    }
}

struct Writer {
    bytes: [u8; SessionRecord::LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.at..self.at + part.len()].copy_from_slice(part);
        self.at += part.len();
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (part, rest) = self.rest.split_first_chunk::<N>().ok_or(BadRecord::Length)?;
        self.rest = rest;
        Ok(*part)
    }

    fn number(&mut self) -> Result<u64, BadRecord> {
        self.take().map(u64::from_le_bytes)
    }
}
