"""The zygote: a warm interpreter in a cage that forks sessions.

It reads orders from a socket at descriptor 3, each with descriptors of its own, and never runs code of a session
itself. A forked child builds what its order says, step by step; if a step fails it says which and ends, before
any code of the worker has run. Which system calls, rules and programs for the kernel these are was decided by the
caller; this file only carries them out. It needs nothing but the standard library.
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
NOSUID, NODEV, NOEXEC = 2, 4, 8
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

    def __init__(self, zygote, order, session, mounts):
        self.zygote, self.order, self.session, self.mounts = zygote, order, session, mounts

    STEPS = ("namespaces", "folders", "private", "identity", "descriptors", "rights", "landlock", "seccomp", "check")

    def build(self):
        for step in self.STEPS:
            try:
                states = getattr(self, step)()
            except Exception as error:
                raise Failed(step, str(error)) from error
        return states

    def namespaces(self):
        check(libc.unshare(NEW_NS | NEW_IPC | NEW_UTS))

    def folders(self):
        for mount, at in zip(self.mounts, self.order["mounts"]):
            place = ctypes.c_char_p(at.encode())
            call(self.zygote.numbers["move_mount"], C(mount), b"", C(AT_FDCWD), place, C(MOVE_EMPTY_PATH))

    def private(self):
        options = self.order["memory"].encode()
        for place in (b"/tmp", b"/dev/shm"):
            check(libc.mount(b"actum", place, b"tmpfs", C(NOSUID | NODEV), options))
        if self.order["proc"]:
            check(libc.mount(b"proc", b"/proc", b"proc", C(NOSUID | NODEV | NOEXEC), None))

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
        # The first process of the numbering that the next session will be in, once there is one.
        self.next_init = None
        # By pidfd: the function that carries on when that process has ended.
        self.ends = {}

    def receive(self):
        space = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
        data, messages, _, _ = self.control.recvmsg(ORDER_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)
        descriptors = array.array("i")
        for _, _, content in messages:
            descriptors.frombytes(content[: len(content) - len(content) % 4])
        order = descriptors[0]
        size = os.fstat(order).st_size
        text = os.pread(order, size, 0)
        os.close(order)
        return json.loads(text), list(descriptors[1:])

    def answer(self, answer, descriptors=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.control.sendmsg([json.dumps(answer).encode()], rights)

    def prepare(self):
        """Compiles the worker and imports what it will need, once for all sessions."""
        order, _ = self.receive()
        self.numbers = order["numbers"]
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
        order, descriptors = self.receive()
        session, status, report, *mounts = descriptors
        try:
            forked = self.fork_into(order, session, report, mounts)
        except OSError as error:
            os.close(status)
            self.answer({"failed": str(error)})
            return
        finally:
            for descriptor in (session, report, *mounts):
                os.close(descriptor)
        init, main = (os.pidfd_open(pid) for pid in forked)
        self.answer("forked", (init, main))
        self.watch(status, *forked, init, main)
        if order["cage"]:
            # Made while nobody waits, so that the next order finds it ready.
            try:
                self.new_numbering()
            except OSError:
                self.next_init = None

    def fork_into(self, order, session, report, mounts):
        if not order["cage"]:
            self.leave_numbering()
            main = os.fork()
            if main == 0:
                self.run_bare(order, session, report)
            return main, main
        init = self.next_init or self.new_numbering()
        try:
            main = os.fork()
            if main == 0:
                self.run(order, session, report, mounts)
        except OSError:
            self.leave_numbering()
            raise
        self.next_init = None
        return init, main

    def new_numbering(self):
        """Processes forked from here on are numbered anew: the first is the init, the second the next session."""
        # Otherwise there could be no new numbering inside the last one.
        check(libc.setns(self.own_pids, NEW_PID))
        check(libc.unshare(NEW_PID))
        self.next_init = os.posix_spawn(INIT, ["init"], {})
        return self.next_init

    def leave_numbering(self):
        if self.next_init is not None:
            os.kill(self.next_init, signal.SIGKILL)
            os.waitpid(self.next_init, 0)
            self.next_init = None
        check(libc.setns(self.own_pids, NEW_PID))

    def run(self, order, session, report, mounts):
        """The session: never returns."""
        try:
            # The two fixed numbers are held by what the zygote opened first, so nothing of the order has them.
            os.dup2(report, REPORT, False)
            self.control.detach()
            try:
                states = Child(self, order, session, mounts).build()
            except Failed as failed:
                step, reason = failed.args
                os.write(REPORT, json.dumps({"step": step, "reason": reason[:500]}).encode())
                os._exit(1)
            self.start(order, json.dumps({"layers": states}).encode())
        finally:
            os._exit(1)

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

    def watch(self, status, init, main, init_fd, main_fd):
        """Reaps the session, then its init; what is told is told when all of it is gone."""
        ended = []

        def main_ended():
            ended.append(os.waitstatus_to_exitcode(os.waitpid(main, 0)[1]))
            if init == main:
                init_ended(False)
                return
            try:
                os.kill(init, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.on_end(init_fd, init_ended)

        def init_ended(reap=True):
            if reap:
                os.waitpid(init, 0)
            try:
                os.write(status, json.dumps(ended[0]).encode())
            except OSError:
                pass
            os.close(status)

        if init == main:
            os.close(init_fd)
        self.on_end(main_fd, main_ended)

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
    zygote.serve()
