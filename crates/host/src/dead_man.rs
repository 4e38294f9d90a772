//! The kernel's dead-man switch of a gateway: traffic of the tunnel's interface passes only while an element of a set
//! in the packet filter lives, and the kernel lets that element die by itself.
//!
//! A gateway that was paused cannot stop by itself, as it does not run. So each heartbeat that its store acknowledged
//! renews the element for as long as the fence still lasts, and the rest is the kernel's business. Not here: what a
//! heartbeat is, and when the fence ends.

use std::time::Duration;

use crate::flat_site::guard;
use crate::tunnel::check_name;
use crate::{HostError, clock, firewall, nft};

/// How late the kernel may begin to count before it is told again. It is part of what a design calls the tail between a
/// fence and the end of traffic; the narrowest one (L 3 s, D 3.6 s, clocks wrong by 1 %) has 530 ms. Running `nft`
/// takes some 10 ms.
const LATE_MAX: Duration = Duration::from_millis(200);
/// How often it is told again. A machine that is late that often is too slow to be trusted with a fence.
const ATTEMPTS: usize = 3;
/// Longest time a heart may beat without being renewed: four times the longest fence there is (15 s).
const BEAT_MAX: Duration = Duration::from_secs(60);

/// The switch of one tunnel, which was applied with [`TunnelSpec::dead_man`](crate::TunnelSpec).
#[derive(Debug, Clone)]
pub struct DeadMan {
    ifname: String,
    /// Where the tunnel's addresses are spoken of.
    site: Option<String>,
}

impl DeadMan {
    /// The switch of the tunnel with this interface name.
    ///
    /// # Errors
    /// It cannot be an interface's name.
    pub fn of(ifname: &str) -> Result<DeadMan, HostError> {
        check_name(ifname)?;
        Ok(DeadMan { ifname: ifname.to_owned(), site: None })
    }

    /// Has the same beat decide what is said of the tunnel's addresses on a site's interface, which a
    /// [`FlatSite`](crate::FlatSite) has taken over under guard.
    #[must_use]
    pub fn on_site(self, ifname: Option<&str>) -> DeadMan {
        DeadMan { site: ifname.map(str::to_owned), ..self }
    }

    /// Lets traffic pass until `until`, a time of [`clock::boottime`], and not longer than a minute; not at all when it
    /// has passed. A moment and not a span, because whoever asks may be paused before the asking is done.
    ///
    /// The kernel counts without the time that the machine sleeps. While it sleeps nothing passes, but after a sleep
    /// the element can live on for what it had left.
    ///
    /// # Errors
    /// The packet filter refused, or the machine is too slow to make this true; nothing passes then, or what was
    /// allowed before runs out.
    pub fn arm(&self, until: Duration) -> Result<(), HostError> {
        for _ in 0..ATTEMPTS {
            let began = clock::boottime();
            let remaining = until.saturating_sub(began).min(BEAT_MAX).as_millis();
            // invariant: a minute in milliseconds fits.
            let remaining = u64::try_from(remaining).unwrap_or(0);
            if remaining == 0 {
                return self.cut();
            }
            let beat = self.script(|set, ifname| beat_script(set, ifname, remaining));
            nft::apply(&beat, "let traffic of the tunnel pass for a while")?;
            if clock::boottime().saturating_sub(began) <= LATE_MAX {
                return Ok(());
            }
        }
        self.cut()?;
        Err(HostError::Invalid(format!(
            "traffic of {} is cut: this machine is too slow to renew the dead-man switch within {LATE_MAX:?}",
            self.ifname
        )))
    }

    /// Lets nothing pass any more.
    ///
    /// # Errors
    /// The packet filter refused; what was allowed before runs out.
    pub fn cut(&self) -> Result<(), HostError> {
        nft::apply(&self.script(stop_script), "cut the traffic of the tunnel")
    }

    /// What `each` says of the tunnel's set and interface, and of the site's.
    fn script(&self, each: impl Fn(&str, &str) -> String) -> String {
        let site = self.site.as_ref().map(|site| each(&guard::beating(), site));
        each(&firewall::beating(), &self.ifname) + &site.unwrap_or_default()
    }
}

/// The script that lets an interface's heart beat for `remaining_ms` milliseconds from now on, which must not be 0: the kernel
/// takes that for ever.
///
/// An element's time is renewed by making it anew: kernels before 6.12 leave it as it is when it is only added again.
fn beat_script(set: &str, ifname: &str, remaining_ms: u64) -> String {
    format!("{}add element {set} {{ \"{ifname}\" timeout {remaining_ms}ms }}\n", stop_script(set, ifname))
}

/// The script that stops an interface's heart. The element is added first because it may have vanished, and what is not there
/// cannot be deleted.
pub(crate) fn stop_script(set: &str, ifname: &str) -> String {
    let element = format!("element {set} {{ \"{ifname}\"");
    format!("add {element} timeout 1s }}\ndelete {element} }}\n")
}
