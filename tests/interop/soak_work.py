"""What the drivers of the soak in Python have in common: the arguments, and what each connection does.

A driver holds `--connections` connections at once. Each has a session that stays, whose echo is checked, and beside it
one command after the other, of which it knows the output and the status; and now and then a file by SFTP. After some of
them it ends the connection and opens the next. When stdin ends, each connection ends after what it is doing and prints
`ok NAME COUNT`. Whatever went wrong is printed as `failed NAME: ...`.
"""

import argparse
import hashlib
import random
import sys


def parse(description):
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--user", required=True)
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--connections", type=int, required=True)
    arguments.add_argument("--first", type=int, required=True, help="the number of the first connection")
    arguments.add_argument("--pause", type=int, required=True, help="milliseconds between two commands, on average")
    return arguments.parse_args()


class Plan:
    """What one connection does: the same in each run. `checked` counts what was checked."""

    def __init__(self, library, number, pause):
        self.name, self.checked = f"{library}-{number}", 0
        self.random, self.mean = random.Random(self.name), pause / 1000
        self.is_slow = number % 8 == 7

    def pause(self):
        return self.random.uniform(0.5, 1.5) * self.mean

    def exchanges(self):
        """How many commands a connection lasts."""
        return self.random.randint(5, 20)

    def bytes(self, most):
        return self.random.randbytes(self.random.randint(1, most))

    def command(self):
        """A command, its input, its output and its status."""
        choice = self.random.randrange(4)
        if choice == 0:
            status = self.random.randrange(100)
            return f"exit {status}", b"", b"", status
        if choice == 1:
            count = self.random.randint(1, 1_000_000)
            return f"zeros {count}", b"", bytes(count), 0
        data = self.bytes(200_000)
        if choice == 2:
            return "cat", data, data, 0
        return "sink", data, f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode(), 0

    def check(self, what, found, expected):
        if found != expected:
            shown = [value if isinstance(value, int) or len(value) < 100 else f"{len(value)} bytes"
                     for value in (found, expected)]
            raise ValueError(f"{what}: {shown[0]!r}, not {shown[1]!r}")
        self.checked += 1

    def failed(self, error):
        self.tell(f"failed {self.name}: {type(error).__name__}: {error}".replace("\n", " "))

    def ok(self):
        self.tell(f"ok {self.name} {self.checked}")

    def tell(self, line):
        # In one piece: `print` writes the end of the line apart, and another thread may come between.
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
