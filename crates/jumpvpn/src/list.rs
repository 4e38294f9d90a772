//! `jumpvpn list`: an operator signs the list of a cell's gateways, and looks at signed ones.

use std::io::Write;
use std::path::Path;

use jumpvpn_config::keys::SERIAL_MAX;
use jumpvpn_config::{GatewayList, LIST_MAX_LEN, ListedGateway, SignedList, key, parse_list};
use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{Purpose, SigningKey, VerifyingKey};
use serde_json::{Value, json};

use crate::args::ListVerb;
use crate::exit::{Code, Failure, Outcome, say};
use crate::{check, keys, roster};

/// Runs the verb.
pub(crate) fn run(verb: &ListVerb) -> Outcome {
    match verb {
        ListVerb::Genkey => keys::print_secret(&SigningKey::generate(&mut SystemRandom).to_base64()),
        ListVerb::Pubkey => keys::print_public(|text| text.parse::<SigningKey>().map(|key| key.public())),
        ListVerb::Sign { key, file } => sign(key, file),
        ListVerb::Verify { key, file, json } => verify(key, file, *json),
    }
}

/// A signed list that a gateway offers, with its serial. Its signature is the agents' business, which know the key; what can be seen
/// without that is looked at.
pub(crate) fn offered(file: &Path) -> Result<(u64, Vec<u8>), Failure> {
    let bytes = read(file)?;
    let signed = SignedList::split(&bytes).map_err(|what| wrong(file, what))?;
    let list =
        parse_list(text(signed.content, file)?, file).map_err(|report| check::refusal(&report))?.config;
    if list.expires.unix_s <= roster::wall_clock() {
        say(format_args!(
            "jumpvpn: warning: the list {} is over since {}",
            file.display(),
            list.expires.text
        ));
    }
    Ok((list.serial, bytes))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    roster::read(file).map_err(|refused| Failure::new(Code::Config, refused.to_string()))
}

fn wrong(file: &Path, what: &str) -> Failure {
    Failure::new(Code::Config, format!("{}: {what}", file.display()))
}

fn text<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| wrong(file, "not text"))
}

fn sign(key: &Path, file: &Path) -> Outcome {
    let key = key::read_file(key)
        .map_err(|error| Failure::new(Code::Config, error.message).hint(error.hint))
        .map(|key| SigningKey::from_bytes(key.bytes()))?;
    let content = read(file)?;
    let loaded = parse_list(text(&content, file)?, file).map_err(|report| check::refusal(&report))?;
    if !loaded.warnings.findings.is_empty() {
        say(&loaded.warnings);
    }
    if loaded.config.serial == SERIAL_MAX {
        let message = format!("{}: no list could follow one with the serial {SERIAL_MAX}", file.display());
        return Err(Failure::new(Code::Config, message));
    }
    let signature = key.sign(Purpose::GatewayList, &content);
    let signed = SignedList { signature, content: &content }.join();
    if signed.len() > LIST_MAX_LEN {
        let long = format!("{}: with its signature longer than {} KiB", file.display(), LIST_MAX_LEN >> 10);
        return Err(Failure::new(Code::Config, long));
    }
    std::io::stdout().write_all(&signed)?;
    Ok(())
}

fn verify(key: &str, file: &Path, as_json: bool) -> Outcome {
    let key: VerifyingKey = key
        .parse()
        .map_err(|error| Failure::new(Code::Usage, format!("`{key}` is not a public key: {error}")))?;
    let list = roster::read(file).and_then(|bytes| roster::authentic(&bytes, &key));
    let list = list.map_err(|refused| match refused {
        roster::Refused::Unread(_) => Failure::new(Code::Config, refused.to_string()),
        _ => Failure::new(Code::Config, format!("{}: {refused}", file.display())),
    })?;
    let expired = list.expires.unix_s <= roster::wall_clock();
    if as_json {
        writeln!(std::io::stdout(), "{}", as_value(&list, expired))?;
    } else {
        std::io::stdout().write_all(shown(&list, expired).as_bytes())?;
    }
    Ok(())
}

fn as_value(list: &GatewayList, expired: bool) -> Value {
    let gateway = |gateway: &ListedGateway| {
        json!({
            "name": gateway.name,
            "public_key": key::encode(&gateway.public_key),
            "endpoints": gateway.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "weight": gateway.weight,
            "draining": gateway.draining,
        })
    };
    json!({
        "schema": "jumpvpn.list/1",
        "cell": list.cell,
        "serial": list.serial,
        "issued": list.issued.text,
        "expires": list.expires.text,
        "expired": expired,
        "gateways": list.gateways.iter().map(gateway).collect::<Vec<_>>(),
    })
}

fn shown(list: &GatewayList, expired: bool) -> String {
    let over = if expired { ", which is over" } else { "" };
    let mut text = format!(
        "cell {}, serial {}, from {} to {}{over}\n",
        list.cell, list.serial, list.issued.text, list.expires.text
    );
    for gateway in &list.gateways {
        let endpoints: Vec<String> = gateway.endpoints.iter().map(ToString::to_string).collect();
        let weight = if gateway.weight == 1 { String::new() } else { format!(", weight {}", gateway.weight) };
        let draining = if gateway.draining { ", draining" } else { "" };
        let public = key::encode(&gateway.public_key);
        text.push_str(&format!("{} {public} {}{weight}{draining}\n", gateway.name, endpoints.join(" ")));
    }
    text
}
