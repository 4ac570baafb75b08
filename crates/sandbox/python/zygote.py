"""The zygote: a warm interpreter in a cage that forks sessions.

It reads orders from a socket at descriptor 3, each with descriptors of its own, and never runs code of a session
itself. One process is always forked ahead: it has namespaces of its own, sees no folder of anybody, and waits for the
order that makes it a session. It builds what the order says, step by step; if a step fails it says which and ends,
before any code of the worker has run. Which system calls, rules and programs for the kernel these are was decided by
the caller; this file only carries them out. It needs nothing but the standard library.
"""

import array
import ctypes
import gc
import importlib
import json
import linecache
import os
import resource
import select
import signal
import socket
import struct
import sys
import types

CONTROL = 3
SESSION = 3
REPORT = 4
ORDER_BYTES_MAX = 65536
DESCRIPTORS_MAX = 96
INIT = "/.actum/init"
CANARY = "/.actum/canary"
WORKER = "<actum-worker>"

NEW_NS, NEW_UTS, NEW_IPC, NEW_PID = 0x20000, 0x4000000, 0x8000000, 0x20000000
NAMESPACES = {"mnt": "mount_namespace", "pid": "pid_namespace", "ipc": "ipc_namespace", "uts": "uts_namespace"}
NOSUID, NODEV, NOEXEC, REMOUNT = 2, 4, 8, 32
# File systems in memory that each session has of its own.
MEMORY = (b"/tmp", b"/dev/shm")
MOVE_EMPTY_PATH = 4
AT_FDCWD = -100
PR_GET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP = 21, 23, 24
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 39, 47, 4
CAPABILITIES_KEPT = (8, 21)
CAPABILITY_VERSION = 0x20080522
EACCES = 13

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
C = ctypes.c_long


class Failed(Exception):
    """A step that was not carried out."""


def check(result):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def call(number, *arguments):
    return check(libc.syscall(C(number), *arguments))


