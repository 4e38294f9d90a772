//! The reason codes and what is known about each.

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));

/// What kind of thing a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A person or a script asked for it, or has to act.
    Operator,
    /// Seen on a path.
    Path,
    /// Decided by the policy.
    Policy,
    /// Begin and end of sessions.
    Lifecycle,
    /// Age and limits of keys.
    Key,
    /// Handshakes and their admission.
    Handshake,
    /// Somebody may be attacking, or a check made for that case refused something.
    Security,
    /// Who may act for a session.
    Ownership,
    /// Packets that were dropped.
    Traffic,
    /// Something fixed in size is full, or this machine failed.
    Resource,
    /// A fault of this program.
    Internal,
}

impl Class {
    /// The name as it stands in the registry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Operator => "operator",
            Class::Path => "path",
            Class::Policy => "policy",
            Class::Lifecycle => "lifecycle",
            Class::Key => "key",
            Class::Handshake => "handshake",
            Class::Security => "security",
            Class::Ownership => "ownership",
            Class::Traffic => "traffic",
            Class::Resource => "resource",
            Class::Internal => "internal",
        }
    }
}

/// How much a person should care, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Of interest when looking for something.
    Debug,
    /// Normal.
    Info,
    /// Normal, but worth noticing.
    Notice,
    /// Something does not work as it should.
    Warning,
    /// Something failed.
    Error,
}

impl Severity {
    /// The name as it stands in the registry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// What the registry says about one reason.
struct Row {
    code: &'static str,
    number: u16,
    class: Class,
    severity: Severity,
    meaning: &'static str,
    action: &'static str,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: &'static [Reason] = &ALL;
    /// How many reasons there are: the size of an array indexed by [`Reason::index`].
    pub const COUNT: usize = ALL.len();

    /// Dense index, `0..COUNT`. For arrays inside one program run; it is not stable between versions.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name, for example `PATH_SILENT`.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The number on the wire and in logs, 1..=65535, stable for ever.
    pub fn number(self) -> u16 {
        self.row().number
    }

    /// The reason of that number; `None` for 0, retired and future numbers.
    pub fn from_number(number: u16) -> Option<Reason> {
        let index = TABLE.binary_search_by_key(&number, |row| row.number).ok()?;
        ALL.get(index).copied()
    }

    /// The reason of that exact name.
    pub fn from_code(code: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// What kind of thing it is about.
    pub fn class(self) -> Class {
        self.row().class
    }

    /// How much a person should care.
    pub fn severity(self) -> Severity {
        self.row().severity
    }

    /// What happened, in one or two sentences.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// What a person should do about it.
    pub fn action(self) -> &'static str {
        self.row().action
    }

    fn row(self) -> &'static Row {
        &TABLE[self.index()]
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests;
