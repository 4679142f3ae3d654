"""What the drivers of the clients in Python have in common: the arguments of one session, and the end."""

import argparse
import os
import sys

import crossings


def parser(description, signals=True):
    """The arguments of a driver. `signals`: whether its library can send one."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--user", required=True)
    arguments.add_argument("--exec", dest="command")
    arguments.add_argument("--pty", action="store_true")
    if signals:
        arguments.add_argument("--signal", help="what to send once the session has started")
    arguments.add_argument("--password")
    arguments.add_argument("--key")
    arguments.add_argument("--crossings", action="store_true")
    return arguments


def run(chosen, session, cross, errors):
    """Does all crossings, or one session, with whose status the process ends: 255 after one of `errors`."""
    if chosen.crossings:
        return crossings.run(lambda wishes: cross(chosen, wishes))
    try:
        status = session(chosen)
    except errors as error:
        status = failed(error)
    leave(status)


def failed(error):
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 255


def leave(status):
    """Ends the process at once: a thread may be in `read` on an stdin that nobody ends."""
    sys.stderr.flush()
    os._exit(status & 0xFF)
