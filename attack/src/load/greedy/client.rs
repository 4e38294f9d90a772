//! A peer that holds its key and keeps no rules: it says whatever is wanted, over a real socket.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{
    BindingContext, ControlKeys, EpochContext, EpochSecret, Initiator, InitiatorConfig, PrivateKey,
    PublicKey, RekeyInitiator, RekeyMode, Side, SuiteSet, Traffic, open_control, rekey_parts, seal_control,
};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ClosePayload, ControlHeader, DATA_HEADER_LEN, Frame, FrameWriter, HS_INIT_LEN,
    InitPayload, Kind, PathId, ProbeFlags, ProbePayload, Quality, ReattachPayload, ResultPayload, RouteToken,
    TAG_LEN, TicketPayload, TransportClass, features,
};
use rand_core::Rng;

use crate::arena::{Arena, GATEWAY};

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
    epoch: EpochContext,
    secret: EpochSecret,
    control: ControlKeys,
    traffic: Traffic,
    server_cid: Cid,
    token: RouteToken,
    token_config: u8,
    cseq: u64,
    path: u32,
}

impl Client {
    /// A socket of its own in the clients' node.
    pub(super) fn socket(arena: &Arena, address: Ipv4Addr) -> io::Result<UdpSocket> {
        let socket = arena.swarm.run(|| UdpSocket::bind((address, 0)))??;
        socket.connect(GATEWAY)?;
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
            let payload =
                InitPayload { features: features::PQ, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
            let cid = Cid(SystemRandom.next_u64());
            let suites = SuiteSet::ALL;
            let config = InitiatorConfig { private, gateway, psk: None, suites, cid, payload };
            let mut hello = [0; HS_INIT_LEN];
            let mut initiator =
                Initiator::start(config, &mut SystemRandom, &mut hello).map_err(io::Error::other)?;
            socket.send(&hello)?;
            let Some(mut answer) = receive(&socket, &[Kind::HsRetry, Kind::HsResp])? else { return Ok(None) };
            if answer[0] == Kind::HsRetry.code() {
                initiator.handle_retry(&answer, &mut hello).map_err(io::Error::other)?;
                socket.send(&hello)?;
                match receive(&socket, &[Kind::HsResp])? {
                    Some(response) => answer = response,
                    None => continue,
                }
            }
            // An answer to an attempt that was given up is not ours.
            let Ok((established, payload)) = initiator.handle_response(&answer) else { continue };
            let epoch = established.epoch(&payload);
            let mut client = Client {
                socket,
                control: established.secret.control(&epoch),
                traffic: established.secret.binding(&epoch, &BindingContext::birth(), Side::Client),
                epoch,
                secret: established.secret,
                server_cid: payload.server_cid,
                token: payload.token,
                token_config: payload.token_config,
                cseq: 0,
                path: 0,
            };
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
        let mut buffer = vec![0; DATA_HEADER_LEN];
        buffer.extend_from_slice(plaintext);
        buffer.resize(buffer.len() + TAG_LEN, 0);
        self.traffic
            .send
            .seal(self.server_cid, 0, &mut buffer)
            .map_err(|_| io::Error::other("keys used up"))?;
        self.say(&buffer)
    }

    /// Sends a sealed packet with these frames.
    pub(super) fn frames(&mut self, frames: &[Frame<'_>]) -> io::Result<()> {
        let mut body = [0; 1200];
        let mut writer = FrameWriter::new(&mut body);
        if !frames.iter().all(|frame| writer.push(frame)) {
            return Err(io::Error::other("too many frames for one packet"));
        }
        let len = writer.len();
        self.packet(&body[..len])
    }

    /// Asks for new keys without ML-KEM, each time with another public key.
    pub(super) fn rekey(&mut self) -> io::Result<()> {
        let (n, sid, cid) = (self.epoch.n + 1, self.epoch.sid, Cid(SystemRandom.next_u64()));
        let rekey = RekeyInitiator::start(n, sid, cid, RekeyMode::Classical, &mut SystemRandom)
            .map_err(|_| io::Error::other("no keys"))?;
        for (part, parts, body) in rekey_parts(rekey.request()) {
            self.frames(&[Frame::RekeyReq { part, parts, body }])?;
        }
        Ok(())
    }

    /// Probes a path that it never probed before; the client's CID for it.
    pub(super) fn probe(&mut self) -> io::Result<Cid> {
        self.path += 1;
        let client_cid = Cid(SystemRandom.next_u64());
        let payload = ProbePayload {
            nonce: SystemRandom.next_u64().to_le_bytes(),
            path_id: PathId(self.path),
            flags: ProbeFlags { urgent: false, rebind: false, mtu: false },
            transport: TransportClass::Udp,
            client_cid,
            rtt_us: 0,
        };
        self.send_control(Kind::PathProbe, &payload.encode())?;
        Ok(client_cid)
    }

    /// Tries to move, with this reason. What the gateway said to it: nothing, or the number of its reason (0 if it was
    /// granted).
    pub(super) fn jump(&mut self, reason: u16) -> io::Result<Option<u16>> {
        let (cid, client_nonce) = (self.probe()?, [2; 16]);
        let Some(mut answer) = receive(&self.socket, &[Kind::PathTicket])? else { return Ok(None) };
        let open = |control: &ControlKeys, answer: &mut Vec<u8>| {
            let range = open_control(&control.s2c, answer).ok()?;
            Some(answer[range].to_vec())
        };
        let wrong = || io::Error::other("an answer does not open");
        let ticket = open(&self.control, &mut answer).ok_or_else(wrong)?;
        let ticket = TicketPayload::decode(&ticket).map_err(io::Error::other)?;
        let request = ReattachPayload {
            ticket: ticket.ticket,
            version: ticket.version,
            owner_epoch: ticket.owner_epoch,
            path_id: ticket.path_id,
            rebind: false,
            warm: true,
            transport: TransportClass::Udp,
            reason,
            observed: ticket.observed,
            client_cid: cid,
            client_nonce,
            quality: Quality { loss_permille: 0, rtt_us: 0, age_ms: 0 },
        };
        self.send_control(Kind::Reattach, &request.encode())?;
        let (cseq, path_id) = (self.cseq, ticket.path_id);
        let Some(mut answer) = receive(&self.socket, &[Kind::ReattachResult])? else { return Ok(None) };
        let result = open(&self.control, &mut answer).ok_or_else(wrong)?;
        let result = ResultPayload::decode(&result).map_err(io::Error::other)?;
        if result.status != jumpvpn_wire::ResultStatus::Committed {
            return Ok(Some(result.reason));
        }
        let context = BindingContext { cseq, path_id, client_nonce, ticket: Some(ticket.ticket) };
        self.traffic = self.secret.binding(&self.epoch, &context, Side::Client);
        self.server_cid = ticket.ticket.server_cid();
        Ok(Some(0))
    }

    /// Asks for the end of the session.
    pub(super) fn close(&mut self, reason: u16) -> io::Result<()> {
        self.send_control(Kind::Close, &ClosePayload { reason, version: 1 }.encode())
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

    fn send_control(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        self.cseq += 1;
        let (token, token_config, epoch) = (self.token, self.token_config, self.epoch.n as u16);
        let header = ControlHeader { kind, token_config, epoch, token, cseq: self.cseq };
        let mut datagram = header.encode().to_vec();
        datagram.extend_from_slice(payload);
        datagram.resize(CONTROL_HEADER_LEN + payload.len() + TAG_LEN, 0);
        seal_control(&self.control.c2s, &mut datagram).map_err(|_| io::Error::other("not sealed"))?;
        self.say(&datagram)
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
