//! The one table of all keys: reader, did-you-mean, documentation and JSON Schema are made from it.
//!
//! Policy keys are not here: `jumpvpn-policy` declares them itself, in a table of the same kind.

/// What may stand behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string without further rules.
    Text,
    /// A path; a relative one starts at the folder of the configuration file.
    Path,
    /// `true` or `false`.
    Flag,
    /// A name of a network interface, 1 to 15 bytes.
    Interface,
    /// A 32-byte public key in base64, as `wg` writes it.
    PublicKey,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `"auto"` or a number of bytes in this range.
    Mtu(u16, u16),
    /// `"auto"` or a number in this range.
    Count(u32, u32),
    /// A number in this range.
    Number(u64, u64),
    /// A date with a time in UTC.
    Time,
    /// The name of a policy preset, or a table of policy keys.
    Policy,
    /// A list of addresses with prefix lengths.
    Networks,
    /// A list of addresses.
    Addresses,
    /// A list of `scheme://address:port`.
    Listeners,
    /// A list of `scheme://host:port`.
    Endpoints,
    /// A list of interface names.
    Interfaces,
    /// A list of strings.
    Texts,
}

impl Shape {
    /// The shape in words, for messages and documentation.
    pub fn describe(self) -> String {
        match self {
            Shape::Text => "text".into(),
            Shape::Path => "path".into(),
            Shape::Flag => "true or false".into(),
            Shape::Interface => "interface name".into(),
            Shape::PublicKey => "public key (base64)".into(),
            Shape::Choice(names) => {
                names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ")
            }
            Shape::Mtu(low, high) => format!("\"auto\" or {low} to {high}"),
            Shape::Count(low, high) => format!("\"auto\" or {low} to {high}"),
            Shape::Number(low, high) => format!("{low} to {high}"),
            Shape::Time => "date and time in UTC".into(),
            Shape::Policy => "name of a preset, or a table of policy keys".into(),
            Shape::Networks => "list of address/prefix".into(),
            Shape::Addresses => "list of addresses".into(),
            Shape::Listeners => "list of scheme://address:port".into(),
            Shape::Endpoints => "list of scheme://host:port".into(),
            Shape::Interfaces => "list of interface names".into(),
            Shape::Texts => "list of text".into(),
        }
    }
}

/// Whether a key must be there, and what holds without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The file is refused without it.
    Required,
    /// What holds without it, in words.
    Default(&'static str),
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// The key, `snake_case`.
    pub name: &'static str,
    /// What may stand behind it.
    pub shape: Shape,
    /// Whether it must be there.
    pub presence: Presence,
    /// What it means, one sentence.
    pub meaning: &'static str,
}

/// One table of the file.
#[derive(Clone, Copy, Debug)]
pub struct TableSpec {
    /// Its name, without brackets.
    pub name: &'static str,
    /// Whether it is written `[[name]]` and may stand many times.
    pub many: bool,
    /// Whether the file is refused without it.
    pub required: bool,
    /// What it means, one sentence.
    pub meaning: &'static str,
    /// Its keys in the order of the documentation.
    pub keys: &'static [KeySpec],
}

/// A kind of configuration file.
#[derive(Clone, Copy, Debug)]
pub struct FileSpec {
    /// `"gateway"` or `"agent"`, which is also the name of the table that tells the kinds apart; or `"gateway list"`.
    pub name: &'static str,
    /// What such a file is for.
    pub meaning: &'static str,
    /// Its tables in the order of the documentation.
    pub tables: &'static [TableSpec],
    /// Whether `[policy]` comes on top.
    pub policy: bool,
}

/// Smallest MTU: every IPv6 link carries 1280 bytes (RFC 8200 section 5), and the inner network may be IPv6.
pub const MTU_MIN: u16 = 1280;

/// Largest MTU: the largest datagram on the wire is 16,416 bytes, 32 of which are ours.
pub const MTU_MAX: u16 = 16384;

/// Most sessions a gateway can be told to have room for: its tables take about 200 bytes for each, used or not.
pub const SESSIONS_MAX: u32 = 1_000_000;

