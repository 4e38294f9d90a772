//! A client that holds a peer's key and no rules: it says whatever a test wants said.
use std::net::SocketAddr;

use jumpvpn_engine::{HEADROOM, Received, TAILROOM};
use jumpvpn_session::{
    BindingContext, ControlKeys, Credentials, EpochContext, EpochSecret, Initiator, InitiatorConfig,
    RekeyInitiator, RekeyMode, Side, SuiteSet, TakenOver, TakeoverConfig, TakeoverInitiator, Traffic,
    open_control, rekey_parts, seal_control,
};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, Frame, FrameReader, FrameWriter, HS_INIT_LEN, InitPayload, Kind,
    MAX_PLAINTEXT_LEN, PathId, ProbeFlags, ProbePayload, Quality, ReattachPayload, RouteToken, SessionId,
    TAG_LEN, TAKEOVER_INIT_LEN, TakeoverInitPayload, TakeoverRespPayload, TicketPayload, TransportClass,
    features,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::world::{World, key};

/// HS_INIT of the holder of `seed`'s key; `number` makes each one different.
pub fn hello(seed: u64, number: u64) -> (Initiator, [u8; HS_INIT_LEN]) {
    hello_to(seed, 1, number)
}

/// The same, to the gateway of that key.
pub fn hello_to(seed: u64, gateway: u64, number: u64) -> (Initiator, [u8; HS_INIT_LEN]) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed << 32 | number);
    let payload = InitPayload { features: features::PQ, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
    let config = InitiatorConfig {
        private: &key(seed),
        gateway: &key(gateway).public(),
        psk: None,
        suites: SuiteSet::ALL,
        cid: Cid(rng.next_u64()),
        payload,
    };
    let mut out = [0; HS_INIT_LEN];
    let initiator = Initiator::start(config, &mut rng, &mut out).unwrap();
    (initiator, out)
}

pub struct Rogue {
    pub source: SocketAddr,
    rng: ChaCha20Rng,
    epoch: EpochContext,
    secret: EpochSecret,
    control: ControlKeys,
    traffic: Traffic,
    server_cid: Cid,
    token: RouteToken,
    token_config: u8,
    /// Number of the last request.
    pub cseq: u64,
    version: u64,
    seed: u64,
    binding: BindingContext,
    /// The round trip it says it has, microseconds.
    pub rtt_us: u32,
}

impl Rogue {
    /// Shakes hands, up to the confirmation.
    pub fn shake_hands(world: &mut World, seed: u64, number: u64, source: SocketAddr) -> Rogue {
        let (initiator, init) = hello(seed, number);
        assert_eq!(world.hand_in(source, &init), Received::Consumed);
        let answer = world.take_strays(source).pop().unwrap();
        Rogue::of_answer(initiator, &answer, seed, source)
    }

    /// Takes the answer to its handshake in.
    pub fn of_answer(initiator: Initiator, answer: &[u8], seed: u64, source: SocketAddr) -> Rogue {
        let (established, payload) = initiator.handle_response(answer).map_err(|(_, error)| error).unwrap();
        let epoch = established.epoch(&payload);
        Rogue {
            source,
            rng: ChaCha20Rng::seed_from_u64(seed),
            control: established.secret.control(&epoch),
            traffic: established.secret.binding(&epoch, &BindingContext::birth(), Side::Client),
            epoch,
            secret: established.secret,
            server_cid: payload.server_cid,
            token: payload.token,
            token_config: payload.token_config,
            cseq: 0,
            version: 1,
            seed,
            binding: BindingContext::birth(),
            rtt_us: u32::MAX,
        }
    }

    /// What a store may know of its present key epoch.
    pub fn credentials(&self) -> Credentials {
        self.secret.credentials(&self.epoch)
    }

    /// Asks the gateway of that key to take the session over, as a client that knows this owner epoch and version.
    pub fn ask_takeover_as(
        &mut self,
        gateway: u64,
        credentials: &Credentials,
        (owner_epoch, version): (u64, u64),
    ) -> TakeoverInitiator {
        self.cseq += 1;
        let payload = TakeoverInitPayload {
            client_cid: Cid(self.rng.next_u64()),
            path_id: PathId(50),
            features: features::PQ as u16,
            suites: SuiteSet::ALL.bits(),
            ..TakeoverInitPayload::default()
        };
        let config = TakeoverConfig {
            private: &key(self.seed),
            gateway: &key(gateway).public(),
            credentials,
            sid: self.epoch.sid,
            owner_epoch,
            version,
            cseq: self.cseq,
            token: self.token,
            token_config: self.token_config,
            payload,
        };
        TakeoverInitiator::start(config, &mut self.rng, &mut [0; TAKEOVER_INIT_LEN]).unwrap()
    }

