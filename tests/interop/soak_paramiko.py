"""Many connections through paramiko, each with threads of its own: see `soak_work.py`."""

import os
import sys
import threading

import paramiko

import soak_work

# For one answer of the server, on a busy machine.
SECONDS = 300


def command(transport, plan, stop):
    line, data, output, status = plan.command()
    if plan.is_slow:
        line, data, output, status = "zeros 4000000", b"", bytes(4_000_000), 0
    channel = transport.open_session(timeout=SECONDS)
    channel.settimeout(SECONDS)
    channel.exec_command(line)
    # The echo would fill both directions.
    sending = threading.Thread(target=send, args=(channel, data))
    sending.start()
    found = bytearray()
    while block := channel.recv(65536):
        found += block
        if plan.is_slow:
            stop.wait(0.1)
    sending.join()
    plan.check(line, bytes(found), output)
    plan.check(f"status of {line}", channel.recv_exit_status(), status)
    channel.close()


def send(channel, data):
    try:
        channel.sendall(data)
        channel.shutdown_write()
    except OSError:
        pass  # The session has ended first: what it has sent is checked.


def echo(channel, plan):
    line = plan.bytes(1_000)
    channel.sendall(line)
    found = bytearray()
    while len(found) < len(line):
        block = channel.recv(65536)
        if not block:
            raise EOFError("the session that stays has ended")
        found += block
    plan.check("echo", bytes(found), line)


def file(transport, plan):
    data, name = plan.bytes(300_000), f"{plan.name}.data"
    with paramiko.SFTPClient.from_transport(transport) as sftp:
        sftp.get_channel().settimeout(SECONDS)
        with sftp.open(name, "wb") as target:
            target.write(data)
        with sftp.open(name, "rb") as source:
            plan.check("file", source.read(), data)
        sftp.remove(name)


def connection(chosen, key, plan, stop):
    transport = paramiko.Transport(("127.0.0.1", chosen.port))
    try:
        transport.start_client(timeout=SECONDS)
        transport.auth_publickey(chosen.user, key)
        held = transport.open_session(timeout=SECONDS)
        held.settimeout(SECONDS)
        held.exec_command("cat")
        for number in range(plan.exchanges()):
            if stop.is_set():
                break
            command(transport, plan, stop)
            echo(held, plan)
            if number % 4 == 1:
                file(transport, plan)
            stop.wait(plan.pause())
        held.shutdown_write()
        plan.check("rest of the echo", held.recv(65536), b"")
        plan.check("status of the echo", held.recv_exit_status(), 0)
    finally:
        transport.close()


def work(chosen, key, number, stop):
    plan = soak_work.Plan("paramiko", number, chosen.pause)
    stop.wait(plan.pause())
    try:
        while not stop.is_set():
            connection(chosen, key, plan, stop)
    except Exception as error:  # Whatever the library raises is no end that was asked for.
        plan.failed(error)
    else:
        plan.ok()


def main():
    chosen, stop = soak_work.parse(__doc__), threading.Event()
    key = paramiko.PKey.from_path(chosen.key)
    numbers = range(chosen.first, chosen.first + chosen.connections)
    threads = [threading.Thread(target=work, args=(chosen, key, number, stop)) for number in numbers]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    sys.stdout.flush()
    os._exit(0)


main()
