"""The session worker of Actum: runs the code of one session, Python or shell, and speaks the session protocol.

One file, standard library only, Python 3.9 or newer. `main(fd, config)` is called once in a process made for it; as
a script it is started with `python3 -I worker.py FD [JSON]`. Importing it starts no thread and opens nothing, so a
parent may import it once and fork. `docs/session-protocol.md` is the contract.

It builds no cage and decides no rule: it assumes that user code may do to this process what it likes, and that
whoever started it can kill it.

Threads: user code runs on the main thread alone, so that a signal interrupts it. A pump moves what is written to
descriptors 1 and 2, sends heartbeats and keeps time. The socket is read by whoever is free to: by the main thread
while nothing runs, so that short code waits for no other thread, and by the pump once code has run for a moment or
asks for something. Both wait on events.

Locks are taken in this order: `read_lock`, `outlet`, `credit`, `state_lock`, `send_lock`. The pump never waits for
`read_lock` or `outlet`: who holds them may wait for a frame that only the pump reads.
"""

import array
import ast
import asyncio
import builtins
import contextlib
import copy
import ctypes
import errno
import fcntl
import functools
import inspect
import io
import json
import linecache
import math
import os
import pickle
import queue
import random
import re
import reprlib
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback
import types

import _signal as _signal_module

PROTOCOL = 1
FRAME_BYTES_MAX = 10 * 1024 * 1024
CHUNK_BYTES_MAX = 256 * 1024
PIPE_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024
FRAME_COST_BYTES = 64
VALUE_DEPTH_MAX = 64
VALUE_NODES_MAX = 200_000
VALUE_BYTES_MAX = 4 * 1024 * 1024
REPR_CHARS_MAX = 64 * 1024
TEXT_CHARS_MAX = 8 * 1024
PROMISE_MESSAGE_CHARS_MAX = 1024
TRACEBACK_CHARS_MAX = 64 * 1024
NOTES_MAX = 32
INTEGER_MAX = 2**53
HISTORY_MAX = 100
CELLS_MAX = 512
EXPRESSION_CHARS_MAX = 200
CELL_BYTES_MAX = 16 * 1024 * 1024
QUEUE_MAX = 1024
PROGRESS_SECONDS = 0.05
COALESCE_SECONDS = 0.001
SMALL_CHUNK_BYTES = 32 * 1024
TRANSACTION_NODES_MAX = 2_000_000
FOLLOW_SECONDS = 0.005
PR_SET_CHILD_SUBREAPER = 36
TIMERFD_FLAGS = 0o2004000
VALUE_NAME = "__actum_value__"
_NUMBERED = re.compile(r"(?<!\w)_[0-9]")
SHELL_ERROR_FD = 8
SHELL_REPORT_FD = 9
CAPABILITIES = [
    "execute", "input", "cancel", "interrupt", "checkpoint", "restore", "transactions", "capability", "display",
    "progress", "heartbeat", "child_output",
]
SHELL_CAPABILITIES = ["execute", "shell", "cancel", "interrupt", "heartbeat", "child_output"]

_libc = ctypes.CDLL(None, use_errno=True)
_flush_c_output = _libc.fflush
_flush_c_output.argtypes = (ctypes.c_void_p,)
_libc.timerfd_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


# ---------------------------------------------------------------- MessagePack


class ProtocolError(Exception):
    """A frame that the contract does not allow."""


class Unrepresentable(Exception):
    """A value that has no place in a frame; says why."""


_TEXT_SIZES = ((0xD9, ">BB", 1 << 8), (0xDA, ">BH", 1 << 16), (0xDB, ">BI", 1 << 32))
_BIN_SIZES = ((0xC4, ">BB", 1 << 8), (0xC5, ">BH", 1 << 16), (0xC6, ">BI", 1 << 32))
_LIST_SIZES = ((0xDC, ">BH", 1 << 16), (0xDD, ">BI", 1 << 32))
_MAP_SIZES = ((0xDE, ">BH", 1 << 16), (0xDF, ">BI", 1 << 32))
_ONE_BYTE = [bytes((number,)) for number in range(256)]


def _head(fix, most, sizes, count):
    """What a text, a list or a map of `count` begins with."""
    if count < most:
        return _ONE_BYTE[fix | count]
    for code, form, limit in sizes:
        if count < limit:
            return struct.pack(form, code, count)
    raise Unrepresentable("is too large")


def pack_integer(value):
    """The MessagePack bytes of an integer."""
    if 0 <= value < 128:
        return _ONE_BYTE[value]
    if -32 <= value < 0:
        return _ONE_BYTE[value + 256]
    return struct.pack(">BQ", 0xCF, value) if value >= 0 else struct.pack(">Bq", 0xD3, value)


def pack_text(value):
    """The MessagePack bytes of a text."""
    known = _KNOWN_TEXTS.get(value)
    if known is not None:
        return known
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError:
        raise Unrepresentable("holds a text that is no valid Unicode") from None
    return _head(0xA0, 32, _TEXT_SIZES, len(data)) + data


class Packed(bytes):
    """A value that was packed before."""


class _Packer:
    """Collects the bytes of one value; `nodes` and `room` are the items and bytes still allowed."""

    def __init__(self, nodes, room, binary):
        self.parts = []
        self.nodes = nodes
        self.room = room
        self.binary = binary

    def put(self, value, depth=0):
        kind = type(value)
        if kind is str:
            self.add(pack_text(value))
        elif kind is int:
            if not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise Unrepresentable("holds an integer above 2^53")
            self.parts.append(pack_integer(value))
        elif kind is Packed:
            self.add(value)
        elif value is None:
            self.parts.append(b"\xc0")
        elif kind is bool:
            self.parts.append(b"\xc3" if value else b"\xc2")
        elif kind is dict:
            self.enter(_head(0x80, 16, _MAP_SIZES, len(value)), len(value), depth)
            for key, item in value.items():
                if type(key) is not str:
                    raise Unrepresentable(f"has a key of type {type(key).__name__}, expected text")
                self.add(pack_text(key))
                self.put(item, depth + 1)
        elif kind is list or kind is tuple:
            self.enter(_head(0x90, 16, _LIST_SIZES, len(value)), len(value), depth)
            for item in value:
                self.put(item, depth + 1)
        elif kind is float:
            if not math.isfinite(value):
                raise Unrepresentable("holds a number that is not finite")
            self.parts.append(struct.pack(">Bd", 0xCB, value))
        elif self.binary and kind in (bytes, bytearray, memoryview):
            # Made first: a view may have items of more than one byte.
            data = bytes(value)
            self.add(_head(0, 0, _BIN_SIZES, len(data)))
            self.add(data)
        else:
            raise Unrepresentable(f"holds a {kind.__name__}, which JSON has no form for")

    def add(self, part):
        self.room -= len(part)
        if self.room < 0:
            raise Unrepresentable("is too large")
        self.parts.append(part)

    def enter(self, head, count, depth):
        self.nodes -= count
        if self.nodes < 0:
            raise Unrepresentable("is too large")
        if depth >= VALUE_DEPTH_MAX and count:
            raise Unrepresentable(f"is nested deeper than {VALUE_DEPTH_MAX}")
        self.parts.append(head)


_KNOWN_TEXTS = {}
for _text in (
    "type", "id", "result", "error", "value", "valueOmitted", "repr", "durationNs", "output", "stream", "stdout",
    "stderr", "seq", "code", "errorType", "message", "traceback", "notes", "",
):
    _KNOWN_TEXTS[_text] = pack_text(_text)


_ACK = b"\x82\xa4type\xa3ack\xa2of"


def pack(message):
    """The MessagePack bytes of a message, a map that holds texts and small integers most of all."""
    parts = [_head(0x80, 16, _MAP_SIZES, len(message))]
    for key, item in message.items():
        kind = type(item)
        parts.append(_KNOWN_TEXTS.get(key) or pack_text(key))
        if kind is str:
            parts.append(_KNOWN_TEXTS.get(item) or pack_text(item))
        elif kind is Packed:
            parts.append(item)
        else:
            packer = _Packer(FRAME_BYTES_MAX, FRAME_BYTES_MAX, True)
            packer.put(item, 1)
            parts += packer.parts
    return b"".join(parts)


def pack_json(value, most=VALUE_BYTES_MAX):
    """A value that JSON has a form for, packed; raises `Unrepresentable` for others and for more than `most` bytes."""
    packer = _Packer(VALUE_NODES_MAX, most, False)
    packer.put(value)
    return Packed(b"".join(packer.parts))


