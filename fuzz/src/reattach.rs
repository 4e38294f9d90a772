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

static TICKETS: LazyLock<TicketKeys> = LazyLock::new(|| {
    TicketKeys::new(NOW - AGE, &mut ChaCha20Rng::seed_from_u64(1)).expect("the seeded source is not broken")
});

fn handle() -> Handle {
    Handle::from_parts(1, 2)
}

/// What surrounds the request, chosen by the first bytes of the input.
struct Choices {
    /// Replace the request's ticket by a genuine one for the binding that the packet shows.
    genuine_ticket: bool,
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
            age_ms: u64::from(age) * 24,
            source: ([a, b, c, d], u16::from_le_bytes([p0, p1])).into(),
            fenced: flags & 2 != 0,
            budget: flags & 4 == 0,
            rebind: (flags & 8 != 0).then_some(check),
            last_heard: ago(heard),
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
    if choices.genuine_ticket {
        proof.ticket = issue(&choices, &proof, class, local);
    }
    let own = [IpAddr::from(LOCAL.0)];
    let record = Record {
        handle: handle(),
        version: 7,
        owner_epoch: 3,
        fenced: choices.fenced,
        allowed: ALLOWED,
        addresses: AddressRules { own: &own, allow_local: false },
        binding_path: PathId(1),
        last_heard: choices.last_heard,
        rebind: choices.rebind,
        ticket_max_age: AGE,
    };
    let request = Request { proof: &proof, source: choices.source, local, class };
    let budget = if choices.budget { Ok(()) } else { Err((Reason::SwitchBudget, Duration::ZERO)) };
    let decision = verify(NOW, &record, &request, &TICKETS, budget);
    assert_eq!(decision, verify(NOW, &record, &request, &TICKETS, budget), "the verifier has no memory");
    if let Decision::Commit { server_cid } = decision {
        assert_eq!(server_cid, SERVER_CID);
        assert_commit_is_earned(&choices, &record, &request);
    }
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

/// The rules of section 7.2 once more, in other words.
fn assert_commit_is_earned(choices: &Choices, record: &Record<'_>, request: &Request<'_>) {
    let proof = request.proof;
    assert!(choices.genuine_ticket, "a ticket was invented");
    assert!(choices.age_ms <= 5_000, "the ticket was old");
    assert_eq!(proof.observed, ObservedAddress::new(request.source), "the client did not accept the address");
    assert_eq!((proof.version, proof.owner_epoch), (record.version, record.owner_epoch));
    assert!(!choices.fenced && choices.budget);
    assert_eq!(proof.transport, request.class);
    let ip = request.source.ip();
    assert!(!ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::from(LOCAL.0));
    assert_ne!(request.source.port(), 0);
    if proof.rebind {
        let check = choices.rebind.expect("the old address was asked");
        assert_eq!((proof.path_id, check.path_id), (record.binding_path, record.binding_path));
        assert!(choices.last_heard <= check.started && check.started + HOLD <= NOW, "the old path is alive");
    }
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
