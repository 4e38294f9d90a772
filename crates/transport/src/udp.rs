//! UDP sockets with segmentation offload (GSO, GRO), destination addresses and no IP fragmentation.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{BindError, DatagramBatch, SendError, sort};

/// Most bytes in one system call: an IPv4 packet of 65,535 bytes less its 20-byte header and the 8 bytes of UDP.
/// IPv6 would allow 20 more, not worth a distinction.
const MAX_SEND_LEN: usize = 65_507;

/// Answers of the network that are read in a row: more than Linux sends at once (6), and a bound for who sends them faster than they are read.
const ANSWERS_MAX: usize = 16;

/// How a socket is to be set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct BindOptions {
    /// Firewall mark of everything sent, so that policy routing keeps it out of the tunnel.
    pub mark: Option<u32>,
    /// Let several sockets share the address and port (one per shard).
    pub reuse_port: bool,
    /// Size of the kernel's send and receive buffers in bytes; the kernel's default when absent. Beyond the system's
    /// limit (`net.core.{r,w}mem_max`) only with CAP_NET_ADMIN, otherwise as much as the limit allows.
    pub buffer_len: Option<usize>,
}

/// One UDP socket of one path.
///
/// Oversized datagrams are refused with [`SendError::TooBig`], never fragmented (the socket ignores the kernel's path
/// MTU guesses: IP_PMTUDISC_PROBE), so that the path MTU is found from inside the tunnel. An IPv6 socket takes no
/// IPv4 traffic, so that `0.0.0.0` and `[::]` can both be bound to one port.
#[derive(Debug)]
pub struct UdpBinding {
    socket: Socket,
    state: UdpSocketState,
    local: SocketAddr,
    on_device: bool,
    /// Whether the network's answers to what was sent are read.
    hears_refusals: bool,
    /// Whose machine said last that nobody listens there.
    refused: Option<IpAddr>,
}

impl UdpBinding {
    /// Binds a socket to `local` and, when given, to the network device of that name.
    ///
    /// # Errors
    /// [`BindError`] says which step the kernel refused and who can do something about it.
    pub fn bind(
        local: SocketAddr,
        device: Option<&str>,
        options: &BindOptions,
    ) -> Result<UdpBinding, BindError> {
        let socket = open(local, device, options)?;
        UdpBinding::finish(socket, local, device.is_some())
    }

    /// Binds one socket for each of `classes` and one more to `local`. A datagram whose first byte is the class of a
    /// socket goes to that socket, any other to the last one. So each class has a queue of its own, and a flood of one
    /// does not push out what came in of the others.
    ///
    /// Where the kernel cannot sort datagrams (it can since Linux 4.5) there is one socket for everything.
    ///
    /// # Errors
    /// [`BindError`], as of [`UdpBinding::bind`]: also when another program has the port.
    pub fn bind_sorted(
        local: SocketAddr,
        classes: &[u8],
        options: &BindOptions,
    ) -> Result<Vec<UdpBinding>, BindError> {
        let step = |action| move |source| BindError::new(action, local, source);
        // The first one is bound before it may be joined: so a second instance of the program finds the port taken.
        let mut bindings = vec![UdpBinding::finish(open(local, None, options)?, local, false)?];
        let local = bindings[0].local;
        bindings[0].socket.set_reuse_port(true).map_err(step("share the port"))?;
        for _ in classes {
            let socket = open(local, None, options)?;
            socket.set_reuse_port(true).map_err(step("share the port"))?;
            bindings.push(UdpBinding::finish(socket, local, false)?);
        }
        if sort::by_first_byte(&bindings[0].socket, classes).is_err() {
            bindings.truncate(1);
        }
        Ok(bindings)
    }

    /// Binds an open socket.
    fn finish(socket: Socket, local: SocketAddr, on_device: bool) -> Result<UdpBinding, BindError> {
        let step = |action| move |source| BindError::new(action, local, source);
        socket.bind(&SockAddr::from(local)).map_err(step("bind a UDP socket"))?;
        UdpBinding::ready(socket, local, on_device)
    }

    /// Takes over a socket that another process bound with [`UdpBinding::bind`] to `local` and a device, and passed on.
    ///
    /// # Errors
    /// [`BindError`], if it is no such socket.
    pub fn adopt(socket: OwnedFd, local: SocketAddr) -> Result<UdpBinding, BindError> {
        UdpBinding::ready(Socket::from(socket), local, true)
    }

