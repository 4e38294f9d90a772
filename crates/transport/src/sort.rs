//! Sorting datagrams onto several sockets of one port by their first byte.
//!
//! The kernel runs a small program (classic BPF) for each datagram of a group of sockets that share a port; what it
//! returns is the number of the socket in the order of binding. It needs no rights. The one system call has no safe
//! wrapper in the crates we use.

use std::io;
use std::os::fd::AsRawFd;

use libc::{c_ushort, c_void, sock_filter, sock_fprog, socklen_t};
use socket2::Socket;

/// Load the byte at an offset: the datagram's, as the kernel has put the UDP header behind it.
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Lets the group of `socket` sort: socket *n* takes what begins with `classes[n]`, the one behind them the rest.
pub(crate) fn by_first_byte(socket: &Socket, classes: &[u8]) -> io::Result<()> {
    let program = program(classes);
    let description = Description { len: program.len() as u16, zero: [0; GAP_LEN], filter: program.as_ptr() };
    set(socket, &description)
}

/// What lies between the fields of [`sock_fprog`].
const GAP_LEN: usize = size_of::<*const sock_filter>() - size_of::<c_ushort>();

/// [`sock_fprog`] with its gap filled: the kernel is handed no byte that was not written.
#[repr(C)]
struct Description {
    len: c_ushort,
    zero: [u8; GAP_LEN],
    filter: *const sock_filter,
}

const _: () = assert!(size_of::<Description>() == size_of::<sock_fprog>());

fn program(classes: &[u8]) -> Vec<sock_filter> {
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    let mut program = vec![step(LOAD_BYTE, 0, 0)];
    for (number, class) in (0..).zip(classes) {
        // Unequal: over the next instruction.
        program.push(sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k: u32::from(*class) });
        program.push(step(RETURN, 0, number));
    }
    program.push(step(RETURN, 0, classes.len() as u32));
    program
}

#[expect(unsafe_code, reason = "neither rustix nor socket2 wraps SO_ATTACH_REUSEPORT_CBPF")]
fn set(socket: &Socket, program: &Description) -> io::Result<()> {
    let option = (program as *const Description).cast::<c_void>();
    let len = size_of::<Description>() as socklen_t;
    // SAFETY: `option` points to `len` bytes laid out as a sock_fprog that outlives the call, and whose `filter` points to `len`
    // instructions the caller owns; the kernel copies them and keeps no pointer.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, option, len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
