//! The session of a client that holds a key the gateway knows, and keeps none of the rules: it seals whatever is wanted. How that
//! travels, and how long an answer is waited for, is the business of whoever holds it.

use std::io;

use jumpvpn_session::{
    BindingContext, ControlKeys, EpochContext, EpochSecret, Initiator, InitiatorConfig, PrivateKey,
    PublicKey, RekeyInitiator, RekeyMode, Side, SuiteSet, Traffic, open_control, rekey_parts, seal_control,
};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, DATA_HEADER_LEN, Frame, FrameWriter, HS_INIT_LEN, InitPayload,
    Kind, PathId, ProbeFlags, ProbePayload, Quality, ReattachPayload, RouteToken, TAG_LEN, TicketPayload,
    TransportClass, features,
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

/// Most plaintext of a packet of frames, bytes.
const FRAMES_LEN: usize = 1200;

/// A handshake with a correct `mac1`.
///
/// # Errors
/// The gateway's key is not usable.
pub(crate) fn hello(
    private: &PrivateKey,
    gateway: &PublicKey,
    rng: &mut ChaCha20Rng,
) -> io::Result<(Initiator, [u8; HS_INIT_LEN])> {
    let payload = InitPayload { features: features::PQ, lanes: 1, ..InitPayload::default() };
    let cid = Cid(rng.next_u64());
    let config = InitiatorConfig { private, gateway, psk: None, suites: SuiteSet::ALL, cid, payload };
    let mut out = [0; HS_INIT_LEN];
    let initiator = Initiator::start(config, rng, &mut out).map_err(io::Error::other)?;
    Ok((initiator, out))
}

/// See the head of this file.
pub(crate) struct Hostile {
    rng: ChaCha20Rng,
    epoch: EpochContext,
    secret: EpochSecret,
    control: ControlKeys,
    traffic: Traffic,
    server_cid: Cid,
    token: RouteToken,
    token_config: u8,
    cseq: u64,
}

impl Hostile {
    /// Takes the answer to its handshake in. It still has to confirm that, by [`Frame::Fin`].
    ///
    /// # Errors
    /// It is not the answer.
    pub(crate) fn answered(initiator: Initiator, answer: &[u8], rng: ChaCha20Rng) -> io::Result<Hostile> {
        let answered = initiator.handle_response(answer);
        let (established, payload) = answered.map_err(|(_, error)| io::Error::other(error))?;
        let epoch = established.epoch(&payload);
        Ok(Hostile {
            rng,
            control: established.secret.control(&epoch),
            traffic: established.secret.binding(&epoch, &BindingContext::birth(), Side::Client),
            epoch,
            secret: established.secret,
            server_cid: payload.server_cid,
            token: payload.token,
            token_config: payload.token_config,
            cseq: 0,
        })
    }

    /// A CID that was not used before.
    pub(crate) fn fresh_cid(&mut self) -> Cid {
        Cid(self.rng.next_u64())
    }

    /// A sealed packet with this plaintext.
    pub(crate) fn packet(&mut self, plaintext: &[u8]) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; DATA_HEADER_LEN];
        buffer.extend_from_slice(plaintext);
        buffer.resize(buffer.len() + TAG_LEN, 0);
        self.traffic.send.seal(self.server_cid, 0, &mut buffer).map_err(io::Error::other)?;
        Ok(buffer)
    }

    /// A sealed packet with these frames.
    pub(crate) fn frames(&mut self, frames: &[Frame<'_>]) -> io::Result<Vec<u8>> {
        let mut body = [0; FRAMES_LEN];
        let mut writer = FrameWriter::new(&mut body);
        if !frames.iter().all(|frame| writer.push(frame)) {
            return Err(io::Error::other("too many frames for one packet"));
        }
        let len = writer.len();
        self.packet(&body[..len])
    }

    /// Packets that ask for new keys without ML-KEM, each time with another public key.
    pub(crate) fn rekey(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let (n, sid, cid) = (self.epoch.n + 1, self.epoch.sid, self.fresh_cid());
        let rekey = RekeyInitiator::start(n, sid, cid, RekeyMode::Classical, &mut self.rng)
            .map_err(|_| io::Error::other("no keys"))?;
        let parts = rekey_parts(rekey.request());
        parts.map(|(part, parts, body)| self.frames(&[Frame::RekeyReq { part, parts, body }])).collect()
    }

    /// A sealed probe of a path.
    pub(crate) fn probe(&mut self, path_id: PathId, client_cid: Cid) -> io::Result<Vec<u8>> {
        let payload = ProbePayload {
            nonce: self.rng.next_u64().to_le_bytes(),
            path_id,
            flags: ProbeFlags::default(),
            transport: TransportClass::Udp,
            client_cid,
            rtt_us: 0,
        };
        self.seal(Kind::PathProbe, &payload.encode())
    }

    /// The ticket in the answer to a probe.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn ticket(&self, answer: &mut [u8]) -> io::Result<TicketPayload> {
        TicketPayload::decode(self.open(answer)?).map_err(io::Error::other)
    }

    /// A sealed request to move with this ticket, by default as an honest client would make it, and what it says.
    pub(crate) fn reattach(
        &mut self,
        ticket: &TicketPayload,
        client_cid: Cid,
        change: impl FnOnce(&mut ReattachPayload),
    ) -> io::Result<(Vec<u8>, ReattachPayload)> {
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
        Ok((self.seal(Kind::Reattach, &request.encode())?, request))
    }

    /// Its last request was granted: it sends over the new binding from now on.
    pub(crate) fn moved(&mut self, request: &ReattachPayload) {
        let ReattachPayload { path_id, client_nonce, ticket, .. } = *request;
        let context = BindingContext { cseq: self.cseq, path_id, client_nonce, ticket: Some(ticket) };
        self.traffic = self.secret.binding(&self.epoch, &context, Side::Client);
        self.server_cid = ticket.server_cid();
    }

    /// A sealed control message.
    pub(crate) fn seal(&mut self, kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.cseq += 1;
        let (token, token_config, epoch) = (self.token, self.token_config, self.epoch.n as u16);
        let header = ControlHeader { kind, token_config, epoch, token, cseq: self.cseq };
        let mut datagram = header.encode().to_vec();
        datagram.extend_from_slice(payload);
        datagram.resize(CONTROL_HEADER_LEN + payload.len() + TAG_LEN, 0);
        seal_control(&self.control.c2s, &mut datagram).map_err(io::Error::other)?;
        Ok(datagram)
    }

    /// The plaintext of a control message of the gateway.
    ///
    /// # Errors
    /// It is none, or not for this session.
    pub(crate) fn open<'a>(&self, answer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let range = open_control(&self.control.s2c, answer).map_err(io::Error::other)?;
        Ok(&answer[range])
    }
}
