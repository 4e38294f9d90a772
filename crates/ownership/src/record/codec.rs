//! The binary form: little-endian, first byte the format. Zero where a field is absent; bits that mean nothing must be zero, so
//! that equal records have equal bytes and a compare of bytes is a compare of records.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{BadRecord, Handle, Moves, OpId, RecordState, SessionRecord, WallClock};
use crate::Incarnation;

/// First byte of this format. A later format gets the next number and is read beside this one.
const FORMAT: u8 = 2;

const FLAG_TERMINATED: u8 = 1;
const FLAG_V4: u8 = 2;
const FLAG_V6: u8 = 4;
const FLAG_MOVED: u8 = 8;
const FLAGS: u8 = FLAG_TERMINATED | FLAG_V4 | FLAG_V6 | FLAG_MOVED;

impl SessionRecord {
    /// Length of the binary form without `sealed` and what follows it, the ages of all moves but the last (1 each): format 1, flags 1, reason 2, length of `sealed` 2, moves 1, zero 1, handle 8, sid 16, peer
    /// 32, owner 16, id of the write 16, owner epoch 8, version 8, created 8, expires 8, last move 8 (milliseconds of
    /// wall clock time), key epoch 4, inner IPv4 4, inner IPv6 16.
    pub const BARE_LEN: usize = 160;

    /// The binary form, as the write of that id leaves it. Times are cut to milliseconds.
    ///
    /// # Errors
    /// `sealed` is longer than [`SessionRecord::SEALED_MAX_LEN`].
    pub fn encode(&self, op: OpId, clock: WallClock) -> Result<Vec<u8>, BadRecord> {
        if self.sealed.len() > SessionRecord::SEALED_MAX_LEN {
            return Err(BadRecord::Field("sealed"));
        }
        let (terminated, reason_number) = match self.state {
            RecordState::Live => (0, 0),
            RecordState::Terminated { reason_number } => (FLAG_TERMINATED, reason_number),
        };
        let v4 = if self.inner_v4.is_some() { FLAG_V4 } else { 0 };
        let v6 = if self.inner_v6.is_some() { FLAG_V6 } else { 0 };
        let moved = if self.moved { FLAG_MOVED } else { 0 };
        let mut out = Vec::with_capacity(SessionRecord::BARE_LEN + self.sealed.len() + Moves::TAIL_MAX_LEN);
        out.extend([FORMAT, terminated | v4 | v6 | moved]);
        out.extend(reason_number.to_le_bytes());
        // At most 320, above.
        out.extend((self.sealed.len() as u16).to_le_bytes());
        out.extend([self.moves.count(), 0]);
        out.extend(self.handle.number().to_le_bytes());
        out.extend(self.sid);
        out.extend(self.peer);
        out.extend(self.owner.0);
        out.extend(op.0);
        for number in
            [self.owner_epoch, self.version, clock.wall_ms(self.created), clock.wall_ms(self.expires)]
        {
            out.extend(number.to_le_bytes());
        }
        let last_move = self.moves.last().map_or(0, |last| clock.wall_ms(last));
        out.extend(last_move.to_le_bytes());
        out.extend(self.key_epoch.to_le_bytes());
        out.extend(self.inner_v4.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        out.extend(self.inner_v6.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        out.extend(&self.sealed);
        out.extend(self.moves.tail());
        Ok(out)
    }

    /// Reads the binary form: which write left it, and the record.
    ///
    /// # Errors
    /// Anything [`SessionRecord::encode`] does not write.
    pub fn decode(bytes: &[u8], clock: WallClock) -> Result<(OpId, SessionRecord), BadRecord> {
        if bytes.first().is_some_and(|format| *format != FORMAT) {
            return Err(BadRecord::Format);
        }
        let mut input = Reader { rest: bytes };
        let [_, flags] = input.take()?;
        let reason_number = u16::from_le_bytes(input.take()?);
        let sealed_len = usize::from(u16::from_le_bytes(input.take()?));
        let [move_count, zero] = input.take()?;
        if flags & !FLAGS != 0 || zero != 0 {
            return Err(BadRecord::Field("reserved"));
        }
        if sealed_len > SessionRecord::SEALED_MAX_LEN {
            return Err(BadRecord::Field("sealed"));
        }
        let handle = Handle::new(input.number()?).ok_or(BadRecord::Field("handle"))?;
        let (sid, peer) = (input.take()?, input.take()?);
        let (owner, op) = (Incarnation(input.take()?), OpId(input.take()?));
        let [owner_epoch, version, created, expires] =
            [input.number()?, input.number()?, input.number()?, input.number()?];
        let last_move = input.number()?;
        let key_epoch = u32::from_le_bytes(input.take()?);
        let (v4, v6) = (input.take::<4>()?, input.take::<16>()?);
        let (sealed, ages) = input.rest.split_at_checked(sealed_len).ok_or(BadRecord::Length)?;
        if ages.len() != usize::from(move_count.saturating_sub(1)) {
            return Err(BadRecord::Length);
        }
        // A count without a time, or a time without a count, is none.
        let last_move = (move_count > 0 || last_move > 0).then(|| clock.time(last_move));
        let record = SessionRecord {
            handle,
            sid,
            peer,
            state: state(flags, reason_number)?,
            owner,
            owner_epoch,
            version,
            created: clock.time(created),
            expires: clock.time(expires),
            moves: Moves::from_parts(move_count, last_move, ages)?,
            moved: flags & FLAG_MOVED != 0,
            key_epoch,
            inner_v4: present(flags & FLAG_V4 != 0, v4, "inner_v4")?.map(Ipv4Addr::from),
            inner_v6: present(flags & FLAG_V6 != 0, v6, "inner_v6")?.map(Ipv6Addr::from),
            sealed: sealed.to_vec(),
        };
        Ok((op, record))
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
