"""Replaces one piece of text in one file: `replace.py FILE OLD NEW`. Refuses unless OLD stands there exactly once."""

import pathlib
import sys


def main():
    path, old, new = sys.argv[1:]
    file = pathlib.Path(path)
    text = file.read_text(encoding="utf-8")
    count = text.count(old)
    if count != 1:
        sys.exit(f"{path}: expected the old text once, found it {count} times")
    file.write_text(text.replace(old, new), encoding="utf-8")
    print(f"{path}: replaced {len(old)} characters by {len(new)}")


main()
