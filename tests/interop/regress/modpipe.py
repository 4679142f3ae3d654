"""What the regress scripts use of their modpipe: copies standard input to standard output and changes one byte.

    modpipe.py -wm xor:OFFSET:VALUE
"""

import os
import sys

PIECE = 32 << 10


def main(change):
    kind, offset, value = change.split(":")
    if kind != "xor":
        sys.exit(f"no change {kind}")
    at, passed = int(offset), 0
    while data := bytearray(os.read(0, PIECE)):
        if passed <= at < passed + len(data):
            data[at - passed] ^= int(value)
        passed += len(data)
        while data:
            del data[: os.write(1, data)]


main(sys.argv[-1])
