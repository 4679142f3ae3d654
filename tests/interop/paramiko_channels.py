"""Channels of one connection through paramiko: signals, breaks, requests and extended data of any number in both
directions, several sessions at once, and half-closes both ways.

Prints one JSON object: what came back.
"""

import argparse
import json
import threading

import paramiko
from paramiko.message import Message

EXTENDED_DATA, REQUEST = 95, 98
TIMEOUT = 30

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--user", required=True)
chosen = parser.parse_args()

# paramiko itself drops extended data of any number but 1.
extended = []
arrived = threading.Semaphore(0)


def feed_extended(channel, message):
    extended.append([message.get_int(), message.get_binary().decode()])
    arrived.release()


paramiko.Transport._channel_handler_table[EXTENDED_DATA] = feed_extended


def send(number, channel, *fields):
    message = Message()
    message.add_byte(bytes([number]))
    message.add_int(channel.remote_chanid)
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            # Not `add_int`'s bound of 31 bits.
            message.add_bytes(field.to_bytes(4, "big"))
        else:
            message.add_string(field)
    transport._send_user_message(message)


def shell():
    channel = transport.open_session()
    channel.settimeout(TIMEOUT)
    channel.invoke_shell()
    return channel


def read(channel, until):
    heard = b""
    while not heard.endswith(until):
        piece = channel.recv(4096)
        if not piece:
            break
        heard += piece
    return heard.decode()


transport = paramiko.Transport(("127.0.0.1", chosen.port))
transport.start_client(timeout=TIMEOUT)
transport.auth_none(chosen.user)

first, second, third = shell(), shell(), shell()
results = {}

# Each at its own channel, all of them open.
for number, channel in enumerate((first, second, third)):
    channel.sendall(b"at %d\n" % number)
results["sessions"] = [read(channel, b"\n") for channel in (third, first, second)]

send(REQUEST, first, "signal", False, "INFO@openssh.com")
send(REQUEST, first, "signal", False, "TERM")
results["signals"] = read(first, b"TERM\n")
send(REQUEST, first, "break", False, 500)
send(REQUEST, first, "thing@example.org", False, "x")
results["requests"] = read(first, b"x\n")

for kind in (0, 1, 2, 99, 0xFFFF_FFFF):
    send(EXTENDED_DATA, second, kind, "aside")
    assert arrived.acquire(timeout=TIMEOUT), f"nothing came back for {kind}"
results["extended"] = extended

# The client has no more to send, and still reads.
second.shutdown_write()
results["after our EOF"] = [read(second, b"never"), second.recv_exit_status()]
# The server has no more to send, and still reads.
third.sendall(b"half")
results["to their EOF"] = read(third, b"never")
third.sendall(b"seventh")
results["after their EOF"] = third.recv_exit_status()
first.sendall(b"finish")
results["last"] = first.recv_exit_status()
print(json.dumps(results))
transport.close()
