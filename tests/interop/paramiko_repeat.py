"""Many commands, one after the other, on one connection through paramiko. Prints the milliseconds of each."""

import argparse
import socket
import time

import paramiko


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--exec", dest="command", required=True)
    parser.add_argument("--stdin", type=int, default=0)
    parser.add_argument("--no-delay", action="store_true")
    chosen = parser.parse_args()
    stream = socket.create_connection(("127.0.0.1", chosen.port))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, chosen.no_delay)
    transport = paramiko.Transport(stream)
    transport.start_client(timeout=60)
    transport.auth_none(chosen.user)
    for _ in range(chosen.times):
        started = time.perf_counter()
        channel = transport.open_session()
        channel.exec_command(chosen.command)
        if chosen.stdin:
            channel.sendall(bytes(chosen.stdin))
            channel.shutdown_write()
        while channel.recv(65536):
            pass
        assert channel.recv_exit_status() == 0
        channel.close()
        print(f"{(time.perf_counter() - started) * 1000:.2f}")
    transport.close()


main()
