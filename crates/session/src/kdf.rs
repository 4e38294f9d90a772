//! HKDF-SHA-256 (RFC 5869), SHA-256 and HMAC-SHA-256 truncated to 128 bits, in the shapes the protocol uses.

use aws_lc_rs::digest;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key that HKDF-Expand takes: the output of an extraction or a 32-byte secret of the schedule.
pub(crate) struct Expander(Prk);

impl Expander {
    /// HKDF-Extract(salt, ikm).
    pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, salt).extract(ikm))
    }

    /// A secret that is itself the output of this schedule, hence uniform.
    pub(crate) fn from_secret(secret: &[u8; 32]) -> Self {
        Self(Prk::new_less_safe(HKDF_SHA256, secret))
    }

    /// `X(k, label, ctx, N)`: HKDF-Expand with info `"jump/1 " ‖ label ‖ 0x00 ‖ ctx`. The zero byte ends the
    /// label, so no label and context can be read as another pair.
    pub(crate) fn expand<const N: usize>(&self, label: &str, context: &[&[u8]]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        let mut info: [&[u8]; 12] = [&[]; 12];
        info[..3].copy_from_slice(&[b"jump/1 ", label.as_bytes(), &[0]]);
        info[3..3 + context.len()].copy_from_slice(context);
        let filled = self.0.expand(&info, Len(N)).and_then(|okm| okm.fill(out.as_mut_slice()));
        // invariant: N is a constant of this crate, far below the 255 blocks of RFC 5869 section 2.3.
        filled.expect("HKDF output is short");
        out
    }
}

/// SHA-256 of the parts in order.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Key of an HMAC-SHA-256/128 (RFC 2104, RFC 4868 for the truncation).
#[derive(Clone)]
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, key))
    }

    /// MAC of the parts in order.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let full = context.sign();
        let mut out = [0; 16];
        out.copy_from_slice(&full.as_ref()[..16]);
        out
    }

    /// Whether `tag` is the MAC of the parts; constant time in both.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8; 16]) -> bool {
        self.tag(parts).ct_eq(tag).into()
    }
}
