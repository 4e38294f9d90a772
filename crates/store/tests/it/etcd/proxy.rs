//! Something between a gateway and a member that loses what it should not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jumpvpn_ownership::conformance::Dice;

/// What happens to what the gateway says and hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nothing reaches the member.
    Mute,
    /// Everything reaches the member, and nothing comes back.
    Deaf,
    /// Now and then a connection is cut, before something was passed on or right after.
    Cut,
}

/// One in so many pieces of what a gateway says is cut off, in [`Mode::Cut`], and as many right behind.
const ONE_IN: u64 = 60;

/// Listens for as long as the process lives, which with tests is not long.
pub struct Proxy {
    pub endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    member: u16,
    mode: Mutex<Mode>,
    connections: Mutex<Vec<TcpStream>>,
    dice: Mutex<Dice>,
    cuts: AtomicU32,
}

impl Proxy {
    pub fn new(member: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            member,
            mode: Mutex::new(Mode::Pass),
            connections: Mutex::default(),
            dice: Mutex::new(Dice::new(1)),
            cuts: AtomicU32::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for gateway in listener.incoming().map_while(Result::ok) {
                accepting.connect(gateway);
            }
        });
        Proxy { endpoint, shared }
    }

    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Cuts all connections. New ones are made as ever.
    pub fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    /// How often [`Mode::Cut`] has cut.
    pub fn cuts(&self) -> u32 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, gateway: TcpStream) {
        // A member that is gone has no connection; the gateway's ends with the value.
        let Ok(member) = TcpStream::connect(("127.0.0.1", self.member)) else { return };
        for stream in [&gateway, &member] {
            stream.set_nodelay(true).unwrap();
            self.connections.lock().unwrap().push(stream.try_clone().unwrap());
        }
        let (gateway_too, member_too) = (gateway.try_clone().unwrap(), member.try_clone().unwrap());
        let (forth, back) = (Arc::clone(self), Arc::clone(self));
        std::thread::spawn(move || forth.pump(gateway, member, true));
        std::thread::spawn(move || back.pump(member_too, gateway_too, false));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, is_forth: bool) {
        let mut piece = [0; 16_384];
        while let Ok(len @ 1..) = from.read(&mut piece) {
            let mode = *self.mode.lock().unwrap();
            let fate = if mode == Mode::Cut && is_forth { self.dice.lock().unwrap().roll(ONE_IN) } else { 2 };
            let passes = match mode {
                Mode::Pass => true,
                Mode::Mute => !is_forth,
                Mode::Deaf => is_forth,
                Mode::Cut => fate != 0,
            };
            if passes && to.write_all(&piece[..len]).is_err() {
                break;
            }
            if fate < 2 {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                // The member is let go gently, so that it does what it has been told.
                from.shutdown(Shutdown::Both).ok();
                break;
            }
        }
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Write).ok();
    }
}
