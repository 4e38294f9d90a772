//! The live view: the network, the session and the streams at a glance, and a key for every fault.
//!
//! Plain escape sequences (ECMA-48, and the alternate screen of xterm); the terminal is put back on every way out.

mod keys;
mod lab;
mod screen;
pub(crate) use screen::{BOLD, GREEN, PLAIN, RED, framed};

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

/// Something that can be looked at, and that keys change.
pub trait View {
    /// Looks at everything again.
    fn look(&mut self);
    /// The whole picture for a terminal of `width` columns.
    fn picture(&self, width: usize) -> String;
    /// Does what a key means; nothing when it means nothing.
    fn handle_key(&mut self, key: u8) -> Option<Pressed>;
}

/// What a key that means something leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed {
    /// It was done.
    Done,
    /// The person has seen enough.
    Quit,
}

impl View for LiveLab<'_> {
    fn look(&mut self) {
        LiveLab::look(self);
    }

    fn picture(&self, width: usize) -> String {
        screen::picture(self, width)
    }

    fn handle_key(&mut self, key: u8) -> Option<Pressed> {
        match keys::meaning(key)? {
            keys::Meaning::Quit => return Some(Pressed::Quit),
            keys::Meaning::Select(uplink) => self.select(uplink),
            keys::Meaning::Fault(fault) => self.cause(fault),
        }
        Some(Pressed::Done)
    }
}

/// Shows `view` until the person at the keyboard has seen enough.
///
/// # Errors
/// There is no terminal, or it is gone.
pub fn show(view: &mut dyn View) -> io::Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() || !io::stdout().is_terminal() {
        return Err(io::Error::other("the live view needs a terminal; `jumpvpn lab run STORY` does without"));
    }
    let _terminal = Terminal::take()?;
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            view.look();
            let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| size.ws_col);
            let picture = view.picture(usize::from(if width < 40 { 80 } else { width }));
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
            match view.handle_key(*key) {
                Some(Pressed::Quit) => return Ok(()),
                Some(Pressed::Done) => due = Instant::now(),
                None => {}
            }
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