_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i",
    0xD3: ">q",
}
_LENGTHS = {
    0xC4: (">B", "bin"), 0xC5: (">H", "bin"), 0xC6: (">I", "bin"), 0xD9: (">B", "str"), 0xDA: (">H", "str"),
    0xDB: (">I", "str"), 0xDC: (">H", "list"), 0xDD: (">I", "list"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class _Unpacker:
    """Reads one value and refuses whatever is cut short, too deep, or outside the contract."""

    def __init__(self, data):
        # One more byte, which starts no text, can always be looked at.
        self.data = data + b"\0"
        self.size = len(data)
        self.at = 0

    def take(self, count):
        end = self.at + count
        if end > self.size:
            raise ProtocolError("expected more bytes, the frame ends")
        piece = self.data[self.at:end]
        self.at = end
        return piece

    def value(self, depth=0):
        if depth > VALUE_DEPTH_MAX + 8:
            raise ProtocolError("a value is nested too deeply")
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code < 0x90:
            return self.body("map", code & 0x0F, depth)
        if code < 0xA0:
            return self.body("list", code & 0x0F, depth)
        if code < 0xC0:
            return self.body("str", code & 0x1F, depth)
        if code >= 0xE0:
            return code - 256
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            form = _NUMBERS[code]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        if code not in _LENGTHS:
            raise ProtocolError(f"byte 0x{code:02x} starts no value of this protocol")
        form, kind = _LENGTHS[code]
        return self.body(kind, struct.unpack(form, self.take(struct.calcsize(form)))[0], depth)

    def short_text(self):
        """A text of 1 to 31 bytes, as names are; nothing where something else stands."""
        start = self.at + 1
        end = start + self.data[start - 1] - 0xA0
        if not start < end < start + 32 or end > self.size:
            return None
        try:
            text = self.data[start:end].decode()
        except UnicodeDecodeError:
            raise ProtocolError("a text is not UTF-8") from None
        self.at = end
        return text

    def body(self, kind, count, depth):
        if kind == "bin":
            return bytes(self.take(count))
        if kind == "str":
            try:
                return self.take(count).decode("utf-8")
            except UnicodeDecodeError:
                raise ProtocolError("a text is not UTF-8") from None
        if count > self.size - self.at:
            raise ProtocolError("a length is larger than the frame")
        if kind == "list":
            return [self.value(depth + 1) for _ in range(count)]
        table = {}
        for _ in range(count):
            key = self.short_text() or self.value(depth + 1)
            if type(key) is not str or key in table:
                raise ProtocolError("a key is not a text, or stands twice")
            table[key] = self.short_text() or self.value(depth + 1)
        return table


# What an `execute` has at least: type, id, code.
USUAL_FIELDS = 3
_EXECUTE = b"\x83\xa4type\xa7execute\xa2id"


def unpack_execute(data):
    """The usual `execute`, an id and code alone, read at a glance; nothing if it is any other message."""
    if not data.startswith(_EXECUTE):
        return None
    reader = _Unpacker(data)
    reader.at = len(_EXECUTE)
    name = reader.short_text()
    if name is None or not data.startswith(b"\xa4code", reader.at):
        return None
    reader.at += 5
    code = reader.short_text() or reader.value()
    if type(code) is not str or reader.at != reader.size:
        return None
    return {"type": "execute", "id": name, "code": code}


def unpack(data):
    """The one value in `data`."""
    reader = _Unpacker(data)
    value = reader.value()
    if reader.at != reader.size:
        raise ProtocolError("bytes follow the message")
    return value


def _field(message, name, kinds, default=ProtocolError):
    value = message.get(name)
    if value is None and default is not ProtocolError:
        return default
    if type(value) is kinds:
        return value
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in _as_tuple(kinds)):
        wanted = " or ".join(kind.__name__ for kind in _as_tuple(kinds))
        raise ProtocolError(f"`{message.get('type')}`: expected {wanted} for `{name}`, got {type(value).__name__}")
    return value


def _as_tuple(kinds):
    return kinds if isinstance(kinds, tuple) else (kinds,)


# ---------------------------------------------------------------- small helpers


def _bounded(text, limit):
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _plain(text):
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Wide(reprlib.Repr):
    """Shortens containers too long to be worth writing out whole."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 6
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = 1000
        self.maxset = self.maxfrozenset = self.maxdeque = 1000
        self.maxstring = self.maxother = self.maxlong = REPR_CHARS_MAX


_WIDE = _Wide()


def _repr(value):
    """A bounded `repr`; one that raises is told, never passed on."""
    try:
        kind = type(value)
        if kind in (str, bytes, bytearray) and len(value) > REPR_CHARS_MAX:
            return _plain(repr(value[:REPR_CHARS_MAX])) + "…"
        if kind in (list, tuple, dict, set, frozenset) and len(value) > 1000:
            return _bounded(_plain(_WIDE.repr(value)), REPR_CHARS_MAX)
        return _bounded(_plain(repr(value)), REPR_CHARS_MAX)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _type_name(error):
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__", "actum") else f"{module}.{kind.__qualname__}"


def _note(error, text):
    """Adds a note; before Python 3.11 there is no `add_note`."""
    try:
        error.__notes__ = [*getattr(error, "__notes__", []), text]
    except Exception:
        pass
    return error


class Processes:
    """What `/proc` says of the processes below this one."""

    def __init__(self):
        self.made = set()
        self.ticks = os.sysconf("SC_CLK_TCK")

    def watch(self):
        """Remembers the children that this process makes itself, so that only adopted ones are reaped for it."""
        home = subprocess if hasattr(subprocess, "_fork_exec") else subprocess._posixsubprocess
        name = "_fork_exec" if home is subprocess else "fork_exec"
        setattr(home, name, self._remembering(getattr(home, name)))
        for name in ("fork", "posix_spawn", "posix_spawnp"):
            if hasattr(os, name):
                setattr(os, name, self._remembering(getattr(os, name)))

    def _remembering(self, make):
        @functools.wraps(make)
        def remembering(*args, **kwargs):
            pid = make(*args, **kwargs)
            if pid:
                self.made.add(pid)
            return pid
        return remembering

    def now(self):
        """The time since boot, in clock ticks, as `/proc` counts it."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * self.ticks)

    def table(self):
        """All processes: pid → (parent, state, start in ticks)."""
        found = {}
        try:
            names = os.listdir("/proc")
        except OSError:
            return found
        for name in names:
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    words = file.read().rsplit(b")", 1)[1].split()
                found[int(name)] = (int(words[1]), words[0], int(words[19]))
            except (OSError, IndexError, ValueError):
                continue
        return found

    def below(self, root, since=0):
        """Live processes below `root`, without the trees of those children that began before `since`."""
        table = self.table()
        children = {}
        for pid, (parent, _, _) in table.items():
            children.setdefault(parent, []).append(pid)
        found = []
        pending = [pid for pid in children.get(root, []) if table[pid][2] >= since]
        while pending:
            pid = pending.pop()
            pending.extend(children.get(pid, []))
            if table[pid][1] not in (b"Z", b"X"):
                found.append(pid)
        return found

    def kill_below(self, root, since=0):
        """Kills until nothing is left below `root`; what forks meanwhile is found by the next look."""
        for _ in range(100):
            pids = self.below(root, since)
            if not pids:
                return
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            # Dying takes a moment, and a killed parent hands its children on; wait on the kernel, not on a guess.
            for pid in pids:
                _wait_gone(pid, 0.02)

    def reap_adopted(self):
        """Buries dead processes that were handed on to this one and that no user code waits for."""
        me = os.getpid()
        if not self.made and me != 1:
            return
        table = self.table()
        self.made.intersection_update(table)
        for pid, (parent, state, _) in table.items():
            if parent == me and state == b"Z" and pid not in self.made:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)


def _signal(pid, number):
    try:
        os.kill(pid, number)
        return True
    except OSError:
        return False


def _wait_gone(pid, seconds):
    try:
        handle = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        poller.poll(int(seconds * 1000))
    finally:
        os.close(handle)


# ---------------------------------------------------------------- output


class Stream:
    """One captured descriptor: its pipe, its credit, and what was dropped."""

    def __init__(self, name, fd):
        self.name = name
        self.fd = fd
        self.credit = 0
        self.mode = "block"
        self.seq = 0
        self.dropped = 0
        self.kept = bytearray()
        self.execution = None
        self.prefix = None

    def begin(self, execution):
        self.seq = 0
        self.dropped = 0
        self.kept.clear()
        self.execution = execution
        self.prefix = None

    def head(self):
        """What every piece of output of this execution begins with."""
        if self.prefix is None:
            texts = ("type", "output", "id", self.execution, "stream", self.name, "seq")
            self.prefix = b"\x85" + b"".join(map(pack_text, texts))
        return self.prefix

    def waiting(self):
        """Bytes in the pipe."""
        count = bytearray(4)
        fcntl.ioctl(self.fd, termios.FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)


class Drained(Exception):
    """The drain limit passed."""


class Alarm:
    """A descriptor that becomes readable some time after `set`. To set it is dear, so one that is set is left alone."""

    def __init__(self, seconds):
        self.fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, TIMERFD_FLAGS)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "no timer is to be had")
        times = struct.pack("4l", 0, 0, int(seconds), int(seconds % 1 * 1e9))
        self.times = ctypes.create_string_buffer(times, len(times))
        self.is_set = False

    def set(self):
        if not self.is_set:
            self.is_set = True
            _libc.timerfd_settime(self.fd, 0, self.times, None)

    def clear(self):
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)
        self.is_set = False


class Outlet:
    """Who holds it moves output. The pump, which never waits for it, is woken by whoever kept it away."""

    def __init__(self, wake):
        self.lock = threading.Lock()
        self.wake = wake
        self.missed = False

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_error):
        self.release()

    def acquire(self, seconds):
        return self.lock.acquire(timeout=max(0, seconds))

    def release(self):
        self.lock.release()
        if self.missed:
            self.wake()

    def attempt(self):
        # Said first: whoever holds it now looks for it afterwards.
        self.missed = True
        if not self.lock.acquire(blocking=False):
            return False
        self.missed = False
        return True


