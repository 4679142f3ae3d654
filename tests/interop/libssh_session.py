"""One session through libssh, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on, 255 for a signal,
whose name it prints.

libssh's sessions are not for several threads, so one loop waits for stdin and for the socket.
"""

import argparse
import os
import select
import socket
import sys

from ssh import options
from ssh.exceptions import EOF, BaseSSHError
from ssh.key import import_privkey_file
from ssh.session import Session


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--exec", dest="command")
    parser.add_argument("--pty", action="store_true")
    parser.add_argument("--password")
    parser.add_argument("--key")
    return parser.parse_args()


def connect(chosen, sock):
    session = Session()
    session.options_set(options.HOST, "127.0.0.1")
    session.options_set(options.USER, chosen.user)
    session.set_socket(sock)
    session.connect()
    if chosen.password is not None:
        session.userauth_password(chosen.user, chosen.password)
    elif chosen.key is not None:
        session.userauth_publickey(import_privkey_file(chosen.key))
    else:
        session.userauth_none()
    return session


def start(session, chosen):
    channel = session.channel_new()
    channel.open_session()
    if chosen.pty:
        channel.request_pty_size("xterm", 80, 24)
    if chosen.command is None:
        channel.request_shell()
    else:
        channel.request_exec(chosen.command)
    return channel


def hand_on(channel, is_stderr):
    """Hands on what has come on one stream: how many bytes. None at its end."""
    try:
        count, block = channel.read_nonblocking(65536, is_stderr)
    except EOF:
        return None
    view = memoryview(block)[:max(count, 0)]
    while view:
        view = view[os.write(2 if is_stderr else 1, view):]
    return max(count, 0)


def feed(channel):
    """Hands a piece of stdin on; says whether there will be more."""
    block = os.read(0, 32768)
    if not block:
        channel.send_eof()
        return False
    channel.write(block)
    return True


def session(chosen):
    sock = socket.create_connection(("127.0.0.1", chosen.port))
    opened = connect(chosen, sock)
    channel = start(opened, chosen)
    open_input = True
    while True:
        moved = [hand_on(channel, is_stderr) for is_stderr in (False, True)]
        if moved == [None, None]:
            break
        if any(moved):
            continue
        # Reading one stream takes in what has come for the other, so the socket may stay quiet with something left to hand on.
        ready, _, _ = select.select([sock] + ([0] if open_input else []), [], [], 0.05)
        if 0 in ready:
            open_input = feed(channel)
    # This waits for the status, which may come behind the end of the output.
    status = channel.get_exit_status()
    signal = channel.get_exit_state()[1]
    if signal:
        print(f"signal {signal.decode()}", file=sys.stderr)
        return 255
    return status


def main():
    chosen = arguments()
    try:
        status = session(chosen)
    except (BaseSSHError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status = 255
    sys.stderr.flush()
    os._exit(status & 0xFF)


main()
