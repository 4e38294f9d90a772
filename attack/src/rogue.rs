//! A client that holds a key the gateway knows, and keeps none of the rules: it says whatever an attack wants said.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use jumpvpn_session::{
    BindingContext, ControlKeys, EpochContext, Established, Initiator, InitiatorConfig, PrivateKey,
    PublicKey, Side, SuiteSet, Traffic, open_control, seal_control,
};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, DATA_HEADER_LEN, Frame, FrameWriter, HS_INIT_LEN, InitPayload,
    Kind, PathId, ProbeFlags, ProbePayload, Quality, ReattachPayload, RespPayload, RouteToken, TAG_LEN,
    TicketPayload, TransportClass, features,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::carrier::Class;
use crate::field::{Field, MALLORY};

/// Longest wait for an answer that must come: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(5);
/// Plaintext of its own packets, bytes: a few frames.
const PLAINTEXT_LEN: usize = 64;

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
        let payload = InitPayload { features: features::PQ, lanes: 1, ..InitPayload::default() };
        let config = InitiatorConfig {
            private: &self.private,
            gateway: &self.gateway,
            psk: None,
            suites: SuiteSet::ALL,
            cid: Cid(self.rng.next_u64()),
            payload,
        };
        let mut out = [0; HS_INIT_LEN];
        let initiator = Initiator::start(config, &mut self.rng, &mut out).map_err(io::Error::other)?;
        Ok((initiator, out))
    }
}

/// Its session.
pub(crate) struct Rogue {
    socket: UdpSocket,
    /// Where it is.
    pub(crate) address: SocketAddrV4,
    rng: ChaCha20Rng,
    epoch: EpochContext,
    control: ControlKeys,
    traffic: Traffic,
    server_cid: Cid,
    token: RouteToken,
    token_config: u8,
    cseq: u64,
}

impl Rogue {
    /// Shakes hands and confirms.
    ///
    /// # Errors
    /// The gateway does not answer, or not as it should.
    pub(crate) fn born(field: &Field, class: Class, guest: usize, seed: u64) -> io::Result<Rogue> {
        let socket = field.mallory.run(|| UdpSocket::bind((MALLORY, 0)))??;
        socket.connect(class.gateway())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let SocketAddr::V4(address) = socket.local_addr()? else {
            return Err(io::Error::other("an address of another family"));
        };
        let mut identity = Identity::of(field, guest, seed)?;
        let (initiator, init) = identity.hello()?;
        let (established, payload) = shake_hands(&socket, initiator, &init)?;
        let epoch = established.epoch(&payload);
        let mut rogue = Rogue {
            socket,
            address,
            rng: identity.rng,
            control: established.secret.control(&epoch),
            traffic: established.secret.binding(&epoch, &BindingContext::birth(), Side::Client),
            epoch,
            server_cid: payload.server_cid,
            token: payload.token,
            token_config: payload.token_config,
            cseq: 0,
        };
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
        let mut buffer = vec![0; DATA_HEADER_LEN + PLAINTEXT_LEN];
        let mut writer = FrameWriter::new(&mut buffer[DATA_HEADER_LEN..]);
        if !writer.push(frame) {
            return Err(io::Error::other("a frame too long"));
        }
        let len = DATA_HEADER_LEN + writer.len() + TAG_LEN;
        buffer.resize(len, 0);
        self.traffic.send.seal(self.server_cid, 0, &mut buffer).map_err(io::Error::other)?;
        Ok(buffer)
    }

    /// A sealed probe of a path.
    pub(crate) fn probe(&mut self, path_id: PathId, client_cid: Cid) -> io::Result<Vec<u8>> {
        let mut nonce = [0; 8];
        self.rng.fill_bytes(&mut nonce);
        let payload = ProbePayload {
            nonce,
            path_id,
            flags: ProbeFlags::default(),
            transport: TransportClass::Udp,
            client_cid,
            rtt_us: 0,
        };
        self.seal(Kind::PathProbe, &payload.encode())
    }

    /// Probes a path from where it is, and reads the ticket.
    ///
    /// # Errors
    /// No ticket comes.
    pub(crate) fn ticket(&mut self, path_id: PathId) -> io::Result<(TicketPayload, Cid)> {
        let cid = Cid(self.rng.next_u64());
        let probe = self.probe(path_id, cid)?;
        self.send(&probe)?;
        loop {
            let mut answer = self.receive()?;
            if answer.first() != Some(&Kind::PathTicket.code()) {
                continue;
            }
            let range = open_control(&self.control.s2c, &mut answer).map_err(io::Error::other)?;
            let ticket = TicketPayload::decode(&answer[range]).map_err(io::Error::other)?;
            return Ok((ticket, cid));
        }
    }

    /// A sealed request to move with this ticket, by default as an honest client would make it.
    pub(crate) fn reattach(
        &mut self,
        ticket: &TicketPayload,
        client_cid: Cid,
        change: impl FnOnce(&mut ReattachPayload),
    ) -> io::Result<Vec<u8>> {
        let mut client_nonce = [0; 16];
        self.rng.fill_bytes(&mut client_nonce);
        let mut request = ReattachPayload {
            ticket: ticket.ticket,
            version: ticket.version,
            owner_epoch: ticket.owner_epoch,
            path_id: ticket.path_id,
            rebind: false,
            warm: true,
            transport: TransportClass::Udp,
            reason: 0,
            observed: ticket.observed,
            client_cid,
            client_nonce,
            quality: Quality::default(),
        };
        change(&mut request);
        self.seal(Kind::Reattach, &request.encode())
    }

    /// A sealed control message of its own session.
    pub(crate) fn seal(&mut self, kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.cseq += 1;
        let header = ControlHeader {
            kind,
            token_config: self.token_config,
            epoch: self.epoch.n as u16,
            token: self.token,
            cseq: self.cseq,
        };
        let mut datagram = header.encode().to_vec();
        datagram.extend_from_slice(payload);
        datagram.resize(CONTROL_HEADER_LEN + payload.len() + TAG_LEN, 0);
        seal_control(&self.control.c2s, &mut datagram).map_err(io::Error::other)?;
        Ok(datagram)
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 2048];
        let len = self.socket.recv(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// From HS_INIT to the keys, with a cookie when one is asked for.
fn shake_hands(
    socket: &UdpSocket,
    mut initiator: Initiator,
    init: &[u8; HS_INIT_LEN],
) -> io::Result<(Established, RespPayload)> {
    socket.send(init)?;
    let mut bytes = [0; 2048];
    loop {
        let len = socket.recv(&mut bytes)?;
        let answer = &bytes[..len];
        if answer.first() == Some(&Kind::HsRetry.code()) {
            let mut again = [0; HS_INIT_LEN];
            initiator.handle_retry(answer, &mut again).map_err(io::Error::other)?;
            socket.send(&again)?;
        } else {
            return initiator.handle_response(answer).map_err(|(_, error)| io::Error::other(error));
        }
    }
}