class Worker:
    """What both kinds of session share: the socket, the captured output, time, and the end."""

    def __init__(self, fd, config):
        self.config = dict(config)
        self.kind = self.config.get("kind", "python")
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(True)
        os.set_inheritable(fd, False)
        self.pid = os.getpid()
        self.main_thread = threading.get_ident()
        self.processes = Processes()
        self.outlet = Outlet(self.wake)
        self.credit = threading.Condition(threading.Lock())
        self.state_lock = threading.Lock()
        self.send_lock = threading.Lock()
        self.read_lock = threading.Lock()
        self.arrivals = select.poll()
        self.arrivals.register(self.socket, select.POLLIN)
        self.buffer = bytearray()
        self.unsent = b""
        self.busy = False
        self.following = False
        self.turn = 0
        self.queued = {}
        self.current = None
        self.asked = None
        self.since = 0
        self.shield = 1
        self.pending = False
        self.stray = 0
        self.pressed = False
        self.overflow = None
        self.timers = []
        self.waiters = {}
        self.count = 0
        self.display_credit = 0
        self.progress_last = None
        self.progress_sent = 0.0
        self.progress_dropped = 0
        self.closing = False
        self.started = False

    # -- set-up

    def run(self):
        """Speaks the protocol until the other side is gone. Does not return."""
        self.send({
            "type": "hello", "protocol": PROTOCOL, "worker": self.title(),
            "capabilities": SHELL_CAPABILITIES if self.kind == "shell" else CAPABILITIES,
        })
        while not self.buffer or (hello := self.cut()) is None:
            self.fill()
        self.accept(hello)
        self.capture()
        signal.signal(signal.SIGINT, self.on_interrupt)
        with contextlib.suppress(Exception):
            _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.processes.watch()
        os.register_at_fork(after_in_child=self.forked)
        self.runner = ShellRunner(self) if self.kind == "shell" else PythonRunner(self)
        self.started = True
        threading.Thread(target=self.guard(self.pump), name="actum-pump", daemon=True).start()
        self.say_ready()
        self.serve()

    def say_ready(self):
        """With it goes the reading end of each pipe: what is left in them when this process is killed is not lost."""
        frame = pack({"type": "ready", "session": str(self.config.get("session", "")), "pid": self.pid})
        ends = array.array("i", [stream.fd for stream in self.streams])
        with self.send_lock:
            self.socket.sendmsg([len(frame).to_bytes(4, "big") + frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends)])

    def title(self):
        if self.kind == "shell":
            return "shell"
        return "python/" + ".".join(str(part) for part in sys.version_info[:3])

    def accept(self, hello):
        if hello.get("type") != "hello":
            self.fault("WORKER_PROTOCOL", f"expected `hello` first, got `{hello.get('type')}`")
        if hello.get("protocol") != PROTOCOL:
            self.fault(
                "PROTOCOL_MISMATCH",
                f"this worker speaks protocol {PROTOCOL}, the daemon asked for {hello.get('protocol')!r}",
            )
        self.config.update(_field(hello, "config", dict, {}))
        self.credits = _field(hello, "credits", dict, {})
        self.modes = _field(hello, "backpressure", dict, {})
        self.display_credit = int(self.credits.get("display", 0))

    def seconds(self, name, default_ms):
        value = self.config.get(name)
        return (default_ms if value is None else value) / 1000

    def capture(self):
        """Puts pipes under descriptors 1 and 2, and nothing under 0."""
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        if null != 0:
            os.close(null)
        self.streams = []
        self.written = select.poll()
        for name, target in (("stdout", 1), ("stderr", 2)):
            ours, theirs = os.pipe()
            ours, high = fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 10), ours
            os.close(high)
            os.dup2(theirs, target)
            os.close(theirs)
            os.set_blocking(ours, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(ours, 1031, PIPE_BYTES)
            stream = Stream(name, ours)
            stream.credit = int(self.credits.get(name, 0))
            stream.mode = self.modes.get(name, "block")
            if stream.mode not in ("block", "drop_oldest", "drop_new", "error"):
                self.fault("WORKER_PROTOCOL", f"no backpressure mode is called `{stream.mode}`")
            self.streams.append(stream)
            self.written.register(ours, select.POLLIN)
        sys.stdout = self.text_stream(1)
        sys.stderr = self.text_stream(2)
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        self.texts = (sys.stdout, sys.stderr)
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self.alarm = Alarm(FOLLOW_SECONDS)
        with contextlib.suppress(Exception):
            # What C code prints comes line by line too, in order with what Python prints.
            _libc.setvbuf(ctypes.c_void_p.in_dll(_libc, "stdout"), None, 1, 0)

    @staticmethod
    def text_stream(fd):
        raw = io.FileIO(fd, "w", closefd=False)
        buffered = io.BufferedWriter(raw, 64 * 1024)
        return io.TextIOWrapper(buffered, "utf-8", errors="backslashreplace", newline="\n", line_buffering=True)

    def guard(self, work, *args):
        """A thread of the worker that fails takes the worker with it: half a worker is worse than none."""
        def guarded():
            try:
                work(*args)
            except ProtocolError as error:
                self.fault("WORKER_PROTOCOL", str(error))
            except BaseException as error:
                self.fault("WORKER_INTERNAL", f"{type(error).__name__}: {error}")
        return guarded

    # -- frames

    def send(self, message):
        self.send_parts([pack(message)])

    def send_parts(self, parts):
        """Sends one frame made of `parts`, whole, behind what was put off: nothing may raise between its first and last
        byte."""
        size = sum(map(len, parts))
        if size > FRAME_BYTES_MAX:
            raise Unrepresentable(f"is larger than a frame of {FRAME_BYTES_MAX} bytes")
        with self.send_lock:
            self.transmit(b"".join([self.unsent, size.to_bytes(4, "big"), *parts]))

    def send_unsent(self):
        with self.send_lock:
            if self.unsent:
                self.transmit(self.unsent)

    def transmit(self, data):
        """Puts bytes on the socket. Under `send_lock`."""
        if self.pid != os.getpid():
            return
        try:
            self.socket.sendall(data)
        except OSError:
            self.end(0)
        self.unsent = b""

    def fill(self, wait=True):
        """Reads what there is. Ends with the other side."""
        if wait:
            # One that waits in `recv` is woken as well when the other side has read what this one wrote.
            self.arrivals.poll()
        try:
            data = self.socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end(0)
        self.buffer += data

    def cut(self):
        """The next message that was read whole; nothing if there is none."""
        buffer = self.buffer
        if len(buffer) < 4:
            return None
        size = int.from_bytes(buffer[:4], "big")
        if size > FRAME_BYTES_MAX:
            raise ProtocolError(f"expected a frame of at most {FRAME_BYTES_MAX} bytes, got {size}")
        if len(buffer) < 4 + size:
            return None
        frame = buffer[4:4 + size]
        del buffer[:4 + size]
        message = unpack_execute(frame) or unpack(frame)
        if type(message) is not dict or type(message.get("type")) is not str:
            raise ProtocolError("expected a map with a text `type`")
        return message

    def fault(self, code, message):
        """Tells the other side why this worker cannot go on, and ends."""
        with contextlib.suppress(BaseException):
            self.send({"type": "fault", "code": code, "message": _bounded(_plain(message), TEXT_CHARS_MAX)})
        self.end(70)

    def end(self, status):
        """Takes everything below this process along, and ends."""
        if self.pid == os.getpid() and self.started:
            self.processes.kill_below(self.pid)
        os._exit(status)

    def forked(self):
        """In a child that user code forked: it has no part in the protocol."""
        self.socket.close()
        self.shield = 0
        with contextlib.suppress(Exception):
            signal.signal(signal.SIGINT, signal.default_int_handler)

    # -- reading

    def read(self, wait):
        """Reads once and takes every message that is whole then. Under `read_lock`."""
        self.fill(wait)
        self.handle_all()

    def handle_all(self):
        while self.buffer and (message := self.cut()) is not None:
            self.handle(message)

    def next_request(self):
        """The request to serve now, under its name. Where none waits, this thread reads the socket itself."""
        with self.read_lock:
            self.busy = self.following = False
            self.handle_all()
            while not self.queued and not self.closing:
                self.read(wait=True)
            if self.closing:
                self.end(0)
            self.busy = True
            self.turn += 1
            self.alarm.set()
            with self.state_lock:
                name = next(iter(self.queued))
                return name, self.queued.pop(name)

    def follow(self):
        """From now on the pump reads, until the request that is served has come to its end."""
        if not self.following:
            self.following = True
            self.wake()

    def read_for_main(self):
        """The pump's turn: only if the main thread does not read itself."""
        if not self.read_lock.acquire(blocking=False):
            self.following = False
            return
        try:
            if self.busy:
                self.read(wait=False)
        finally:
            self.read_lock.release()

    def handle(self, message):
        kind = message["type"]
        if kind in ("execute", "checkpoint", "restore"):
            self.enqueue(kind, message)
        elif kind == "credit":
            self.grant(_field(message, "stream", str), _field(message, "bytes", int))
        elif kind in ("cancel", "interrupt"):
            grace = _field(message, "graceMs", int, 500) if kind == "cancel" else None
            self.stop(_field(message, "id", str), grace)
        elif kind in ("input_response", "capability_response", "stream_data", "stream_close"):
            self.answer(_field(message, "id", str), message)
        elif kind == "shutdown":
            self.shut_down()
        else:
            raise ProtocolError(f"no message is called `{_bounded(kind, 100)}`")

    def enqueue(self, kind, message):
        name = _field(message, "id", str)
        if kind == "execute":
            _field(message, "code", str)
            if len(message) > USUAL_FIELDS:
                self.check_options(message)
        with self.state_lock:
            if name in self.queued or name == self.current:
                raise ProtocolError(f"`{name}` is already queued")
            if len(self.queued) >= QUEUE_MAX:
                raise ProtocolError(f"more than {QUEUE_MAX} requests are queued")
            self.queued[name] = message
        ack = _ACK + pack_text(name)
        with self.send_lock:
            # Put off until there is more to say, or for a moment: short code costs one message.
            self.unsent += len(ack).to_bytes(4, "big") + ack
        if self.following:
            self.send_unsent()

    @staticmethod
    def check_options(message):
        _field(message, "mode", str, "auto")
        _field(message, "source", str, None)
        if _field(message, "transaction", str, "commit_always") not in TRANSACTIONS:
            raise ProtocolError(f"no transaction policy is called `{message['transaction']}`")

    def grant(self, name, count):
        if count < 0:
            raise ProtocolError("a credit is negative")
        with self.credit:
            if name == "display":
                self.display_credit += count
            else:
                for stream in self.streams:
                    if stream.name == name:
                        stream.credit += count
            self.credit.notify_all()
        self.wake()

    def answer(self, name, message):
        with self.state_lock:
            waiter = self.waiters.get(name)
        if waiter is not None:
            waiter(message)

    def stop(self, name, grace_ms):
        """Cancels (with a grace time) or interrupts (without one)."""
        with self.state_lock:
            if self.queued.pop(name, None) is not None:
                queued = True
            else:
                queued = False
                if self.current != name:
                    return
                self.asked = ("CANCELLED" if grace_ms is not None else "INTERRUPTED", name)
                self.runner.interrupt(1)
        if queued:
            self.send(self.stopped(name, "CANCELLED", "cancelled before it began"))
            return
        with self.credit:
            self.credit.notify_all()
        if grace_ms is not None:
            self.at(grace_ms / 2000, self.press, name, max(grace_ms / 16000, 0.02))

    def press(self, name, pause):
        """Half of the grace time is over: again and again, and without mercy for child processes."""
        with self.state_lock:
            if self.current != name or self.asked is None:
                return
            self.pressed = True
            self.runner.interrupt(2)
        self.at(pause, self.press, name, pause)

    def stopped(self, name, code, text):
        return {
            "type": "error", "id": name, "code": code, "errorType": "KeyboardInterrupt", "message": text,
            "traceback": "", "notes": [], "durationNs": 0,
        }

    def shut_down(self):
        self.closing = True
        with self.state_lock:
            self.queued.clear()
            name = self.current
            if name is not None:
                self.asked = ("CANCELLED", name)
                self.runner.interrupt(1)
        self.at(self.seconds("shutdownMs", 500), self.end, 0)

    # -- time

    def at(self, seconds, action, *args):
        with self.state_lock:
            self.timers.append((time.monotonic() + seconds, action, args))
        self.wake()

    def wake(self):
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake_write, b"w")

    # -- pump

    def pump(self):
        beat = self.seconds("heartbeatMs", 5000)
        next_beat = time.monotonic() + beat
        cpu_before, wall_before = time.process_time(), time.monotonic()
        turn = 0
        while True:
            poller = select.poll()
            poller.register(self.wake_read, select.POLLIN)
            poller.register(self.alarm.fd, select.POLLIN)
            if self.following:
                poller.register(self.socket, select.POLLIN)
            by_fd = {}
            for stream in () if self.outlet.missed else self.streams:
                if self.current is None or stream.mode != "block" or stream.credit > 0:
                    poller.register(stream.fd, select.POLLIN)
                    by_fd[stream.fd] = stream
            ready = poller.poll(self.until_next(next_beat))
            small = False
            for fd, _ in ready:
                if fd == self.wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 4096)
                    self.outlet.missed = False
                    self.try_output(self.pump_kept)
                elif fd == self.alarm.fd:
                    turn = self.look_up(turn)
                elif fd in by_fd:
                    moved = self.try_output(self.forward, by_fd[fd], CHUNK_BYTES_MAX)
                    small |= moved is not None and moved < SMALL_CHUNK_BYTES
                else:
                    self.read_for_main()
            now = time.monotonic()
            self.run_timers(now)
            if now >= next_beat:
                cpu, wall = time.process_time(), now
                self.heartbeat((cpu - cpu_before) / max(wall - wall_before, 1e-9))
                cpu_before, wall_before, next_beat = cpu, wall, now + beat
            elif small:
                # Whoever writes short lines writes many: let some gather, so that the writer keeps the interpreter.
                time.sleep(COALESCE_SECONDS)

    def try_output(self, action, *args):
        """Does something with the output unless somebody else does: then the pump leaves it alone until it is woken."""
        if not self.outlet.attempt():
            return None
        try:
            return action(*args)
        finally:
            self.outlet.release()

    def look_up(self, turn):
        """The alarm: whoever is still at the request it was set for gets a reader. Says whom it saw."""
        self.alarm.clear()
        self.send_unsent()
        if not self.busy:
            return 0
        if self.turn == turn:
            self.following = True
        else:
            self.alarm.set()
        return self.turn

    def pump_kept(self):
        for stream in self.streams:
            if stream.kept and self.current is not None:
                self.emit_kept(stream)

    def until_next(self, next_beat):
        with self.state_lock:
            first = min([next_beat, *(timer[0] for timer in self.timers)])
        return max(0, math.ceil((first - time.monotonic()) * 1000))

    def run_timers(self, now):
        if not self.timers:
            return
        with self.state_lock:
            due = [timer for timer in self.timers if timer[0] <= now]
            self.timers = [timer for timer in self.timers if timer[0] > now]
        for _, action, args in due:
            action(*args)

    def heartbeat(self, load):
        self.processes.reap_adopted()
        try:
            with open("/proc/self/statm", "rb") as file:
                rss = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            rss = 0
        self.send({
            "type": "heartbeat", "rss": rss, "cpu": round(load, 4), "names": self.runner.names(), "stray": self.stray,
        })

    def forward(self, stream, most):
        """Moves up to `most` bytes of a pipe towards the daemon; the count moved. Under `outlet`."""
        current = self.current
        if current is None:
            return self.discard(stream, most)
        room = stream.credit - FRAME_COST_BYTES
        if stream.mode == "block" and room <= 0:
            return 0
        limit = min(most, CHUNK_BYTES_MAX)
        if stream.mode == "block":
            limit = min(limit, room)
        try:
            data = os.read(stream.fd, limit)
        except BlockingIOError:
            return 0
        if not data:
            return 0
        if stream.mode == "drop_oldest":
            self.keep(stream, data)
        elif stream.mode == "block" or room >= len(data):
            self.emit(stream, data)
        else:
            stream.dropped += len(data)
            if stream.mode == "error" and self.overflow is None:
                self.overflow = stream.name
        return len(data)

    def keep(self, stream, data):
        stream.kept += data
        self.emit_kept(stream)
        extra = len(stream.kept) - CHUNK_BYTES_MAX
        if extra > 0:
            stream.dropped += extra
            del stream.kept[:extra]

    def emit_kept(self, stream):
        while stream.kept and stream.credit > FRAME_COST_BYTES:
            size = min(len(stream.kept), stream.credit - FRAME_COST_BYTES, CHUNK_BYTES_MAX)
            self.emit(stream, bytes(stream.kept[:size]))
            del stream.kept[:size]

    def emit(self, stream, data):
        head = stream.head() + pack_integer(stream.seq) + b"\xa4data\xc6" + struct.pack(">I", len(data))
        stream.seq += 1
        with self.credit:
            stream.credit -= len(data) + FRAME_COST_BYTES
        self.send_parts([head, data])

    def discard_all(self):
        for stream in self.streams:
            waiting = stream.waiting()
            while waiting > 0:
                gone = self.discard(stream, waiting)
                if not gone:
                    break
                waiting -= gone

    def discard(self, stream, most):
        """Nobody runs: what a left-over child writes belongs to no execution, and is counted."""
        try:
            count = len(os.read(stream.fd, most))
        except BlockingIOError:
            return 0
        self.stray += count
        return count

    # -- the main thread

    def serve(self):
        while True:
            name, message = self.next_request()
            if message["type"] == "execute":
                self.asked = None
                self.pending = False
                self.execute(name, message)
            else:
                self.send(self.runner.keep_or_load(message))

    def execute(self, name, message):
        self.begin(name)
        began = time.monotonic_ns()
        try:
            answer = self.runner.execute(message)
        finally:
            self.shield = 1
        if self.pid != os.getpid():
            self.leave_fork(answer)
        duration = time.monotonic_ns() - began
        answer = self.finish(name, answer)
        answer["durationNs"] = duration
        try:
            self.send(answer)
        except Unrepresentable as error:
            answer.pop("value", None)
            answer["valueOmitted"] = str(error)
            self.send(answer)
        self.runner.settle()

    def begin(self, name):
        self.since = self.processes.now()
        if _signal_module.getsignal(signal.SIGINT) != self.on_interrupt:
            signal.signal(signal.SIGINT, self.on_interrupt)
        with self.outlet:
            if self.written.poll(0):
                self.discard_all()
            for stream in self.streams:
                stream.begin(name)
            self.overflow = None
            self.pressed = False
            self.count += 1
            self.progress_last = None
            self.progress_dropped = 0
            with self.state_lock:
                self.current = name

    def finish(self, name, answer):
        """Everything that was written goes out first; then what the execution came to."""
        with self.state_lock:
            asked = self.asked
        if asked is not None and asked[0] == "CANCELLED":
            self.processes.kill_below(self.runner.root(), self.since)
            if self.pressed and answer["type"] == "result":
                # It came to its end only because what it waited for was killed under it.
                answer = self.trouble(name, "CANCELLED", "stopped; the processes it waited for were killed")
        try:
            self.drain(time.monotonic() + self.seconds("drainMs", 5000))
        except Drained as late:
            answer = self.trouble(name, "OUTPUT_DRAIN_TIMEOUT", str(late))
        dropped = self.close_output()
        if self.overflow is not None:
            answer = self.trouble(
                name, "OUTPUT_OVERFLOW", f"`{self.overflow}` was written faster than it was read, and its mode is `error`",
            )
        if dropped:
            answer["dropped"] = dropped
        if self.stray:
            answer["stray"] = self.stray
            self.stray = 0
        if answer["type"] == "error" and asked is not None and answer.pop("interrupted", False):
            answer["code"] = asked[0]
        answer.pop("interrupted", None)
        return answer

    def close_output(self):
        with self.outlet, self.state_lock:
            self.current = None
            self.asked = None
            self.pending = False
        dropped = {stream.name: stream.dropped for stream in self.streams if stream.dropped}
        if self.progress_dropped:
            dropped["progress"] = self.progress_dropped
        return dropped

    def trouble(self, name, code, message):
        answer = self.stopped(name, code, message)
        answer["errorType"] = code
        return answer

    def flush_texts(self):
        out, err = self.texts
        self.flush_text(out)
        self.flush_text(err)
        if sys.stdout is not out or sys.stderr is not err:
            self.flush_text(sys.stdout)
            self.flush_text(sys.stderr)
        _flush_c_output(None)

    @staticmethod
    def flush_text(text):
        try:
            text.flush()
        except BaseException:
            pass

    def drain(self, deadline):
        """Sends what was written until now. Bounded by what is there now, so a child that writes on cannot hold it."""
        if self.written.poll(0):
            for stream in self.streams:
                if stream.waiting() > PIPE_BYTES // 4:
                    self.drain_stream(stream, deadline)
        self.flush_texts()
        if not self.is_drained(deadline):
            for stream in self.streams:
                self.drain_stream(stream, deadline)
        if self.progress_last is not None:
            self.send_progress(self.progress_last)

    def drain_stream(self, stream, deadline):
        self.hold_output(stream.name, deadline)
        try:
            left = stream.waiting()
            while left > 0 or stream.kept:
                if left > 0:
                    moved = self.forward(stream, left)
                    left -= moved
                else:
                    before = len(stream.kept)
                    self.emit_kept(stream)
                    moved = before - len(stream.kept)
                if not moved:
                    self.wait_credit(stream, left + len(stream.kept), deadline)
        finally:
            self.outlet.release()

    def hold_output(self, name, deadline):
        if not self.outlet.acquire(deadline - time.monotonic()):
            raise Drained(f"the output could not be sent in time: `{name}` is blocked")

    def is_drained(self, deadline):
        """Whether nothing waits, and nothing is on its way in another thread."""
        self.hold_output("stdout", deadline)
        try:
            return not self.written.poll(0) and not any(stream.kept for stream in self.streams)
        finally:
            self.outlet.release()

    def wait_credit(self, stream, left, deadline):
        with self.credit:
            while stream.credit <= FRAME_COST_BYTES:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self.credit.wait(remaining):
                    raise Drained(
                        f"the output could not be sent in time: {left} bytes of `{stream.name}` wait for credit"
                    )

    # -- interruption

    def on_interrupt(self, _number, _frame):
        """SIGINT on the main thread. Raises only where user code runs: never inside a frame or a lock of ours."""
        if self.shield:
            self.pending = True
            return
        self.pending = False
        if not self.runner.cancel_task():
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def shielded(self):
        """Code of the worker called by user code: an interrupt waits until it is through."""
        if threading.get_ident() != self.main_thread:
            yield
            return
        self.shield += 1
        try:
            yield
        finally:
            self.shield -= 1
            if self.pending and not self.shield:
                self.pending = False
                raise KeyboardInterrupt

    def leave_fork(self, answer):
        """User code forked and the child came to the end of the cell: it ends here, as a script would."""
        with contextlib.suppress(BaseException):
            if answer["type"] == "error":
                sys.stderr.write(answer["traceback"])
            self.flush_texts()
        os._exit(1 if answer["type"] == "error" else 0)

    # -- what user code may send

    def running(self):
        current = self.current
        if current is None or self.pid != os.getpid():
            raise Error("NO_EXECUTION", "nothing runs in this session", "call it from code that is being executed")
        return current

    def display(self, bundle):
        """Sends one bundle of representations, after everything written before it."""
        with self.shielded():
            name = self.running()
            frame = pack({"type": "display", "id": name, "data": bundle})
            if len(frame) > FRAME_BYTES_MAX - 1024:
                raise ValueError(f"expected at most {FRAME_BYTES_MAX} bytes to display, got {len(frame)}")
            self.flush_texts()
            deadline = time.monotonic() + self.seconds("drainMs", 5000)
            try:
                for stream in self.streams:
                    self.drain_stream(stream, deadline)
            except Drained:
                pass
            with self.credit:
                while self.display_credit <= 0 and not self.pending:
                    self.credit.wait()
                if self.pending:
                    return
                self.display_credit -= len(frame) + FRAME_COST_BYTES
            with self.outlet:
                if self.current == name:
                    self.send_parts([frame])

    def progress(self, step, total=None, text=None):
        """Tells how far the execution is; of several within 50 ms only the last is sent."""
        with self.shielded():
            message = {"type": "progress", "id": self.running(), "step": step}
            if total is not None:
                message["total"] = total
            if text is not None:
                message["text"] = _bounded(_plain(str(text)), TEXT_CHARS_MAX)
            pack_json(message)
            with self.outlet:
                if time.monotonic() - self.progress_sent >= PROGRESS_SECONDS:
                    self.send_progress(message)
                else:
                    self.progress_dropped += self.progress_last is not None
                    self.progress_last = message

    def send_progress(self, message):
        self.progress_last = None
        self.progress_sent = time.monotonic()
        self.send(message)

    def ask(self, name, message, waiter):
        """Registers who waits for the answer, then asks."""
        with self.shielded():
            with self.state_lock:
                self.waiters[name] = waiter
            self.follow()
            try:
                self.send(message)
            except BaseException:
                self.forget(name)
                raise

    def forget(self, name):
        with self.shielded():
            with self.state_lock:
                self.waiters.pop(name, None)

    def ask_and_wait(self, name, message, seconds):
        """Asks and blocks for the answer; `None` if the time passes. An interrupt ends the wait."""
        box = queue.SimpleQueue()
        self.ask(name, message, box.put)
        try:
            return box.get(timeout=seconds)
        except queue.Empty:
            return None
        finally:
            self.forget(name)


