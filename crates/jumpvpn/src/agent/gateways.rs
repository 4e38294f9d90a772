//! The gateways an agent has: those of its own file, and those that the newest list adds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jumpvpn_config::keys::ENDPOINTS_MAX;
use jumpvpn_config::{AgentConfig, Endpoint, GatewayList, Host, ListConfig, SecretKey, key};
use jumpvpn_engine::agent::{GatewayPeer, rendezvous};
use jumpvpn_events::Time;
use jumpvpn_runtime::{KeepList, ListOptions, ListVerdict, clock};
use jumpvpn_session::PublicKey;
use serde_json::{Value, json};

use crate::daemon;
use crate::exit::{Code, Failure, say};
use crate::roster::{self, Refused, Roster};

#[cfg(test)]
mod tests;

/// For so long names of added gateways are looked up, one after the other; what is not found by then is left out. A resolver that does not
/// answer takes some ten seconds for each.
const NAMES_LIMIT: Duration = Duration::from_secs(10);

/// A gateway before its names are looked up.
pub(super) struct Known {
    public_key: [u8; 32],
    preshared_key: Option<SecretKey>,
    endpoints: Vec<Endpoint>,
    weight: u32,
    draining: bool,
    /// Of the list, if it is the list that brings it.
    added: Option<Added>,
}

/// What the list says of a gateway that it brings.
struct Added {
    name: String,
    /// When the list is over.
    until: Time,
}

/// What an agent begins with.
pub(super) struct Begun {
    /// The gateways: those of the file in its order, then those that the list adds.
    pub(super) known: Vec<Known>,
    /// The lists that are believed, if any are.
    pub(super) list: Option<ListOptions>,
}

/// Looks for the newest list and puts the gateways together. What is wrong with it is said, and leaves those of the file.
pub(super) fn begin(config: &AgentConfig) -> Begun {
    let Some(terms) = &config.list else { return Begun { known: merged(config, None), list: None } };
    let pinned = config.gateways.iter().map(|gateway| gateway.public_key).collect();
    let mut notes = Vec::new();
    let mut roster = Roster::open(terms, &config.interface, pinned)
        .inspect_err(|refused| notes.push(format!("no list of gateways is used: {refused}")))
        .ok();
    let list =
        roster.as_mut().and_then(|roster| newest(roster, terms, roster::wall_clock(), &mut notes).cloned());
    for note in &notes {
        say(format_args!("jumpvpn: warning: {note}"));
    }
    let report = report(terms, list.as_ref(), &notes);
    let follow = roster.map(|roster| (roster.serial(), keeper(roster, report.clone())));
    Begun { known: merged(config, list.as_ref()), list: Some(ListOptions { report, follow }) }
}

/// Takes what gateways send while the agent runs. What is in use stays as it is until the next start; `status` tells of
/// both.
fn keeper(mut roster: Roster, mut report: Value) -> KeepList {
    Box::new(move |bytes| {
        let taken = roster.take(bytes, roster::wall_clock());
        let serial = roster.serial();
        report["refused"] = taken.as_ref().err().map(ToString::to_string).into();
        report["next"] = (report["serial"] != serial && serial > 0).then_some(serial).into();
        ListVerdict { kept: taken == Ok(true), serial, report: report.clone() }
    })
}

/// The newest list that holds, after that of the configuration, if it names one, was taken.
fn newest<'a>(
    roster: &'a mut Roster,
    terms: &ListConfig,
    now: u64,
    notes: &mut Vec<String>,
) -> Option<&'a GatewayList> {
    if let Some(file) = &terms.file {
        let taken = roster::read(file).and_then(|bytes| roster.take(bytes, now));
        match taken {
            // A list that is kept and over is told below.
            Ok(_) => {}
            Err(refused @ Refused::Unread(_)) => notes.push(format!("the list of gateways {refused}")),
            Err(refused) => {
                notes.push(format!("the list of gateways {} is refused: {refused}", file.display()));
            }
        }
    }
    roster.current(now).unwrap_or_else(|refused| {
        notes.push(format!("the newest list of gateways is not used: {refused}"));
        None
    })
}

fn report(terms: &ListConfig, list: Option<&GatewayList>, notes: &[String]) -> Value {
    json!({
        "cell": terms.cell,
        "serial": list.map(|list| list.serial),
        "expires": list.map(|list| &list.expires.text),
        "gateways": list.map(|list| list.gateways.len()),
        "notes": notes,
        "next": null,
        "refused": null,
    })
}

