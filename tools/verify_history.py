#!/usr/bin/env python3
"""Verifies the history in an Actum data directory without Actum.

Checks every frame (CRC-32C), the sequence, the hash chain, the leaves and the Merkle tree, and prints head and
root. Written from docs/format.md alone; needs nothing but Python 3's standard library. It changes nothing.

    verify_history.py DATA_DIRECTORY [--records] [--json]

Exit code: 0 whole, 1 not whole, 2 cannot be read.
"""

import argparse
import hashlib
import json
import os
import re
import struct
import sys

HEADER = struct.Struct("<8sI4s16sQQ32sQI4s")
FRAME = struct.Struct("<4sIQI4s")
FRAME_MAGIC = b"\xf5Ac\xfa"
BODY_MAX = 16 * 1024 * 1024
NOTHING = 2**64 - 1
ZERO_HASH = bytes(32)


def _crc_tables():
    tables = [[0] * 256 for _ in range(8)]
    for n in range(256):
        crc = n
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        tables[0][n] = crc
    for n in range(256):
        for k in range(1, 8):
            before = tables[k - 1][n]
            tables[k][n] = (before >> 8) ^ tables[0][before & 0xFF]
    return tables


_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7 = _crc_tables()


def crc32c(data, crc=0):
    """CRC-32C of data, continued from the CRC of what came before."""
    crc ^= 0xFFFFFFFF
    whole = len(data) - len(data) % 8
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        word ^= crc
        crc = (
            _T7[word & 255] ^ _T6[word >> 8 & 255] ^ _T5[word >> 16 & 255] ^ _T4[word >> 24 & 255]
            ^ _T3[word >> 32 & 255] ^ _T2[word >> 40 & 255] ^ _T1[word >> 48 & 255] ^ _T0[word >> 56]
        )
    for byte in data[whole:]:
        crc = _T0[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Damage(Exception):
    """Something is not as the format says."""


class Cbor:
    """A reader of strict dag-cbor: shortest heads, definite lengths, sorted keys, no floats, no tags."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Damage("cbor ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def head(self):
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if low < 24:
            return major, low
        if low > 27:
            raise Damage("cbor item of indefinite length")
        width = 1 << (low - 24)
        value = int.from_bytes(self.take(width), "big")
        if major != 7 and value < (24 if width == 1 else 1 << (width * 4)):
            raise Damage("cbor head is not in its shortest form")
        return major, value

    def value(self, depth=0):
        if depth > 256:
            raise Damage("cbor nests too deeply")
        major, argument = self.head()
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self.take(argument).decode("utf-8")
        if major == 4:
            return [self.value(depth + 1) for _ in range(argument)]
        if major == 5:
            found, last = {}, None
            for _ in range(argument):
                key = self.value(depth + 1)
                if not isinstance(key, str):
                    raise Damage("cbor map key is not text")
                order = (len(key.encode()), key.encode())
                if last is not None and order <= last:
                    raise Damage("cbor map keys are not sorted")
                last = order
                found[key] = self.value(depth + 1)
            return found
        if major == 7 and argument in (20, 21, 22):
            return {20: False, 21: True, 22: None}[argument]
        raise Damage("cbor item of a kind the format does not use")


def decode(data):
    reader = Cbor(data)
    value = reader.value()
    if reader.at != len(data):
        raise Damage("bytes follow the cbor value")
    return value


def read_header(data, magic, idx):
    if len(data) < HEADER.size:
        raise Damage("file header is cut off")
    found, version, zero, realm, term, first, prev, size, crc, zero2 = HEADER.unpack_from(data)
    if found != magic:
        raise Damage("file header has another magic")
    if crc != crc32c(data[:88]):
        raise Damage("crc of the file header does not match")
    if version != 1:
        raise Damage(f"file has format version {version}")
    if zero + zero2 != bytes(8):
        raise Damage("reserved bytes of the file header are not zero")
    if first != idx:
        raise Damage(f"file header says {first}, the name says {idx}")
    return {"realm": realm.hex(), "term": term, "first": first, "prev": prev, "seed": crc, "size": size}


def read_frame(data, at, seed):
    """The frame at `at`: (body, durableThrough, next offset); None where the frames end."""
    if data[at:at + 16] == bytes(16) or len(data) - at < FRAME.size:
        return None
    magic, length, durable, crc, zero = FRAME.unpack_from(data, at)
    if magic != FRAME_MAGIC:
        raise Damage("no frame magic")
    if not 1 <= length <= BODY_MAX or zero != bytes(4):
        raise Damage("frame header holds an impossible value")
    end = at + (FRAME.size + length + 15) // 16 * 16
    if end > len(data):
        raise Damage("frame is cut off")
    if crc != crc32c(data[at + 20:end], crc32c(data[at:at + 16], seed)):
        raise Damage("frame crc does not match")
    return data[at + FRAME.size:at + FRAME.size + length], None if durable == NOTHING else durable, end


def whole_frames_behind(data, at, seed):
    """Highest durableThrough of any whole frame at an aligned offset from `at` on, or -1; None if there is none."""
    best = None
    at = data.find(FRAME_MAGIC, at)
    while at >= 0:
        if at % 16 == 0:
            try:
                found = read_frame(data, at, seed)
            except Damage:
                found = None
            if found:
                best = max(-1 if best is None else best, -1 if found[1] is None else found[1])
        at = data.find(FRAME_MAGIC, at + 1)
    return best


def leaf_hash(record):
    return hashlib.sha256(b"\0" + record).digest()


class Tree:
    """The right edge of an RFC 6962 tree."""

    def __init__(self):
        self.nodes, self.size = [], 0

    def push(self, record):
        node, size = leaf_hash(record), self.size
        while size & 1:
            node = hashlib.sha256(b"\1" + self.nodes.pop() + node).digest()
            size >>= 1
        self.nodes.append(node)
        self.size += 1

    def root(self):
        if not self.nodes:
            return hashlib.sha256(b"").digest()
        node = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            node = hashlib.sha256(b"\1" + left + node).digest()
        return node


BODY_KEYS = ["v", "at", "idx", "prev", "input", "events", "elapsed"]


def read_body(body, idx, prev):
    value = decode(body)
    if not isinstance(value, dict) or list(value) != BODY_KEYS or value["v"] != 1:
        raise Damage("record body has another shape")
    if value["idx"] != idx:
        raise Damage(f"it holds record {value['idx']}")
    if value["prev"] != prev:
        raise Damage("its `prev` is not the hash of the record before")
    return value


class History:
    def __init__(self, root, show=None):
        self.root, self.show = root, show
        self.hashes, self.first, self.realm, self.torn = [], 0, None, None
        self.findings, self.snapshots = [], []

    def find(self, what):
        self.findings.append(what)

    def names(self, folder, end):
        pattern = re.compile(r"(\d{20})\." + end)
        path = os.path.join(self.root, folder)
        names = sorted(os.listdir(path)) if os.path.isdir(path) else []
        return [(os.path.join(path, n), f"{folder}/{n}", int(m[1])) for n in names if (m := pattern.fullmatch(n))]

    def segments(self):
        """Reads all segments. The first bad frame is damage if a later whole one says it was durable."""
        prev, idx, bad = ZERO_HASH, 0, None
        for number, (path, name, first) in enumerate(self.names("journal", "seg")):
            with open(path, "rb") as file:
                data = file.read()
            try:
                header = read_header(data, b"ACTUMSEG", first)
            except Damage as why:
                self.find(f"{name} at offset 0, record {first}: {why}")
                return
            if number == 0:
                self.realm, self.first, idx, prev = header["realm"], first, first, header["prev"]
            if header["realm"] != self.realm:
                self.find(f"{name} belongs to realm {header['realm']}")
            if bad is None and (first != idx or header["prev"] != prev):
                bad = (name, 0, idx, "the segment does not continue the one before")
            at = HEADER.size
            while bad is None:
                try:
                    frame = read_frame(data, at, header["seed"])
                    if frame is None:
                        break
                    value = read_body(frame[0], idx, prev)
                except (Damage, UnicodeDecodeError) as why:
                    bad = (name, at, idx, str(why))
                    break
                prev = hashlib.sha256(frame[0]).digest()
                if self.show:
                    self.show(value, prev)
                self.hashes.append(prev)
                idx, at = idx + 1, frame[2]
            behind = whole_frames_behind(data, at, header["seed"])
            if bad is None and data[at:].strip(b"\0"):
                bad = (name, at, idx, "zeros" if behind is not None else "bytes behind the last frame")
            if bad and behind is not None and behind >= bad[2]:
                self.find(f"{bad[0]} at offset {bad[1]}, record {bad[2]}: {bad[3]}; it was acknowledged")
                return
        if bad:
            self.torn = f"{bad[0]} at offset {bad[1]}, record {bad[2]}: {bad[3]}; never acknowledged"

    def leaves(self):
        """Compares leaves with records and builds the tree."""
        path = os.path.join(self.root, "journal", "leaves")
        leaves = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                leaves = file.read()
        records = self.first + len(self.hashes)
        tree, trees = Tree(), {}
        wanted = {idx for _, _, idx in self.names("snapshots", "snap")}
        for idx in range(records):
            leaf = leaves[idx * 32:idx * 32 + 32]
            record = self.hashes[idx - self.first] if idx >= self.first else None
            if record is None and len(leaf) < 32:
                self.find(f"record {idx} was compacted away and its leaf is missing")
                break
            if record is not None and len(leaf) == 32 and leaf != record:
                self.find(f"leaf {idx} is not the hash of record {idx}")
            tree.push(record or leaf)
            if idx in wanted:
                trees[idx] = (list(tree.nodes), record or leaf)
        if len(leaves) // 32 > records:
            self.find(f"leaves name {len(leaves) // 32 - records} committed records that are gone")
        return tree, trees

    def check_snapshots(self, trees):
        for path, name, idx in self.names("snapshots", "snap"):
            try:
                with open(path, "rb") as file:
                    self.snapshot(file.read(), idx, trees)
                self.snapshots.append(idx)
            except (Damage, UnicodeDecodeError) as why:
                self.find(f"{name}: {why}")

    def snapshot(self, data, idx, trees):
        header = read_header(data, b"ACTUMSNP", idx)
        digest, at, number, events, bodies = hashlib.sha256(), HEADER.size, 0, 0, []
        while at < len(data):
            frame = read_frame(data, at, header["seed"])
            if frame is None or frame[1] != number:
                raise Damage(f"frame {number} is missing")
            body, _, at = frame
            bodies.append(body if number == 0 or at == len(data) else None)
            if at < len(data):
                digest.update(hashlib.sha256(body).digest())
                if number:
                    events += len(decode(body))
            number += 1
        if number < 2:
            raise Damage("it has no end")
        end = {"digest": digest.digest(), "events": events, "pieces": number - 2}
        if decode(bodies[-1]) != end:
            raise Damage("its digest does not match its contents")
        if idx not in trees:
            raise Damage(f"record {idx} is not there")
        nodes, record = trees[idx]
        if decode(bodies[0])["frontier"] != {"size": idx + 1, "nodes": nodes}:
            raise Damage("its tree is not the tree of the leaves")
        if header["prev"] != record or header["realm"] != self.realm:
            raise Damage("it names another record or realm")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--records", action="store_true", help="print every record on a line")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    arguments = parser.parse_args()

    def show(value, digest):
        kinds = [next(iter(e)) if isinstance(e, dict) else str(e) for e in value["events"]]
        print(value["idx"], value["at"], value["elapsed"], digest.hex(), ",".join(kinds))

    history = History(arguments.directory, show if arguments.records else None)
    try:
        if not os.path.isdir(os.path.join(arguments.directory, "journal")):
            raise OSError(f"no journal in `{arguments.directory}`")
        history.segments()
        tree, trees = history.leaves()
        if not history.findings:
            history.check_snapshots(trees)
    except OSError as error:
        print(f"cannot read: {error}", file=sys.stderr)
        return 2
    records = history.first + len(history.hashes)
    result = {
        "whole": not history.findings,
        "realm": history.realm,
        "firstIdx": history.first,
        "records": records,
        "head": history.hashes[-1].hex() if history.hashes else None,
        "root": tree.root().hex(),
        "snapshots": history.snapshots,
        "torn": history.torn,
        "findings": history.findings,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    return 0 if result["whole"] else 1


if __name__ == "__main__":
    sys.exit(main())