# ---------------------------------------------------------------- Python sessions

TRANSACTIONS = ("commit_always", "rollback_on_failure", "rollback_always")


class Undo:
    """A namespace as it was, with the contents of every plain container and session object reachable from it.

    Objects of other types (files, arrays of extension modules, the world outside) are beyond it.
    """

    def __init__(self, names):
        self.names = names
        self.before = dict(names)
        self.saved = []
        seen = {id(names)}
        pending = list(names.values())
        while pending:
            value = pending.pop()
            if id(value) in seen:
                continue
            pending.extend(self.visit(value, seen))
            if len(seen) > TRANSACTION_NODES_MAX:
                raise ValueError(f"expected at most {TRANSACTION_NODES_MAX} objects to roll back")

    def visit(self, value, seen):
        kind = type(value)
        if kind is list or kind is bytearray or kind is set:
            seen.add(id(value))
            self.saved.append((value, copy.copy(value)))
            return () if kind is bytearray else list(value)
        if kind is dict:
            seen.add(id(value))
            self.saved.append((value, dict(value)))
            return [*value.keys(), *value.values()]
        if kind is tuple or kind is frozenset:
            seen.add(id(value))
            return list(value)
        if kind.__module__ == "__main__" and isinstance(getattr(value, "__dict__", None), dict):
            seen.add(id(value))
            return [value.__dict__]
        return ()

    def apply(self):
        for value, content in self.saved:
            if type(value) in (list, bytearray):
                value[:] = content
            else:
                value.clear()
                value.update(content)
        self.names.clear()
        self.names.update(self.before)


