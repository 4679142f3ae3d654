"""A connection through paramiko with channel types and global requests of its own.

Prints one JSON object: what became of each request and of each channel.
"""

import argparse
import json

import paramiko

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--user", required=True)
chosen = parser.parse_args()


def request(name, *fields):
    """The reply's payload as text, or None. paramiko puts the length of each text before it."""
    reply = transport.global_request(name, fields, wait=True)
    return reply and reply.get_remainder().decode()


def opened(kind):
    """What the server's side of a channel echoes, or why there is none."""
    try:
        channel = transport.open_channel(kind, timeout=30)
    except paramiko.ChannelException as refused:
        return [refused.code, refused.text]
    channel.settimeout(30)
    channel.sendall(b"hello")
    channel.shutdown_write()
    heard = b""
    while piece := channel.recv(4096):
        heard += piece
    return heard.decode()


def session(command):
    channel = transport.open_session()
    channel.settimeout(30)
    channel.exec_command(command)
    return channel.recv_exit_status()


transport = paramiko.Transport(("127.0.0.1", chosen.port))
transport.start_client(timeout=30)
transport.auth_none(chosen.user)
print(json.dumps({
    "reverse": request("reverse@example.org", "abc"),
    "unknown": request("unknown@example.org"),
    "without a domain": request("reverse"),
    # paramiko itself refuses this.
    "asked in turn": request("ask@example.org"),
    "thing": opened("thing@example.org"),
    "x11": opened("x11@example.org"),
    "without": opened("thing"),
    "session": session("exit 5"),
    "calls": request("calls@example.org"),
}))
transport.close()