    /// The same, as an honest client would.
    pub fn ask_takeover(&mut self, gateway: u64) -> TakeoverInitiator {
        self.ask_takeover_as(gateway, &self.credentials(), (self.epoch.owner_epoch, self.version))
    }

    /// Uses the static key of somebody else from now on.
    pub fn pretend_to_be(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Goes on with what a takeover made; the keys of the owner before are gone.
    pub fn adopt(&mut self, taken: TakenOver, payload: &TakeoverRespPayload) {
        self.traffic = taken.secret.binding(&taken.context, &taken.binding, Side::Client);
        self.control = taken.secret.control(&taken.context);
        (self.epoch, self.secret) = (taken.context, taken.secret);
        (self.server_cid, self.token) = (payload.server_cid, payload.token);
        (self.token_config, self.version) = (payload.token_config, payload.version);
        self.binding = taken.binding;
    }

    /// Which session it has, and in which owner epoch, version and key epoch.
    pub fn stand(&self) -> (SessionId, u64, u64, u32) {
        (self.epoch.sid, self.epoch.owner_epoch, self.version, self.epoch.n)
    }

    /// Is born. What the gateway says to that is thrown away.
    pub fn born(world: &mut World, seed: u64, source: SocketAddr) -> Rogue {
        let mut rogue = Rogue::shake_hands(world, seed, 0, source);
        rogue.confirm(world);
        rogue
    }

    /// Confirms the handshake. What the gateway says to that is thrown away.
    pub fn confirm(&mut self, world: &mut World) {
        let fin = self.frames(&[Frame::Fin]);
        assert_eq!(world.hand_in(self.source, &fin), Received::Consumed);
        world.take_strays(self.source);
    }

    /// A sealed packet with these frames.
    pub fn frames(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut buffer = vec![0; HEADROOM + MAX_PLAINTEXT_LEN];
        let mut writer = FrameWriter::new(&mut buffer[HEADROOM..]);
        assert!(frames.iter().all(|frame| writer.push(frame)), "too many frames for one packet");
        let len = HEADROOM + writer.len() + TAILROOM;
        buffer.resize(len, 0);
        self.traffic.send.seal(self.server_cid, 0, &mut buffer).unwrap();
        buffer
    }

    /// A sealed packet with that content.
    pub fn packet(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; HEADROOM + plain.len() + TAILROOM];
        buffer[HEADROOM..][..plain.len()].copy_from_slice(plain);
        self.traffic.send.seal(self.server_cid, 0, &mut buffer).unwrap();
        buffer
    }

    /// A packet that asks for new keys without ML-KEM, each time with another public key.
    pub fn classical_rekey(&mut self) -> Vec<u8> {
        let (n, sid, cid) = (self.epoch.n + 1, self.epoch.sid, Cid(self.rng.next_u64()));
        let rekey = RekeyInitiator::start(n, sid, cid, RekeyMode::Classical, &mut self.rng).unwrap();
        let (part, parts, body) = rekey_parts(rekey.request()).next().unwrap();
        self.frames(&[Frame::RekeyReq { part, parts, body }])
    }

    /// Probes a new path from where it is.
    pub fn probe(&mut self, client_cid: Cid) -> Vec<u8> {
        self.probe_for(PathId(1), false, client_cid)
    }

    /// Probes a path, perhaps because its address seems to have changed.
    pub fn probe_for(&mut self, path_id: PathId, rebind: bool, client_cid: Cid) -> Vec<u8> {
        let payload = ProbePayload {
            nonce: [1; 8],
            path_id,
            flags: ProbeFlags { urgent: false, rebind, mtu: false },
            transport: TransportClass::Udp,
            client_cid,
            rtt_us: self.rtt_us,
        };
        self.seal(Kind::PathProbe, &payload.encode())
    }

    /// Moves to a new path at once, with a reason and a round trip of its own making.
    pub fn jump(&mut self, world: &mut World, reason: u16) {
        let (datagram, request) = self.request_to_move(world, reason);
        assert_eq!(world.hand_in(self.source, &datagram), Received::Consumed);
        self.bind(&request);
    }

    /// Goes on with the binding that its last request asked for.
    pub fn bind(&mut self, request: &ReattachPayload) {
        let (cseq, path_id, client_nonce) = (self.cseq, request.path_id, request.client_nonce);
        self.binding = BindingContext { cseq, path_id, client_nonce, ticket: Some(request.ticket) };
        self.traffic = self.secret.binding(&self.epoch, &self.binding, Side::Client);
        self.server_cid = request.ticket.server_cid();
    }