class PythonRunner:
    """One namespace, one event loop, and the code that runs in them."""

    def __init__(self, worker):
        self.worker = worker
        self.own_main = sys.modules.get("__main__")
        self.main = types.ModuleType("__main__")
        self.namespace = self.main.__dict__
        self.namespace["__builtins__"] = builtins
        sys.modules["__main__"] = self.main
        sys.modules["actum"] = make_actum(worker, self)
        builtins.input = self.input
        sys.stdin = sys.__stdin__ = Stdin(self)
        sys.argv = [""]
        self.loop = None
        self.task = None
        self.forced = False
        self.cells = {}
        self.cell_bytes = 0
        self.sources = {}
        self.inputs = 0
        self.latest = None
        self.history = {}
        self.is_history_named = False
        random.seed()

    def names(self):
        return sum(1 for name in list(self.namespace) if not name.startswith("__"))

    def root(self):
        return self.worker.pid

    # -- interruption

    def interrupt(self, level):
        """Under `state_lock`: press the main thread to stop."""
        self.forced = level > 1
        if level > 1:
            self.worker.processes.kill_below(self.worker.pid, self.worker.since)
        signal.pthread_kill(self.worker.main_thread, signal.SIGINT)

    def cancel_task(self):
        """An idle event loop is asked politely: its task is cancelled, so that its `finally` blocks may await."""
        task = self.task
        if task is None or self.forced or task.done() or asyncio.current_task(self.loop) is not None:
            return False
        self.loop.call_soon_threadsafe(task.cancel)
        return True

    # -- one execution

    def execute(self, message):
        name = message["id"]
        self.inputs = 0
        self.forced = False
        source = message.get("source")
        filename = f"<{source or 'cell'} {self.worker.count}>" if source is None else _bounded(source, 200)
        policy = message.get("transaction") or "commit_always"
        undo = None
        rolled_back = False
        try:
            undo = Undo(self.namespace) if policy != "commit_always" else None
            code, is_expression = self.compile(message["code"], filename, message.get("mode") or "auto")
            value, has_value = self.run(code, is_expression)
            answer = self.result(name, value, has_value)
        except SystemExit as error:
            answer = self.left(name, error, filename)
        except BaseException as error:
            answer = self.error(name, error)
        self.worker.shield = 1
        failed = answer["type"] == "error"
        if undo is not None and (failed or policy == "rollback_always") and self.worker.pid == os.getpid():
            undo.apply()
            rolled_back = True
        if rolled_back:
            answer["rolledBack"] = True
        return answer

    def compile(self, text, filename, mode):
        """The code of a cell, and whether it is one expression: then evaluating it gives its value."""
        self.remember(filename, text)
        self.name_history(text)
        if mode != "exec" and len(text) <= EXPRESSION_CHARS_MAX and "\n" not in text and text[:1].strip():
            # What is one expression at a glance is not taken apart and put together again.
            try:
                return compile(text, filename, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True), True
            except (SyntaxError, ValueError):
                pass
        tree = compile(text, filename, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
        self.remember_definitions(text, tree)
        if mode != "exec" and tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body[-1]
            target = ast.copy_location(ast.Name(VALUE_NAME, ast.Store()), last)
            tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
        return compile(tree, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True), False

    def remember(self, filename, text):
        """Keeps the lines of a cell for tracebacks; the oldest make room."""
        old = self.cells.pop(filename, None)
        if old is not None:
            self.cell_bytes -= old
        size = len(text)
        linecache.cache[filename] = (size, None, [line + "\n" for line in text.splitlines()], filename)
        self.cells[filename] = size
        self.cell_bytes += size
        while len(self.cells) > CELLS_MAX or (self.cell_bytes > CELL_BYTES_MAX and len(self.cells) > 1):
            oldest = next(iter(self.cells))
            self.cell_bytes -= self.cells.pop(oldest)
            linecache.cache.pop(oldest, None)

    def remember_definitions(self, text, tree):
        lines = None
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                lines = lines or text.splitlines()
                first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
                self.sources[node.name] = "\n".join(lines[first - 1:node.end_lineno]) + "\n"

    def run(self, code, is_expression):
        """Runs a cell; its value, and whether it has one."""
        namespace = self.namespace
        namespace.pop(VALUE_NAME, None)
        worker = self.worker
        try:
            try:
                worker.shield = 0
                value = eval(code, namespace)
                if code.co_flags & inspect.CO_COROUTINE:
                    value = self.complete(value)
                if not is_expression:
                    if VALUE_NAME not in namespace:
                        return None, False
                    value = namespace.pop(VALUE_NAME)
                if isinstance(value, (types.CoroutineType, Awaited)):
                    value = self.complete(value)
                return value, True
            finally:
                worker.shield = 1
        finally:
            worker.shield = 1
            namespace.pop(VALUE_NAME, None)

    def complete(self, awaitable):
        """Runs the session's event loop until `awaitable` is done. Other tasks of the session go on meanwhile."""
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        coroutine = awaitable if isinstance(awaitable, types.CoroutineType) else _awaiting(awaitable)
        self.task = self.loop.create_task(coroutine)
        try:
            return self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            if self.worker.asked is not None:
                raise KeyboardInterrupt from None
            raise
        finally:
            task, self.task = self.task, None
            if not task.done():
                task.add_done_callback(_consume)
                task.cancel()

    def result(self, name, value, has_value):
        answer = {"type": "result", "id": name, "repr": ""}
        if not has_value:
            return answer
        if value is None:
            answer["value"] = None
            return answer
        self.latest = (value,)
        try:
            self.worker.shield = 0
            answer["repr"] = _repr(value)
        finally:
            self.worker.shield = 1
        try:
            answer["value"] = pack_json(value)
        except Unrepresentable as error:
            answer["valueOmitted"] = str(error)
        return answer

    def settle(self):
        """What is left to be done once the answer is on its way."""
        if self.latest is not None:
            (value,), self.latest = self.latest, None
            self.remember_value(value)

    def remember_value(self, value):
        """`_`, `__`, `___` and `_N` live beside the built-in names, so they hide nothing of the user's own."""
        names = builtins.__dict__
        names["___"] = names.get("__")
        names["__"] = names.get("_")
        names["_"] = value
        name = f"_{self.worker.count}"
        self.history[name] = value
        oldest = next(iter(self.history)) if len(self.history) > HISTORY_MAX else None
        self.history.pop(oldest, None)
        if self.is_history_named:
            names[name] = value
            names.pop(oldest, None)

    def name_history(self, text):
        """Puts `_N` in its place once a cell speaks of one: each new name there slows every look-up of a built-in one."""
        if "_" in text and not self.is_history_named and _NUMBERED.search(text):
            self.is_history_named = True
            builtins.__dict__.update(self.history)

    def left(self, name, error, _filename):
        code = error.code
        if code is None or (type(code) is int and code == 0):
            return {"type": "result", "id": name, "repr": "", "exit": 0}
        answer = self.error(name, error)
        answer["code"] = "EXIT"
        answer["exit"] = code if type(code) is int and abs(code) < 2**31 else 1
        return answer

    def error(self, name, error):
        try:
            message = _bounded(_plain(str(error)), TEXT_CHARS_MAX)
        except BaseException:
            message = f"<{type(error).__name__} whose str raised>"
        notes = getattr(error, "__notes__", None)
        notes = [_bounded(_plain(str(note)), TEXT_CHARS_MAX) for note in notes[:NOTES_MAX]] if type(notes) is list else []
        return {
            "type": "error", "id": name, "code": "EXCEPTION", "errorType": _type_name(error), "message": message,
            "traceback": self.traceback(error), "notes": notes,
            "interrupted": isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)),
        }

    def traceback(self, error):
        """The traceback without the frames of this file, bounded."""
        try:
            own = __file__ if "__file__" in globals() else None
            seen = set()
            pending = [error]
            while pending:
                one = pending.pop()
                if one is None or id(one) in seen or len(seen) > 100:
                    continue
                seen.add(id(one))
                tb = one.__traceback__
                while tb is not None and tb.tb_frame.f_code.co_filename in (own, PythonRunner.run.__code__.co_filename):
                    tb = tb.tb_next
                # The loop stands between this file and the user's code when a cell awaits.
                first = tb
                while first is not None and "/asyncio/" in first.tb_frame.f_code.co_filename:
                    first = first.tb_next
                first = first if first is not None else tb
                one.__traceback__ = first
                # What user code called of this file is no business of its author: cut at the last line of their own.
                last = first
                while tb is not None:
                    last = last if tb.tb_frame.f_code.co_filename == PythonRunner.run.__code__.co_filename else tb
                    tb = tb.tb_next
                if last is not None:
                    last.tb_next = None
                pending += [one.__cause__, one.__context__]
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            return _bounded(_plain(text), TRACEBACK_CHARS_MAX)
        except BaseException as trouble:
            return f"{type(error).__name__} (its traceback raised {type(trouble).__name__})\n"

    # -- input

    def input(self, prompt="", *, timeout=None):
        """Asks the daemon for one line. EOFError when there is none, TimeoutError when none came in time."""
        worker = self.worker
        if worker.pid != os.getpid():
            raise _note(EOFError("a forked process has no input"), "only the session itself may ask")
        text = _bounded(_plain(str(prompt)), TEXT_CHARS_MAX)
        name = worker.running()
        self.inputs += 1
        ask = f"{name}:input:{self.inputs}"
        seconds = timeout if timeout is not None else worker.seconds("inputTimeoutMs", 300_000)
        message = {"type": "input_request", "id": ask, "execution": name, "prompt": text}
        message["deadlineMs"] = max(0, int(seconds * 1000))
        with worker.shielded():
            worker.flush_texts()
            for stream in worker.streams:
                with contextlib.suppress(Drained):
                    worker.drain_stream(stream, time.monotonic() + worker.seconds("drainMs", 5000))
        answer = worker.ask_and_wait(ask, message, max(0, seconds))
        where = f"execution {name}, request {ask}"
        if answer is None:
            raise _note(TimeoutError(f"no input within {seconds:g} s"), where)
        if answer.get("eof"):
            raise _note(EOFError("the input has ended"), where)
        data = answer.get("data")
        if type(data) is not str:
            raise _note(EOFError("the answer held no text"), where)
        return data[:-1] if data.endswith("\n") else data

    # -- checkpoint and restore

    def keep_or_load(self, message):
        try:
            return self.keep(message) if message["type"] == "checkpoint" else self.load(message)
        except BaseException as error:
            answer = self.error(message["id"], error)
            answer["code"] = "CHECKPOINT_FAILED" if message["type"] == "checkpoint" else "RESTORE_FAILED"
            answer.pop("interrupted", None)
            answer["durationNs"] = 0
            return answer

    def keep(self, message):
        values, sources, modules, skipped = {}, {}, {}, []
        for name, value in list(self.namespace.items()):
            if name.startswith("__") and name.endswith("__"):
                continue
            try:
                if isinstance(value, types.ModuleType):
                    modules[name] = value.__name__
                elif self.is_defined_here(name, value):
                    sources[name] = self.sources[name]
                else:
                    self.refuse_unsavable(value)
                    values[name] = pickle.dumps(value, protocol=4)
            except BaseException as error:
                why = _bounded(_plain(f"{type(error).__name__}: {error}"), 500)
                skipped.append({"name": name, "valueType": type(value).__name__, "why": why})
        shared = self.pickle_together(values)
        data = pack({
            "version": 1, "python": list(sys.version_info[:3]), "modules": modules, "sources": sources,
            "values": values if shared is None else {}, "shared": shared,
        })
        saved = [*modules, *sources, *values]
        return {"type": "checkpoint_data", "id": message["id"], "data": data, "saved": saved, "skipped": skipped}

    def pickle_together(self, values):
        """One pickle of all, so that names that share an object still do afterwards."""
        try:
            return pickle.dumps({name: self.namespace[name] for name in values}, protocol=4)
        except BaseException:
            return None

    def is_defined_here(self, name, value):
        if not isinstance(value, (types.FunctionType, type)) or getattr(value, "__module__", None) != "__main__":
            return False
        if getattr(value, "__qualname__", None) != name or name not in self.sources:
            return False
        if getattr(value, "__closure__", None):
            return False
        return getattr(value, "__name__", None) == name

    @staticmethod
    def refuse_unsavable(value):
        if isinstance(value, (types.FunctionType, type)) and getattr(value, "__module__", None) == "__main__":
            raise pickle.PicklingError("only functions and classes written at the top level of a cell are saved")

    def load(self, message):
        content = unpack(_field(message, "data", bytes))
        if type(content) is not dict or content.get("version") != 1:
            raise ValueError("expected a checkpoint of version 1")
        if content.get("python", [])[:2] != list(sys.version_info[:2]):
            raise ValueError(f"the checkpoint was made by Python {content.get('python')}")
        if message.get("clear"):
            for name in [name for name in self.namespace if not (name.startswith("__") and name.endswith("__"))]:
                del self.namespace[name]
        restored, skipped = [], []
        steps = [(name, "module", module) for name, module in content["modules"].items()]
        steps += [(name, "source", source) for name, source in content["sources"].items()]
        steps += [(name, "value", data) for name, data in content["values"].items()]
        if content.get("shared") is not None:
            steps.append((None, "shared", content["shared"]))
        failures = {}
        # A function may need a value for a default, a value a class to be built: go round until nothing more succeeds.
        while steps:
            left = []
            for step in steps:
                try:
                    restored += self.load_one(*step)
                except BaseException as error:
                    failures[step[0]] = _bounded(_plain(f"{type(error).__name__}: {error}"), 500)
                    left.append(step)
            if len(left) == len(steps):
                break
            steps = left
        skipped = [{"name": step[0] or "*", "valueType": step[1], "why": failures[step[0]]} for step in steps]
        return {"type": "restored", "id": message["id"], "restored": restored, "skipped": skipped}

    def load_one(self, name, kind, data):
        if kind == "module":
            self.namespace[name] = __import__(data, fromlist=["*"] if "." in data else [])
        elif kind == "source":
            filename = f"<restored {name}>"
            self.remember(filename, data)
            self.sources[name] = data
            exec(compile(data, filename, "exec", 0, True), self.namespace)
        elif kind == "value":
            self.namespace[name] = pickle.loads(data)
        else:
            values = pickle.loads(data)
            self.namespace.update(values)
            return list(values)
        return [name]