class Fence(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Child:
    """One order, carried out in the process that becomes the session."""

    def __init__(self, zygote):
        self.zygote = zygote
        self.order, self.session, self.mounts = None, None, ()

    # What is the same for every session, and what its order is needed for.
    AHEAD = ("namespaces", "private")
    STEPS = ("folders", "memory", "identity", "descriptors", "rights", "landlock", "seccomp", "check")

    def build(self, steps):
        for step in steps:
            try:
                states = getattr(self, step)()
            except Exception as error:
                raise Failed(step, str(error)) from error
        return states

    def namespaces(self):
        check(libc.unshare(NEW_NS | NEW_IPC | NEW_UTS))

    def private(self):
        for place in MEMORY:
            check(libc.mount(b"actum", place, b"tmpfs", C(NOSUID | NODEV), self.zygote.memory.encode()))
        if self.zygote.proc:
            check(libc.mount(b"proc", b"/proc", b"proc", C(NOSUID | NODEV | NOEXEC), None))

    def folders(self):
        if len(self.mounts) != len(self.order["mounts"]):
            raise OSError("not every folder came with the order")
        for mount, at in zip(self.mounts, self.order["mounts"]):
            place = ctypes.c_char_p(at.encode())
            call(self.zygote.numbers["move_mount"], C(mount), b"", C(AT_FDCWD), place, C(MOVE_EMPTY_PATH))

    def memory(self):
        options = self.order["memory"]
        if options != self.zygote.memory:
            for place in MEMORY:
                check(libc.mount(b"actum", place, b"tmpfs", C(NOSUID | NODEV | REMOUNT), options.encode()))

    def identity(self):
        name = self.order["hostname"].encode()
        check(libc.sethostname(name, C(len(name))))
        # A group of its own, or signals to "the own group" would go to the zygote and every sibling. Not a session of
        # its own: the scheduler then makes a group as well, which took up to 8 ms with 200 of them.
        os.setpgid(0, 0)
        for kind, value in self.order["limits"]:
            most = resource.getrlimit(kind)[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (value, value))
        # Only what differs: each change costs some twenty microseconds, and most sessions get what the zygote has.
        wanted, held = self.order["env"], dict(os.environ)
        for name in held.keys() - wanted.keys():
            del os.environ[name]
        for name, value in wanted.items():
            if held.get(name) != value:
                os.environ[name] = value
        os.chdir(self.order["cwd"])

    def descriptors(self):
        nothing = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.dup2(self.session, SESSION)
        call(self.zygote.numbers["close_range"], C(REPORT + 1), ctypes.c_ulong(0xFFFFFFFF), C(0))

    def rights(self):
        check(libc.prctl(C(PR_SET_NO_NEW_PRIVS), C(1), C(0), C(0), C(0)))
        check(libc.prctl(C(PR_CAP_AMBIENT), C(PR_CAP_AMBIENT_CLEAR_ALL), C(0), C(0), C(0)))
        for capability in CAPABILITIES_KEPT:
            check(libc.prctl(C(PR_CAPBSET_DROP), C(capability), C(0), C(0), C(0)))
        call(self.zygote.numbers["capset"], struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(24))

    def landlock(self):
        fence, numbers = self.order["fence"], self.zygote.numbers
        if not fence["version"]:
            return
        handled = Fence(fence["handled_fs"], fence["handled_net"], fence["scoped"])
        # An older kernel knows a shorter structure.
        size = 8 if fence["version"] < 4 else 16 if fence["version"] < 6 else 24
        rules = call(numbers["landlock_create_ruleset"], ctypes.byref(handled), C(size), C(0))
        for rule in fence["rules"]:
            if rule["path"] in self.zygote.covered:
                continue
            try:
                parent = os.open(rule["path"], os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            beneath = Beneath(rule["access"], parent)
            call(numbers["landlock_add_rule"], C(rules), C(1), ctypes.byref(beneath), C(0))
            os.close(parent)
        call(numbers["landlock_restrict_self"], C(rules), C(0))
        os.close(rules)

    def seccomp(self):
        filters = self.order["seccomp"]
        code = ctypes.create_string_buffer(bytes.fromhex(filters))
        program = Program(len(filters) // 16, ctypes.addressof(code))
        call(self.zygote.numbers["seccomp"], C(1), C(0), ctypes.byref(program))

    def check(self):
        """What holds, seen from inside; refuses what is missing and was not allowed to be."""
        states = {}
        proc = os.path.exists("/proc/self")
        for name, layer in NAMESPACES.items():
            # Where there is no /proc the step that made them is all there is to go by.
            states[layer] = not proc or os.readlink("/proc/self/ns/" + name) != self.zygote.namespaces[name]
        states["pid_namespace"] = states["pid_namespace"] and os.getpid() == 2
        states["proc"] = proc and os.readlink("/proc/self") == "2"
        states["seccomp"] = libc.prctl(C(PR_GET_SECCOMP), C(0), C(0), C(0), C(0)) == 2 and self.refused()
        states["landlock"] = self.fenced()
        states["no_new_privs"] = libc.prctl(C(PR_GET_NO_NEW_PRIVS), C(0), C(0), C(0), C(0)) == 1
        held = ctypes.create_string_buffer(24)
        call(self.zygote.numbers["capget"], struct.pack("Ii", CAPABILITY_VERSION, 0), held)
        bounding = (libc.prctl(C(PR_CAPBSET_READ), C(each), C(0), C(0), C(0)) for each in CAPABILITIES_KEPT)
        states["capabilities"] = held.raw == bytes(24) and not any(bounding)
        limits = ((resource.getrlimit(kind)[0], value) for kind, value in self.order["limits"])
        states["rlimits"] = all(0 <= held <= value for held, value in limits)
        missing = [layer for layer, holds in states.items() if not holds and layer not in self.order["missing"]]
        if missing:
            raise OSError(f"not in force: {', '.join(missing)}")
        return states

    def refused(self):
        # One call that only the filter of the session refuses in this way: without it, a bad argument is named.
        return libc.unshare(C(-1)) < 0 and ctypes.get_errno() == 1

    def fenced(self):
        try:
            os.close(os.open(CANARY, os.O_RDONLY))
        except OSError as error:
            return error.errno == EACCES
        return False


class Session:
    """The processes of one session, as the zygote sees them: its init, and the one that runs the worker."""

    def __init__(self, init, main, orders=None):
        self.init, self.main, self.orders = init, main, orders
        self.init_fd = os.pidfd_open(init)
        try:
            self.main_fd = os.pidfd_open(main)
        except OSError:
            os.close(self.init_fd)
            raise
        # Where its end is told, once it has begun.
        self.status = None
        self.code = None

    def tell_end(self):
        if self.status is not None:
            try:
                os.write(self.status, json.dumps(self.code).encode())
            except OSError:
                pass
            os.close(self.status)


class Zygote:
    """The loop: orders come in, sessions are forked, ends are told."""

    def __init__(self):
        self.control = socket.socket(fileno=CONTROL)
        self.control.set_inheritable(False)
        self.events = select.epoll()
        self.events.register(CONTROL, select.EPOLLIN)
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if os.path.exists("/proc/self") else -1
        self.namespaces = {name: os.readlink("/proc/self/ns/" + name) for name in NAMESPACES} if self.own_pids >= 0 else {}
        # Names that are absent, or that lead to where another rule is: a rule of their own would only cost time.
        tops = (name for name in map("/".__add__, ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "home")))
        self.covered = {name for name in tops if not os.path.exists(name) or os.path.realpath(name).startswith("/usr/")}
        # The next session, while it waits for its order.
        self.waiting = None
        # By pidfd: the function that carries on when that process has ended.
        self.ends = {}

    @staticmethod
    def receive(peer):
        """A message and its descriptors; none of them where not all could be had. Does not return when the other side is
        gone."""
        space = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
        data, messages, flags, _ = peer.recvmsg(ORDER_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)
        descriptors = array.array("i")
        for _, _, content in messages:
            descriptors.frombytes(content[: len(content) - len(content) % 4])
        if flags & socket.MSG_CTRUNC:
            for descriptor in descriptors:
                os.close(descriptor)
            return data, []
        return data, list(descriptors)

    @staticmethod
    def read(order):
        """What an order says."""
        return json.loads(os.pread(order, os.fstat(order).st_size, 0))

    def answer(self, answer, descriptors=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.control.sendmsg([json.dumps(answer).encode()], rights)

    def prepare(self):
        """Compiles the worker and imports what it will need, once for all sessions."""
        _, (descriptor,) = self.receive(self.control)
        order = self.read(descriptor)
        os.close(descriptor)
        self.numbers, self.memory, self.proc = order["numbers"], order["memory"], order["proc"]
        try:
            for name in order["imports"]:
                importlib.import_module(name)
            module = types.ModuleType("actum_worker")
            module.__file__ = WORKER
            sys.modules["actum_worker"] = module
            source = order["worker"]
            linecache.cache[WORKER] = (len(source), None, source.splitlines(True), WORKER)
            exec(compile(source, WORKER, "exec"), module.__dict__)
            self.main = module.main
        except BaseException as error:
            self.answer({"failed": f"{type(error).__name__}: {error}"})
            os._exit(1)
        # What is there now is shared by all: a collection must not touch, and so copy, it.
        gc.collect()
        gc.freeze()
        self.answer({"ready": sys.version})

    def fork(self):
        kind, descriptors = self.receive(self.control)
        if not descriptors:
            self.answer({"failed": "too many files are open for another session"})
            return
        order, session, status, report, *mounts = descriptors
        try:
            if kind == b"true":
                forked = self.hand_over((order, session, report, *mounts))
            else:
                forked = self.fork_bare(order, session, report)
        except OSError as error:
            os.close(status)
            self.answer({"failed": str(error)})
            return
        finally:
            for descriptor in (order, session, report, *mounts):
                os.close(descriptor)
        forked.status = status
        self.answer("forked", (forked.init_fd, forked.main_fd))
        self.watch(forked)
        if kind == b"true":
            self.get_ready()

    def get_ready(self):
        """Forks the next session while nobody waits for it. Where that fails, it is tried again when it is ordered."""
        try:
            self.waiting = self.fork_ahead()
        except OSError:
            self.waiting = None

    def hand_over(self, descriptors):
        """Makes the process that waits a session."""
        forked, self.waiting = self.waiting, None
        if forked is not None and self.send_order(forked, descriptors):
            return forked
        # There is none, or it was killed while it waited.
        forked = self.fork_ahead()
        if not self.send_order(forked, descriptors):
            raise OSError("the process ended before it was told what to become")
        return forked

    def send_order(self, forked, descriptors):
        try:
            forked.orders.sendmsg([b"order"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
        except OSError:
            self.abandon(forked)
            return False
        forked.orders.close()
        return True

    def fork_ahead(self):
        # Processes forked from here on are numbered anew: the first is the init, the second the session. Numbered from
        # inside the last numbering they could not be.
        check(libc.setns(self.own_pids, NEW_PID))
        check(libc.unshare(NEW_PID))
        processes = [os.posix_spawn(INIT, ["init"], {})]
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            processes.append(os.fork())
            if processes[1] == 0:
                self.run(theirs)
            theirs.close()
            return Session(*processes, ours)
        except OSError:
            # The init last: it is not gone before every process of its numbering was waited for.
            for pid in reversed(processes):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise

    def abandon(self, forked):
        """Ends one that never got its order."""
        forked.orders.close()
        self.watch(forked)

    def run(self, orders):
        """The next session: never returns."""
        try:
            # While it waits it holds nothing that is the zygote's or another session's.
            os.dup2(orders.fileno(), SESSION, False)
            self.control.detach()
            orders.detach()
            call(self.numbers["close_range"], C(REPORT), ctypes.c_ulong(0xFFFFFFFF), C(0))
            orders = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, SESSION)
            child = Child(self)
            failed = None
            try:
                child.build(Child.AHEAD)
            except Failed as error:
                failed = error
            _, (order, child.session, report, *child.mounts) = self.receive(orders)
            orders.detach()
            child.order = self.read(order)
            # It had the number that the report goes to.
            os.close(order)
            os.dup2(report, REPORT, False)
            try:
                if failed is not None:
                    raise failed
                states = child.build(Child.STEPS)
            except Failed as error:
                step, reason = error.args
                os.write(REPORT, json.dumps({"step": step, "reason": reason[:500]}).encode())
                os._exit(1)
            self.start(child.order, json.dumps({"layers": states}).encode())
        finally:
            os._exit(1)

    def fork_bare(self, order, session, report):
        """Forks without a cage, to measure what that alone costs."""
        check(libc.setns(self.own_pids, NEW_PID))
        order = self.read(order)
        main = os.fork()
        if main == 0:
            self.run_bare(order, session, report)
        return Session(main, main)

    def run_bare(self, order, session, report):
        """A fork that builds nothing, to be measured against. Refused unless the caller asks for no level."""
        try:
            os.dup2(report, REPORT, False)
            self.control.detach()
            os.dup2(session, SESSION)
            call(self.numbers["close_range"], C(REPORT + 1), ctypes.c_ulong(0xFFFFFFFF), C(0))
            self.start(order, b'{"layers": {}}')
        finally:
            os._exit(1)

    def start(self, order, report):
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        os.write(REPORT, report)
        os.close(REPORT)
        code = 0
        try:
            self.main(SESSION, order["config"])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except BaseException:
            code = 1
        finally:
            os._exit(code & 0xFF)

    def watch(self, session):
        """Reaps the session, then its init; what is told is told when all of it is gone."""
        def main_ended():
            session.code = os.waitstatus_to_exitcode(os.waitpid(session.main, 0)[1])
            if session.init == session.main:
                session.tell_end()
                return
            try:
                os.kill(session.init, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.on_end(session.init_fd, init_ended)

        def init_ended():
            os.waitpid(session.init, 0)
            session.tell_end()

        if session.init == session.main:
            os.close(session.init_fd)
        self.on_end(session.main_fd, main_ended)

    def on_end(self, pidfd, then):
        self.ends[pidfd] = then
        self.events.register(pidfd, select.EPOLLIN)

    def serve(self):
        while True:
            for descriptor, _ in self.events.poll():
                if descriptor == CONTROL:
                    self.fork()
                    continue
                self.events.unregister(descriptor)
                then = self.ends.pop(descriptor)
                os.close(descriptor)
                then()


if __name__ == "__main__":
    zygote = Zygote()
    zygote.prepare()
    zygote.get_ready()
    zygote.serve()