    /// Renews its keys, up to the confirmation: the gateway learns from the next message that they are in use.
    pub fn rekey(&mut self, world: &mut World) {
        let (n, sid, cid) = (self.epoch.n + 1, self.epoch.sid, Cid(self.rng.next_u64()));
        let rekey = RekeyInitiator::start(n, sid, cid, RekeyMode::Classical, &mut self.rng).unwrap();
        let (part, parts, body) = rekey_parts(rekey.request()).next().unwrap();
        let asked = self.frames(&[Frame::RekeyReq { part, parts, body }]);
        assert_eq!(world.hand_in(self.source, &asked), Received::Consumed);
        let opened: Vec<_> =
            world.take_strays(self.source).iter().filter_map(|sent| self.open(sent)).collect();
        let response =
            opened.iter().flat_map(|plain| FrameReader::new(plain)).find_map(|frame| match frame {
                Ok(Frame::RekeyResp(body)) => Some(body),
                _ => None,
            });
        let finished = rekey.finish(&self.secret, response.unwrap()).unwrap();
        self.epoch = EpochContext { n: finished.n, ..self.epoch };
        self.traffic = finished.secret.binding(&self.epoch, &self.binding, Side::Client);
        self.control = finished.secret.control(&self.epoch);
        (self.secret, self.server_cid, self.token) =
            (finished.secret, finished.terms.server_cid, finished.terms.token);
        self.token_config = finished.terms.token_config;
    }

    /// The control messages that the gateway has sent to where it is.
    pub fn answers(&self, world: &mut World) -> Vec<(Kind, Vec<u8>)> {
        let opened = |mut answer: Vec<u8>| {
            let range = open_control(&self.control.s2c, &mut answer).ok()?;
            Some((Kind::of(&answer).unwrap(), answer[range].to_vec()))
        };
        world.take_strays(self.source).into_iter().filter_map(opened).collect()
    }

    /// A request to move to a new path, with a ticket that was just given out.
    pub fn request_to_move(&mut self, world: &mut World, reason: u16) -> (Vec<u8>, ReattachPayload) {
        let request = self.proof(world, PathId(1), false, reason);
        (self.reattach(&request), request)
    }

    /// What a request to move to `path_id` says, with a ticket that was just given out.
    pub fn proof(
        &mut self,
        world: &mut World,
        path_id: PathId,
        rebind: bool,
        reason: u16,
    ) -> ReattachPayload {
        let cid = Cid(self.rng.next_u64());
        let probe = self.probe_for(path_id, rebind, cid);
        assert_eq!(world.hand_in(self.source, &probe), Received::Consumed);
        self.proof_by(world, cid, rebind, reason)
    }

    /// The same with the ticket for a probe that named `cid` and was handed in before.
    pub fn proof_by(&mut self, world: &mut World, cid: Cid, rebind: bool, reason: u16) -> ReattachPayload {
        let answer = self.answers(world).into_iter().rfind(|(kind, _)| *kind == Kind::PathTicket);
        let ticket = TicketPayload::decode(&answer.unwrap().1).unwrap();
        ReattachPayload {
            ticket: ticket.ticket,
            version: ticket.version,
            owner_epoch: ticket.owner_epoch,
            path_id: ticket.path_id,
            rebind,
            warm: true,
            transport: TransportClass::Udp,
            reason,
            observed: ticket.observed,
            client_cid: cid,
            client_nonce: [2; 16],
            quality: Quality { loss_permille: 0, rtt_us: self.rtt_us, age_ms: 0 },
        }
    }

    /// A request to move that says just this.
    pub fn reattach(&mut self, request: &ReattachPayload) -> Vec<u8> {
        self.seal(Kind::Reattach, &request.encode())
    }

    /// The plaintext of a packet of the present binding.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        let opened = self.traffic.recv.open(&mut datagram).ok()?;
        Some(datagram[opened.range].to_vec())
    }

    /// A sealed control message.
    pub fn seal(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        self.seal_in_epoch(kind, payload, self.epoch.n as u16)
    }

    /// The same, for the key epoch of that number.
    pub fn seal_in_epoch(&mut self, kind: Kind, payload: &[u8], epoch: u16) -> Vec<u8> {
        self.cseq += 1;
        let (token_config, token, cseq) = (self.token_config, self.token, self.cseq);
        let header = ControlHeader { kind, token_config, epoch, token, cseq };
        let mut datagram = header.encode().to_vec();
        datagram.extend_from_slice(payload);
        datagram.resize(CONTROL_HEADER_LEN + payload.len() + TAG_LEN, 0);
        seal_control(&self.control.c2s, &mut datagram).unwrap();
        datagram
    }
}
