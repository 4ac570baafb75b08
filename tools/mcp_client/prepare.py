#!/usr/bin/env python3
"""Installs the official Python SDK of the Model Context Protocol, pinned, into a virtual environment of its own.

    prepare.py GENERATION FOLDER

GENERATION is 1 or 2: see requirements-1.txt and requirements-2.txt. Prints the path of the environment's interpreter.
A second run, also at the same time, finds what the first one made. Needs Python 3.10 or later with `venv`, and a package
registry that pip reaches; it says so where it does not.

Exit code: 0 ready, 1 not.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv


def prepare(generation: str, folder: str) -> str:
    """Makes the environment, unless it is there, and gives its interpreter."""
    here = os.path.dirname(os.path.abspath(__file__))
    requirements = os.path.join(here, f"requirements-{generation}.txt")
    with open(requirements, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode()).hexdigest()
    place = os.path.join(os.path.abspath(folder), f"sdk-{generation}")
    python = os.path.join(place, "bin", "python")
    stamp = os.path.join(place, "installed")
    os.makedirs(folder, exist_ok=True)
    with open(f"{place}.lock", "w", encoding="utf-8") as lock:
        # One at a time; the others find it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(stamp, encoding="utf-8") as file:
                if file.read() == wanted:
                    return python
        except FileNotFoundError:
            pass
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
        subprocess.run([*install, "--requirement", requirements], check=True, stdout=sys.stderr)
        # Last, so that an installation that was broken off is made again.
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
    return python


def main() -> int:
    """See the head of the file."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("1", "2"):
        print(__doc__, file=sys.stderr)
        return 1
    try:
        print(prepare(sys.argv[1], sys.argv[2]))
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"the MCP client of the tests could not be installed: {error}\n"
            "pip must reach a package registry; nothing was tested",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