/// Largest number of a cell: two bytes of a session's handle.
pub const CELL_MAX: u32 = u16::MAX as u32;

/// Most gateways an agent can know, and most a cell can have.
pub const GATEWAYS_MAX: usize = 64;

/// Endpoints of a gateway that an agent tries, and most that a list gives it: each is a path of every link, and all of them are probed.
pub const ENDPOINTS_MAX: usize = 4;

/// Largest serial of a list: the largest whole number of TOML.
pub const SERIAL_MAX: u64 = i64::MAX as u64;

/// Largest weight of a gateway: a cell whose machines differ by more than a hundred times is several cells.
pub const WEIGHT_MAX: u32 = 100;

const fn required(name: &'static str, shape: Shape, meaning: &'static str) -> KeySpec {
    KeySpec { name, shape, presence: Presence::Required, meaning }
}

const fn optional(name: &'static str, shape: Shape, default: &'static str, meaning: &'static str) -> KeySpec {
    KeySpec { name, shape, presence: Presence::Default(default), meaning }
}

const PRIVATE_KEY_FILE: KeySpec = required(
    "private_key_file",
    Shape::Path,
    "File with the own private key, as `jumpvpn genkey` writes it; readable by its owner alone.",
);

const PRESHARED_KEY_FILE: KeySpec = optional(
    "preshared_key_file",
    Shape::Path,
    "none",
    "File with a key shared with this peer alone, as `jumpvpn genpsk` writes it; readable by its owner alone.",
);

const INTERFACE: KeySpec =
    optional("interface", Shape::Interface, "\"jump0\"", "Name of the tunnel's network interface.");

const CONTROL_SOCKET: KeySpec = optional(
    "control_socket",
    Shape::Path,
    "/run/jumpvpn/NAME.sock, where NAME is the file's name without its ending",
    "Socket on which `jumpvpn status` and the like ask.",
);

const EVENTS: KeySpec = optional(
    "events",
    Shape::Path,
    "no file",
    "File to which events are appended, one JSON object per line.",
);

const USER: KeySpec = optional(
    "user",
    Shape::Text,
    "the user who starts it",
    "User to become when started as root, right after this file and the keys were read; one of /etc/passwd.",
);

const SANDBOX: KeySpec = optional(
    "sandbox",
    Shape::Choice(&["on", "required", "off"]),
    "\"on\"",
    "Whether the program gives up its rights, files and system calls after its start. With \"on\" it goes on without \
     what the kernel lacks, with \"required\" it does not start.",
);

const STORE: TableSpec = TableSpec {
    name: "store",
    many: false,
    required: false,
    meaning: "Where the gateway keeps who owns which session. Without this table: embedded, in the folder that systemd \
              gives the service (`StateDirectory=`); started by hand without that, in memory.",
    keys: &[
        optional(
            "kind",
            Shape::Choice(&["embedded", "memory", "etcd"]),
            "\"embedded\"",
            "Kind of store. With \"embedded\" sessions outlive the gateway's process, with \"etcd\" the gateway; with \
             \"memory\" they end with the process.",
        ),
        optional(
            "path",
            Shape::Path,
            "INTERFACE.store in the service's state folder, or in /var/lib/jumpvpn",
            "File of an embedded store; with etcd the folder for what this gateway remembers about the cluster.",
        ),
        optional(
            "key_file",
            Shape::Path,
            "the store's path with .key",
            "Key that seals secrets in the store, as `jumpvpn genkey` writes it. An embedded store makes it at its first \
             start. With etcd it has to be the same on all gateways of the cell; without it, it lies in the store itself.",
        ),
        optional(
            "endpoints",
            Shape::Texts,
            "none",
            "Servers of an etcd store, like \"https://10.0.0.1:2379\".",
        ),
        optional("prefix", Shape::Text, "\"/jumpvpn\"", "Beginning of all keys in an etcd store."),
        optional("node", Shape::Text, "none", "Name of this gateway in an etcd store, unlike all others'."),
        optional(
            "cell",
            Shape::Count(0, CELL_MAX),
            "0",
            "Number of the cell whose gateways share the store.",
        ),
        optional(
            "pace",
            Shape::Choice(&["default", "calm", "fast"]),
            "\"default\"",
            "How fast a silent gateway is given up: after 7, 17 or 3.6 seconds.",
        ),
        optional("ca_file", Shape::Path, "the system's", "Authority of the servers' certificates, PEM."),
        optional("cert_file", Shape::Path, "none", "Certificate shown to the servers, PEM."),
        optional("cert_key_file", Shape::Path, "none", "Key of that certificate, PEM."),
        optional("username", Shape::Text, "none", "User of the etcd store."),
        optional("password_file", Shape::Path, "none", "File with that user's password."),
    ],
};

