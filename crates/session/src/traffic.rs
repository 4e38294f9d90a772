//! Sealing and opening DATA under one binding (sections 4.2, 5.2, 7.1 rows 4–8, 10.1).
//!
//! In place, without allocation: the caller's buffer holds header, payload and tag. Each direction has a chain of
//! key *generations*; the sender moves on by itself after [`GENERATION_SOFT_LIMIT`] packets, the receiver follows
//! when a packet of the next generation proves authentic. The receiver holds the present generation and one
//! neighbour: the one before while this is young, the one after from its half on ([`EXPECT_NEXT_FROM`]).

use core::fmt;
use core::ops::Range;

use jumpvpn_events::Reason;
use jumpvpn_wire::{
    Cid, DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, MAX_DATAGRAM_LEN, MAX_LANES, Malformed, TAG_LEN,
};
use zeroize::Zeroizing;

use crate::kdf::Expander;
use crate::{AeadKey, DataWindow, Suite};

#[cfg(test)]
mod tests;

/// Packets sealed under one generation before the sender moves to the next, all lanes together. Half of the hard
/// limit leaves a whole generation of time for the peer's confirmation.
pub const GENERATION_SOFT_LIMIT: u64 = 1 << 24;

/// Packets sealed under one generation before the sender stops. With packets of at most 2^10 blocks this keeps
/// packets × blocks within the 2^35 of RFC 9001 appendix B.
pub const GENERATION_HARD_LIMIT: u64 = 1 << 25;

/// Number of an authentic packet from which on the receiver derives the next generation, and forgets the one before.
/// Sessions rarely live that long, so most never pay for a second key and replay window; an attacker cannot make one
/// pay, because only an authentic packet counts. A sender gets to the next generation with so many packets still to
/// come: a receiver that misses all of them has lost the path long before.
const EXPECT_NEXT_FROM: u64 = GENERATION_SOFT_LIMIT / 2;

/// Why a packet was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The key has sealed all it may and the peer has not confirmed the next generation: send a heartbeat by
    /// control message, rekey, or give the binding up.
    Exhausted,
    /// The buffer is shorter than header and tag or longer than the largest datagram. The caller is to blame.
    Length,
    /// The lane was not agreed on. The caller is to blame.
    Lane,
}

impl SealError {
    /// The reason to report.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Exhausted => Reason::AeadLimit,
            Self::Length => Reason::TooBig,
            Self::Lane => Reason::Internal,
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "packet limit of the key generation reached",
            Self::Length => "buffer length outside 32..=16416 bytes",
            Self::Lane => "lane was not agreed on",
        })
    }
}

impl core::error::Error for SealError {}

/// Why a datagram was not opened. Nothing but a counter has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// Not a DATA datagram, or a lane that was not agreed on.
    Malformed(Malformed),
    /// The generation is neither current nor its neighbour.
    StaleGeneration,
    /// Seen before, or too old to know.
    Replay,
    /// The AEAD refused: forged, damaged, or sealed for another binding.
    Seal,
}

impl OpenError {
    /// The reason to report.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed(Malformed::Version) => Reason::UnknownVersion,
            Self::Malformed(Malformed::Type) => Reason::UnknownType,
            Self::Malformed(Malformed::Reserved) => Reason::ReservedBits,
            Self::Malformed(_) => Reason::Malformed,
            Self::StaleGeneration => Reason::StaleGeneration,
            Self::Replay => Reason::ReplayDetected,
            Self::Seal => Reason::BadSeal,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::StaleGeneration => f.write_str("key generation out of reach"),
            Self::Replay => f.write_str("packet number seen before or too old"),
            Self::Seal => f.write_str("packet is not authentic"),
        }
    }
}

impl core::error::Error for OpenError {}

/// One link of the generation chain: `TS_g` and what hangs on it.
struct Generation {
    number: u32,
    secret: Zeroizing<[u8; 32]>,
    key: AeadKey,
}

impl Generation {
    fn new(suite: Suite, number: u32, secret: Zeroizing<[u8; 32]>) -> Self {
        let key = AeadKey::derive(suite, &Expander::from_secret(&secret));
        Self { number, secret, key }
    }

    /// `TS_{g+1} = X(TS_g, "generation", "", 32)`; `None` after 2^32 generations.
    fn next(&self, suite: Suite) -> Option<Self> {
        let number = self.number.checked_add(1)?;
        let secret = Expander::from_secret(&self.secret).expand("generation", &[]);
        Some(Self::new(suite, number, secret))
    }
}

/// [`EXPECT_NEXT_FROM`] counts all lanes together; at least one lane has its share of it.
fn expect_next_from(lanes: u8) -> u64 {
    EXPECT_NEXT_FROM / u64::from(lanes)
}

