#!/usr/bin/env python3
"""Recomputes ids, view digests, rewrites and proofs of the Actum graph without Actum.

Written from docs/adr/0009-graph-trie.md alone; needs nothing but Python 3's standard library. It changes nothing.
FILE is JSON with any of these members, at the top:

    scripts   rewrites with their results and digests, each list followed by the view it leads to
    proofs    proofs of single entries: {digest, key, present, proof}
    ops       the registry of operations with its hash
    kinds     a kind registry with its hash
    view      one view: {nodes, edges, attachments, digest}
    proof     one proof, with digest, key and present beside it

    verify_graph.py FILE

Exit code: 0 whole, 1 not whole, 2 cannot be read.
"""

import base64
import binascii
import hashlib
import json
import re
import sys

HASH = re.compile(r"[0-9a-f]{64}\Z")


class Fault(Exception):
    """Something is not as it must be."""


def must(condition, message):
    if not condition:
        raise Fault(message)


def of_parts(domain, *parts):
    """SHA-256 over the domain and the parts, each preceded by its length in 8 big-endian bytes."""
    hasher = hashlib.sha256()
    for part in (domain.encode(), *parts):
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.digest()


def unhex(text):
    must(isinstance(text, str) and HASH.match(text), f"expected 64 lowercase hex digits, got {text!r}")
    return bytes.fromhex(text)


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    must(base64.b64encode(data).decode() == text, f"base64 {text!r} is not strict")
    return data


