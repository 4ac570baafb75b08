"""Counts what was posted: `check_postings.py REFERENCE`. Fails unless the log shows exactly one posting."""

import sys


def main():
    reference = sys.argv[1]
    with open("postings.log", encoding="utf-8") as log:
        posted = [line for line in log if line.startswith(f"posted {reference} ")]
    if len(posted) != 1:
        sys.exit(f"{reference}: posted {len(posted)} times")
    print(f"{reference}: posted once")


main()
