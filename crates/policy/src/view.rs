//! What the policy gets to see of a path: plain values, measured elsewhere.

use std::fmt;
use std::time::Duration;

use jumpvpn_events::Time;

/// How a path carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// One datagram each.
    Udp,
    /// Framed on a TCP stream.
    Tcp,
    /// Framed on a TLS stream.
    Tls,
}

impl Class {
    /// All classes, cheapest first.
    pub const ALL: [Class; 3] = [Class::Udp, Class::Tcp, Class::Tls];

    /// The name as it stands in configuration, status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Udp => "udp",
            Class::Tcp => "tcp",
            Class::Tls => "tls",
        }
    }

    /// The class of that exact name.
    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of path classes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ClassSet(u8);

impl ClassSet {
    /// No class.
    pub const EMPTY: ClassSet = ClassSet(0);
    /// Every class.
    pub const ALL: ClassSet = ClassSet(0b111);

    /// This set and one class more.
    #[must_use]
    pub const fn with(self, class: Class) -> ClassSet {
        ClassSet(self.0 | 1 << class as u8)
    }

    /// Whether the class is in the set.
    pub const fn contains(self, class: Class) -> bool {
        self.0 & 1 << class as u8 != 0
    }

    /// Whether no class is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes of the set, cheapest first.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.contains(*class))
    }
}

impl fmt::Display for ClassSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, class) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(class.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClassSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What is known about whether a path works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It answered lately.
    Alive,
    /// Answers are overdue, but it is too early to call it dead.
    Suspect,
    /// It does not work.
    Dead,
    /// It has never answered.
    Unproven,
}

/// One path as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathView {
    /// Number of the path, never reused within a session.
    pub id: u32,
    /// How it carries datagrams.
    pub class: Class,
    /// Whether it works.
    pub health: Health,
    /// A fresh address proof is at hand, so that moving there takes a single message.
    pub warm: bool,
    /// Smoothed round trip time; `None` before the first measurement.
    pub rtt: Option<Duration>,
    /// Lost packets of a thousand, 0..=1000, over the loss window.
    pub loss_permille: u16,
    /// The operator's preference: a higher one goes before any measured quality. 0 is normal.
    pub preference: i32,
    /// Traffic over it costs money or battery.
    pub metered: bool,
    /// Since when it has been in its present health without interruption.
    pub up_since: Time,
    /// How often it died lately ([`crate::Flaps`]).
    pub flap_count: u8,
    /// When the session last left it.
    pub left_at: Option<Time>,
    /// Until when it is held back because it flapped ([`crate::Flaps`]).
    pub held_until: Option<Time>,
}

impl PathView {
    /// A new path about which nothing is known yet.
    pub const fn new(id: u32, class: Class, now: Time) -> PathView {
        PathView {
            id,
            class,
            health: Health::Unproven,
            warm: false,
            rtt: None,
            loss_permille: 0,
            preference: 0,
            metered: false,
            up_since: now,
            flap_count: 0,
            left_at: None,
            held_until: None,
        }
    }

    /// Whether it is held back at that time because it flapped.
    pub fn is_held(&self, now: Time) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }
}
