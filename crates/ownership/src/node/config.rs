//! What a node is told: who it is, and how fast it judges.

use std::time::Duration;

use crate::WallClock;

/// Assumed bound on the rate error of any machine's clock, in parts of a hundred: daemons that set the time slew by at most 0.05 %,
/// bare oscillators are off by at most 0.02 %.
const RATE_ERROR_PERCENT: u128 = 1;

/// What may still leave a gateway after it looked at its clock for the last time: packets that are already handed to the
/// kernel, whose own dead-man switch ends with the fence.
const TAIL: Duration = Duration::from_millis(500);

/// How long a right to act lasts without a heartbeat, and how long others wait before they act instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// From one heartbeat to the next.
    pub heartbeat: Duration,
    /// The owner's: from the sending of the last heartbeat that was confirmed until it stops.
    pub lease: Duration,
    /// The observer's: from the first sight of a heartbeat until it declares its sender dead, if there is no other.
    pub death: Duration,
}

const fn profile(heartbeat_ms: u64, lease_ms: u64, death_ms: u64) -> Profile {
    Profile {
        heartbeat: Duration::from_millis(heartbeat_ms),
        lease: Duration::from_millis(lease_ms),
        death: Duration::from_millis(death_ms),
    }
}

impl Profile {
    /// For etcd with its default election timeout: after a leader was killed or stopped, writes were held up for 0.97 to 2.53 s (10
    /// runs), and the lease is more than twice that.
    pub const DEFAULT: Profile = profile(1_000, 6_000, 7_000);
    /// For a store that is spread over a wide area. Most moves do not wait for a death anyway.
    pub const CALM: Profile = profile(2_000, 15_000, 17_000);
    /// For a store on one local network, with a tuned election timeout.
    pub const FAST: Profile = profile(500, 3_000, 3_600);
    /// For a store that nobody else can reach: no heartbeats, no observers, a right that never ends.
    pub(crate) const ALONE: Profile =
        Profile { heartbeat: Duration::MAX, lease: Duration::MAX, death: Duration::MAX };

    /// Whether nobody else can be declared the owner before the former one has stopped, whatever the rates of both clocks:
    /// `death / (1 + e) >= lease / (1 - e) + tail`.
    pub const fn is_safe(&self) -> bool {
        let (fast, slow) = (100 + RATE_ERROR_PERCENT, 100 - RATE_ERROR_PERCENT);
        let death = self.death.as_millis() * 100 * slow;
        let lease = self.lease.as_millis() * 100 * fast;
        death >= lease + TAIL.as_millis() * fast * slow
    }

    pub(crate) const fn is_alone(&self) -> bool {
        self.lease.as_secs() == u64::MAX
    }
}

const _: () = assert!(Profile::DEFAULT.is_safe() && Profile::CALM.is_safe() && Profile::FAST.is_safe());

/// How a node clears up. None of it is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Upkeep {
    /// How long the records of ended sessions and tombstones that no record names are kept: far above the life of a request
    /// to the store (seconds), because a late copy of a creation applies where the record it made is gone.
    pub retention: Duration,
    /// How old a record that names this node, and is held by nobody, has to be: far above the time from a commit to its outcome.
    pub unheld: Duration,
    /// From the beginning of one look at everything to the next.
    pub pass: Duration,
    /// Between two pages of it: 512 records per second and node.
    pub page: Duration,
}

impl Upkeep {
    /// What the design asks for.
    pub const DEFAULT: Upkeep = Upkeep {
        retention: Duration::from_secs(600),
        unheld: Duration::from_secs(60),
        pass: Duration::from_secs(60),
        page: Duration::from_millis(500),
    };
}

/// How much one cell holds. A store of five small machines is known to keep up with so much; what comes beyond is another cell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Gateways that live at a time, from 1. Two that join in the same moment may be one more.
    pub gateways: usize,
    /// Sessions whose gateways live, as these tell with their heartbeats: births of the last seconds are not counted yet. Sessions that
    /// move are never refused.
    pub sessions: u64,
}

impl Limits {
    /// What the design asks for.
    pub const CELL: Limits = Limits { gateways: 64, sessions: 1_000_000 };
}

/// Who a node is and how it works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeConfig {
    /// 4 bytes of the hash of its name. Two nodes of a cell with the same id cannot both join.
    pub node_id: [u8; 4],
    /// Its name, for people; at most 255 bytes are told.
    pub name: String,
    /// The static public key of its gateway, by which clients know it.
    pub public: [u8; 32],
    /// Number of the cell.
    pub cell: u16,
    /// The store's generation as it was when this node joined for the first time. `None` only then: whatever is found (or made)
    /// is told by [`Status::store_generation`](crate::Status) and has to be kept durably.
    pub store_generation: Option<u64>,
    /// Id of the kernel's life.
    pub boot_id: [u8; 16],
    /// Id of the data directory, whose lock the caller holds for as long as the node lives: an earlier incarnation of the same boot and
    /// the same directory is dead for certain.
    pub data_dir: [u8; 16],
    /// How fast it judges.
    pub profile: Profile,
    /// Wall clock time.
    pub clock: WallClock,
    /// How it clears up.
    pub upkeep: Upkeep,
    /// How much the cell holds.
    pub limits: Limits,
    /// How long sessions of a dead owner wait for their clients. Seconds to hours.
    pub orphan_ttl: Duration,
}
