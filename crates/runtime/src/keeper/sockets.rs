//! Sockets of an agent's paths: opened and marked by the keeper, passed to the daemon (unix(7), SCM_RIGHTS).

use std::io::{self, BufReader, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use jumpvpn_transport::{BindOptions, UdpBinding};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::changes::{read_line, write_line};
use super::or_closed;
use crate::machine::PathSockets;

/// Kernel buffers of a path's socket, bytes: 4 MiB hold some 30 ms at 1 Gbit/s, as long as the thread may be
/// descheduled. A path's queue is kept short by the inner congestion control, not by this.
const SOCKET_BUFFER_LEN: usize = 4 << 20;
/// Longest answer in bytes; longer sentences are cut.
const ANSWER_MAX_LEN: usize = 1024;
/// What is said beside a socket.
const PASSED: &[u8] = b"+";
/// Longest name of an interface: IFNAMSIZ without the terminating zero.
const DEVICE_MAX_LEN: usize = 15;

/// One socket that is wanted.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    local: IpAddr,
    device: String,
}

/// Sockets that this process opens itself.
#[derive(Debug)]
pub struct MarkedSockets {
    /// Firewall mark, which keeps their packets out of the tunnel.
    pub mark: u32,
    /// The devices they may be bound to; any if it is empty.
    pub devices: Vec<String>,
}

impl PathSockets for MarkedSockets {
    fn open(&mut self, local: IpAddr, device: &str) -> Result<UdpBinding, String> {
        if !self.devices.is_empty() && !self.devices.iter().any(|named| named == device) {
            return Err(format!("{device} is not one of the configured uplinks"));
        }
        let options =
            BindOptions { mark: Some(self.mark), reuse_port: false, buffer_len: Some(SOCKET_BUFFER_LEN) };
        let bound = UdpBinding::bind(SocketAddr::new(local, 0), Some(device), &options);
        bound.map_err(|error| error.to_string())
    }
}

/// Sockets that the keeper opens.
#[derive(Debug)]
pub struct KeeperSockets {
    stream: UnixStream,
    /// It has not answered in time, or no more: the stream is closed.
    gone: bool,
}

impl KeeperSockets {
    pub(super) fn new(stream: UnixStream) -> KeeperSockets {
        KeeperSockets { stream, gone: false }
    }

    fn ask(&mut self, wanted: &Wanted) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let answer = write_line(&mut self.stream, wanted).and_then(|()| receive(&self.stream));
        let answer = or_closed(&self.stream, answer);
        self.gone |= answer.as_ref().map_or(true, |(said, _)| said.is_empty());
        answer
    }
}

impl PathSockets for KeeperSockets {
    fn open(&mut self, local: IpAddr, device: &str) -> Result<UdpBinding, String> {
        let wanted = Wanted { local, device: device.to_owned() };
        match self.ask(&wanted) {
            Ok((_, Some(socket))) => {
                UdpBinding::adopt(socket, SocketAddr::new(local, 0)).map_err(|error| error.to_string())
            }
            // The kernel drops what finds no room.
            Ok((said, None)) if said == PASSED => Err("too many open files".into()),
            Ok((said, None)) if !said.is_empty() => Err(String::from_utf8_lossy(&said).into_owned()),
            Ok(_) => Err("the keeper, the process that opens sockets for us, is gone".into()),
            Err(error) => Err(format!("the keeper, the process that opens sockets for us, fails: {error}")),
        }
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

/// The keeper's end.
pub(super) fn serve(stream: UnixStream, mut opener: impl PathSockets) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(wanted) = read_line::<Wanted>(&mut stream)? {
        let sound = (1..=DEVICE_MAX_LEN).contains(&wanted.device.len());
        let opened = if sound {
            opener.open(wanted.local, &wanted.device)
        } else {
            Err("no name of an interface".into())
        };
        answer(stream.get_ref(), &opened)?;
    }
    Ok(())
}

/// One message: the socket beside one byte, or the sentence alone.
fn answer(stream: &UnixStream, opened: &Result<UdpBinding, String>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let socket = opened.as_ref().ok().map(|binding| [binding.as_fd()]);
    if let Some(socket) = &socket {
        beside.push(SendAncillaryMessage::ScmRights(socket));
    }
    let text = opened.as_ref().err().map_or(PASSED, |refusal| refusal.as_bytes());
    let text = &text[..text.len().min(ANSWER_MAX_LEN)];
    sendmsg(stream, &[IoSlice::new(text)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message. Each is far smaller than a buffer of the kernel, so it comes in one piece, and requests and
/// answers alternate, so there is never a second one behind it.
fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; ANSWER_MAX_LEN];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        rustix::io::retry_on_intr(|| recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut beside, flags))?;
    text.truncate(received.bytes);
    let socket = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok((text, socket))
}
