"""One session through AsyncSSH, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on.

A session that a signal ended is reported on stderr as `signal NAME` with exit status 255.
"""

import asyncio
import os
import sys

import asyncssh

import crossings
import driver

# More than the kernel holds between the two: a server that is faster than we are fills its socket long before the window.
WINDOW = 256 << 20


async def feed(process):
    """Hands stdin on as it comes, then its end. The thread blocks in `read`; the loop does not."""
    loop = asyncio.get_running_loop()
    try:
        while block := await loop.run_in_executor(None, os.read, 0, 65536):
            process.stdin.write(block)
            await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionError, OSError):
        pass  # The session has ended first: its status says why.


async def hand_on(reader, descriptor):
    """Hands one stream on to a file descriptor, byte for byte."""
    while block := await reader.read(65536):
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view):]


def connect(chosen, **options):
    return asyncssh.connect(
        "127.0.0.1", chosen.port, username=chosen.user, password=chosen.password,
        client_keys=[chosen.key] if chosen.key else None, known_hosts=None, config=None, agent_path=None, **options)


async def session(chosen):
    async with connect(chosen) as connection:
        terminal = {"term_type": "xterm", "term_size": (80, 24, 640, 480)} if chosen.pty else {}
        process = await connection.create_process(chosen.command, encoding=None, window=WINDOW, **terminal)
        if chosen.signal:
            process.channel.send_signal(chosen.signal)
        feeding = asyncio.create_task(feed(process))
        await asyncio.gather(hand_on(process.stdout, 1), hand_on(process.stderr, 2))
        await process.wait_closed()
        feeding.cancel()
        if process.exit_signal:
            print("signal", process.exit_signal[0], file=sys.stderr)
            return 255
        return 255 if process.exit_status is None else process.exit_status


OPTIONS = {"kex": "kex_algs", "cipher": "encryption_algs", "mac": "mac_algs", "key": "server_host_key_algs",
           "compression": "compression_algs"}


async def cross(chosen, wishes):
    options = {option: [wishes[kind]] for kind, option in OPTIONS.items() if kind in wishes}
    if "rekey" in wishes:
        options["rekey_bytes"] = int(wishes["rekey"])
    async with connect(chosen, **options) as connection:
        echoed = await connection.run("cat", input=crossings.payload(wishes), encoding=None)
        second = await connection.run(f"exit {crossings.STATUS}")
        crossings.check(wishes, echoed.stdout, echoed.exit_status, second.exit_status)


async def cross_all(chosen):
    """As `crossings.run`, in one loop."""
    for line in sys.stdin:
        try:
            await cross(chosen, crossings.parse(line))
        except Exception as error:
            crossings.answer(error)
        else:
            crossings.answer(None)


def print_names():
    modules = {
        "kex": asyncssh.kex.get_kex_algs, "cipher": asyncssh.encryption.get_encryption_algs,
        "mac": asyncssh.mac.get_mac_algs, "key": asyncssh.public_key.get_public_key_algs,
        "compression": asyncssh.compression.get_compression_algs}
    for kind, names in modules.items():
        print(kind, *(name.decode() for name in names()))


async def main():
    arguments = driver.parser(__doc__)
    arguments.add_argument("--names", action="store_true", help="print all names that the library knows, and end")
    chosen = arguments.parse_args()
    if chosen.names:
        return print_names()
    if chosen.crossings:
        return await cross_all(chosen)
    try:
        status = await session(chosen)
    except (asyncssh.Error, OSError) as error:
        status = driver.failed(error)
    # Leaving the loop would wait for a thread that reads stdin.
    driver.leave(status)


asyncio.run(main())
