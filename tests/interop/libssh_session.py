"""One session through libssh, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on, 255 for a signal,
whose name it prints.

libssh's sessions are not for several threads, so one loop waits for stdin and for the socket.
"""

import os
import select
import socket
import sys

from ssh import options
from ssh.exceptions import EOF, BaseSSHError
from ssh.key import import_privkey_file
from ssh.session import Session

import crossings
import driver


OPTIONS = {
    "kex": [options.KEY_EXCHANGE], "cipher": [options.CIPHERS_C_S, options.CIPHERS_S_C],
    "mac": [options.HMAC_C_S, options.HMAC_S_C], "key": [options.HOSTKEYS],
    "compression": [options.COMPRESSION_C_S, options.COMPRESSION_S_C]}


def connect(chosen, sock, wishes=None):
    """A session that has logged in, offering only what `wishes` names."""
    session = Session()
    for kind, name in (wishes or {}).items():
        for option in OPTIONS.get(kind, []):
            session.options_set(option, name)
    if wishes and "rekey" in wishes:
        # The binding hands on the address of the text. libssh reads a 64-bit number there.
        session.options_set(options.REKEY_DATA, int(wishes["rekey"]).to_bytes(8, "little").decode("ascii"))
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
    if chosen.signal:
        channel.request_send_signal(chosen.signal)
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


def run_command(session, command, data=b""):
    """The output and the status of a command that `data` is written to while its output is read."""
    channel = session.channel_new()
    channel.open_session()
    channel.request_exec(command)
    received, written = bytearray(), 0
    while True:
        if written < len(data):
            written += channel.write(data[written:written + 16384])[0]
            if written == len(data):
                channel.send_eof()
        try:
            count, block = (channel.read_nonblocking if written < len(data) else channel.read)(65536)
        except EOF:
            break
        if count <= 0 and written == len(data):
            break
        received += block[:max(count, 0)]
    return bytes(received), channel.get_exit_status()


def cross(chosen, wishes):
    sock = socket.create_connection(("127.0.0.1", chosen.port))
    session = connect(chosen, sock, wishes)
    echoed, status = run_command(session, "cat", crossings.payload(wishes))
    crossings.check(wishes, echoed, status, run_command(session, f"exit {crossings.STATUS}")[1])
    session.disconnect()


driver.run(driver.parser(__doc__).parse_args(), session, cross, (BaseSSHError, OSError))
