//! A client that holds a key the gateway knows, and keeps none of the rules: it says whatever an attack wants said.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use jumpvpn_lab::plan::Family;
use jumpvpn_session::{Initiator, PrivateKey, PublicKey};
use jumpvpn_wire::{Cid, Frame, HS_INIT_LEN, Kind, PathId, ReattachPayload, TicketPayload};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::carrier::Class;
use crate::field::{Field, mallory};
use crate::hostile::{Hostile, hello};

/// Longest wait for an answer that must come: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(5);
/// The keys of a client, and the randomness it takes them into use with.
pub(crate) struct Identity {
    private: PrivateKey,
    gateway: PublicKey,
    rng: ChaCha20Rng,
}

impl Identity {
    /// One of those in the attacker's hands, by the index in [`Field::keys`].
    ///
    /// # Errors
    /// The program made keys that are none.
    pub(crate) fn of(field: &Field, guest: usize, seed: u64) -> io::Result<Identity> {
        let private = field.keys[guest].parse().map_err(io::Error::other)?;
        let gateway = field.program.gateway_public().parse().map_err(io::Error::other)?;
        Ok(Identity { private, gateway, rng: ChaCha20Rng::seed_from_u64(seed) })
    }

    /// One that the gateway does not know: all that it has is the gateway's public key.
    ///
    /// # Errors
    /// As [`Identity::of`].
    pub(crate) fn stranger(field: &Field, seed: u64) -> io::Result<Identity> {
        let mut identity = Identity::of(field, 0, seed)?;
        identity.private = PrivateKey::generate(&mut identity.rng);
        Ok(identity)
    }

    /// A handshake with a correct `mac1`.
    ///
    /// # Errors
    /// The gateway's key is not usable.
    pub(crate) fn hello(&mut self) -> io::Result<(Initiator, [u8; HS_INIT_LEN])> {
        hello(&self.private, &self.gateway, &mut self.rng)
    }
}

/// Its session, over a socket whose answers must come.
pub(crate) struct Rogue {
    socket: UdpSocket,
    /// Where it is.
    pub(crate) address: SocketAddr,
    session: Hostile,
}

impl Rogue {
    /// Shakes hands and confirms.
    ///
    /// # Errors
    /// The gateway does not answer, or not as it should.
    pub(crate) fn born(
        field: &Field,
        class: Class,
        family: Family,
        guest: usize,
        seed: u64,
    ) -> io::Result<Rogue> {
        let socket = field.mallory.run(|| UdpSocket::bind((mallory(family), 0)))??;
        socket.connect(class.gateway(family))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let address = socket.local_addr()?;
        let mut identity = Identity::of(field, guest, seed)?;
        let (mut initiator, init) = identity.hello()?;
        socket.send(&init)?;
        let mut answer = receive(&socket)?;
        while answer.first() == Some(&Kind::HsRetry.code()) {
            let mut again = [0; HS_INIT_LEN];
            initiator.handle_retry(&answer, &mut again).map_err(io::Error::other)?;
            socket.send(&again)?;
            answer = receive(&socket)?;
        }
        let session = Hostile::answered(initiator, &answer, identity.rng)?;
        let mut rogue = Rogue { socket, address, session };
        let fin = rogue.frame(&Frame::Fin)?;
        rogue.send(&fin)?;
        Ok(rogue)
    }

    /// Sends as it is.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).map(|_| ())
    }

    /// A sealed packet with one frame.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> io::Result<Vec<u8>> {
        self.session.frames(std::slice::from_ref(frame))
    }

    /// A sealed probe of a path.
    pub(crate) fn probe(&mut self, path_id: PathId, client_cid: Cid) -> io::Result<Vec<u8>> {
        self.session.probe(path_id, client_cid)
    }

    /// Probes a path from where it is, and reads the ticket.
    ///
    /// # Errors
    /// No ticket comes.
    pub(crate) fn ticket(&mut self, path_id: PathId) -> io::Result<(TicketPayload, Cid)> {
        let cid = self.session.fresh_cid();
        let probe = self.probe(path_id, cid)?;
        self.send(&probe)?;
        loop {
            let mut answer = receive(&self.socket)?;
            if answer.first() == Some(&Kind::PathTicket.code()) {
                return Ok((self.session.ticket(&mut answer)?, cid));
            }
        }
    }

    /// A sealed request to move with this ticket, by default as an honest client would make it.
    pub(crate) fn reattach(
        &mut self,
        ticket: &TicketPayload,
        client_cid: Cid,
        change: impl FnOnce(&mut ReattachPayload),
    ) -> io::Result<Vec<u8>> {
        self.session.reattach(ticket, client_cid, change).map(|(request, _)| request)
    }

    /// A sealed control message of its own session.
    pub(crate) fn seal(&mut self, kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.session.seal(kind, payload)
    }
}

/// The next datagram, which must come.
fn receive(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 2048];
    let len = socket.recv(&mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}
