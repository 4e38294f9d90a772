//! The list of a cell's gateways, which its operator signs: the frame around it, and what it says.
//!
//! A signed list is one line with the signature, then the content, TOML, byte for byte as it was signed. Deliberately not here:
//! whether the signature is good, and whether the list is of now; who reads a list asks for the first before anything else.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::value::{Datetime, Offset};

use crate::agent::endpoints;
use crate::context::{Context, Source};
use crate::key::{self, KEY_LEN};
use crate::keys::{ENDPOINTS_MAX, GATEWAYS_MAX, SERIAL_MAX, WEIGHT_MAX};
use crate::reader::{Placed, Section};
use crate::report::{Notes, Report};
use crate::value::{self, Endpoint};
use crate::{Loaded, parse_with};

#[cfg(test)]
mod tests;

/// Longest signed list in bytes: 64 gateways with two endpoints each take 14 KiB.
pub const LIST_MAX_LEN: usize = 32 << 10;

/// Length of the signature in a list, bytes: Ed25519 (RFC 8032).
pub const LIST_SIGNATURE_LEN: usize = 64;

/// Beginning of a signed list: what it is, and the version of the format.
const OPENING: &str = "jumpvpn-gateway-list 1 ";

/// Characters of the signature: base64 of 64 bytes.
const SIGNATURE_TEXT_LEN: usize = 88;

/// Longest time from the beginning to the end of a list, seconds: 400 days, a year and some weeks to be late with the next one.
const LIFETIME_MAX_S: u64 = 400 * 86_400;

/// A signed list in its two parts. That they belong together is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedList<'a> {
    /// The signature.
    pub signature: [u8; LIST_SIGNATURE_LEN],
    /// What it should be of.
    pub content: &'a [u8],
}

impl<'a> SignedList<'a> {
    /// Takes the bytes of a signed list apart.
    ///
    /// # Errors
    /// A sentence that says what they are instead.
    pub fn split(bytes: &'a [u8]) -> Result<SignedList<'a>, &'static str> {
        if bytes.len() > LIST_MAX_LEN {
            return Err("longer than 32 KiB");
        }
        let rest = bytes.strip_prefix(OPENING.as_bytes()).ok_or("not a signed list of gateways")?;
        let (text, rest) = rest.split_at_checked(SIGNATURE_TEXT_LEN).ok_or("cut off in its first line")?;
        let content = rest.strip_prefix(b"\n").ok_or("its first line is not a signature")?;
        let decoded = STANDARD.decode(text).ok();
        let signature = decoded.and_then(|bytes| bytes.try_into().ok());
        Ok(SignedList { signature: signature.ok_or("its first line is not a signature")?, content })
    }

    /// The bytes of a signed list.
    pub fn join(&self) -> Vec<u8> {
        let line = format!("{OPENING}{}\n", STANDARD.encode(self.signature));
        [line.as_bytes(), self.content].concat()
    }
}

/// The validated content of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayList {
    /// The cell whose gateways these are.
    pub cell: String,
    /// Its number: the next list of the cell has a higher one. At least 1.
    pub serial: u64,
    /// From when on it holds.
    pub issued: Moment,
    /// From when on it holds no more; after `issued`.
    pub expires: Moment,
    /// The gateways; at least one and at most 64, all different.
    pub gateways: Vec<ListedGateway>,
}

/// A gateway of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGateway {
    /// Its name, for people.
    pub name: String,
    /// Its static public key.
    pub public_key: [u8; KEY_LEN],
    /// Where it listens, in the order of preference; at least one, all of scheme `udp`.
    pub endpoints: Vec<Endpoint>,
    /// Its share of the sessions that look for another gateway, 1 to 100.
    pub weight: u32,
    /// Whether it is asked only where no other one helps.
    pub draining: bool,
}

/// A point in time of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix_s: u64,
    /// As it stands in the file.
    pub text: String,
}

