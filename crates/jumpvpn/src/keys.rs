//! `genkey`, `pubkey`, `genpsk`: keys as text, compatible with `wg`.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use jumpvpn_runtime::SystemRandom;
use jumpvpn_session::{PresharedKey, PrivateKey};
use zeroize::Zeroizing;

use crate::exit::{Code, Failure, Outcome, say};

/// Longest input of `pubkey` in bytes: 44 characters of base64 and a little white space.
const INPUT_MAX_LEN: u64 = 128;

/// Prints a new private key.
pub(crate) fn genkey() -> Outcome {
    print_secret(&PrivateKey::generate(&mut SystemRandom).to_base64())
}

/// Prints a new preshared key.
pub(crate) fn genpsk() -> Outcome {
    print_secret(&PresharedKey::generate(&mut SystemRandom).to_base64())
}

/// Reads a private key from standard input and prints its public key.
pub(crate) fn pubkey() -> Outcome {
    print_public(|text| text.parse::<PrivateKey>().map(|key| key.public()))
}

/// Reads a private key from standard input and prints the public key that is made of it.
pub(crate) fn print_public<P: Display, E: Display>(public: impl FnOnce(&str) -> Result<P, E>) -> Outcome {
    let mut text = Zeroizing::new(String::with_capacity(INPUT_MAX_LEN as usize + 1));
    let unreadable = |error| Failure::new(Code::Failed, format!("cannot read the key: {error}"));
    std::io::stdin().take(INPUT_MAX_LEN + 1).read_to_string(&mut text).map_err(unreadable)?;
    let public = public(text.trim()).map_err(|error| {
        Failure::new(Code::Failed, format!("standard input is not a private key: {error}"))
    })?;
    writeln!(std::io::stdout(), "{public}")?;
    Ok(())
}

/// Prints a new secret, with a warning where others could read it.
pub(crate) fn print_secret(text: &str) -> Outcome {
    if readable_by_others() {
        say("jumpvpn: warning: others may read the file this key goes to; set the umask to 077 before");
    }
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Whether standard output is a file that others may use.
fn readable_by_others() -> bool {
    let facts = std::io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    facts.is_ok_and(|facts| facts.is_file() && facts.mode() & 0o077 != 0)
}
