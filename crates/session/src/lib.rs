//! The anchor: who the two sides are, which keys they share, and which requests may move a session.
//!
//! Birth ([`Initiator`], [`Responder`]), the key schedule ([`EpochSecret`]), sealing and opening
//! ([`TrafficSender`], [`TrafficReceiver`], [`seal_control`], [`open_control`]), proof of possession
//! ([`TicketKeys`], [`verify`](fn@verify)), key change ([`RekeyInitiator`], [`rekey_respond`]), takeover by another
//! gateway ([`TakeoverInitiator`], [`TakeoverRead`]), signatures of operators ([`SigningKey`]) and the state machine ([`Machine`]). The protocol text is `docs/protocol.md`; section numbers below are its.
//!
//! Deliberately not here: sockets, clocks, tables of sessions, retransmission, policy. Time and randomness are
//! arguments, those of ML-KEM too: the same calls with the same random bytes make the same datagrams.
#![forbid(unsafe_code)]

mod aead;
mod control;
mod cost;
mod credentials;
mod dh;
mod handshake;
mod identity;
mod kdf;
#[cfg(any(test, feature = "keylog"))]
mod keylog;
mod machine;
mod noise;
mod rekey;
mod schedule;
mod signature;
mod suite;
mod takeover;
#[cfg(test)]
mod testing;
mod ticket;
mod token;
mod traffic;
mod verify;
mod window;

pub use aead::AeadKey;
pub use control::{ControlError, open_control, seal_control};
pub use cost::PublicKeyWork;
pub use credentials::{Credentials, CredentialsPlace, SEALED_CREDENTIALS_LEN, SealedError, StoreKeys};
pub use handshake::cookie::{COOKIE_MAX_AGE, COOKIE_ROTATION, CookieKeys};
pub use handshake::initiator::{Initiator, InitiatorConfig};
pub use handshake::responder::{InitRead, Responder};
pub use handshake::{Established, HandshakeError, write_mac1};
pub use identity::{KeyTextError, PresharedKey, PrivateKey, PublicKey, name_id};
#[cfg(any(test, feature = "keylog"))]
pub use keylog::{KeyUse, log_keys_to};
pub use machine::{Forbidden, Machine, TRANSITIONS, Transition, Trigger};
pub use rekey::{
    REKEY_PART_LEN, REKEY_RESPONSE_LEN, RekeyError, RekeyFinished, RekeyInitiator, RekeyMode,
    RekeyReassembly, RekeyResponded, RekeyTerms, rekey_parts, rekey_respond,
};
pub use schedule::{BindingContext, ControlKeys, EpochContext, EpochSecret, Side, Traffic};
pub use signature::{BadSignature, Purpose, SIGNATURE_LEN, SigningKey, VerifyingKey};
pub use suite::{ForgeryLimits, Suite, SuiteSet};
pub use takeover::TakenOver;
pub use takeover::initiator::{TakeoverConfig, TakeoverInitiator, TakeoverRefusals};
pub use takeover::responder::TakeoverRead;
pub use ticket::{TICKET_ROTATION, TicketBinding, TicketKeys};
pub use token::{TokenKey, WeakRandomness, is_reset_token, orphaned_proof, reset_token};
pub use traffic::{
    GENERATION_HARD_LIMIT, GENERATION_SOFT_LIMIT, OpenError, Opened, SealError, TrafficReceiver,
    TrafficSender,
};
pub use verify::{AddressRules, CHECKS, Check, Decision, RebindCheck, Record, Refusal, Request, verify};
pub use window::{ControlWindow, DataWindow, ReplayWindow};
