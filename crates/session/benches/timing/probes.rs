//! The comparisons, and inputs that differ from the right one in the first or in the last byte.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::cipher::{AES_128, EncryptingKey, UnboundCipherKey};
use jumpvpn_events::Time;
use jumpvpn_session::{
    Initiator, InitiatorConfig, PrivateKey, Responder, SuiteSet, TicketBinding, TicketKeys, TokenKey,
    is_reset_token, reset_token,
};
use jumpvpn_wire::{
    Cid, HS_INIT_LEN, Handle, HsInit, InitPayload, PathId, ResetToken, RouteToken, Ticket, TransportClass,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Where the input differs from the right one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    First,
    Last,
}

impl Class {
    pub const ALL: [Class; 2] = [Class::First, Class::Last];

    pub fn name(self) -> &'static str {
        match self {
            Class::First => "first",
            Class::Last => "last",
        }
    }

    fn pick<T>(self, [first, last]: &[T; 2]) -> &T {
        match self {
            Class::First => first,
            Class::Last => last,
        }
    }
}

/// A comparison; it is given a class and answers whether the input was accepted.
type Check = Box<dyn Fn(Class) -> bool>;

pub struct Probe {
    pub name: &'static str,
    /// Whether it must not be possible to tell its classes apart.
    pub constant: bool,
    pub prepare: fn() -> Check,
}

pub const PROBES: &[Probe] = &[
    Probe { name: "token", constant: true, prepare: token },
    Probe { name: "mac1", constant: true, prepare: mac1 },
    Probe { name: "ticket", constant: true, prepare: ticket },
    Probe { name: "reset", constant: true, prepare: reset },
    Probe { name: "naive", constant: false, prepare: naive },
];

/// The same bytes with the byte at each of two places changed.
fn changed<const N: usize>(right: [u8; N], places: [usize; 2]) -> [[u8; N]; 2] {
    places.map(|at| {
        let mut bytes = right;
        bytes[at] ^= 1;
        bytes
    })
}

/// Row 2 of section 7.2: 32 bits that must be zero inside one AES block.
fn token() -> Check {
    let secret = [7; 16];
    let key = TokenKey::new(0, &secret).expect("the key is not zero");
    let aes = UnboundCipherKey::new(&AES_128, &secret).and_then(EncryptingKey::ecb).expect("16 bytes");
    let tokens = changed([0; 16], [12, 15]).map(|mut block| {
        aes.encrypt(&mut block).expect("one block");
        RouteToken(block)
    });
    Box::new(move |class| key.open(black_box(class.pick(&tokens))).is_some())
}

/// Row 2 of section 7.3.
fn mac1() -> Check {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (client, responder) =
        (PrivateKey::generate(&mut rng), Responder::new(PrivateKey::generate(&mut rng)));
    let config = InitiatorConfig {
        private: &client,
        gateway: &responder.public(),
        psk: None,
        suites: SuiteSet::ALL,
        cid: Cid(7),
        payload: InitPayload::default(),
    };
    let mut init = [0; HS_INIT_LEN];
    Initiator::start(config, &mut rng, &mut init).expect("the gateway's key is usable");
    assert!(responder.check_mac1(&init));
    let requests = changed(init, [HsInit::MAC1.start, HsInit::MAC1.end - 1]);
    Box::new(move |class| responder.check_mac1(black_box(class.pick::<[u8; HS_INIT_LEN]>(&requests))))
}

/// Row 11 of section 7.2.
fn ticket() -> Check {
    let now = Time::from_millis(1_000_000);
    let keys = TicketKeys::new(now, &mut ChaCha20Rng::seed_from_u64(1)).expect("the source is not broken");
    let address = |last: u8| SocketAddr::from(([192, 0, 2, last], 4747));
    let binding = TicketBinding {
        handle: Handle::from_parts(1, 2),
        owner_epoch: 1,
        version: 2,
        path_id: PathId(3),
        class: TransportClass::Udp,
        observed: address(1),
        local: address(2),
        client_cid: Cid(4),
    };
    let right = keys.issue(now, &binding, Cid(5));
    let age = Duration::from_secs(5);
    assert!(keys.check(now, &binding, &right, age).is_ok());
    let tickets = changed(right.0, [16, 31]).map(Ticket);
    Box::new(move |class| keys.check(now, &binding, black_box(class.pick(&tickets)), age).is_ok())
}

/// Row of NO_SESSION: the token that ends a session.
fn reset() -> Check {
    let given = reset_token(&[7; 32], Handle::from_parts(1, 2));
    let shown = changed(given.0, [0, 15]).map(ResetToken);
    Box::new(move |class| is_reset_token(&given, black_box(class.pick(&shown))))
}

/// What nobody should write: it ends at the first difference.
fn naive() -> Check {
    let given = reset_token(&[7; 32], Handle::from_parts(1, 2)).0;
    let shown = changed(given, [0, 15]);
    Box::new(move |class| given.iter().zip(black_box(class.pick(&shown))).all(|(a, b)| black_box(a) == b))
}
