//! Which system calls a cage refuses, compiled for the kernel.
//!
//! Everything is allowed but what is named here: programs of all kinds run in cages, and most of what they call
//! is harmless in namespaces of their own. What is newer than this list answers "no such call". Paths and other
//! memory cannot be looked at by a filter; that is what the mounts and Landlock are for.

use crate::layer::Layer;
use crate::refusal::{Refusal, Step};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};
use std::collections::BTreeMap;

/// `EPERM`, the answer to what is refused.
const REFUSED: u32 = libc::EPERM as u32;
/// First number that is not known here (after `file_setattr`, Linux 6.17). What comes later is answered with
/// `ENOSYS`, as by an older kernel, so that no new way to mount opens by an update.
const UNKNOWN_FROM: u32 = 470;
/// Numbers from here on are calls of the x32 kind, which would pass by every other rule.
const X32_FROM: u32 = 0x4000_0000;
/// Every `CLONE_NEW…` flag of `clone`, `unshare` and `setns`.
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;
/// Set-user-id and set-group-id: a file left in a folder of the host must not carry them.
const SUID: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];
/// `open_tree_attr` (Linux 6.15), unknown to the library.
const SYS_OPEN_TREE_ATTR: i64 = 467;
/// `statmount` and `listmount` (Linux 6.8).
const SYS_STATMOUNT: i64 = 457;
const SYS_LISTMOUNT: i64 = 458;
/// Bits of `socket` and `socketpair` types that are not flags.
const SOCKET_TYPE: u32 = 0xf;

/// Refused always.
const NEVER: &[i64] = &[
    // Looking into, or acting as, other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large parts of the kernel that few programs need and many exploits begin with.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    // Keys belong to users, not to namespaces.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Files by number pass by the root of the cage.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_personality,
    libc::SYS_setdomainname,
];

/// Refused to programs, but needed to build a session: with [`NEVER`], what is refused to those who run code.
const BUILDING: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    SYS_STATMOUNT,
    SYS_LISTMOUNT,
    libc::SYS_sethostname,
];

/// Calls of x86-64 alone.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// The argument that holds the mode of a new or changed file.
const MODES: &[(i64, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_fchmodat2, 2),
    (libc::SYS_openat, 3),
    (libc::SYS_mknodat, 2),
];
#[cfg(target_arch = "x86_64")]
const MODES_HERE: &[(i64, u8)] = &[
    (libc::SYS_chmod, 1),
    (libc::SYS_creat, 1),
    (libc::SYS_open, 2),
    (libc::SYS_mknod, 1),
];
#[cfg(not(target_arch = "x86_64"))]
const MODES_HERE: &[(i64, u8)] = &[];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What holds for everything in a cage, also for what builds sessions in it.
pub(crate) fn bulk() -> Result<BpfProgram, Refusal> {
    let mut rules: Rules = NEVER
        .iter()
        .chain(NEVER_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    refuse_modes(&mut rules)?;
    refuse_networks(&mut rules)?;
    let typing = [libc::TIOCSTI, libc::TIOCLINUX];
    for request in typing {
        refuse(&mut rules, libc::SYS_ioctl, &[(1, SeccompCmpOp::Eq, request)])?;
    }
    let mut program = prologue();
    program.extend(compile(rules)?);
    Ok(program)
}

/// What holds, besides, for everything that runs code of others. Written out, because each session installs it: it is
/// a quarter as long as what a compiler makes of the same rules. The architecture was checked by [`bulk`].
pub(crate) fn stage(may_connect: bool) -> BpfProgram {
    // Places in the tail, counted from its start.
    const CLONE: usize = 1;
    const SOCKET: usize = 3;
    const REFUSE: usize = 8;
    let mut tests: Vec<(i64, usize)> = BUILDING.iter().map(|call| (*call, REFUSE)).collect();
    tests.push((libc::SYS_clone, CLONE));
    if !may_connect {
        // Datagrams carry an address of their own, so they need no `connect`. A raw UNIX socket is one of them.
        tests.extend([
            (libc::SYS_connect, REFUSE),
            (libc::SYS_socket, SOCKET),
            (libc::SYS_socketpair, SOCKET),
        ]);
    }
    let count = tests.len();
    let mut program = vec![line(LOAD, 0, 0, 0)];
    program.extend(tests.into_iter().enumerate().map(|(index, (call, place))| {
        let ahead = count - 1 - index + place;
        line(EQUAL, ahead as u8, 0, call as u32)
    }));
    program.extend([
        line(RETURN, 0, 0, SeccompAction::Allow.into()),
        // The flags are the low half of the first argument: a set one of these goes to the last line.
        line(LOAD, 0, 0, ARGUMENTS_AT),
        line(ANY_BIT, 5, 4, NAMESPACES as u32),
        line(LOAD, 0, 0, ARGUMENTS_AT + 8),
        line(AND, 0, 0, SOCKET_TYPE),
        line(EQUAL, 2, 0, libc::SOCK_DGRAM as u32),
        line(EQUAL, 1, 0, libc::SOCK_RAW as u32),
        line(RETURN, 0, 0, SeccompAction::Allow.into()),
        line(RETURN, 0, 0, SeccompAction::Errno(REFUSED).into()),
    ]);
    program
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// Where the arguments begin in `struct seccomp_data`; each has eight bytes, the low half first.
const ARGUMENTS_AT: u32 = 16;

fn line(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Puts a program in force for this thread and everything it starts. It cannot be taken back.
pub(crate) fn install(program: &BpfProgram) -> Result<(), Refusal> {
    seccompiler::apply_filter(program).layer(Layer::Seccomp, "seccomp")
}

/// The program as the kernel reads it: eight bytes an instruction.
pub(crate) fn bytes(program: &BpfProgram) -> Vec<u8> {
    let instruction = |line: &sock_filter| {
        let (code, k) = (line.code.to_ne_bytes(), line.k.to_ne_bytes());
        [code[0], code[1], line.jt, line.jf, k[0], k[1], k[2], k[3]]
    };
    program.iter().flat_map(instruction).collect()
}

fn refuse_modes(rules: &mut Rules) -> Result<(), Refusal> {
    for (call, argument) in MODES.iter().chain(MODES_HERE) {
        for bit in SUID {
            refuse(rules, *call, &[(*argument, SeccompCmpOp::MaskedEq(bit), bit)])?;
        }
    }
    let devices = [(libc::SYS_mknodat, 2)];
    #[cfg(target_arch = "x86_64")]
    let devices = [devices[0], (libc::SYS_mknod, 1)];
    for (call, argument) in devices {
        for kind in [libc::S_IFCHR, libc::S_IFBLK] {
            let mask = SeccompCmpOp::MaskedEq(libc::S_IFMT.into());
            refuse(rules, call, &[(argument, mask, kind.into())])?;
        }
    }
    Ok(())
}

/// UNIX sockets are the only ones: whatever a network namespace holds back, there are families (vsock) it does not.
fn refuse_networks(rules: &mut Rules) -> Result<(), Refusal> {
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        refuse(rules, call, &[(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)])?;
    }
    Ok(())
}

/// Ahead of all rules: what kills, and what does not exist. The order matters: the answer to a call of an
/// architecture other than this one is given by the program behind, which kills.
fn prologue() -> BpfProgram {
    let absent = u32::from(SeccompAction::Errno(libc::ENOSYS as u32));
    vec![
        line(LOAD, 0, 0, 0),
        line(AT_LEAST, 4, 0, X32_FROM),
        // Their flags lie in memory, where no filter sees them; every caller has an older call to fall back to.
        line(EQUAL, 2, 0, libc::SYS_clone3 as u32),
        line(EQUAL, 1, 0, libc::SYS_openat2 as u32),
        line(AT_LEAST, 0, 2, UNKNOWN_FROM),
        line(RETURN, 0, 0, absent),
        line(RETURN, 0, 0, SeccompAction::KillProcess.into()),
    ]
}

/// Adds one reason to refuse a call: all the conditions (argument, comparison, value) together.
fn refuse(rules: &mut Rules, call: i64, conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<(), Refusal> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, comparison.clone(), *value)
    });
    let conditions = conditions
        .collect::<Result<Vec<_>, _>>()
        .step("seccomp condition")?;
    let rule = SeccompRule::new(conditions).step("seccomp rule")?;
    rules.entry(call).or_default().push(rule);
    Ok(())
}

