"""Tests of tally; run with `python3 -B -m unittest`."""