async def _awaiting(awaitable):
    return await awaitable


def _consume(task):
    if not task.cancelled():
        task.exception()


class Stdin(io.TextIOBase):
    """Standard input of user code: every line is asked for."""

    encoding = "utf-8"

    def __init__(self, runner):
        super().__init__()
        self.runner = runner

    def readable(self):
        return True

    def readline(self, size=-1):
        try:
            line = self.runner.input() + "\n"
        except EOFError:
            return ""
        return line if size is None or size < 0 else line[:size]

    def read(self, size=-1):
        lines = []
        while True:
            line = self.readline()
            lines.append(line)
            if not line or (size is not None and 0 <= size <= sum(map(len, lines))):
                return "".join(lines)

    def close(self):
        """Nothing to close: the next execution may ask again."""


# ---------------------------------------------------------------- import actum


class Error(Exception):
    """What a capability answered instead of a value."""

    def __init__(self, code, message, hint=None):
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.hint = hint
        if hint:
            _note(self, f"hint: {hint}")


Error.__module__ = "actum"


class Awaited:
    """The answer to a request made inside a running event loop; to be awaited, as often as one likes."""

    def __init__(self, future):
        self.future = future

    def __await__(self):
        return self.future.__await__()

    def __repr__(self):
        return "<an answer to be awaited>"


