//! A client that goes to another gateway with its session: what an agent does for that, at the same pace, without the agent.

use std::time::Duration;

use jumpvpn_events::Time;
use jumpvpn_policy::{Policy, recovery};
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{
    PrivateKey, PublicKey, Side, SuiteSet, TakeoverConfig, TakeoverInitiator, TrafficReceiver,
};
use jumpvpn_wire::{
    Cid, Frame, FrameReader, Kind, PathId, TAKEOVER_INIT_LEN, TAKEOVER_RESP_LEN, TakeoverInitPayload,
};
use rand_core::Rng;

use super::client::{Client, Uplink, confirmation};

/// A request is repeated after this time, then doubling (as agents do it, engine, agent/takeover.rs; so are the next four).
const REPEAT_PAUSE: Duration = Duration::from_millis(200);
/// How often it is sent.
const SEND_COUNT: u32 = 3;
/// An attempt without an answer is over.
const ATTEMPT_TIME: Duration = Duration::from_millis(1_000);
/// After a refusal: what it names, within these bounds.
const REFUSED_PAUSE_MIN: Duration = Duration::from_millis(50);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Attempts do not come in step.
const SPREAD: Duration = Duration::from_millis(32);
/// A confirmation is repeated after this time, then doubling, and given up after five (agent/claim.rs).
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);
const FIN_COUNT: u32 = 5;
/// Path of the new binding: any that the session never used.
const PATH: PathId = PathId(50);

/// Where it stands.
enum Phase {
    /// Served by the gateway it was born at.
    Home,
    /// It asks at that time.
    Waiting(Time),
    Asking {
        initiator: Box<TakeoverInitiator>,
        sends: u32,
        again: Time,
        ends: Time,
    },
    /// It was answered, and confirms that.
    Claiming {
        recv: Box<TrafficReceiver>,
        fin: Vec<u8>,
        sends: u32,
        again: Time,
    },
    There,
}

/// The client.
pub(super) struct Mover {
    client: Client,
    home: TrafficReceiver,
    phase: Phase,
    attempts: u32,
    /// When it decided to go.
    decided: Option<Time>,
    /// When the other gateway welcomed it.
    arrived: Option<Time>,
}

impl Mover {
    /// A client that was just born.
    pub(super) fn new(client: Client, uplink: Uplink) -> Mover {
        Mover { client, home: uplink.recv, phase: Phase::Home, attempts: 0, decided: None, arrived: None }
    }

    /// It goes, and asks for the first time `wait` after that.
    pub(super) fn go(&mut self, wait: Duration, now: Time) {
        self.decided = Some(now);
        self.phase = Phase::Waiting(now + wait);
    }

    /// When it has something to do.
    pub(super) fn due(&self) -> Option<Time> {
        match &self.phase {
            Phase::Home | Phase::There => None,
            Phase::Waiting(at) => Some(*at),
            Phase::Asking { again, ends, .. } => Some(*again.min(ends)),
            Phase::Claiming { again, .. } => Some(*again),
        }
    }

    /// From its decision to its welcome, once it is there.
    pub(super) fn took(&self) -> Option<Duration> {
        Some(self.arrived?.since(self.decided?))
    }

