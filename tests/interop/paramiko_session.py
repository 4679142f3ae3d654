"""One session through paramiko, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on.

paramiko reports a session that a signal ended as status -1; it becomes `no exit status` on stderr and 255.
"""

import os
import sys
import threading

import paramiko
from paramiko.auth_strategy import AuthStrategy, InMemoryPrivateKey, NoneAuth, Password
from paramiko.config import SSHConfig

import crossings
import driver


class OneWay(AuthStrategy):
    """Exactly the one method that the arguments ask for."""

    def __init__(self, chosen):
        super().__init__(ssh_config=SSHConfig())
        self.chosen = chosen

    def get_sources(self):
        if self.chosen.password is not None:
            yield Password(self.chosen.user, lambda: self.chosen.password)
        elif self.chosen.key is not None:
            yield InMemoryPrivateKey(self.chosen.user, paramiko.PKey.from_path(self.chosen.key))
        else:
            yield NoneAuth(self.chosen.user)


def feed(channel):
    """Hands stdin on as it comes, then its end."""
    try:
        while block := os.read(0, 32768):
            channel.sendall(block)
        channel.shutdown_write()
    except (OSError, EOFError):
        pass  # The session has ended first: its status says why.


def hand_on(receive, descriptor):
    """Hands one stream on to a file descriptor, byte for byte."""
    while block := receive(65536):
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view):]


def start(client, chosen):
    """The channel of a started session, and what must live as long. A command goes the way of most people's scripts."""
    if chosen.command is not None and not chosen.pty:
        files = client.exec_command(chosen.command)
        # paramiko sends EOF when the first of the three is collected.
        return files[1].channel, files
    channel = client.get_transport().open_session()
    if chosen.pty:
        channel.get_pty("xterm", 80, 24, 640, 480)
    if chosen.command is None:
        channel.invoke_shell()
    else:
        channel.exec_command(chosen.command)
    return channel, None


def session(chosen):
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", chosen.port, username=chosen.user, auth_strategy=OneWay(chosen))
        channel, _files = start(client, chosen)
        threading.Thread(target=feed, args=(channel,), daemon=True).start()
        stderr = threading.Thread(target=hand_on, args=(channel.recv_stderr, 2))
        stderr.start()
        hand_on(channel.recv, 1)
        stderr.join()
        status = channel.recv_exit_status()
        if status == -1:
            print("no exit status", file=sys.stderr)
        return status


# The attributes of a transport that hold what it offers.
OFFERS = {"kex": "_preferred_kex", "cipher": "_preferred_ciphers", "mac": "_preferred_macs", "key": "_preferred_keys",
          "compression": "_preferred_compression"}


def write(channel, data, rekey):
    """Writes, with new keys after each `rekey` bytes but not at the end. Where paramiko asks for them by a limit of its
    own, it may wait for them when it should answer a CLOSE: a deadlock."""
    for at in range(0, len(data), rekey):
        if at:
            channel.get_transport().renegotiate_keys()
        channel.sendall(data[at:at + rekey])
    channel.shutdown_write()


def run_command(transport, command, data=b"", rekey=1 << 30):
    with transport.open_session() as channel:
        channel.exec_command(command)
        # Written beside, since the echo fills the window.
        writer = threading.Thread(target=write, args=(channel, data, rekey))
        writer.start()
        received = b"".join(iter(lambda: channel.recv(65536), b""))
        writer.join()
        return received, channel.recv_exit_status()


def cross(chosen, wishes):
    with paramiko.Transport(("127.0.0.1", chosen.port)) as transport:
        for kind, attribute in OFFERS.items():
            if kind in wishes:
                setattr(transport, attribute, (wishes[kind],))
        transport.start_client()
        transport.auth_publickey(chosen.user, paramiko.PKey.from_path(chosen.key))
        rekey = int(wishes.get("rekey", 1 << 30))
        echoed, status = run_command(transport, "cat", crossings.payload(wishes), rekey)
        crossings.check(wishes, echoed, status, run_command(transport, f"exit {crossings.STATUS}")[1])


chosen = driver.parser(__doc__, signals=False).parse_args()
driver.run(chosen, session, cross, (paramiko.SSHException, OSError, EOFError))
