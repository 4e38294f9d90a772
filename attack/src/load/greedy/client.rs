//! A peer that holds its key and keeps no rules: it says whatever is wanted, over a real socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{PrivateKey, PublicKey};
use jumpvpn_wire::{Cid, ClosePayload, Frame, Kind, PathId, ResultPayload, ResultStatus};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::arena::{Arena, outer};
use crate::hostile::{Hostile, hello};

/// Longest wait for an answer that is due. On a busy machine it may take a while.
const PATIENCE: Duration = Duration::from_secs(2);
/// For the first answer to a row of requests of which at least one must be answered.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// How long an answer is waited for that may not come: far more than a round trip on this machine.
const SILENCE: Duration = Duration::from_millis(300);
/// Tries of a handshake whose answer is lost or asks for a cookie.
const TRIES: usize = 8;

/// See the head of this file.
pub(super) struct Client {
    socket: UdpSocket,
    session: Hostile,
    path: u32,
}

impl Client {
    /// A socket of its own in the clients' node.
    pub(super) fn socket(arena: &Arena, address: IpAddr) -> io::Result<UdpSocket> {
        let socket = arena.swarm.run(|| UdpSocket::bind((address, 0)))??;
        socket.connect(outer::gateway(arena.family))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Shakes hands and confirms. Nothing when the gateway does not answer.
    pub(super) fn born(
        socket: UdpSocket,
        private: &PrivateKey,
        gateway: &PublicKey,
    ) -> io::Result<Option<Client>> {
        for _ in 0..TRIES {
            let mut rng = ChaCha20Rng::seed_from_u64(SystemRandom.next_u64());
            let (mut initiator, mut init) = hello(private, gateway, &mut rng)?;
            socket.send(&init)?;
            let Some(mut answer) = receive(&socket, &[Kind::HsRetry, Kind::HsResp])? else { return Ok(None) };
            if answer[0] == Kind::HsRetry.code() {
                initiator.handle_retry(&answer, &mut init).map_err(io::Error::other)?;
                socket.send(&init)?;
                match receive(&socket, &[Kind::HsResp])? {
                    Some(response) => answer = response,
                    None => continue,
                }
            }
            // An answer to an attempt that was given up is not ours.
            let Ok(session) = Hostile::answered(initiator, &answer, rng) else { continue };
            let mut client = Client { socket, session, path: 0 };
            client.frames(&[Frame::Fin])?;
            return Ok(Some(client));
        }
        Ok(None)
    }

    /// Whether the gateway has answered the confirmation: before that, requests about paths may overtake it.
    pub(super) fn is_confirmed(&self) -> io::Result<bool> {
        Ok(receive(&self.socket, &[Kind::Data])?.is_some())
    }

    /// Sends a sealed packet with this plaintext.
    pub(super) fn packet(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let packet = self.session.packet(plaintext)?;
        self.say(&packet)
    }

    /// Sends a sealed packet with these frames.
    pub(super) fn frames(&mut self, frames: &[Frame<'_>]) -> io::Result<()> {
        let packet = self.session.frames(frames)?;
        self.say(&packet)
    }

    /// Asks for new keys without ML-KEM, each time with another public key.
    pub(super) fn rekey(&mut self) -> io::Result<()> {
        let packets = self.session.rekey()?;
        packets.iter().try_for_each(|packet| self.say(packet))
    }

    /// Probes a path that it never probed before; the client's CID for it.
    pub(super) fn probe(&mut self) -> io::Result<Cid> {
        self.path += 1;
        let cid = self.session.fresh_cid();
        let probe = self.session.probe(PathId(self.path), cid)?;
        self.say(&probe)?;
        Ok(cid)
    }

    /// Tries to move, with this reason. What the gateway said to it: nothing, or the number of its reason (0 if it was
    /// granted).
    pub(super) fn jump(&mut self, reason: u16) -> io::Result<Option<u16>> {
        let cid = self.probe()?;
        let Some(mut answer) = receive(&self.socket, &[Kind::PathTicket])? else { return Ok(None) };
        let ticket = self.session.ticket(&mut answer)?;
        let (datagram, request) = self.session.reattach(&ticket, cid, |request| request.reason = reason)?;
        self.say(&datagram)?;
        let Some(mut answer) = receive(&self.socket, &[Kind::ReattachResult])? else { return Ok(None) };
        let result = ResultPayload::decode(self.session.open(&mut answer)?).map_err(io::Error::other)?;
        if result.status != ResultStatus::Committed {
            return Ok(Some(result.reason));
        }
        self.session.moved(&request);
        Ok(Some(0))
    }

    /// Asks for the end of the session.
    pub(super) fn close(&mut self, reason: u16) -> io::Result<()> {
        let close = self.session.seal(Kind::Close, &ClosePayload { reason, version: 1 }.encode())?;
        self.say(&close)
    }

    /// How many datagrams of these kinds wait or come soon.
    pub(super) fn count(&mut self, kinds: &[Kind]) -> io::Result<usize> {
        let mut count = 0;
        // A busy machine may need long for the first one; the others follow closely.
        if !kinds.is_empty() {
            self.socket.set_read_timeout(Some(FIRST_ANSWER))?;
            count += usize::from(receive(&self.socket, kinds)?.is_some());
        }
        self.socket.set_read_timeout(Some(SILENCE))?;
        while receive(&self.socket, kinds)?.is_some() {
            count += 1;
        }
        self.socket.set_read_timeout(Some(PATIENCE))?;
        Ok(count)
    }

    /// Where it is.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// A datagram that does not fit the socket is lost, as on any network.
    fn say(&self, datagram: &[u8]) -> io::Result<()> {
        match self.socket.send(datagram) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// The next datagram of one of these kinds; others are passed over.
fn receive(socket: &UdpSocket, kinds: &[Kind]) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) if kinds.iter().any(|kind| len > 0 && buffer[0] == kind.code()) => {
                return Ok(Some(buffer[..len].to_vec()));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}