    /// Does what is due; what it sends to the other gateway. `keys`: its own, and that gateway's.
    pub(super) fn handle_timeout(
        &mut self,
        keys: (&PrivateKey, &PublicKey),
        policy: &Policy,
        now: Time,
    ) -> Option<Vec<u8>> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        match &mut self.phase {
            Phase::Home | Phase::There => None,
            Phase::Waiting(_) => self.ask(keys, now),
            Phase::Asking { ends, .. } if *ends <= now => {
                self.pause(recovery::backoff(policy, self.attempts), now);
                None
            }
            Phase::Asking { initiator, sends, again, ends } => {
                *again = now + REPEAT_PAUSE * (1 << *sends);
                *sends += 1;
                if *sends > SEND_COUNT {
                    *again = *ends;
                    return None;
                }
                Some(initiator.message().to_vec())
            }
            Phase::Claiming { sends, .. } if *sends == FIN_COUNT => {
                self.pause(Duration::ZERO, now);
                None
            }
            Phase::Claiming { fin, sends, again, .. } => {
                *again = now + CONFIRM_PAUSE * (1 << *sends);
                *sends += 1;
                Some(fin.clone())
            }
        }
    }

    fn ask(&mut self, (private, gateway): (&PrivateKey, &PublicKey), now: Time) -> Option<Vec<u8>> {
        self.attempts += 1;
        let payload = TakeoverInitPayload {
            client_cid: Cid(SystemRandom.next_u64()),
            path_id: PATH,
            suites: SuiteSet::ALL.bits(),
            ..TakeoverInitPayload::default()
        };
        let (cseq, epoch) = self.client.next_request();
        let credentials = self.client.secret().credentials(&epoch);
        let (token, token_config) = self.client.token();
        let config = TakeoverConfig {
            private,
            gateway,
            credentials: &credentials,
            sid: epoch.sid,
            owner_epoch: epoch.owner_epoch,
            // As it was born.
            version: 1,
            cseq,
            token,
            token_config,
            payload,
        };
        let mut message = [0; TAKEOVER_INIT_LEN];
        let initiator = Box::new(TakeoverInitiator::start(config, &mut SystemRandom, &mut message).ok()?);
        let (again, ends) = (now + REPEAT_PAUSE, now + ATTEMPT_TIME);
        self.phase = Phase::Asking { initiator, sends: 1, again, ends };
        Some(message.to_vec())
    }

    fn pause(&mut self, pause: Duration, now: Time) {
        self.phase = Phase::Waiting(now + pause + jitter(SPREAD));
    }

    /// Takes a datagram of a gateway in; what it sends to the other one for it.
    pub(super) fn handle_datagram(&mut self, datagram: &mut [u8], now: Time) -> Option<Vec<u8>> {
        match Kind::of(datagram).ok()? {
            Kind::Data => {
                self.handle_data(datagram, now);
                None
            }
            Kind::HsRetry => {
                let Phase::Asking { initiator, sends, again, .. } = &mut self.phase else { return None };
                let mut message = [0; TAKEOVER_INIT_LEN];
                initiator.handle_retry(datagram, &mut message).ok()?;
                (*sends, *again) = (1, now + REPEAT_PAUSE);
                Some(message.to_vec())
            }
            Kind::TakeoverResp if datagram.len() == TAKEOVER_RESP_LEN => self.handle_answer(datagram, now),
            Kind::TakeoverResp => {
                let Phase::Asking { initiator, .. } = &self.phase else { return None };
                let refusal = initiator.read_refusal(datagram).ok()?;
                let pause = Duration::from_millis(u64::from(refusal.retry_after_ms));
                self.pause(pause.clamp(REFUSED_PAUSE_MIN, REFUSED_PAUSE_MAX), now);
                None
            }
            _ => None,
        }
    }

    fn handle_answer(&mut self, datagram: &[u8], now: Time) -> Option<Vec<u8>> {
        let Phase::Asking { initiator, .. } = std::mem::replace(&mut self.phase, Phase::Waiting(now)) else {
            return None;
        };
        let (taken, payload) = initiator.handle_response(datagram).ok()?;
        let mut traffic = taken.secret.binding(&taken.context, &taken.binding, Side::Client);
        let fin = confirmation(&mut traffic.send, payload.server_cid)?;
        let again = now + CONFIRM_PAUSE;
        self.phase = Phase::Claiming { recv: Box::new(traffic.recv), fin: fin.clone(), sends: 1, again };
        Some(fin)
    }

    fn handle_data(&mut self, datagram: &mut [u8], now: Time) {
        let (recv, at_home) = match &mut self.phase {
            Phase::Home => (&mut self.home, true),
            Phase::Claiming { recv, .. } => (&mut **recv, false),
            _ => return,
        };
        let Ok(opened) = recv.open(datagram) else { return };
        if !at_home {
            // Whatever comes under the new keys says that the session is there.
            self.arrived = Some(now);
            self.phase = Phase::There;
        } else if FrameReader::new(&datagram[opened.range])
            .any(|frame| matches!(frame, Ok(Frame::MoveAdvice(_))))
        {
            self.go(Duration::ZERO, now);
        }
    }
}

/// A random time below `most`.
pub(super) fn jitter(most: Duration) -> Duration {
    most.mul_f64(f64::from(SystemRandom.next_u32()) / (f64::from(u32::MAX) + 1.0))
}
