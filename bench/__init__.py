"""The benchmark of haneul: figures against the targets of the design, taken from outside like any client would.

`python -m bench [--only PATTERN,…] [--quick] [--seconds N] [--out FILE]`; never part of the tests. See README.md.
"""
