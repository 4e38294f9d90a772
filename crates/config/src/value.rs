//! Texts inside the file that stand for one typed value: networks, listeners, endpoints, names.
//!
//! Every function takes the text and answers the value or one sentence saying what is wrong with it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use ipnet::IpNet;

/// Longest interface name in bytes: Linux keeps `IFNAMSIZ` = 16 bytes with a closing zero.
const INTERFACE_NAME_MAX_LEN: usize = 15;

/// Longest peer name in bytes: it stands in status tables and file names.
const PEER_NAME_MAX_LEN: usize = 63;

/// Longest host name in bytes (RFC 1035 section 2.3.4).
const HOST_NAME_MAX_LEN: usize = 253;

/// Longest beginning of keys in bytes: a key of the store has at most 128, of which ours take 40.
const PREFIX_MAX_LEN: usize = 64;

/// What the program gives up after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Whatever the kernel can take away.
    On,
    /// Everything, or it does not start.
    Required,
    /// Nothing.
    Off,
}

impl Sandbox {
    /// All of them with their names in the file.
    pub const ALL: &'static [(&'static str, Sandbox)] =
        &[("on", Sandbox::On), ("required", Sandbox::Required), ("off", Sandbox::Off)];

    /// `"on"`, `"required"` or `"off"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Sandbox::On => "on",
            Sandbox::Required => "required",
            Sandbox::Off => "off",
        }
    }
}

/// Kind of transport a listener or an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Datagrams over UDP.
    Udp,
    /// Framed over TCP.
    Tcp,
    /// Framed over TLS.
    Tls,
}

impl Scheme {
    /// All schemes with their names in a URL.
    pub const ALL: &'static [(&'static str, Scheme)] =
        &[("udp", Scheme::Udp), ("tcp", Scheme::Tcp), ("tls", Scheme::Tls)];

    /// `"udp"`, `"tcp"` or `"tls"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Udp => "udp",
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
        }
    }
}

/// The host of an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, to be resolved when the agent starts.
    Name(String),
}

/// Where a gateway can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Kind of transport.
    pub scheme: Scheme,
    /// Address or name.
    pub host: Host,
    /// Port, never 0.
    pub port: u16,
}

impl Endpoint {
    /// All addresses of the endpoint. Asks the resolver of the system for a name (and then blocks); an address
    /// answers at once.
    ///
    /// # Errors
    /// What the resolver says; an answer without addresses is [`std::io::ErrorKind::NotFound`].
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Name(name) => name,
        };
        let found: Vec<_> = (name.as_str(), self.port).to_socket_addrs()?.collect();
        if found.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("{name} has no addresses"),
            ));
        }
        Ok(found)
    }
}

/// `udp://192.0.2.10:4747`, as in the file.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Endpoint { scheme, host, port } = self;
        match host {
            Host::Address(address) => {
                write!(out, "{}://{}", scheme.as_str(), SocketAddr::new(*address, *port))
            }
            Host::Name(name) => write!(out, "{}://{name}:{port}", scheme.as_str()),
        }
    }
}

/// Reads an address with a prefix length; a bare address is a network of one.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(network);
    }
    text.parse::<IpAddr>()
        .map(IpNet::from)
        .map_err(|_| format!("`{text}` is not an address with a prefix length, like 10.77.0.1/24"))
}

/// Reads an address.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

/// Checks the address of a server that is spoken to by HTTP: `http://` or `https://`, a host, a port, nothing behind it.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let rest = rest.ok_or_else(|| format!("`{text}` is not like http://10.0.0.1:2379 or https://…"))?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(|| format!("`{text}` has no port"))?;
    if port.parse::<u16>().is_ok_and(|port| port != 0) && (host_name(host).is_ok() || is_literal(host)) {
        return Ok(text.to_owned());
    }
    Err(format!("`{rest}` is neither an address nor a name with a port from 1 to 65535"))
}

/// An IPv4 address, or an IPv6 address in brackets.
fn is_literal(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Checks the beginning of keys in a store: a slash, then letters, digits and `. _ - /`, at most
/// [`PREFIX_MAX_LEN`] bytes.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn prefix(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !text.starts_with('/') || text.ends_with('/') || text.len() > PREFIX_MAX_LEN || !plain {
        return Err(format!("`{text}` is not a beginning of keys, like /jumpvpn"));
    }
    Ok(text.to_owned())
}

