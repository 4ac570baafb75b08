#!/usr/bin/env python3
"""A small payments server, for trying out what happens to an effect on the outside.

It keeps a log of its own, one JSON line for each charge, synced before anybody is told. A repetition under the same
Idempotency-Key is answered with the first charge and charges nothing.

    payments.py --log FILE [--port N] [--hold FILE] [--held FILE] [--drop FILE] [--until-stdin-ends]

The first line of standard output is the port. With --hold, a charge is made as long as the file exists and its answer
is held back until the file is gone; --held is a file that appears once an answer is held. With --drop, a charge is made
as long as the file exists, and its connection is closed without an answer. With --until-stdin-ends it does not outlive
whoever holds the other end of its standard input. It is meant for loopback: it knows no users.

    POST /charges          Idempotency-Key: KEY    {"amount": 1250, "currency": "EUR"}   201, or 200 the second time
    GET  /charges/KEY                                                                     200, or 404
    GET  /charges                                                                         200, all of them
"""

import argparse
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

KEY = re.compile(r"[A-Za-z0-9_.:-]{1,256}")
CURRENCY = re.compile(r"[A-Z]{3}")
BODY_BYTES_MAX = 4096
AMOUNT_MAX = 100_000_000
IDLE_SECONDS = 60
HOLD_LOOK_SECONDS = 0.02


class Refused(Exception):
    """A request that is not carried out, with its status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Dropped(Exception):
    """A request that is carried out, and nobody is told."""


class Ledger:
    """The charges, in memory and in the log."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.charges = {}
        self.log = open(path, "a+b", buffering=0)
        self.log.seek(0)
        whole = 0
        for line in self.log.read().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            charge = json.loads(line)
            self.charges[charge["key"]] = charge
            whole += len(line)
        # A line that was cut off was never answered for.
        self.log.truncate(whole)

    def charge(self, key, amount, currency):
        """The charge under a key, and whether it is new."""
        with self.lock:
            known = self.charges.get(key)
            if known is not None:
                if (known["amount"], known["currency"]) != (amount, currency):
                    raise Refused(422, "this key was used for another charge")
                return known, False
            charge = {"id": f"ch_{len(self.charges) + 1}", "key": key, "amount": amount, "currency": currency}
            line = json.dumps(charge, sort_keys=True).encode() + b"\n"
            if self.log.write(line) != len(line):
                raise OSError("the log took only a part of a line")
            os.fsync(self.log.fileno())
            self.charges[key] = charge
            return charge, True

    def find(self, key):
        with self.lock:
            return self.charges.get(key)

    def all(self):
        with self.lock:
            return list(self.charges.values())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self):
        self.answer_to(self.read)

    def do_POST(self):
        self.answer_to(self.charge)

    def answer_to(self, work):
        try:
            self.answer(*work())
        except Refused as refused:
            # What is left of the request is not read, so the connection is of no more use.
            self.close_connection = True
            self.answer(refused.status, {"error": str(refused)})
        except Dropped:
            self.close_connection = True

    def read(self):
        path = urlsplit(self.path).path
        if path == "/charges":
            return 200, {"charges": self.server.ledger.all()}
        if not path.startswith("/charges/"):
            raise Refused(404, "nothing is here")
        charge = self.server.ledger.find(unquote(path[len("/charges/"):]))
        if charge is None:
            raise Refused(404, "no charge has this key")
        return 200, charge

    def charge(self):
        if urlsplit(self.path).path != "/charges":
            raise Refused(404, "nothing is here")
        key = self.headers.get("Idempotency-Key", "")
        if not KEY.fullmatch(key):
            raise Refused(400, "expected an Idempotency-Key of letters, digits and _.:-")
        amount, currency = read_order(self.body())
        charge, new = self.server.ledger.charge(key, amount, currency)
        if new:
            self.server.hold()
        if self.server.drops():
            raise Dropped
        return (201 if new else 200), charge

    def body(self):
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,9}", length):
            raise Refused(411, "expected a Content-Length")
        if int(length) > BODY_BYTES_MAX:
            raise Refused(413, f"expected at most {BODY_BYTES_MAX} bytes")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise Refused(400, "the body ended early")
        return body

    def answer(self, status, members):
        body = json.dumps(members, sort_keys=True).encode() + b"\n"
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            # Nobody waits for the answer any more. The charge stands.
            self.close_connection = True

    def log_message(self, *_):
        """The log of this server is its charges."""


def read_order(body):
    try:
        order = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "expected a JSON object") from error
    if not isinstance(order, dict) or not set(order) <= {"amount", "currency"}:
        raise Refused(422, "expected an object with `amount` and `currency`")
    amount, currency = order.get("amount"), order.get("currency", "EUR")
    # True is an integer to Python.
    if type(amount) is not int or not 1 <= amount <= AMOUNT_MAX:
        raise Refused(422, f"expected an `amount` in cents from 1 to {AMOUNT_MAX}")
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        raise Refused(422, "expected a `currency` of three capital letters")
    return amount, currency


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, ledger, hold, held, drop):
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = ledger
        self.hold_file = hold
        self.held_file = held
        self.drop_file = drop

    def drops(self):
        """Whether answers to charges get lost."""
        return bool(self.drop_file) and os.path.exists(self.drop_file)

    def hold(self):
        """Keeps an answer back while the file is there."""
        if not self.hold_file or not os.path.exists(self.hold_file):
            return
        if self.held_file:
            open(self.held_file, "w").close()
        pause = threading.Event()
        while os.path.exists(self.hold_file):
            pause.wait(HOLD_LOOK_SECONDS)


def end_with_stdin():
    """Ends the process, whatever it does, once standard input has ended."""
    while sys.stdin.buffer.read1(4096):
        pass
    # Charges are synced before they are told, so there is nothing left to flush.
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="A small payments server.")
    parser.add_argument("--log", required=True, help="file that gets one line for each charge")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any free one if absent")
    parser.add_argument("--hold", help="answers to charges are held back while this file exists")
    parser.add_argument("--held", help="this file appears once an answer is held back")
    parser.add_argument("--drop", help="charges are not answered for while this file exists")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    server = Server(options.port, Ledger(options.log), options.hold, options.held, options.drop)
    if options.until_stdin_ends:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