impl Moment {
    /// A date with a time in UTC, from 1970 on.
    fn of(stamp: &Datetime) -> Option<Moment> {
        let (date, time) = (stamp.date?, stamp.time?);
        if stamp.offset != Some(Offset::Z) {
            return None;
        }
        let days =
            jumpvpn_events::json::days_since_1970(date.year.into(), date.month.into(), date.day.into())?;
        let second = u64::from(time.second.unwrap_or(0)).min(59);
        let seconds = u64::from(time.hour) * 3600 + u64::from(time.minute) * 60 + second;
        Some(Moment { unix_s: days * 86_400 + seconds, text: stamp.to_string() })
    }
}

/// Validates `text` as the content of a list; `path` names it in findings and is not opened.
///
/// # Errors
/// All findings, at least one of which is an error.
pub fn parse_list(text: &str, path: &Path) -> Result<Loaded<GatewayList>, Report> {
    parse_with(text, path, read)
}

/// Reads a list; nothing if it is unusable, which is then noted.
fn read(source: &Source<'_>, notes: &mut Notes) -> Option<GatewayList> {
    let context = Context::new(source, &crate::keys::LIST, notes);
    let gateways = listed(&context, notes);
    let list = context.only("list")?;
    let cell = list.text("cell", notes, value::cell_name);
    let serial = list.number("serial", 1, SERIAL_MAX, notes);
    let (issued, expires) = (moment(list, "issued", notes), moment(list, "expires", notes));
    if let (Some(issued), Some(expires)) = (&issued, &expires) {
        let life = expires.value.unix_s.checked_sub(issued.value.unix_s);
        if !life.is_some_and(|life| (1..=LIFETIME_MAX_S).contains(&life)) {
            let hint = "write another one in time: whoever has an old list should not be led by it for ever";
            notes.error_hint(&expires.span, "`expires` is not within 400 days after `issued`", hint);
        }
    }
    // Everything has been looked at and noted; only now may a missing part end the reading.
    Some(GatewayList {
        cell: cell?.value,
        serial: serial?,
        issued: issued?.value,
        expires: expires?.value,
        gateways: (!gateways.is_empty()).then_some(gateways)?,
    })
}

fn moment(section: &Section<'_>, name: &str, notes: &mut Notes) -> Option<Placed<Moment>> {
    let Placed { value, span } = section.time(name, notes)?;
    let moment = Moment::of(&value);
    if moment.is_none() {
        let hint = "it should be: date and time in UTC, like 2026-12-31T00:00:00Z";
        notes.error_hint(&span, format!("`{name}` is not a time in UTC"), hint);
    }
    moment.map(|value| Placed { value, span })
}

fn listed(context: &Context<'_>, notes: &mut Notes) -> Vec<ListedGateway> {
    let sections = context.sections("gateway");
    if let Some(section) = sections.get(GATEWAYS_MAX) {
        notes.error(&section.span, format!("more than {GATEWAYS_MAX} gateways: a cell has no more"));
    }
    let mut gateways: Vec<ListedGateway> = Vec::new();
    for section in sections {
        let Some(gateway) = one(section, notes) else { continue };
        if gateways.iter().any(|known| known.public_key == gateway.public_key) {
            notes.error(&section.span, "two gateways with the same public key");
        } else if gateways.iter().any(|known| known.name == gateway.name) {
            notes.error(&section.span, format!("two gateways with the name {}", gateway.name));
        } else {
            gateways.push(gateway);
        }
    }
    gateways
}

fn one(section: &Section<'_>, notes: &mut Notes) -> Option<ListedGateway> {
    let name = section.text("name", notes, value::peer_name);
    let public_key = section.text("public_key", notes, key::public);
    let endpoints = endpoints(section, notes);
    if let (Some(listed), Some(value)) = (&endpoints, section.value("endpoints"))
        && listed.len() > ENDPOINTS_MAX
    {
        notes.error(&value.span(), format!("more than {ENDPOINTS_MAX} endpoints of one gateway"));
    }
    let weight = match section.value("weight") {
        Some(_) => section.number("weight", 1, WEIGHT_MAX.into(), notes),
        None => Some(1),
    };
    let draining = section.flag("draining", notes).unwrap_or(false);
    Some(ListedGateway {
        name: name?.value,
        public_key: public_key?.value,
        endpoints: endpoints?,
        weight: u32::try_from(weight?).ok()?,
        draining,
    })
}
