//! A client without an engine: it speaks the protocol, and holds a few hundred bytes where an agent holds 200 KiB. So there
//! can be a hundred thousand of them, and a million births take minutes instead of hours.

use jumpvpn_engine::{HEADROOM, TAILROOM};
use jumpvpn_events::Reason;
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{
    BindingContext, EpochContext, EpochSecret, Initiator, InitiatorConfig, PrivateKey, PublicKey, Side,
    SuiteSet, TrafficReceiver, TrafficSender, open_control, seal_control,
};
use jumpvpn_wire::{
    CONTROL_HEADER_LEN, Cid, ControlHeader, Frame, FrameWriter, HS_INIT_LEN, InitPayload, Kind, PathId,
    ProbeFlags, ProbePayload, Quality, ReattachPayload, ResultPayload, ResultStatus, RouteToken, TAG_LEN,
    TicketPayload, TransportClass,
};
use rand_core::Rng;

use super::world::{World, outer};
use crate::exit::Failure;

/// Room for the frame that confirms a birth.
const FIN_LEN: usize = 16;

/// A client whose session was born with [`Client::born`].
pub(super) struct Client {
    index: u32,
    epoch: EpochContext,
    secret: EpochSecret,
    token: RouteToken,
    token_config: u8,
    cseq: u64,
}

/// Keys of a newborn client's packets, and the CID of those to the gateway.
pub(super) struct Uplink {
    send: TrafficSender,
    /// Opens what comes from there.
    pub(super) recv: TrafficReceiver,
    cid: Cid,
}

impl Uplink {
    /// What confirms the birth; `None` if it cannot be sealed.
    pub(super) fn confirmation(&mut self) -> Option<Vec<u8>> {
        confirmation(&mut self.send, self.cid)
    }
}

/// What confirms an answer: a packet with nothing but FIN.
pub(super) fn confirmation(send: &mut TrafficSender, cid: Cid) -> Option<Vec<u8>> {
    let mut fin = [0; HEADROOM + FIN_LEN + TAILROOM];
    let mut writer = FrameWriter::new(&mut fin[HEADROOM..]);
    writer.push(&Frame::Fin).then_some(())?;
    let len = HEADROOM + writer.len() + TAILROOM;
    send.seal(cid, 0, &mut fin[..len]).ok()?;
    Some(fin[..len].to_vec())
}

/// A birth that waits for its answer.
pub(super) struct Hello {
    index: u32,
    initiator: Initiator,
}

impl Hello {
    /// Begins the birth of client `index`: `keys` are its own and the gateway's. `None` if that key is none.
    pub(super) fn new(
        index: u32,
        (private, gateway): (&PrivateKey, &PublicKey),
    ) -> Option<(Hello, [u8; HS_INIT_LEN])> {
        let payload = InitPayload { features: 0, policy: 0, lanes: 1, lifetime_s: 0, random: [0; 16] };
        let cid = Cid(SystemRandom.next_u64());
        let config = InitiatorConfig { private, gateway, psk: None, suites: SuiteSet::ALL, cid, payload };
        let mut init = [0; HS_INIT_LEN];
        let initiator = Initiator::start(config, &mut SystemRandom, &mut init).ok()?;
        Some((Hello { index, initiator }, init))
    }

    /// Takes the answer in; `None` if it is none.
    pub(super) fn answered(self, answer: &[u8]) -> Option<(Client, Uplink)> {
        let (established, payload) = self.initiator.handle_response(answer).ok()?;
        let epoch = established.epoch(&payload);
        let traffic = established.secret.binding(&epoch, &BindingContext::birth(), Side::Client);
        let uplink = Uplink { send: traffic.send, recv: traffic.recv, cid: payload.server_cid };
        let (token, token_config) = (payload.token, payload.token_config);
        let secret = established.secret;
        Some((Client { index: self.index, epoch, secret, token, token_config, cseq: 0 }, uplink))
    }
}