/// A gateway's file.
pub const GATEWAY: FileSpec = FileSpec {
    name: "gateway",
    meaning: "A gateway: listens for agents, keeps their sessions, passes their packets on.",
    tables: &[
        TableSpec {
            name: "gateway",
            many: false,
            required: true,
            meaning: "The gateway itself.",
            keys: &[
                PRIVATE_KEY_FILE,
                required(
                    "listen",
                    Shape::Listeners,
                    "Where to listen. This version listens on udp; tcp and tls are skipped with a warning.",
                ),
                INTERFACE,
                required(
                    "address",
                    Shape::Networks,
                    "Inner addresses of the gateway; their networks are those the peers get addresses from.",
                ),
                CONTROL_SOCKET,
                EVENTS,
                USER,
                SANDBOX,
                optional(
                    "policy",
                    Shape::Policy,
                    "\"laptop\"",
                    "What sessions may do, as the gateway sees it.",
                ),
                optional(
                    "nat",
                    Shape::Flag,
                    "false",
                    "Whether peers reach other networks behind the gateway's own address.",
                ),
                optional(
                    "uplink",
                    Shape::Interface,
                    "the interface of the default route",
                    "Interface through which `nat` leads.",
                ),
                optional(
                    "flat_site",
                    Shape::Interface,
                    "none",
                    "Interface whose neighbours find sessions here without a router: the gateway answers for their inner \
                     addresses and tells the neighbours when a session has come. See docs/operations/routes.md.",
                ),
                optional("mtu", Shape::Mtu(MTU_MIN, MTU_MAX), "\"auto\"", "Largest inner packet in bytes."),
                optional(
                    "sessions_max",
                    Shape::Count(1, SESSIONS_MAX),
                    "\"auto\": four per peer, at least 64",
                    "Most sessions at once. When there are so many, new ones are refused and none is dropped.",
                ),
                optional(
                    "list",
                    Shape::Path,
                    "none",
                    "Signed list of the cell's gateways that agents are offered, as `jumpvpn list sign` writes it. Read at the \
                     start; agents check it themselves.",
                ),
            ],
        },
        STORE,
        TableSpec {
            name: "peer",
            many: true,
            required: false,
            meaning: "An agent that may connect.",
            keys: &[
                required(
                    "name",
                    Shape::Text,
                    "Its name in status and events; 1 to 63 of letters, digits, and . _ @ -",
                ),
                required("public_key", Shape::PublicKey, "Its public key."),
                PRESHARED_KEY_FILE,
                optional(
                    "inner",
                    Shape::Addresses,
                    "the lowest free address of each inner network",
                    "Its inner addresses, at most one of each family.",
                ),
            ],
        },
    ],
    policy: true,
};