class Capabilities:
    """Requests to the daemon: the same call gives its answer in plain code, and an awaitable inside an event loop."""

    def __init__(self, worker):
        self.worker = worker
        self.calls = 0
        self.lock = threading.Lock()

    def call(self, capability, payload, key=None, timeout_ms=None):
        name, message = self.message(capability, payload, key, timeout_ms)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.blocking(name, message, timeout_ms)
        return Awaited(self.promised(loop, name, message, timeout_ms))

    def call_now(self, capability, payload, key=None, timeout_ms=None):
        name, message = self.message(capability, payload, key, timeout_ms)
        return self.blocking(name, message, timeout_ms)

    def message(self, capability, payload, key, timeout_ms):
        execution = self.worker.running()
        with self.lock:
            self.calls += 1
            name = f"{execution}:{capability}:{self.calls}"
        message = {
            "type": "capability_request", "id": name, "execution": execution, "capability": capability,
            "payload": {field: value for field, value in payload.items() if value is not None},
        }
        if key is not None:
            message["idempotencyKey"] = str(key)
        if timeout_ms is not None:
            message["timeoutMs"] = int(timeout_ms)
        try:
            message["payload"] = pack_json(message["payload"], FRAME_BYTES_MAX - 65536)
        except Unrepresentable as error:
            raise Error("INVALID_INPUT", f"the request {error}") from None
        return name, message

    def blocking(self, name, message, timeout_ms):
        seconds = None if timeout_ms is None else timeout_ms / 1000 + 1
        answer = self.worker.ask_and_wait(name, message, seconds)
        return self.opened(answer)

    def promised(self, loop, name, message, timeout_ms):
        future = loop.create_future()

        def settle(answer):
            self.worker.forget(name)
            if future.done():
                return
            try:
                future.set_result(self.opened(answer))
            except Error as error:
                future.set_exception(error)

        def arrived(answer):
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, answer)

        self.worker.ask(name, message, arrived)
        if timeout_ms is not None:
            loop.call_later(timeout_ms / 1000 + 1, settle, None)
        return future

    @staticmethod
    def opened(answer):
        if answer is None:
            raise Error("TIMED_OUT", "no answer came in time")
        error = answer.get("error")
        if error is not None:
            if type(error) is not dict:
                error = {}
            raise Error(
                str(error.get("code", "INTERNAL")), str(error.get("message", "the request failed")), error.get("hint"),
            )
        return answer.get("value")


class Promise:
    """A durable promise by its id: `await` it, or call `result()`."""

    def __init__(self, capabilities, name):
        self.capabilities = capabilities
        self.id = name

    def result(self, timeout_ms=None):
        """Blocks until it is settled; raises `actum.Error` if it was rejected."""
        row = self.capabilities.call_now("promise.await", {"promiseId": self.id}, timeout_ms=timeout_ms)
        return _settled(row)[1]

    async def wait(self):
        """The same without blocking other coroutines."""
        return _settled(await self.capabilities.call("promise.await", {"promiseId": self.id}))[1]

    def __await__(self):
        return self.wait().__await__()

    def __repr__(self):
        return f"<promise {self.id!r}>"


def _settled(row):
    """What a promise row says: whether it is settled, and its value; raises if it was settled with an error."""
    row = row if type(row) is dict else {}
    if row.get("state") in ("rejected", "timed_out", "cancelled"):
        error = row.get("error") if type(row.get("error")) is dict else {}
        code = error.get("code", "PROMISE_REJECTED")
        raise Error(str(code), str(error.get("message", "the promise was rejected")), error.get("hint"))
    return row.get("state") == "resolved", row.get("value")


def _message(error):
    """What a promise is rejected with: the exception in one text, or the words given."""
    text = f"{_type_name(error)}: {error}" if isinstance(error, BaseException) else str(error)
    return _bounded(_plain(text), PROMISE_MESSAGE_CHARS_MAX)


def _resolution(name, value):
    """Arguments that resolve a promise. What is left out is null."""
    return {"promiseId": name} if value is None else {"promiseId": name, "value": value}


def _bundle(value):
    """The representations of a value: its own, if it has any, and text."""
    if type(value) is dict and value and all(type(key) is str and "/" in key for key in value):
        return value
    bundle = {"text/plain": _repr(value)}
    own = getattr(value, "_repr_mimebundle_", None)
    if callable(own):
        found = own()
        found = found[0] if type(found) is tuple else found
        if type(found) is dict:
            bundle.update(found)
    for method, mime in (("_repr_html_", "text/html"), ("_repr_markdown_", "text/markdown"),
                         ("_repr_png_", "image/png"), ("_repr_svg_", "image/svg+xml"), ("_repr_json_", "application/json")):
        make = getattr(value, method, None)
        if callable(make) and mime not in bundle:
            made = make()
            if made is not None:
                bundle[mime] = made
    return bundle


