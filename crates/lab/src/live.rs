//! The live view: the network, the session and the streams at a glance, and a key for every fault.
//!
//! Plain escape sequences (ECMA-48, and the alternate screen of xterm); the terminal is put back on every way out.

mod keys;
mod lab;
mod screen;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, OptionalActions, Termios};

use crate::clock;
pub use lab::LiveLab;

/// Time between two pictures: the eye follows, and the drawing costs nothing.
const REFRESH: Duration = Duration::from_millis(250);
/// Enter the alternate screen and hide the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// See above; also used by whoever finds the terminal left behind.
pub(crate) const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Shows `lab` until the person at the keyboard has seen enough.
///
/// # Errors
/// There is no terminal, or it is gone.
pub fn show(lab: &mut LiveLab<'_>) -> io::Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() || !io::stdout().is_terminal() {
        return Err(io::Error::other("the live view needs a terminal; `jumpvpn lab run STORY` does without"));
    }
    let _terminal = Terminal::take()?;
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            lab.look();
            let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| size.ws_col);
            let picture = screen::picture(lab, usize::from(if width < 40 { 80 } else { width }));
            io::stdout().write_all(picture.as_bytes())?;
            io::stdout().flush()?;
            due = Instant::now() + REFRESH;
        }
        clock::wait_readable(stdin.as_fd(), Some(due));
        let mut typed = [0; 16];
        // Past the buffer of the standard library: what it holds does not wake the wait above.
        let len = match rustix::io::read(&stdin, &mut typed) {
            Ok(len) => len,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for key in &typed[..len] {
            match keys::meaning(*key) {
                Some(keys::Meaning::Quit) => return Ok(()),
                Some(keys::Meaning::Select(uplink)) => lab.select(uplink),
                Some(keys::Meaning::Fault(fault)) => lab.cause(fault),
                None => continue,
            }
            due = Instant::now();
        }
    }
}

/// The terminal without line editing and echo; put back when dropped.
struct Terminal {
    before: Termios,
}

impl Terminal {
    fn take() -> io::Result<Terminal> {
        let before = rustix::termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        // Signals by key stay: ctrl-C ends the lab as everywhere.
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // A read returns at once with what there is.
        raw.special_codes[rustix::termios::SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[rustix::termios::SpecialCodeIndex::VTIME] = 0;
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let terminal = Terminal { before };
        io::stdout().write_all(ENTER.as_bytes())?;
        Ok(terminal)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        io::stdout().write_all(LEAVE.as_bytes()).and_then(|()| io::stdout().flush()).ok();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before).ok();
    }
}
