//! Asking the kernel over rtnetlink (RFC 3549) and waiting for its answer.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use crate::HostError;

/// Room for one read. The kernel packs dumps into at most 32 KiB (`NETLINK_MAX_RECVMSG...`, `netlink_recvmsg`), and
/// single messages are smaller.
const BUFFER_LEN: usize = 64 * 1024;
/// Changes that are sent at once. Each is acknowledged with less than 1 KiB of the kernel's memory, and a socket holds
/// 208 KiB of it (net.core.rmem_default).
const BATCH_COUNT: usize = 64;
/// How often an interrupted dump is begun again before what came is taken. Each interruption means that something
/// changed meanwhile, which the monitor reports anyway.
const DUMP_ATTEMPTS: usize = 5;

/// One message of the kernel.
pub type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Reads one datagram and takes it apart.
///
/// Messages that do not come from the kernel (another process may send to any netlink socket) are left out. The second
/// part of the result counts messages that could not be understood.
pub fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<(Vec<Message>, usize)> {
    buffer.clear();
    buffer.reserve(BUFFER_LEN);
    let (_, from) = socket.recv_from(buffer, 0)?;
    if from.port_number() != 0 {
        return Ok((Vec::new(), 0));
    }
    Ok(take_apart(buffer))
}

pub(crate) fn take_apart(mut bytes: &[u8]) -> (Vec<Message>, usize) {
    let mut messages = Vec::new();
    let mut strange_count = 0;
    // A length that makes no sense ends the datagram.
    while let Some(header) = bytes.first_chunk::<4>() {
        let len = u32::from_ne_bytes(*header) as usize;
        let Some(message) = bytes.get(..len).filter(|message| message.len() >= 16) else { break };
        match Message::deserialize(message) {
            Ok(message) => messages.push(message),
            Err(_) => strange_count += 1,
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    (messages, strange_count)
}

/// A connection for requests. Answers come in order, so it is used by one caller at a time.
pub struct Connection {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Connection {
    pub fn open() -> Result<Connection, HostError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            // Sentences instead of bare error numbers, without our request echoed, and dumps filtered by the kernel.
            // All three are refinements that old kernels lack.
            for refinement in
                [socket.set_ext_ack(true), socket.set_cap_ack(true), socket.set_netlink_get_strict_chk(true)]
            {
                refinement.ok();
            }
            Ok(socket)
        };
        let socket = open().map_err(HostError::io("open a netlink socket"))?;
        Ok(Connection { socket, buffer: Vec::new(), sequence: 0 })
    }

    /// Sends a change and waits until the kernel made or refused it. `action` completes "cannot …".
    pub fn request(
        &mut self,
        payload: RouteNetlinkMessage,
        flags: u16,
        action: impl FnOnce() -> String,
    ) -> Result<(), HostError> {
        let sent = self.send(payload, NLM_F_REQUEST | NLM_F_ACK | flags);
        let outcome = sent.map_err(Refusal::from).and_then(|()| {
            loop {
                for message in self.read_answer()? {
                    if let NetlinkPayload::Error(error) = message.payload {
                        return match error.code {
                            None => Ok(()),
                            Some(_) => Err(Refusal::new(error.to_io(), &error.header)),
                        };
                    }
                }
            }
        });
        outcome.map_err(|refusal| HostError::new(action(), refusal.source, refusal.detail))
    }

    /// As [`Connection::request`] for many changes, in their order, with a wait for each batch instead of each change.
    /// What is refused does not keep the others from being made; answers one outcome for each.
    pub fn request_all(
        &mut self,
        changes: Vec<(RouteNetlinkMessage, u16)>,
        action: impl Fn(usize) -> String,
    ) -> Vec<Result<(), HostError>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter();
        loop {
            let batch: Vec<_> = changes.by_ref().take(BATCH_COUNT).collect();
            if batch.is_empty() {
                return outcomes;
            }
            let (count, before) = (batch.len(), outcomes.len());
            match self.request_batch(batch) {
                Ok(refusals) => outcomes.extend(refusals.into_iter().enumerate().map(|(index, refusal)| {
                    refusal.map_err(|refusal| {
                        HostError::new(action(before + index), refusal.source, refusal.detail)
                    })
                })),
                Err(refusal) => {
                    let failed = |index| {
                        let error = io::Error::from(refusal.source.kind());
                        Err(HostError::new(action(before + index), error, refusal.detail.clone()))
                    };
                    outcomes.extend((0..count).map(failed));
                }
            }
        }
    }

    /// Fails when the socket does.
    fn request_batch(
        &mut self,
        batch: Vec<(RouteNetlinkMessage, u16)>,
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mut outcomes: Vec<Option<Result<(), Refusal>>> = Vec::with_capacity(batch.len());
        for (payload, flags) in batch {
            bytes.extend(self.serialized(payload, NLM_F_REQUEST | NLM_F_ACK | flags));
            outcomes.push(None);
        }
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        while outcomes.iter().any(Option::is_none) {
            for message in self.read_messages()? {
                let index = message.header.sequence_number.wrapping_sub(first) as usize;
                if let (NetlinkPayload::Error(error), Some(outcome)) =
                    (message.payload, outcomes.get_mut(index))
                {
                    let refused = error.code.map(|_| Refusal::new(error.to_io(), &error.header));
                    *outcome = Some(refused.map_or(Ok(()), Err));
                }
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Asks for everything of a kind. `action` completes "cannot …".
    pub fn dump(
        &mut self,
        payload: &RouteNetlinkMessage,
        action: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, HostError> {
        let mut messages = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            messages.clear();
            let whole = self
                .dump_once(payload.clone(), &mut messages)
                .map_err(|refusal| HostError::new(action.to_owned(), refusal.source, refusal.detail))?;
            if whole {
                break;
            }
        }
        Ok(messages)
    }

    /// Returns whether nothing changed while the kernel was reading it out.
    fn dump_once(
        &mut self,
        payload: RouteNetlinkMessage,
        into: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, Refusal> {
        self.send(payload, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut whole = true;
        loop {
            for message in self.read_answer()? {
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => into.push(inner),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(Refusal::new(io::Error::from_raw_os_error(-done.code), &[]));
                    }
                    NetlinkPayload::Done(_) => return Ok(whole),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(Refusal::new(error.to_io(), &error.header));
                    }
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, payload: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let bytes = self.serialized(payload, flags);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).map(|_| ())
    }

    /// The next request as bytes.
    fn serialized(&mut self, payload: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(payload));
        message.finalize();
        // Several in one datagram begin at multiples of four (netlink(7), NLMSG_ALIGN).
        let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
        message.serialize(&mut bytes);
        bytes
    }

    /// The next messages that answer the last request; leftovers of an earlier one are dropped.
    fn read_answer(&mut self) -> Result<impl Iterator<Item = Message> + use<>, Refusal> {
        let sequence = self.sequence;
        let messages = self.read_messages()?;
        Ok(messages.into_iter().filter(move |message| message.header.sequence_number == sequence))
    }

    fn read_messages(&mut self) -> Result<Vec<Message>, Refusal> {
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Ok((messages, _)) => return Ok(messages),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What the kernel said, with its sentence if it gave one.
struct Refusal {
    source: io::Error,
    detail: String,
}

impl Refusal {
    /// `echo`: what follows the error number: the header of the request, then attributes.
    fn new(source: io::Error, echo: &[u8]) -> Refusal {
        Refusal { source, detail: explanation(echo.get(16..).unwrap_or_default()) }
    }
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Refusal {
        Refusal { source, detail: String::new() }
    }
}

/// The text attribute (NLMSGERR_ATTR_MSG, 1) of an extended acknowledgement.
pub(crate) fn explanation(mut attributes: &[u8]) -> String {
    const TEXT: u16 = 1;
    while let Some(header) = attributes.first_chunk::<4>() {
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(value) = attributes.get(4..len) else { break };
        if u16::from_ne_bytes([header[2], header[3]]) == TEXT {
            return String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
        }
        attributes = attributes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    String::new()
}

impl HostError {
    /// Sorts what the kernel answered.
    pub(crate) fn new(action: String, source: io::Error, detail: String) -> HostError {
        match Errno::from_io_error(&source) {
            Some(Errno::PERM | Errno::ACCESS) => HostError::PermissionDenied { action },
            Some(Errno::EXIST) => HostError::Exists { action },
            // ESRCH: no such route; EADDRNOTAVAIL: no such address on the interface.
            Some(Errno::NODEV | Errno::NOENT | Errno::SRCH | Errno::NXIO | Errno::ADDRNOTAVAIL) => {
                HostError::NotFound { action, source }
            }
            _ => HostError::Io { action, source, detail },
        }
    }

    /// For `map_err`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> HostError {
        move |source| HostError::new(action.into(), source, String::new())
    }
}

#[cfg(test)]
mod tests;