/// Splits `scheme://rest` and checks the scheme.
fn scheme(text: &str) -> Result<(Scheme, &str), String> {
    let (name, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("`{text}` has no scheme; write it like udp://192.0.2.10:4747"))?;
    let scheme = Scheme::ALL
        .iter()
        .find_map(|&(known, scheme)| (known == name).then_some(scheme))
        .ok_or_else(|| format!("`{name}` is not a transport; there are udp, tcp and tls"))?;
    Ok((scheme, rest))
}

/// Reads the address of a listener: an IP address and a port other than 0.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn listener(text: &str) -> Result<(Scheme, SocketAddr), String> {
    let (scheme, rest) = scheme(text)?;
    let address: SocketAddr = rest
        .parse()
        .map_err(|_| format!("`{rest}` is not an address with a port, like 0.0.0.0:4747 or [::]:4747"))?;
    if address.port() == 0 {
        return Err(format!("`{text}` has port 0, which no agent could know"));
    }
    Ok((scheme, address))
}

/// Reads where a gateway can be reached: an address or a name, and a port other than 0.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    let (scheme, rest) = scheme(text)?;
    if let Ok(address) = rest.parse::<SocketAddr>() {
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(format!("`{rest}` is not an address that can be reached"));
        }
        return Ok(Endpoint { scheme, host: Host::Address(address.ip()), port: address.port() });
    }
    let (name, port) = rest.rsplit_once(':').ok_or_else(|| format!("`{text}` has no port"))?;
    let port = port
        .parse::<u16>()
        .ok()
        .filter(|&port| port != 0)
        .ok_or_else(|| format!("`{port}` is not a port (1 to 65535)"))?;
    host_name(name)?;
    Ok(Endpoint { scheme, host: Host::Name(name.to_owned()), port })
}

/// Letters, digits, hyphens and points (RFC 1123 section 2.1); what looks like an address must be one.
fn host_name(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let trimmed = name.strip_suffix('.').unwrap_or(name);
    let numeric = trimmed.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > HOST_NAME_MAX_LEN || numeric || !trimmed.split('.').all(label) {
        return Err(format!("`{name}` is neither an address nor a host name"));
    }
    Ok(())
}

/// What is given up, by its name.
pub fn sandbox(text: &str) -> Result<Sandbox, String> {
    let found = Sandbox::ALL.iter().find(|(name, _)| *name == text).map(|(_, sandbox)| *sandbox);
    found.ok_or_else(|| format!("`{text}` is none of on, required and off"))
}

/// The name of a user of the system; whether there is one is seen at the start.
pub fn user(text: &str) -> Result<String, String> {
    // A colon or a line end cannot be in a name of passwd(5); a number would look like one and be none.
    let sound = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if sound { Ok(text.to_owned()) } else { Err(format!("`{text}` cannot be the name of a user")) }
}

/// Checks the name of a network interface (Linux `dev_valid_name`).
///
/// # Errors
/// A sentence that says what is wrong.
pub fn interface(text: &str) -> Result<String, String> {
    let fits = (1..=INTERFACE_NAME_MAX_LEN).contains(&text.len());
    let plain =
        text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':' && byte != b'%');
    if !fits || !plain || text == "." || text == ".." {
        return Err(format!("`{text}` is not an interface name (1 to 15 plain characters)"));
    }
    Ok(text.to_owned())
}

/// Checks the name of a peer: letters, digits and `. _ @ -`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn peer_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
    if text.is_empty() || text.len() > PEER_NAME_MAX_LEN || !plain {
        return Err(format!("`{text}` is not a peer name (1 to 63 of letters, digits, and . _ @ -)"));
    }
    Ok(text.to_owned())
}

/// Checks the name of a cell: as that of a peer.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn cell_name(text: &str) -> Result<String, String> {
    peer_name(text)
        .map_err(|_| format!("`{text}` is not a name of a cell (1 to 63 of letters, digits, and . _ @ -)"))
}

#[cfg(test)]
mod tests;