/// An agent's file.
pub const AGENT: FileSpec = FileSpec {
    name: "agent",
    meaning: "An agent: keeps one session with its gateways over whatever paths there are.",
    tables: &[
        TableSpec {
            name: "agent",
            many: false,
            required: true,
            meaning: "The agent itself.",
            keys: &[
                PRIVATE_KEY_FILE,
                INTERFACE,
                CONTROL_SOCKET,
                EVENTS,
                USER,
                SANDBOX,
                optional("policy", Shape::Policy, "\"laptop\"", "When to jump, and when not to."),
                optional(
                    "uplinks",
                    Shape::Interfaces,
                    "every link with a default route",
                    "Interfaces that may carry paths.",
                ),
            ],
        },
        TableSpec {
            name: "gateway",
            many: true,
            required: true,
            meaning: "A gateway to connect to. The first is preferred; the others are those of its cell, which take the session \
                      over when it is gone.",
            keys: &[
                required("public_key", Shape::PublicKey, "Its public key."),
                required(
                    "endpoints",
                    Shape::Endpoints,
                    "Where it listens. This version uses udp; tcp and tls are skipped with a warning.",
                ),
                PRESHARED_KEY_FILE,
            ],
        },
        TableSpec {
            name: "gateway_list",
            many: false,
            required: false,
            meaning: "Whose signed lists of gateways are believed. The newest one that holds adds gateways to those above; without \
                      one the agent has those above alone. What comes is kept, and used from the next start on. See \
                      docs/operations/cluster.md.",
            keys: &[
                required(
                    "key",
                    Shape::PublicKey,
                    "Public key of who signs, as `jumpvpn list pubkey` writes it.",
                ),
                required("cell", Shape::Text, "Name of the cell, as in the list."),
                optional(
                    "file",
                    Shape::Path,
                    "what gateways send",
                    "A signed list to begin with, or to bring a newer one.",
                ),
                optional(
                    "state",
                    Shape::Path,
                    "the service's state folder, or /var/lib/jumpvpn-agent",
                    "Folder in which the newest list is kept, so that no older one is believed again.",
                ),
            ],
        },
        TableSpec {
            name: "routes",
            many: false,
            required: false,
            meaning: "What goes through the tunnel.",
            keys: &[
                optional("allowed_ips", Shape::Networks, "none", "Destinations that lead into the tunnel."),
                optional(
                    "dns",
                    Shape::Addresses,
                    "none",
                    "Name servers to use while connected. Not set up by this version: a warning says so.",
                ),
                optional(
                    "kill_switch",
                    Shape::Flag,
                    "false",
                    "Whether packets that do not go through the tunnel are dropped.",
                ),
                optional("mtu", Shape::Mtu(MTU_MIN, MTU_MAX), "\"auto\"", "Largest inner packet in bytes."),
            ],
        },
    ],
    policy: true,
};

/// The content of a list of gateways, before it is signed.
pub const LIST: FileSpec = FileSpec {
    name: "gateway list",
    meaning: "The gateways of a cell, to be signed by its operator with `jumpvpn list sign`. Not the file of a program: agents whose \
              file has `[gateway_list]` are given the signed one.",
    tables: &[
        TableSpec {
            name: "list",
            many: false,
            required: true,
            meaning: "The list itself.",
            keys: &[
                required("cell", Shape::Text, "Name of the cell; 1 to 63 of letters, digits, and . _ @ -"),
                required(
                    "serial",
                    Shape::Number(1, SERIAL_MAX),
                    "Number of the list, higher than that of every earlier one of the cell.",
                ),
                required("issued", Shape::Time, "From when on it holds, like 2026-12-01T00:00:00Z."),
                required("expires", Shape::Time, "From when on it holds no more, at most 400 days later."),
            ],
        },
        TableSpec {
            name: "gateway",
            many: true,
            required: true,
            meaning: "A gateway of the cell.",
            keys: &[
                required(
                    "name",
                    Shape::Text,
                    "Its name, for people; 1 to 63 of letters, digits, and . _ @ -",
                ),
                required("public_key", Shape::PublicKey, "Its public key."),
                required(
                    "endpoints",
                    Shape::Endpoints,
                    "Where it listens. This version uses udp; tcp and tls are skipped with a warning.",
                ),
                optional(
                    "weight",
                    Shape::Number(1, WEIGHT_MAX as u64),
                    "1",
                    "Its share of the sessions that look for another gateway, beside the others' weights.",
                ),
                optional(
                    "draining",
                    Shape::Flag,
                    "false",
                    "Whether it is asked only where no other gateway helps.",
                ),
            ],
        },
    ],
    policy: false,
};
