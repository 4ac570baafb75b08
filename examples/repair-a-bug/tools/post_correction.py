"""Posts a correction to the bank: `post_correction.py REFERENCE CENTS`. Stands for any call that must not happen twice.

The posting is one line in `postings.log`, on disk before anything else happens; the bank's receipt takes a second and a
half. Run it twice and the customer is paid twice: the log shows it.
"""

import os
import sys
import time

STEPS = 6
STEP_SECONDS = 0.25


def append(line):
    with open("postings.log", "a", encoding="utf-8") as log:
        log.write(line + "\n")
        log.flush()
        os.fsync(log.fileno())


def main():
    reference, cents = sys.argv[1], int(sys.argv[2])
    append(f"posted {reference} {cents:+d}")
    print(f"posted {reference} {cents:+d}, waiting for the receipt", flush=True)
    for step in range(1, STEPS + 1):
        time.sleep(STEP_SECONDS)
        print(f"waiting {step}/{STEPS}", flush=True)
    append(f"receipt {reference}")
    print("receipt taken", flush=True)


main()