fn position(generation: u32, pn: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(pn)
}

/// Seals what this side sends under one binding.
pub struct TrafficSender {
    suite: Suite,
    generation: Generation,
    /// Next packet number of each lane. The soft and hard limits keep it far from wrapping.
    next: [u32; MAX_LANES as usize],
    lanes: u8,
    /// Packets sealed under this generation, all lanes.
    sealed: u64,
    /// Highest generation the peer has opened.
    confirmed: u32,
}

impl TrafficSender {
    pub(crate) fn new(suite: Suite, secret: Zeroizing<[u8; 32]>, lanes: u8) -> Self {
        Self {
            suite,
            generation: Generation::new(suite, 0, secret),
            next: [0; MAX_LANES as usize],
            lanes: lanes.clamp(1, MAX_LANES),
            sealed: 0,
            confirmed: 0,
        }
    }

    /// Seals `[16 header][plaintext][16 tag]` in place; header and tag bytes are overwritten.
    ///
    /// # Errors
    /// [`SealError::Exhausted`] at the hard limit; `Length` and `Lane` for an impossible call. On error no number
    /// is used up.
    #[inline]
    pub fn seal(&mut self, cid: Cid, lane: u8, buffer: &mut [u8]) -> Result<(), SealError> {
        if buffer.len() < DATA_OVERHEAD || buffer.len() > MAX_DATAGRAM_LEN {
            return Err(SealError::Length);
        }
        if lane >= self.lanes {
            return Err(SealError::Lane);
        }
        if self.sealed >= GENERATION_SOFT_LIMIT {
            self.advance_if_confirmed()?;
        }
        let pn = self.next[usize::from(lane)];
        let generation = self.generation.number as u8;
        let Some((head, body)) = buffer.split_first_chunk_mut::<DATA_HEADER_LEN>() else {
            return Err(SealError::Length);
        };
        DataHeader { generation, lane, cid, pn }.write(head);
        self.generation
            .key
            .seal(u32::from(lane), u64::from(pn), head, body)
            .map_err(|_| SealError::Length)?;
        self.next[usize::from(lane)] = pn + 1;
        self.sealed += 1;
        Ok(())
    }

    /// A sender may be at most one generation ahead of what the peer has confirmed.
    #[cold]
    fn advance_if_confirmed(&mut self) -> Result<(), SealError> {
        if self.confirmed >= self.generation.number {
            self.generation = self.generation.next(self.suite).ok_or(SealError::Exhausted)?;
            self.next = [0; MAX_LANES as usize];
            self.sealed = 0;
            return Ok(());
        }
        if self.sealed >= GENERATION_HARD_LIMIT { Err(SealError::Exhausted) } else { Ok(()) }
    }

    /// The peer has opened packets of this generation (HEARTBEAT_ACK). Values from the future are ignored.
    pub fn confirm_generation(&mut self, generation: u32) {
        if generation <= self.generation.number {
            self.confirmed = self.confirmed.max(generation);
        }
    }

    /// Position of the next packet on lane 0: generation << 32 | packet number.
    pub fn next_position(&self) -> u64 {
        position(self.generation.number, self.next[0])
    }

    /// Key generation in use.
    pub fn generation(&self) -> u32 {
        self.generation.number
    }

    #[cfg(test)]
    pub(crate) fn pretend_sealed(&mut self, count: u64) {
        self.sealed = count;
    }

    #[cfg(test)]
    pub(crate) fn pretend_next(&mut self, pn: u32) {
        self.next = [pn; MAX_LANES as usize];
    }
}

impl fmt::Debug for TrafficSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSender")
            .field("generation", &self.generation.number)
            .field("sealed", &self.sealed)
            .finish_non_exhaustive()
    }
}

/// A generation as the receiver keeps it: with one replay window per lane.
struct Inbound {
    generation: Generation,
    windows: Box<[DataWindow]>,
}

impl Inbound {
    fn new(generation: Generation, lanes: u8) -> Self {
        Self { generation, windows: vec![DataWindow::new(); usize::from(lanes)].into_boxed_slice() }
    }
}

/// An authentic datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where in the datagram the plaintext lies.
    pub range: Range<usize>,
    /// Generation << 32 | packet number.
    pub position: u64,
    /// No authentic datagram with a higher position has come before.
    pub newest: bool,
}

/// Opens what this side receives under one binding.
pub struct TrafficReceiver {
    suite: Suite,
    lanes: u8,
    current: Inbound,
    /// The generation before or the one after the current one.
    neighbour: Option<Box<Inbound>>,
    /// Packet number from which on the next generation is derived; `u64::MAX` once it is.
    expect_next_from: u64,
    highest: Option<u64>,
    received: u64,
    forgeries: u64,
}