fn compile(rules: Rules) -> Result<BpfProgram, Refusal> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).layer(Layer::Seccomp, "architecture")?;
    let refused = SeccompAction::Errno(REFUSED);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture);
    BpfProgram::try_from(filter.step("seccomp filter")?).step("seccomp program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_fit_the_kernel() {
        for program in [bulk().unwrap(), stage(false), stage(true)] {
            assert!((10..4096).contains(&program.len()), "{}", program.len());
            assert_eq!(bytes(&program).len(), program.len() * 8);
        }
    }

    /// What the program answers, worked out by hand.
    fn answer(program: &BpfProgram, call: i64, arguments: [u64; 2]) -> u32 {
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let jump = |taken: bool| usize::from(if taken { jt } else { jf });
            match code {
                LOAD if k == 0 => value = call as u32,
                LOAD => value = arguments[(k - ARGUMENTS_AT) as usize / 8] as u32,
                AND => value &= k,
                EQUAL => at += jump(value == k),
                ANY_BIT => at += jump(value & k != 0),
                RETURN => return k,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_stage_refuses_what_it_names_and_nothing_else() {
        let (allow, refuse) = (
            u32::from(SeccompAction::Allow),
            u32::from(SeccompAction::Errno(REFUSED)),
        );
        for may_connect in [true, false] {
            let program = stage(may_connect);
            let ask = |call, arguments| answer(&program, call, arguments);
            for call in BUILDING {
                assert_eq!(ask(*call, [0, 0]), refuse, "{call}");
            }
            for bit in 0..32 {
                let expected = if NAMESPACES & (1 << bit) == 0 {
                    allow
                } else {
                    refuse
                };
                assert_eq!(ask(libc::SYS_clone, [1 << bit, 0]), expected, "{bit}");
            }
            let unless = if may_connect { allow } else { refuse };
            assert_eq!(ask(libc::SYS_connect, [0, 0]), unless);
            for call in [libc::SYS_socket, libc::SYS_socketpair] {
                for (kind, expected) in [(1, allow), (2, unless), (3, unless), (5, allow)] {
                    assert_eq!(ask(call, [1, kind | 0o2_000_000]), expected, "{kind}");
                }
            }
            for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_wait4] {
                assert_eq!(ask(call, [u64::MAX, u64::MAX]), allow);
            }
        }
    }
}