/// Those of the file with what the list says of them, then those that it adds.
fn merged(config: &AgentConfig, list: Option<&GatewayList>) -> Vec<Known> {
    // By this machine's clock now; one that is set later changes nothing about how long that is.
    let left = list.map_or(0, |list| list.expires.unix_s.saturating_sub(roster::wall_clock()));
    let until = clock::now() + Duration::from_secs(left);
    let listed = list.map_or(&[][..], |list| &list.gateways);
    let pinned = config.gateways.iter().map(|gateway| {
        let mark = listed.iter().find(|listed| listed.public_key == gateway.public_key);
        Known {
            public_key: gateway.public_key,
            preshared_key: gateway.preshared_key.clone(),
            endpoints: gateway.endpoints.clone(),
            weight: mark.map_or(1, |mark| mark.weight),
            draining: mark.is_some_and(|mark| mark.draining),
            added: None,
        }
    });
    let is_pinned = |public: &[u8; 32]| config.gateways.iter().any(|gateway| gateway.public_key == *public);
    let added = listed.iter().filter(|listed| !is_pinned(&listed.public_key)).map(|listed| Known {
        public_key: listed.public_key,
        preshared_key: None,
        endpoints: listed.endpoints.clone(),
        weight: listed.weight,
        draining: listed.draining,
        added: Some(Added { name: listed.name.clone(), until }),
    });
    pinned.chain(added).collect()
}

/// The gateways with their addresses, in the order in which a birth asks them: those of the file first, then the others by the hash of
/// their keys and ours, so that not all agents ask the same one; those that drain last. Where an address is in the file, no list
/// gives it to another gateway.
///
/// With a kill switch names of added gateways are not looked up: until that is done, the machine is open.
///
/// # Errors
/// None of those of the file can be found: names may be known later, and what a list says does not stand in for them.
pub(super) fn peers(
    known: &[Known],
    own: &PublicKey,
    kill_switch: bool,
) -> Result<Vec<GatewayPeer>, Failure> {
    let begun = Instant::now();
    let names_until = if kill_switch { begun } else { begun + NAMES_LIMIT };
    let (listed, of_file): (Vec<&Known>, Vec<&Known>) =
        known.iter().partition(|gateway| gateway.added.is_some());
    let mut failures = Vec::new();
    let mut peers = found(&of_file, None, &mut failures);
    if peers.is_empty()
        && let Some(failure) = failures.pop()
    {
        warn(&failures);
        return Err(failure);
    }
    let taken: Vec<SocketAddr> = peers.iter().flat_map(|peer| peer.endpoints.iter().copied()).collect();
    let mut added = found(&listed, Some(names_until), &mut failures);
    warn(&failures);
    for peer in &mut added {
        peer.endpoints.retain(|endpoint| !taken.contains(endpoint));
    }
    added.retain(|peer| !peer.endpoints.is_empty());
    let mut who = [0; 16];
    who.copy_from_slice(&own.0[..16]);
    let order = rendezvous(who, &added);
    let mut places: Vec<Option<GatewayPeer>> = added.into_iter().map(Some).collect();
    peers.extend(order.into_iter().filter_map(|place| places[place].take()));
    peers.sort_by_key(|gateway| gateway.draining);
    Ok(peers)
}

/// Those of the gateways whose address can be found.
fn found(known: &[&Known], names_until: Option<Instant>, failures: &mut Vec<Failure>) -> Vec<GatewayPeer> {
    let mut peers = Vec::new();
    for gateway in known {
        match resolved(&gateway.endpoints, names_until) {
            Ok(endpoints) => peers.push(GatewayPeer {
                public: PublicKey(gateway.public_key),
                psk: daemon::preshared(gateway.preshared_key.as_ref()),
                endpoints,
                weight: gateway.weight,
                draining: gateway.draining,
                until: gateway.added.as_ref().map(|added| added.until),
            }),
            Err(failure) => failures.push(failure),
        }
    }
    peers
}

fn warn(failures: &[Failure]) {
    for failure in failures {
        say(format_args!("jumpvpn: warning: {failure}"));
    }
}

/// A gateway as `show peers` tells it.
pub(super) fn row(gateway: &Known) -> Value {
    let mut row = json!({
        "public_key": key::encode(&gateway.public_key),
        "endpoints": gateway.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if let Some(added) = &gateway.added {
        row["listed"] = json!(added.name);
    }
    row
}

/// The addresses of all endpoints; after that moment, of those alone that are addresses. A name that cannot be resolved is left out
/// as long as another endpoint is known.
fn resolved(endpoints: &[Endpoint], names_until: Option<Instant>) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut failure = None;
    for endpoint in endpoints {
        let found = match &endpoint.host {
            Host::Name(_) if names_until.is_some_and(|until| Instant::now() >= until) => {
                Err(std::io::Error::other(
                    "names of a list are not looked up behind a kill switch, nor after 10 s",
                ))
            }
            _ => endpoint.resolve(),
        };
        match found {
            Ok(found) => addresses.extend(found),
            Err(error) => {
                let message = format!("cannot find the address of the gateway {endpoint}: {error}");
                let hint = "check the name and the name servers, or write an address";
                failure = Some(Failure::new(Code::Failed, message).hint(hint));
            }
        }
    }
    addresses.truncate(ENDPOINTS_MAX);
    match failure {
        Some(failure) if addresses.is_empty() => Err(failure),
        Some(failure) => {
            say(format_args!("jumpvpn: warning: {failure}"));
            Ok(addresses)
        }
        None => Ok(addresses),
    }
}
