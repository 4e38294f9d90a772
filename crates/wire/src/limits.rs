//! The limits of a session, as a gateway grants them in HS_RESP and TAKEOVER_RESP.

use crate::Malformed;
use crate::cursor::{Reader, Writer};

/// Limits of a session, 14 bytes: lifetime 4, idle limit 4, switches 2, cool-down 2, ticket age 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GrantedLimits {
    /// What is left of the session's hard lifetime, seconds; all of it at birth.
    pub lifetime_s: u32,
    /// Longest silence on all paths before the gateway forgets the session, milliseconds.
    pub idle_ttl_ms: u32,
    /// Switch budget per minute.
    pub max_switches_per_min: u16,
    /// Pause after a switch, milliseconds.
    pub cooldown_ms: u16,
    /// Longest life of a ticket, milliseconds.
    pub ticket_age_ms: u16,
}

impl GrantedLimits {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer
            .u32(self.lifetime_s)
            .u32(self.idle_ttl_ms)
            .u16(self.max_switches_per_min)
            .u16(self.cooldown_ms)
            .u16(self.ticket_age_ms);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<GrantedLimits, Malformed> {
        Ok(GrantedLimits {
            lifetime_s: reader.u32()?,
            idle_ttl_ms: reader.u32()?,
            max_switches_per_min: reader.u16()?,
            cooldown_ms: reader.u16()?,
            ticket_age_ms: reader.u16()?,
        })
    }
}
