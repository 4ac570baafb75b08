"""Attempts to get out of a cage. Each says "denied", or what it got. Outside a cage most must get something: that
shows that the attempt itself is right."""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ATTEMPTS = {}


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def call(number, *arguments, answer=errno.EPERM):
    """Denied only if the answer is exactly this one."""
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    got = libc.syscall(ctypes.c_long(number), *plain)
    if got < 0:
        error = ctypes.get_errno()
        if error == answer:
            raise PermissionError(error, "refused")
        return os.strerror(error)
    return f"got {got}"


def in_child(function):
    """What a function gets in a process of its own: its answer, or the signal that ended it."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = run(function)
        except BaseException as error:
            answer = repr(error)
        os.write(there, answer.encode()[:4000])
        os._exit(0)
    os.close(there)
    with open(here, "rb") as file:
        answer = file.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return answer if status == 0 else f"signal {-status}"


def run(function, *arguments):
    try:
        return str(function(*arguments))
    except OSError as error:
        return f"denied: {errno.errorcode.get(error.errno, error)}"


def send(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as plug:
        plug.settimeout(5)
        plug.connect(address)
        plug.send(b"out")
        return "sent"


@attempt
def udp(about):
    return send(socket.AF_INET, ("127.0.0.1", about["udp"]), socket.SOCK_DGRAM)


@attempt
def tcp(about):
    return send(socket.AF_INET, ("127.0.0.1", about["tcp"]))


@attempt
def unix_socket(about):
    return send(socket.AF_UNIX, about["unix"])


@attempt
def unix_socket_in_the_folder(about):
    return send(socket.AF_UNIX, about["folder"] + "/socket")


@attempt
def unix_datagram_in_the_folder(about):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
        return plug.sendto(b"out", about["folder"] + "/datagrams")


@attempt
def unix_raw_in_the_folder(about):
    with socket.socket(socket.AF_UNIX, socket.SOCK_RAW) as plug:
        return plug.sendto(b"out", about["folder"] + "/datagrams")


@attempt
def abstract_socket(about):
    return send(socket.AF_UNIX, "\0" + about["abstract"])


@attempt
def proc_of_others(about):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if file.read().split("\0")[-2:-1] == [about["victim_mark"]]:
                    return f"saw {pid}"
        except OSError:
            pass
    raise PermissionError(errno.ENOENT, "not there")


@attempt
def proc_root(about):
    for pid in ("self", "1", "2"):
        try:
            with open(f"/proc/{pid}/root" + about["secret"]) as file:
                return file.read()
        except OSError:
            pass
    raise PermissionError(errno.ENOENT, "not there")


@attempt
def memory_of_init(about):
    with open("/proc/1/mem", "rb") as file:
        return file.fileno()


@attempt
def ptrace(about):
    return in_child(lambda: call(101, 0, 0, 0, 0))


@attempt
def signal_to_the_host(about):
    os.kill(about["victim"], 0)
    return "exists"


@attempt
def chmod_outside(about):
    return os.chmod(about["secret"], 0o644)


@attempt
def symlink_outside(about):
    os.symlink(about["secret"], "way-out")
    try:
        with open("way-out") as file:
            return file.read()
    finally:
        os.unlink("way-out")


@attempt
def dot_dot(about):
    with open("../" * 20 + about["secret"][1:]) as file:
        return file.read()


@attempt
def hard_link_outside(about):
    os.link(about["secret"], "linked")
    os.unlink("linked")
    return "linked"


@attempt
def hard_link_of_the_system(about):
    os.link("/usr/bin/env", "linked")
    os.unlink("linked")
    return "linked"


@attempt
def write_the_system(about):
    return os.open("/usr/bin/env", os.O_WRONLY)


@attempt
def set_user_id(about):
    with open("suid", "w"):
        pass
    try:
        return os.chmod("suid", 0o4755)
    finally:
        os.unlink("suid")


@attempt
def set_group_id_at_once(about):
    os.close(os.open("sgid", os.O_CREAT | os.O_WRONLY, 0o2755))
    os.unlink("sgid")
    return "made"


@attempt
def device_node(about):
    os.mknod("node", 0o600 | 0o020000, os.makedev(1, 3))
    os.unlink("node")
    return "made"


@attempt
def whiteout(about):
    os.mknod("node", 0o600 | 0o020000, 0)
    os.unlink("node")
    return "made"


@attempt
def memory_device(about):
    return os.open("/dev/mem", os.O_RDONLY)


@attempt
def sysctl(about):
    return os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@attempt
def sysctl_of_the_network(about):
    return os.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY)


@attempt
def sysctl_of_namespaces(about):
    return os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY)


@attempt
def sys_is_seen(about):
    return os.listdir("/sys")


@attempt
def canary(about):
    return os.open("/.actum/canary", os.O_RDONLY)


@attempt
def root_is_written(about):
    # Outside it would be written indeed; that needs no proof.
    return os.mkdir("/out") if about["caged"] else "not tried"


@attempt
def vsock(about):
    return socket.socket(40, socket.SOCK_STREAM).fileno()


@attempt
def netlink(about):
    return socket.socket(16, socket.SOCK_RAW, 0).fileno()


@attempt
def packet(about):
    return socket.socket(17, socket.SOCK_RAW, 0).fileno()


@attempt
def crypto_sockets(about):
    return socket.socket(38, socket.SOCK_SEQPACKET, 0).fileno()


@attempt
def type_into_a_terminal(about):
    return call(16, 0, 0x5412, ctypes.c_char_p(b"x"))


@attempt
def type_into_a_terminal_with_high_bits(about):
    return call(16, 0, 0x1_0000_5412, ctypes.c_char_p(b"x"))


def plain(name, number, *arguments):
    ATTEMPTS[name] = lambda about: in_child(lambda: call(number, *arguments))


if os.uname().machine == "x86_64":
    plain("io_uring", 425, 4, ctypes.create_string_buffer(120))
    plain("keyctl", 250, 0, -3, 0)
    plain("add_key", 248, b"user", b"a", b"b", 1, -3)
    plain("bpf", 321, 0, 0, 0)
    plain("userfaultfd", 323, 1)
    plain("perf_event_open", 298, 0, 0, -1, -1, 0)
    plain("process_vm_readv", 310, os.getpid(), 0, 0, 0, 0, 0)
    plain("pidfd_getfd", 438, -1, 0, 0)
    plain("unshare_user", 272, 0x10000000)
    plain("unshare_mount", 272, 0x20000)
    plain("setns", 308, -1, 0)
    plain("clone_user", 56, 0x10000011, 0, 0, 0, 0)
    plain("clone_pid", 56, 0x20000011, 0, 0, 0, 0)
    plain("mount", 165, b"none", b"/tmp", b"no-such-kind", 0, 0)
    plain("umount", 166, b"/no/such/place", 2)
    plain("open_tree", 428, -100, b"/", 1)
    plain("open_tree_attr", 467, -100, b"/", 1, 0, 0)
    plain("fsopen", 430, b"tmpfs", 0)
    plain("move_mount", 429, -1, b"", -100, b"/", 4)
    plain("mount_setattr", 442, -100, b"/", 0, 0, 0)
    plain("pivot_root", 155, b"/", b"/")
    plain("chroot", 161, b"/")
    plain("name_to_handle_at", 303, -100, b"/", 0, 0, 0)
    plain("open_by_handle_at", 304, -1, 0, 0)
    plain("kexec_load", 246, 0, 0, 0, 0)
    plain("init_module", 175, 0, 0, b"")
    plain("personality", 135, 0xFFFFFFFF)
    plain("quotactl", 179, 0, 0, 0, 0)
    plain("settimeofday", 164, 0, 0)
    plain("swapon", 167, b"/x", 0)

    @attempt
    def clone3(about):
        return in_child(lambda: call(435, 0, 0, answer=errno.ENOSYS))

    @attempt
    def a_call_of_the_future(about):
        return in_child(lambda: call(471, 0, 0, 0, 0, answer=errno.ENOSYS) if about["caged"] else "not yet")

    @attempt
    def openat2(about):
        return in_child(lambda: call(437, -100, b"/", 0, 0, answer=errno.ENOSYS))

    @attempt
    def x32(about):
        answer = in_child(lambda: call(0x40000000 + 39))
        return "denied: killed" if answer == f"signal {int(signal.SIGSYS)}" else answer


def attempts(about):
    os.chdir(about["folder"])
    return {name: run(function, about) for name, function in sorted(ATTEMPTS.items())}


def floods(about):
    """What runs into a limit, and what is left to do then."""
    found = {}
    os.chdir(about["folder"])
    children = []
    try:
        while len(children) < 2000:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
        found["forks"] = "unlimited"
    except OSError as error:
        found["forks"] = errno.errorcode[error.errno]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    files = []
    try:
        while len(files) < 100_000:
            files.append(os.open("/dev/null", os.O_RDONLY))
        found["files"] = "unlimited"
    except OSError as error:
        found["files"] = errno.errorcode[error.errno]
    for file in files:
        os.close(file)
    try:
        found["memory"] = str(len(bytearray(1 << 34)))
    except MemoryError:
        found["memory"] = "MemoryError"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for place in (".", "/tmp", "/dev/shm"):
        try:
            with open(place + "/flood", "wb", buffering=0) as file:
                for _ in range(1024):
                    file.write(bytes(1 << 20))
            found["disk " + place] = "unlimited"
        except OSError as error:
            found["disk " + place] = errno.errorcode[error.errno]
        os.unlink(place + "/flood")
    return found


if __name__ == "__main__" and len(sys.argv) > 2:
    about = json.loads(sys.argv[1])
    print(json.dumps(globals()[sys.argv[2]](about)))
