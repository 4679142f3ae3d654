"""Crossings: connections that each offer exactly the algorithms that a line of stdin names.

A line is `KIND=NAME` words, of the kinds `kex`, `cipher`, `mac`, `key` (the host key) and `compression`. `rekey=BYTES`
changes keys after so many bytes where the library can, and `bytes=COUNT` is the size of the load. What is not named is
the library's own choice. Each line is answered with one: `ok`, or `failed:` and the error.
"""

import random
import sys

# The status that the second session of each crossing ends with.
STATUS = 7


def payload(wishes):
    """Bytes to be echoed: half of them random, half of them the same, so that compression has something to do."""
    count = int(wishes["bytes"])
    return random.Random(count).randbytes(count // 2) + bytes(count - count // 2)


def parse(line):
    return dict(word.split("=", 1) for word in line.split())


def check(wishes, echoed, status, second):
    """What a crossing has brought: the echo, the status of `cat` and that of `exit 7`."""
    if echoed != payload(wishes):
        raise ValueError(f"{len(echoed)} bytes were echoed, or others")
    if (status, second) != (0, STATUS):
        raise ValueError(f"the statuses are {status} and {second}")


def answer(error):
    """Answers one line: nothing went wrong, or this did."""
    text = "ok" if error is None else " ".join(f"failed: {type(error).__name__}: {error}".split())
    print(text, flush=True)


def run(cross):
    """Does all crossings, one after another."""
    for line in sys.stdin:
        try:
            cross(parse(line))
        except Exception as error:  # Whatever a library raises is its answer.
            answer(error)
        else:
            answer(None)
