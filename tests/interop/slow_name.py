"""Asks for the user's name after the key exchange and before any request, as PuTTY does: prints `login as:`, and reads it on stdin.

Then runs a command through paramiko and hands its exit status on.
"""

import argparse
import os
import socket
import sys

import paramiko


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--exec", dest="command", required=True)
    chosen = parser.parse_args()
    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", chosen.port)))
    try:
        transport.start_client()
        print("login as:", flush=True)
        transport.auth_none(sys.stdin.readline().strip())
        channel = transport.open_session()
        channel.exec_command(chosen.command)
        status = channel.recv_exit_status()
    except (paramiko.SSHException, OSError, EOFError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status = 255
    sys.stderr.flush()
    os._exit(status & 0xFF)


main()