def bit(key, at):
    return key[at // 8] >> (7 - at % 8) & 1


# The definitions: ids, value hashes, tries, views.


def node_id(node):
    return of_parts("actum/node/v1", node["kind"].encode(), unbase64(node["payload_b64"]))


def edge_id(edge):
    parts = [unhex(edge["from"]), unhex(edge["to"]), edge["kind"].encode()]
    if "payload_b64" in edge:
        parts.append(unbase64(edge["payload_b64"]))
    return of_parts("actum/edge/v1", *parts)


def attachment_path(target, key):
    return target + hashlib.sha256(key.encode()).digest()


def attachment_hash(target, key, value, version):
    return of_parts("actum/attachment/v1", target, key.encode(), value.encode(), version.to_bytes(8, "big"))


def inner_hash(at, left, right):
    return hashlib.sha256(b"\x01" + at.to_bytes(2, "big") + left + right).digest()


def leaf_hash(key, value):
    return hashlib.sha256(b"\x00" + key + value).digest()


EMPTY = of_parts("actum/trie/empty/v1")


def trie_root(entries):
    """Root over a map of keys to value hashes."""
    return _root(sorted(entries.items())) if entries else EMPTY


def _root(entries):
    if len(entries) == 1:
        return leaf_hash(*entries[0])
    first, last = entries[0][0], entries[-1][0]
    # Sorted keys first differ where the first and the last of them do.
    at = next(at for at in range(len(first) * 8) if bit(first, at) != bit(last, at))
    split = next(n for n, (key, _) in enumerate(entries) if bit(key, at))
    return inner_hash(at, _root(entries[:split]), _root(entries[split:]))


class View:
    """A view as plain maps, and the operations on it."""

    def __init__(self):
        self.nodes, self.edges, self.attachments, self.floor = {}, {}, {}, 0

    def roots(self):
        attachments = {
            attachment_path(target, key): attachment_hash(target, key, value, version)
            for (target, key), (value, version) in self.attachments.items()
        }
        nodes, edges = ({id: id for id in entries} for entries in (self.nodes, self.edges))
        return [trie_root(entries) for entries in (nodes, edges, attachments)]

    def digest(self):
        return of_parts("actum/view/v1", *self.roots())

    def copy(self):
        other = View()
        other.nodes, other.edges = dict(self.nodes), dict(self.edges)
        other.attachments, other.floor = dict(self.attachments), self.floor
        return other

    def attached(self, id):
        return any(target == id for target, _ in self.attachments)

    def step(self, op):
        """Carries out one operation: (key, changed, version), or the code of its refusal."""
        name, data = op["op"], op["data"]
        if name == "AddNode":
            id = node_id(data)
            changed = id not in self.nodes
            self.nodes[id] = data
            return {"node": id.hex()}, changed, None
        if name == "AddEdge":
            if any(unhex(data[end]) not in self.nodes for end in ("from", "to")):
                return "MISSING_ENDPOINT"
            id = edge_id(data)
            changed = id not in self.edges
            self.edges[id] = data
            return {"edge": id.hex()}, changed, None
        if name == "RemoveNode":
            id = unhex(data["id"])
            ends = (edge[end] for edge in self.edges.values() for end in ("from", "to"))
            if self.attached(id) or id.hex() in ends:
                return "IN_USE"
            return ({"node": id.hex()}, True, None) if self.nodes.pop(id, None) else "NOT_FOUND"
        if name == "RemoveEdge":
            id = unhex(data["id"])
            if self.attached(id):
                return "IN_USE"
            return ({"edge": id.hex()}, True, None) if self.edges.pop(id, None) else "NOT_FOUND"
        return self.attach(name, data)

    def attach(self, name, data):
        target, key = unhex(data["target"]), data["key"]
        entry = {"attachment": [target.hex(), key]}
        must(name in ("SetAttachment", "ClearAttachment"), f"no operation `{name}`")
        if name == "SetAttachment" and target not in self.nodes and target not in self.edges:
            return "MISSING_ENDPOINT"
        old, version = self.attachments.get((target, key), (None, 0))
        if data.get("expectedVersion", version) != version:
            return "VERSION_MISMATCH"
        if name == "ClearAttachment":
            if not version:
                return "NOT_FOUND"
            del self.attachments[target, key]
            self.floor = max(self.floor, version)
            return entry, True, None
        # Equal to RFC 8785 for values without fractions and with ASCII keys.
        value = json.dumps(data["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if value == old:
            return entry, False, version
        version = (version or self.floor) + 1
        self.attachments[target, key] = value, version
        return entry, True, version


# Checking what a file says.


def check_view(row):
    view = View()
    for node in row["nodes"]:
        must(node_id(node) == unhex(node["id"]), f"node {node['id']} has another id")
        view.nodes[node_id(node)] = node
    for edge in row["edges"]:
        must(edge_id(edge) == unhex(edge["id"]), f"edge {edge['id']} has another id")
        view.edges[edge_id(edge)] = edge
    for entry in row["attachments"]:
        view.attachments[unhex(entry["target"]), entry["key"]] = entry["value"], entry["version"]
    if "roots" in row:
        must(view.roots() == [unhex(root) for root in row["roots"]], "the roots of a view differ")
    must(view.digest() == unhex(row["digest"]), "the digest of a view differs")
    return view


def check_rewrite(view, row):
    after, results = view.copy(), []
    refused = None
    for index, op in enumerate(row["ops"]):
        result = after.step(op)
        if isinstance(result, str):
            refused = {"opIndex": index, "code": result}
            break
        results.append(dict(zip(("key", "changed", "version"), result)))
    must(row.get("refused") == refused, f"expected refusal {row.get('refused')}, got {refused}")
    if refused is None:
        must(row["results"] == results, f"expected results {row['results']}, got {results}")
        view = after
    must(view.digest() == unhex(row["digest"]), "the digest after a rewrite differs")
    return view


def check_script(row):
    view = View()
    for rewrite in row["rewrites"]:
        view = check_rewrite(view, rewrite)
    held = check_view(row["view"])
    must(view.digest() == held.digest(), f"the rewrites of `{row['name']}` lead to another view")
    must(view.floor == row["view"]["versionFloor"], "the version floor differs")


def check_proof(row):
    (sort, name), = row["key"].items()
    if sort == "attachment":
        path = attachment_path(unhex(name[0]), name[1])
    else:
        path = unhex(name)
    proof = row["proof"]
    must(proof["part"] == sort + "s", "the proof is about another part")
    leaf, siblings = proof["path"]["leaf"], proof["path"]["siblings"]
    root, shown = EMPTY, None
    if leaf is None:
        must(not siblings, "a path without a leaf")
    else:
        key = bytes.fromhex(leaf["key"])
        must(len(key) == len(path) and key.hex() == leaf["key"], "the leaf has no key")
        root = leaf_hash(key, unhex(leaf["valueHash"]))
        shown = leaf["valueHash"] if key == path else None
        below = len(key) * 8
        for sibling in reversed(siblings):
            at, other = sibling["bit"], unhex(sibling["hash"])
            must(0 <= at < below and bit(key, at) == bit(path, at), "the path leads elsewhere")
            below = at
            root = inner_hash(at, other, root) if bit(key, at) else inner_hash(at, root, other)
    must(shown == row["present"], f"the proof shows {shown}, expected {row['present']}")
    roots = [unhex(other) for other in proof["others"]]
    must(len(roots) == 2, "expected two other roots")
    roots.insert(("nodes", "edges", "attachments").index(proof["part"]), root)
    must(of_parts("actum/view/v1", *roots) == unhex(row["digest"]), "the proof leads to another digest")


def check_ops(row):
    lines = []
    for spec in row["specs"]:
        fields = [*spec["required"], *(field + "?" for field in spec["optional"])]
        lines.append(f"{spec['name']}/{spec['version']} {','.join(fields)}".encode())
    must(of_parts("actum/graph-ops/v1", *lines) == unhex(row["hash"]), "the hash of the operations differs")


def check_kinds(row):
    registry = row["registry"]
    kinds = (",".join(sorted(registry[name])) for name in ("node_kinds", "edge_kinds"))
    parts = (part.encode() for part in (str(registry["version"]), registry["mode"], *kinds))
    must(of_parts("actum/graph-kinds/v1", *parts) == unhex(row["hash"]), "the hash of the kinds differs")


def check(document):
    """Checks all a document has; returns how much it was."""
    done = {}
    for name, checker in (("scripts", check_script), ("proofs", check_proof)):
        for row in document.get(name, []):
            checker(row)
            done[name] = done.get(name, 0) + 1
    for name, checker in (("ops", check_ops), ("kinds", check_kinds), ("view", check_view)):
        if name in document:
            checker(document[name])
            done[name] = 1
    if "proof" in document:
        check_proof(document)
        done["proof"] = 1
    must(done, "there is nothing to check in it")
    return done


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        print(f"cannot be read: {error}")
        return 2
    try:
        done = check(document)
    except Fault as fault:
        print(f"not whole: {fault}")
        return 1
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, binascii.Error) as error:
        print(f"not whole: it has another shape ({error!r})")
        return 1
    print("whole: " + ", ".join(f"{count} {name}" for name, count in done.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