    fn ready(socket: Socket, local: SocketAddr, on_device: bool) -> Result<UdpBinding, BindError> {
        let step = |action| move |source| BindError::new(action, local, source);
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).map_err(step("configure a UDP socket"))?;
        let bound = socket.local_addr().map_err(step("read the address of the socket"))?;
        let local = bound.as_socket().unwrap_or(local);
        Ok(UdpBinding { socket, state, local, on_device, hears_refusals: false, refused: None })
    }

    /// The address and port the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// From now on notes who says that nobody listens where a datagram was sent to. Such answers of the network (ICMP) are easily forged;
    /// nothing else follows from them.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn hear_refusals(&mut self) -> io::Result<()> {
        self.state.enable_transport_errors(UdpSockRef::from(&self.socket))?;
        self.hears_refusals = true;
        Ok(())
    }

    /// Whose machine has said so, as noticed by an attempt to receive or to send since the last call; the last one of several.
    pub fn take_refusal(&mut self) -> Option<IpAddr> {
        self.refused.take()
    }

    /// Reads what the network answered to earlier datagrams, so that it is not taken for the outcome of the next call; whether there was
    /// anything.
    fn clear_answers(&mut self) -> bool {
        if !self.hears_refusals {
            return false;
        }
        for count in 0..ANSWERS_MAX {
            match self.state.recv_transport_error(UdpSockRef::from(&self.socket)) {
                Ok(Some(answer)) if answer.raw_errno == libc::ECONNREFUSED => {
                    self.refused = answer.addr.map(|machine| machine.ip()).or(self.refused);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return count > 0,
            }
        }
        true
    }

    /// Fills `batch`; returns the number of datagrams in it.
    ///
    /// # Errors
    /// `WouldBlock` when no datagram is waiting; anything else is a fault of the socket.
    pub fn try_recv(&mut self, batch: &mut DatagramBatch) -> io::Result<usize> {
        let (socket, state) = (&self.socket, &self.state);
        let filled = batch.fill(|slices, metas| state.recv(UdpSockRef::from(socket), slices, metas));
        if filled.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.clear_answers();
        }
        filled?;
        Ok(batch.count())
    }

    /// Sends `bytes`, cut into datagrams of `segment_len` bytes (the last may be shorter), from `source` if given.
    ///
    /// Where a driver refuses segmentation offload, this and all later calls on the socket send one by one.
    ///
    /// # Errors
    /// The segments before the failing one were sent; [`SendError::WouldBlock`] says how many bytes that is.
    pub fn try_send(
        &mut self,
        destination: SocketAddr,
        source: Option<IpAddr>,
        bytes: &[u8],
        segment_len: Option<usize>,
    ) -> Result<(), SendError> {
        let segment_len = segment_len.unwrap_or(bytes.len()).max(1);
        let mut sent_len = 0;
        while sent_len < bytes.len() {
            let burst_len = self.burst_len(segment_len).min(bytes.len() - sent_len);
            let burst = &bytes[sent_len..sent_len + burst_len];
            let mut sent = self.send_once(destination, source, burst, segment_len);
            if sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
                && self.clear_answers()
            {
                // It may have been about an earlier datagram; then this one has not been tried.
                sent = self.send_once(destination, source, burst, segment_len);
            }
            match sent {
                Ok(()) => sent_len += burst_len,
                // The offload was refused and is now off: the same bytes again, one segment at a time.
                Err(_) if burst_len > segment_len && self.max_segments() == 1 => {}
                Err(error) => return Err(self.send_error(error, source, sent_len)),
            }
        }
        Ok(())
    }

    /// How many segments one system call may carry at present (1: no offload).
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Bytes of the next system call, a multiple of the segment length.
    fn burst_len(&self, segment_len: usize) -> usize {
        let fitting_count = (MAX_SEND_LEN / segment_len).max(1);
        segment_len * fitting_count.min(self.max_segments())
    }

    fn send_once(
        &self,
        destination: SocketAddr,
        source: Option<IpAddr>,
        contents: &[u8],
        segment_len: usize,
    ) -> io::Result<()> {
        let segment_size = (contents.len() > segment_len).then_some(segment_len);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: source };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    fn send_error(&mut self, error: io::Error, source: Option<IpAddr>, sent_len: usize) -> SendError {
        let pinned = self.on_device || source.is_some() || !self.local.ip().is_unspecified();
        match SendError::new(error, pinned) {
            SendError::WouldBlock { .. } => SendError::WouldBlock { sent_len },
            error => {
                // Kernels before 6.13 refuse an *oversized* segmented send with EINVAL, as they do an unsupported one,
                // and a removed device fails the same way. Neither speaks against the offload: try it again later.
                if self.max_segments() == 1
                    && matches!(error, SendError::TooBig | SendError::PathGone(_))
                    && let Ok(state) = UdpSocketState::new(UdpSockRef::from(&self.socket))
                {
                    self.state = state;
                }
                error
            }
        }
    }
}

/// Opens a socket with everything set that must be set before it is bound.
fn open(local: SocketAddr, device: Option<&str>, options: &BindOptions) -> Result<Socket, BindError> {
    let step = |action| move |source| BindError::new(action, local, source);
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))
        .map_err(step("open a UDP socket"))?;
    if local.is_ipv6() {
        socket.set_only_v6(true).map_err(step("restrict the socket to IPv6"))?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true).map_err(step("share the port"))?;
    }
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes())).map_err(step("bind the socket to its network device"))?;
    }
    if let Some(mark) = options.mark {
        socket.set_mark(mark).map_err(step("mark the packets of the socket"))?;
    }
    if let Some(buffer_len) = options.buffer_len {
        set_buffers(&socket, buffer_len).map_err(step("size the buffers of the socket"))?;
    }
    Ok(socket)
}

/// Sets both kernel buffers, beyond the system's limit where allowed.
fn set_buffers(socket: &Socket, buffer_len: usize) -> io::Result<()> {
    if sockopt::set_socket_recv_buffer_size_force(socket, buffer_len).is_err() {
        socket.set_recv_buffer_size(buffer_len)?;
    }
    if sockopt::set_socket_send_buffer_size_force(socket, buffer_len).is_err() {
        socket.set_send_buffer_size(buffer_len)?;
    }
    Ok(())
}

impl AsFd for UdpBinding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpBinding {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