impl TrafficReceiver {
    pub(crate) fn new(suite: Suite, secret: Zeroizing<[u8; 32]>, lanes: u8) -> Self {
        let lanes = lanes.clamp(1, MAX_LANES);
        Self {
            suite,
            lanes,
            current: Inbound::new(Generation::new(suite, 0, secret), lanes),
            neighbour: None,
            expect_next_from: expect_next_from(lanes),
            highest: None,
            received: 0,
            forgeries: 0,
        }
    }

    /// Opens a DATA datagram in place: header, generation, window, AEAD, window again, in this order.
    ///
    /// # Errors
    /// See [`OpenError`]. A refused datagram changes the forgery counter at most; after [`OpenError::Seal`] the
    /// buffer's content is unspecified.
    #[inline]
    pub fn open(&mut self, datagram: &mut [u8]) -> Result<Opened, OpenError> {
        let header = DataHeader::parse(datagram).map_err(OpenError::Malformed)?;
        if datagram.len() < DATA_OVERHEAD {
            return Err(OpenError::Malformed(Malformed::TooShort));
        }
        if header.lane >= self.lanes {
            return Err(OpenError::Malformed(Malformed::Field("lane")));
        }
        let inbound = self.inbound(header.generation).ok_or(OpenError::StaleGeneration)?;
        let (lane, number) = (usize::from(header.lane), u64::from(header.pn));
        if !inbound.windows[lane].check(number) {
            return Err(OpenError::Replay);
        }
        let end = datagram.len() - TAG_LEN;
        let Some((head, body)) = datagram.split_first_chunk_mut::<DATA_HEADER_LEN>() else {
            return Err(OpenError::Malformed(Malformed::TooShort));
        };
        if inbound.generation.key.open(u32::from(header.lane), number, head, body).is_err() {
            self.forgeries += 1;
            return Err(OpenError::Seal);
        }
        if !inbound.windows[lane].commit(number) {
            return Err(OpenError::Replay);
        }
        let generation = inbound.generation.number;
        let position = position(generation, header.pn);
        if generation > self.current.generation.number {
            self.advance();
        }
        if number >= self.expect_next_from && generation == self.current.generation.number {
            self.expect_next();
        }
        Ok(self.account(position, end))
    }

    #[inline]
    fn account(&mut self, position: u64, end: usize) -> Opened {
        let newest = self.highest.is_none_or(|highest| position > highest);
        if newest {
            self.highest = Some(position);
        }
        self.received += 1;
        Opened { range: DATA_HEADER_LEN..end, position, newest }
    }

    /// The generation with these low bits, if it is at hand. The two differ by one, so the bits tell them apart.
    #[inline]
    fn inbound(&mut self, low_bits: u8) -> Option<&mut Inbound> {
        if self.current.generation.number as u8 == low_bits {
            return Some(&mut self.current);
        }
        self.neighbour.as_deref_mut().filter(|held| held.generation.number as u8 == low_bits)
    }

    /// The next generation has proved authentic: it becomes the current one.
    #[cold]
    fn advance(&mut self) {
        if let Some(next) = self.neighbour.as_deref_mut() {
            core::mem::swap(&mut self.current, next);
            self.expect_next_from = expect_next_from(self.lanes);
        }
    }

    /// Derives the next generation, so that a packet which claims it costs one AEAD and no derivation. None of the
    /// generation before can be on its way any more.
    #[cold]
    fn expect_next(&mut self) {
        let next = self.current.generation.next(self.suite).map(|next| Inbound::new(next, self.lanes));
        self.neighbour = next.map(Box::new);
        self.expect_next_from = u64::MAX;
    }

    /// Fetches what says whether a datagram of the current generation with this number on lane 0 is the first. A hint
    /// to the processor; it changes nothing.
    pub fn foresee(&self, pn: u32) {
        self.current.windows[0].foresee(u64::from(pn));
    }

    /// Highest position opened, `None` before the first.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Datagrams opened.
    pub fn received_count(&self) -> u64 {
        self.received
    }

    /// Highest key generation opened; the peer may move one beyond it.
    pub fn generation_seen(&self) -> u32 {
        self.current.generation.number
    }

    /// The low bits of [`TrafficReceiver::generation_seen`], as a header carries them.
    pub fn generation_bits(&self) -> u8 {
        self.generation_seen() as u8
    }

    /// Datagrams the AEAD has refused; see [`Suite::forgery_limits`].
    pub fn forgery_count(&self) -> u64 {
        self.forgeries
    }
}

impl fmt::Debug for TrafficReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficReceiver")
            .field("generation", &self.current.generation.number)
            .field("highest", &self.highest)
            .field("received", &self.received)
            .field("forgeries", &self.forgeries)
            .finish_non_exhaustive()
    }
}
