//! The filter of system calls (seccomp(2)): what a daemon uses after its start, and nothing else.
//!
//! Two filters, of which the kernel applies the stricter answer. One lets through what is listed; for everything else
//! it answers ENOSYS, "there is no such call", which the C library knows how to live with. The other kills the process
//! for calls that no version of this program makes and that only somebody who took it over has a use for.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::SandboxError;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is needed whatever its arguments are, by purpose.
const ADMITTED: &[&[c_long]] = &[
    // Packets, and the descriptors they come from. Sockets come ready-made; none of the internet can be opened, but for a
    // store that is elsewhere.
    &[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_dup,
        libc::SYS_dup3,
    ],
    // The control socket, and the kernel's news of links. Nobody is connected to: what the service manager is told goes
    // through a socket that was connected before.
    &[libc::SYS_accept4, libc::SYS_bind, libc::SYS_shutdown],
    // Waiting.
    &[
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2,
        libc::SYS_ppoll,
        libc::SYS_timerfd_create,
        libc::SYS_timerfd_settime,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_restart_syscall,
    ],
    // Time and randomness.
    &[libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_getrandom],
    // Threads, and the locks between them.
    &[
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_membarrier,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ],
    // Memory. Making some of it executable is looked at below.
    &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise],
    // Signals: those that arrive, and the one by which a fault ends the process.
    &[
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
    ],
    // Files: the event file is opened again, the control socket's is looked at and removed. Which of them is for
    // Landlock to say.
    &[
        libc::SYS_openat,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_unlinkat,
    ],
    // The store of ownership: SQLite reads, writes, cuts and syncs the two files that it has open. These calls take
    // descriptors alone, so they reach nothing new.
    &[libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_ftruncate, libc::SYS_fsync, libc::SYS_fdatasync],
    // Who we are: clients of the control socket are compared with it.
    &[libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid],
];

/// The same purposes, by calls that newer machines do without.
#[cfg(target_arch = "x86_64")]
const ADMITTED_HERE: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_unlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
];
#[cfg(not(target_arch = "x86_64"))]
const ADMITTED_HERE: &[c_long] = &[];

/// Calls that kill the process: other programs, other processes' memory, other users, other namespaces, the kernel's
/// own doors. `clone3` is not among them, as the C library tries it for threads before it falls back.
pub const KILLING: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_personality,
];

/// Numbers of `ioctl` that the standard library and the event loop use: non-blocking, and "is this a terminal?".
const IOCTLS: [u64; 2] = [libc::FIONBIO, libc::TCGETS];

/// Options of `prctl`: names of threads and of memory.
const PRCTLS: [u64; 2] = [libc::PR_SET_NAME as u64, libc::PR_SET_VMA as u64];

/// The bits of a socket's type that say its kind (`SOCK_TYPE_MASK` of the kernel).
const SOCKET_KIND: u64 = 0xf;

/// How many calls are let through, some of them with certain arguments alone.
pub fn admitted_call_count() -> usize {
    admitted(true).map_or(0, |rules| rules.len())
}

/// Puts both filters in force for the calling thread and what it starts. With `tcp`, sockets of TCP may be made.
pub(crate) fn restrict(tcp: bool) -> Result<(), SandboxError> {
    let failed = |error: &dyn std::fmt::Display| SandboxError::Calls(error.to_string());
    let killing =
        program(killing().map_err(|error| failed(&error))?, SeccompAction::Allow, SeccompAction::KillProcess);
    let absent = u32::try_from(libc::ENOSYS).unwrap_or_default();
    let admitted = program(
        admitted(tcp).map_err(|error| failed(&error))?,
        SeccompAction::Errno(absent),
        SeccompAction::Allow,
    );
    // The one that admits little comes last: it would not let the other be installed.
    for program in [killing, admitted] {
        apply_filter(&program.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    Ok(())
}

type Refusal = seccompiler::BackendError;

fn program(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, Refusal> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, listed, machine)?.try_into()
}

fn killing() -> Result<Rules, Refusal> {
    let mut rules: Rules = KILLING.iter().map(|call| (*call, Vec::new())).collect();
    // Reading along on a link, and speaking below IP.
    rules.insert(libc::SYS_socket, vec![rule(&[(0, equal(libc::AF_PACKET as u64))])?]);
    Ok(rules)
}

fn admitted(tcp: bool) -> Result<Rules, Refusal> {
    let plain = ADMITTED.iter().copied().flatten().chain(ADMITTED_HERE);
    let mut rules: Rules = plain.map(|call| (*call, Vec::new())).collect();
    let netlink = [(0, equal(libc::AF_NETLINK as u64)), (2, equal(libc::NETLINK_ROUTE as u64))];
    let mut sockets = vec![rule(&netlink)?];
    if tcp {
        rules.insert(libc::SYS_connect, Vec::new());
        for family in [libc::AF_INET, libc::AF_INET6] {
            // The bits above the kind say that it does not block and is not passed on.
            let stream = masked(SOCKET_KIND, libc::SOCK_STREAM as u64);
            sockets.push(rule(&[(0, equal(family as u64)), (1, stream)])?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_ioctl, one_of(1, &IOCTLS)?);
    rules.insert(libc::SYS_prctl, one_of(0, &PRCTLS)?);
    // Threads alone: without this flag it is another process.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule(&[(0, masked(thread, thread))])?]);
    let executable = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(&[(2, masked(executable, 0))])?]);
    }
    // Limits may be read (the C library looks for the stack's), not set.
    rules.insert(libc::SYS_prlimit64, vec![long_rule(2, equal(0))?]);
    Ok(rules)
}

/// A comparison of an argument.
type Test = (SeccompCmpOp, u64);

fn equal(value: u64) -> Test {
    (SeccompCmpOp::Eq, value)
}

/// Of the bits of `mask`, those of `value` are set and the others are not.
fn masked(mask: u64, value: u64) -> Test {
    (SeccompCmpOp::MaskedEq(mask), value)
}

/// All of these hold, for arguments of 32 bits.
fn rule(tests: &[(u8, Test)]) -> Result<SeccompRule, Refusal> {
    let condition = |(at, (operator, value)): &(u8, Test)| {
        SeccompCondition::new(*at, SeccompCmpArgLen::Dword, operator.clone(), *value)
    };
    SeccompRule::new(tests.iter().map(condition).collect::<Result<Vec<_>, _>>()?)
}

/// This holds, for an argument of 64 bits (a pointer).
fn long_rule(at: u8, (operator, value): Test) -> Result<SeccompRule, Refusal> {
    SeccompRule::new(vec![SeccompCondition::new(at, SeccompCmpArgLen::Qword, operator, value)?])
}

/// The argument is one of these.
fn one_of(at: u8, values: &[u64]) -> Result<Vec<SeccompRule>, Refusal> {
    values.iter().map(|value| rule(&[(at, equal(*value))])).collect()
}