impl Client {
    /// Gives birth to the session of client `index`, without the hybrid rekey.
    ///
    /// # Errors
    /// The gateway does not answer as it should.
    pub(super) fn born(world: &mut World, index: u32) -> Result<(Client, Uplink), Failure> {
        let begun = Hello::new(index, world.keys_of(index));
        let Some((hello, mut init)) = begun else { return Err(world.failure("a handshake was not begun")) };
        let answer = world.exchange(outer(index, 0), &mut init).pop();
        let Some((client, mut uplink)) = answer.and_then(|answer| hello.answered(&answer)) else {
            return Err(world.failure("a handshake was not answered"));
        };
        let welcome = uplink.confirmation().map(|mut fin| world.exchange(outer(index, 0), &mut fin));
        match welcome {
            Some(welcome) if !welcome.is_empty() => Ok((client, uplink)),
            _ => Err(world.failure("a session was not born")),
        }
    }

    /// Which one it is.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Number of a new request, and the key epoch it stands in.
    pub(super) fn next_request(&mut self) -> (u64, EpochContext) {
        self.cseq += 1;
        (self.cseq, self.epoch)
    }

    /// Secret of that epoch.
    pub(super) fn secret(&self) -> &EpochSecret {
        &self.secret
    }

    /// Its route token, and the number of the key that sealed it.
    pub(super) fn token(&self) -> (RouteToken, u8) {
        (self.token, self.token_config)
    }

    /// Asks for a ticket over link `link` and makes the request to move there out of it.
    ///
    /// # Errors
    /// The gateway does not answer as it should.
    pub(super) fn request(&mut self, link: u32, world: &mut World) -> Result<Vec<u8>, Failure> {
        let (path_id, client_cid) = (PathId(link), Cid(SystemRandom.next_u64()));
        let probe = ProbePayload {
            nonce: [1; 8],
            path_id,
            flags: ProbeFlags::default(),
            transport: TransportClass::Udp,
            client_cid,
            rtt_us: 0,
        };
        let mut probe = self.seal(Kind::PathProbe, &probe.encode());
        let answer = world.exchange(outer(self.index, link), &mut probe).pop();
        let ticket = answer.and_then(|mut answer| TicketPayload::decode(self.open(&mut answer)?).ok());
        let Some(ticket) = ticket else { return Err(world.failure("a probe was not answered")) };
        let request = ReattachPayload {
            ticket: ticket.ticket,
            version: ticket.version,
            owner_epoch: ticket.owner_epoch,
            path_id,
            rebind: false,
            warm: true,
            transport: TransportClass::Udp,
            reason: Reason::LinkDown.number(),
            observed: ticket.observed,
            client_cid,
            client_nonce: [2; 16],
            quality: Quality::default(),
        };
        Ok(self.seal(Kind::Reattach, &request.encode()))
    }

    /// Whether this is the answer to the last request, and says that the session moved.
    pub(super) fn has_moved(&self, answer: &mut [u8]) -> bool {
        let result = self.open(answer).and_then(|payload| ResultPayload::decode(payload).ok());
        result.is_some_and(|result| result.status == ResultStatus::Committed && result.cseq == self.cseq)
    }

    fn seal(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        self.cseq += 1;
        let (token, token_config) = (self.token, self.token_config);
        let header = ControlHeader { kind, token_config, epoch: self.epoch.n as u16, token, cseq: self.cseq };
        let mut datagram = header.encode().to_vec();
        datagram.extend_from_slice(payload);
        datagram.resize(CONTROL_HEADER_LEN + payload.len() + TAG_LEN, 0);
        // invariant: a control header was just written.
        seal_control(&self.secret.control(&self.epoch).c2s, &mut datagram).expect("a control message");
        datagram
    }

    fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
        let range = open_control(&self.secret.control(&self.epoch).s2c, datagram).ok()?;
        Some(&datagram[range])
    }
}
