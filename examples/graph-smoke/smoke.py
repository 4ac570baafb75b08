"""The smoke sequence of the graph over GraphQL: five steps against a running daemon.

    actum dev &
    python3 examples/graph-smoke/smoke.py --url http://127.0.0.1:4040/graphql

Needs Python 3 and nothing else. The data directory must be fresh: step 2 expects to create working set 0.
Ends with 0 if every step did what it should, 1 if one did not, 2 if the daemon could not be asked.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

SYSTEM_DIGEST = "query { graph(view: { kind: SYSTEM }) { digest } }"
CREATE = "mutation { createSws { sws { id } } }"
ADD_NODE = """
mutation {
  applyRewrite(
    view: { kind: SWS, swsId: "0" }
    rewrite: {
      ops: [{ op: "AddNode", data: { kind: "demo", payload_b64: "aGVsbG8=" } }]
    }
  ) {
    accepted
    receipt { rewriteIdx viewDigest }
  }
}
"""
SWS_DIGEST = 'query { graph(view: { kind: SWS, swsId: "0" }) { digest } }'
REWRITES = 'query { rewrites(view: { kind: SWS, swsId: "0" }, page: { first: 100 }) { idx } }'


class Failed(Exception):
    """A step did not do what it should."""


def ask(url, query):
    """Sends a query and gives its data."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer = json.load(answer)
    if answer.get("errors"):
        raise Failed(json.dumps(answer["errors"]))
    return answer["data"]


def check(condition, what):
    """Fails the sequence unless the condition holds."""
    if not condition:
        raise Failed(what)


def run(url):
    """The five steps."""
    before = ask(url, SYSTEM_DIGEST)["graph"]["digest"]
    check(len(before) == 64 and set(before) <= set("0123456789abcdef"), f"not a digest: {before}")
    print(f"1  System digest {before}")

    created = ask(url, CREATE)["createSws"]["sws"]["id"]
    check(created == "0", f"expected working set 0, got {created}: is the data directory fresh?")
    print(f"2  created working set {created}")

    applied = ask(url, ADD_NODE)["applyRewrite"]
    receipt = applied["receipt"]
    check(applied["accepted"] is True, "the rewrite was not accepted")
    check(int(receipt["rewriteIdx"]) == 0, f"expected rewrite 0, got {receipt['rewriteIdx']}")
    print(f"3  applied rewrite {receipt['rewriteIdx']}, view digest {receipt['viewDigest']}")

    overlay = ask(url, SWS_DIGEST)["graph"]["digest"]
    after = ask(url, SYSTEM_DIGEST)["graph"]["digest"]
    check(overlay != before, "the working set has the digest of System")
    check(overlay == receipt["viewDigest"], "the working set has another digest than its receipt")
    check(after == before, "System changed without a collapse")
    print("4  the working set changed, System did not")

    places = [int(rewrite["idx"]) for rewrite in ask(url, REWRITES)["rewrites"]]
    check(places == [0], f"expected the log [0], got {places}")
    check(places == sorted(set(places)), "the log is not ascending")
    print(f"5  the rewrite log is ordered: {places}")


def main():
    """Reads the command line and runs the sequence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:4040/graphql")
    url = parser.parse_args().url
    try:
        run(url)
    except Failed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        print(f"could not ask {url}: {error}", file=sys.stderr)
        return 2
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