def make_actum(worker, runner):
    """The module that `import actum` gives inside the session."""
    caps = Capabilities(worker)
    call = caps.call
    actum = types.ModuleType("actum", "What this session may ask of the daemon; each call is checked and recorded.")

    files = types.SimpleNamespace(
        read=lambda path, *, offset=None, length=None, encoding="utf8", timeout_ms=None: call(
            "file.read", {"path": str(path), "offset": offset, "length": length, "encoding": encoding}, None, timeout_ms),
        write=lambda path, content, *, encoding="utf8", mode=None, if_hash=None, key=None, timeout_ms=None: call(
            "file.write", {"path": str(path), "content": content, "encoding": encoding, "mode": mode, "ifHash": if_hash},
            key, timeout_ms),
        list=lambda path=".", *, recursive=None, limit=None, after=None, timeout_ms=None: call(
            "file.list", {"path": str(path), "recursive": recursive, "limit": limit, "after": after}, None, timeout_ms),
        stat=lambda path, *, timeout_ms=None: call("file.stat", {"path": str(path)}, None, timeout_ms),
        remove=lambda path, *, key=None, timeout_ms=None: call("file.remove", {"path": str(path)}, key, timeout_ms),
        move=lambda source, target, *, key=None, timeout_ms=None: call(
            "file.move", {"from": str(source), "to": str(target)}, key, timeout_ms),
    )

    def fetch(url, *, method=None, headers=None, body=None, body_base64=None, max_bytes=None, redirects=None, key=None,
              timeout_ms=None):
        payload = {
            "url": url, "method": method, "headers": headers, "body": body, "bodyBase64": body_base64,
            "maxBytes": max_bytes, "redirects": redirects, "timeoutMs": timeout_ms,
        }
        return call("http.fetch", payload, key, timeout_ms)

    def run(argv, *, cwd=None, env=None, stdin=None, key=None, timeout_ms=None):
        if isinstance(argv, str):
            raise Error("INVALID_INPUT", "expected a list of arguments, got one text", "split it: ['ls', '-l']")
        return call("shell.run", {"argv": list(argv), "cwd": cwd, "env": env, "stdin": stdin}, key, timeout_ms)

    def create(id=None, *, timeout_ms=None, tags=None):
        return call("promise.create", {"promiseId": id, "timeoutMs": timeout_ms, "tags": tags})

    def reject(id, error, *, value=None):
        return call("promise.reject", {"promiseId": id, "message": _message(error), "value": value})

    def made(id, timeout_ms):
        """The promise as it is, made if there is none."""
        try:
            return caps.call_now("promise.create", {"promiseId": id, "timeoutMs": timeout_ms})
        except Error as error:
            if error.code != "PROMISE_EXISTS":
                raise
            return caps.call_now("promise.get", {"promiseId": id})

    async def made_async(id, timeout_ms):
        try:
            return await caps.call("promise.create", {"promiseId": id, "timeoutMs": timeout_ms})
        except Error as error:
            if error.code != "PROMISE_EXISTS":
                raise
            return await caps.call("promise.get", {"promiseId": id})

    def durable_execute(target, *, id, timeout_ms=None):
        """Runs `target` at most until its promise is settled: once it is, its stored value is the answer."""
        if inspect.iscoroutine(target) or inspect.iscoroutinefunction(target):
            return durable_coroutine(target, id, timeout_ms)
        done, value = _settled(made(id, timeout_ms))
        if done:
            return value
        try:
            value = target()
        except Exception as error:
            caps.call_now("promise.reject", {"promiseId": id, "message": _message(error)})
            raise
        if inspect.iscoroutine(value):
            return durable_rest(value, id)
        caps.call_now("promise.resolve", _resolution(id, value))
        return value

    async def durable_coroutine(target, id, timeout_ms):
        row = await made_async(id, timeout_ms)
        try:
            done, value = _settled(row)
        except Error:
            if inspect.iscoroutine(target):
                target.close()
            raise
        if done:
            if inspect.iscoroutine(target):
                target.close()
            return value
        return await durable_rest(target if inspect.iscoroutine(target) else target(), id)

    async def durable_rest(coroutine, id):
        try:
            value = await coroutine
        except Exception as error:
            await caps.call("promise.reject", {"promiseId": id, "message": _message(error)})
            raise
        await caps.call("promise.resolve", _resolution(id, value))
        return value

    def display(*values, raw=None):
        """Shows values; a dictionary of MIME types is shown as it is."""
        for value in values:
            worker.display(_bundle(value))
        if raw is not None:
            worker.display(raw)

    actum.Error = Error
    actum.files = files
    actum.http = types.SimpleNamespace(fetch=fetch)
    actum.shell = types.SimpleNamespace(run=run)
    actum.system = types.SimpleNamespace(
        env=lambda *names: call("system.env", {"names": list(names)}),
        time=lambda: call("system.time", {}),
        info=lambda: call("system.info", {}),
    )
    actum.promise = lambda id: Promise(caps, id)
    actum.promises = types.SimpleNamespace(
        create=create, reject=reject,
        resolve=lambda id, value=None: call("promise.resolve", _resolution(id, value)),
        cancel=lambda id, reason=None: call("promise.cancel", {"promiseId": id, "reason": reason}),
        get=lambda id: call("promise.get", {"promiseId": id}),
        search=lambda **query: call("promise.search", query),
    )
    actum.durable_execute = durable_execute
    actum.display = display
    actum.progress = worker.progress
    actum.call = call
    return actum


# ---------------------------------------------------------------- shell sessions


class ShellRunner:
    """One shell that lives from execution to execution, so that directory, variables and functions stay.

    It is an interactive one without a terminal: an interrupt ends the command it runs and not the shell.
    """

    def __init__(self, worker):
        self.worker = worker
        self.child = None
        self.reports = None
        self.partial = b""
        self.turn = 0
        self.start()

    def names(self):
        return 0

    def root(self):
        return self.child.pid

    def start(self):
        """Starts the shell, and swallows what it says about its missing terminal."""
        if self.reports is not None:
            os.close(self.reports)
        self.reports, theirs = os.pipe()
        # Plain shells know only descriptors of one digit; `run` has kept these two free.
        os.dup2(2, SHELL_ERROR_FD)
        os.dup2(theirs, SHELL_REPORT_FD)
        os.close(theirs)
        bash = next((path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), None)
        argv = [bash, "--norc", "--noprofile", "--noediting", "-i"] if bash else ["/bin/sh", "-i"]
        env = {name: value for name, value in os.environ.items() if name not in ("ENV", "BASH_ENV", "PROMPT_COMMAND")}
        env.update(PS1="", PS2="", HISTFILE="")
        self.child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(SHELL_ERROR_FD, SHELL_REPORT_FD), env=env,
            bufsize=0,
        )
        reserve_shell_fds()
        settle = "set +H +m; " if bash else ""
        self.partial = b""
        self.turn += 1
        self.write(f"{settle}PS1=; PS2=; exec 2>&{SHELL_ERROR_FD} {SHELL_ERROR_FD}>&-\n{self.report('$?')}")
        if self.await_report() is None:
            self.worker.fault("WORKER_INTERNAL", "the shell ended while it was started")

    def report(self, status):
        return f"echo {self.turn} {status} >&{SHELL_REPORT_FD}\n"

    def write(self, text):
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            data = data[os.write(self.child.stdin.fileno(), data):]

    def await_report(self):
        """The exit code of this turn; nothing if the shell has ended."""
        while True:
            line, found, rest = self.partial.partition(b"\n")
            if found:
                self.partial = rest
                words = line.split()
                if len(words) == 2 and words[0] == b"%d" % self.turn:
                    return 130 if words[1] == b"stopped" else int(words[1])
                continue
            data = os.read(self.reports, 4096)
            if not data:
                return None
            self.partial += data

    def execute(self, message):
        name = message["id"]
        code = message["code"]
        if "\0" in code:
            return self.worker.trouble(name, "INVALID_INPUT", "a shell takes no NUL in its code")
        self.turn += 1
        quoted = code.replace("'", "'\\''")
        try:
            self.write(f"eval '{quoted}' {SHELL_REPORT_FD}>&- </dev/null\n{self.report('$?')}")
            status = self.await_report()
        except OSError:
            status = None
        answer = {"type": "result", "id": name}
        if status is None:
            status = self.child.wait()
            status = 128 - status if status < 0 else status
            self.worker.processes.kill_below(self.worker.pid)
            self.start()
            answer["restarted"] = True
        if self.worker.asked is not None and status != 0:
            answer = self.worker.stopped(name, "CANCELLED", f"stopped; the exit code was {status}")
            answer["interrupted"] = True
            return answer
        answer.update(value=status, repr=str(status))
        return answer

    def interrupt(self, level):
        """Under `state_lock`: ends what the shell runs, and lets the shell go on."""
        shell, worker = self.child.pid, self.worker
        # The shell first: it gives up what it does only if it was interrupted by the time its child dies of the same.
        _signal(shell, signal.SIGINT)
        for pid in worker.processes.below(shell, worker.since):
            _signal(pid, signal.SIGINT)
        if level > 1:
            worker.processes.kill_below(shell, worker.since)
            _signal(shell, signal.SIGINT)
        else:
            # What runs in the background ignores an interrupt.
            for pid in worker.processes.below(shell, worker.since):
                _signal(pid, signal.SIGTERM)
        with contextlib.suppress(OSError):
            # A shell that was reading its next line when the signal came has lost that line: say it again.
            os.write(self.child.stdin.fileno(), f"\n{self.report('stopped')}".encode())

    def cancel_task(self):
        return True

    def settle(self):
        pass

    def keep_or_load(self, message):
        answer = self.worker.stopped(message["id"], "NOT_SUPPORTED", "a shell session keeps no checkpoint")
        answer["errorType"] = "NOT_SUPPORTED"
        return answer


def reserve_shell_fds():
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (SHELL_ERROR_FD, SHELL_REPORT_FD):
        if fd != null:
            os.dup2(null, fd, inheritable=False)
    if null not in (SHELL_ERROR_FD, SHELL_REPORT_FD):
        os.close(null)


# ---------------------------------------------------------------- entry


def main(fd, config):
    """Speaks the session protocol on the UNIX stream socket `fd` until its other side is gone. Does not return."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(fd)
    worker = Worker(high, config)
    try:
        if worker.kind == "shell":
            reserve_shell_fds()
        worker.run()
    except ProtocolError as error:
        worker.fault("WORKER_PROTOCOL", str(error))
    except BaseException as error:
        worker.fault("WORKER_INTERNAL", "".join(traceback.format_exception(type(error), error, error.__traceback__)))


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
