//! What the system forbids, in words that help.

use std::fmt;
use std::fs;
use std::io;

/// Why the lab cannot start here, and what can be done.
#[derive(Debug)]
pub struct Refusal {
    what: &'static str,
    error: io::Error,
    advice: Vec<String>,
}

impl Refusal {
    /// Looks for the reason of a refused step in the places where systems keep such reasons.
    #[must_use]
    pub fn of(what: &'static str, error: io::Error) -> Refusal {
        Refusal { what, error, advice: userns_advice() }
    }

    /// The TUN device cannot be used.
    #[must_use]
    pub fn tun(error: io::Error) -> Refusal {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => vec![
                "load the kernel module: sudo modprobe tun".to_owned(),
                "in a container: start it with --device /dev/net/tun".to_owned(),
            ],
            _ => vec![
                "let users open the device (it gives no rights outside their own namespaces): sudo chmod a+rw /dev/net/tun"
                    .to_owned(),
                "to keep it so: echo 'KERNEL==\"tun\", MODE=\"0666\"' | sudo tee /etc/udev/rules.d/70-tun.rules".to_owned(),
            ],
        };
        Refusal { what: "open /dev/net/tun", error, advice }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot {}: {}", self.what, self.error)?;
        self.advice.iter().try_for_each(|advice| write!(out, "\n  - {advice}"))
    }
}

impl std::error::Error for Refusal {}

/// A setting that stands in the way: file, value that forbids, what to do.
const SETTINGS: &[(&str, &str, &str)] = &[
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "this system forbids user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces here: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, \
         or allow this program in /etc/apparmor.d with a profile that says `userns,`",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user namespaces are switched off: sudo sysctl user.max_user_namespaces=10000",
    ),
    (
        "/proc/sys/user/max_net_namespaces",
        "0",
        "network namespaces are switched off: sudo sysctl user.max_net_namespaces=10000",
    ),
];

fn userns_advice() -> Vec<String> {
    let holds = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    let mut advice: Vec<String> = SETTINGS
        .iter()
        .filter(|(file, value, _)| holds(file, value))
        .map(|(_, _, advice)| (*advice).to_owned())
        .collect();
    if advice.is_empty() {
        advice.push(
            "a container or a security module may forbid namespaces: allow unshare(2) and mount(2) \
             (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined), or run it outside"
                .to_owned(),
        );
    }
    advice.push("as root it needs no user namespace: sudo jumpvpn lab".to_owned());
    advice
}
