//! The reattach verifier: whatever the request, a commit needs everything the protocol asks for.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use jumpvpn_events::{Reason, Time};
use jumpvpn_session::{
    AddressRules, Decision, EpochContext, EpochSecret, RebindCheck, Record, Request, Suite, TicketBinding,
    TicketKeys, open_control, seal_control, verify,
};
use jumpvpn_wire::{
    Cid, ControlHeader, Handle, Kind, ObservedAddress, PathId, ReattachPayload, RouteToken, SessionId,
    TAG_LEN, Ticket, TransportClass,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

const NOW: Time = Time::from_millis(1_000_000);
const AGE: Duration = Duration::from_secs(5);
const HOLD: Duration = Duration::from_millis(200);
const SERVER_CID: Cid = Cid(0x5E7);
const ALLOWED: &[TransportClass] = &[TransportClass::Udp, TransportClass::Tls];
/// The gateway itself; the first 16 bytes of an input choose everything around the request.
const LOCAL: ([u8; 4], u16) = ([198, 51, 100, 1], 443);
const CHOICES_LEN: usize = 16;
/// The session that is to be moved.
const VERSION: u64 = 7;
const OWNER_EPOCH: u64 = 3;
const BINDING_PATH: PathId = PathId(1);

static TICKETS: LazyLock<TicketKeys> = LazyLock::new(|| {
    TicketKeys::new(NOW - AGE, &mut ChaCha20Rng::seed_from_u64(1)).expect("the seeded source is not broken")
});

fn handle() -> Handle {
    Handle::from_parts(1, 2)
}

/// What surrounds the request, chosen by the first bytes of the input. Each bit sets one thing right, so that all
/// combinations of right and wrong are near.
struct Choices {
    /// Replace the request's ticket by a genuine one for the binding that the packet shows.
    genuine_ticket: bool,
    /// Let the request name the address it comes from, the session's version and owner epoch, its own transport.
    right: (bool, bool, bool),
    age_ms: u64,
    source: SocketAddr,
    fenced: bool,
    budget: bool,
    rebind: Option<RebindCheck>,
    last_heard: Time,
}

impl Choices {
    fn read(bytes: &[u8; CHOICES_LEN]) -> Self {
        let [flags, age, p0, p1, a, b, c, d, started, heard, path, ..] = *bytes;
        let ago = |steps: u8| NOW - Duration::from_millis(u64::from(steps) * 4);
        let check = RebindCheck { path_id: PathId(u32::from(path)), started: ago(started), hold: HOLD };
        Self {
            genuine_ticket: flags & 1 != 0,
            right: (flags & 16 != 0, flags & 32 != 0, flags & 64 != 0),
            age_ms: u64::from(age) * 24,
            source: ([a, b, c, d], u16::from_le_bytes([p0, p1])).into(),
            fenced: flags & 2 != 0,
            budget: flags & 4 == 0,
            rebind: (flags & 8 != 0).then_some(check),
            last_heard: ago(heard),
        }
    }

    fn set_right(&self, proof: &mut ReattachPayload, class: TransportClass) {
        let (address, versions, transport) = self.right;
        if address {
            proof.observed = ObservedAddress::new(self.source);
        }
        if versions {
            (proof.version, proof.owner_epoch) = (VERSION, OWNER_EPOCH);
        }
        if transport {
            proof.transport = class;
        }
    }
}

/// First 16 bytes: the surroundings. The rest: the plaintext of a REATTACH.
pub fn reattach_verify(data: &[u8]) {
    let Some((choices, plaintext)) = data.split_first_chunk::<CHOICES_LEN>() else { return };
    sealed(plaintext);
    let choices = Choices::read(choices);
    let Ok(mut proof) = ReattachPayload::decode(plaintext) else { return };
    let local = SocketAddr::from(LOCAL);
    let class = if choices.source.port() & 1 == 0 { TransportClass::Udp } else { TransportClass::Tls };
    choices.set_right(&mut proof, class);
    if choices.genuine_ticket {
        proof.ticket = issue(&choices, &proof, class, local);
    }
    let own = [IpAddr::from(LOCAL.0)];
    let record = Record {
        handle: handle(),
        version: VERSION,
        owner_epoch: OWNER_EPOCH,
        fenced: choices.fenced,
        allowed: ALLOWED,
        addresses: AddressRules { own: &own, allow_local: false },
        binding_path: BINDING_PATH,
        last_heard: choices.last_heard,
        rebind: choices.rebind,
        ticket_max_age: AGE,
    };
    let request = Request { proof: &proof, source: choices.source, local, class };
    let budget = if choices.budget { Ok(()) } else { Err((Reason::SwitchBudget, Duration::ZERO)) };
    let decision = verify(NOW, &record, &request, &TICKETS, budget);
    assert_eq!(decision, model(&choices, &proof, class), "the verifier and the table disagree");
    assert_eq!(decision, verify(NOW, &record, &request, &TICKETS, budget), "the verifier has no memory");
}

/// Section 7.2 once more, row by row, without the verifier's types: what it must decide.
fn model(choices: &Choices, proof: &ReattachPayload, class: TransportClass) -> Decision {
    let later = |reason, retry_after| Decision::Reject { reason, retry_after };
    let reject = |reason| later(reason, Duration::ZERO);
    // Sources of these inputs are IPv4.
    let SocketAddr::V4(source) = choices.source else { unreachable!("four bytes are an IPv4 address") };
    if proof.observed.socket_addr() != choices.source {
        return Decision::AddressMismatch;
    }
    if !choices.genuine_ticket || choices.age_ms > 5_000 {
        return reject(Reason::StaleTicket);
    }
    if choices.fenced || proof.owner_epoch != OWNER_EPOCH {
        return reject(Reason::NotOwner);
    }
    if proof.version != VERSION {
        return reject(Reason::StaleStateVersion);
    }
    let never = matches!(
        source.ip().octets(),
        [0, 0, 0, 0]
            | [127, ..]
            | [169, 254, ..]
            | [224..=239, ..]
            | [255, 255, 255, 255]
            | [198, 51, 100, 1]
    );
    let elsewhere = proof.rebind && proof.path_id != BINDING_PATH;
    if never || source.port() == 0 || proof.transport != class || elsewhere {
        return reject(Reason::InvalidTransportCandidate);
    }
    if proof.rebind {
        let Some(check) = choices.rebind.filter(|check| check.path_id == BINDING_PATH) else {
            return reject(Reason::RebindWait);
        };
        if choices.last_heard > check.started {
            return reject(Reason::OldPathAlive);
        }
        let waited = NOW.since(check.started);
        if waited < HOLD {
            return later(Reason::RebindWait, HOLD - waited);
        }
    }
    if choices.budget { Decision::Commit { server_cid: SERVER_CID } } else { reject(Reason::SwitchBudget) }
}

fn issue(choices: &Choices, proof: &ReattachPayload, class: TransportClass, local: SocketAddr) -> Ticket {
    let binding = TicketBinding {
        handle: handle(),
        owner_epoch: proof.owner_epoch,
        version: proof.version,
        path_id: proof.path_id,
        class,
        observed: choices.source,
        local,
        client_cid: proof.client_cid,
    };
    TICKETS.issue(NOW - Duration::from_millis(choices.age_ms), &binding, SERVER_CID)
}

static SECRET: LazyLock<EpochSecret> = LazyLock::new(|| crate::handshake::FIXTURE.established());

fn context() -> EpochContext {
    let (sid, suite) = (SessionId([3; 16]), Suite::ChaCha20Poly1305);
    EpochContext { sid, n: 1, owner_epoch: 3, owner_salt: [4; 16], suite, lanes: 1 }
}

/// The plaintext inside its message: it comes back, and no changed byte gets through.
fn sealed(plaintext: &[u8]) {
    let key = SECRET.control(&context()).c2s;
    let (token, cseq) = (RouteToken([1; 16]), plaintext.len() as u64);
    let header = ControlHeader { kind: Kind::Reattach, token_config: 0, epoch: 1, token, cseq };
    let mut datagram = [&header.encode(), plaintext, &[0; TAG_LEN]].concat();
    seal_control(&key, &mut datagram).expect("the header is in place");
    let mut damaged = datagram.clone();
    let at = plaintext.first().map_or(0, |&byte| usize::from(byte) % damaged.len());
    damaged[at] ^= 1 + plaintext.get(1).map_or(0, |byte| byte & 0x7F);
    assert!(open_control(&key, &mut damaged).is_err(), "a damaged request was opened");
    let range = open_control(&key, &mut datagram).expect("sealed a moment ago");
    assert_eq!(&datagram[range], plaintext);
}
