"""The load of `cargo xtask bench`: many handshakes, sessions, echoes, or idle sessions, through AsyncSSH.

Speaks with the one who measures: prints `ready` when what is not counted is done, waits for a line, does its work, prints
`done`, waits for another line and ends.
"""

import argparse
import asyncio
import sys

import asyncssh


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=["handshakes", "sessions", "echoes", "idle"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--cipher", required=True)
    parser.add_argument("--count", type=int, required=True, help="handshakes, sessions, echoes of each session, connections")
    parser.add_argument("--width", type=int, default=1, help="sessions at once on one connection")
    parser.add_argument("--command", help="what a session runs; echoing is `cat`")
    return parser.parse_args()


def connect(chosen):
    return asyncssh.connect(
        "127.0.0.1", chosen.port, username=chosen.user, client_keys=[chosen.key], known_hosts=None, config=None,
        agent_path=None, preferred_auth="publickey", kex_algs=["curve25519-sha256"], encryption_algs=[chosen.cipher],
        compression_algs=["none"])


async def told():
    """Waits for a line from the one who measures."""
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    if not line:
        raise SystemExit("nobody measures any more")


async def say(word):
    print(word, flush=True)
    await told()


async def handshake(chosen):
    async with connect(chosen):
        pass


async def handshakes(chosen):
    await handshake(chosen)
    await say("ready")
    for _ in range(chosen.count):
        await handshake(chosen)
    await say("done")


async def session(connection, command):
    result = await connection.run(command, encoding=None, stdin=asyncssh.DEVNULL)
    if len(result.stdout) != 6 or result.exit_status != 0:
        raise SystemExit(f"{command} brought {result.stdout!r} and status {result.exit_status}")


async def sessions(chosen):
    async with connect(chosen) as connection:
        await session(connection, chosen.command)
        await say("ready")
        for _ in range(chosen.count):
            await session(connection, chosen.command)
        await say("done")


async def echo(process):
    process.stdin.write(bytes(range(16)))
    if await process.stdout.readexactly(16) != bytes(range(16)):
        raise SystemExit("the echo is another")


async def echo_often(process, count):
    for _ in range(count):
        await echo(process)


async def echoes(chosen):
    async with connect(chosen) as connection:
        processes = [await connection.create_process("cat", encoding=None) for _ in range(chosen.width)]
        await asyncio.gather(*(echo_often(process, 10) for process in processes))
        await say("ready")
        await asyncio.gather(*(echo_often(process, chosen.count) for process in processes))
        await say("done")


async def idle(chosen):
    await say("ready")
    connections = []
    for _ in range(chosen.count):
        connection = await connect(chosen)
        process = await connection.create_process("cat", encoding=None)
        await echo(process)
        connections.append((connection, process))
    await say("done")
    for connection, _ in connections:
        connection.abort()


async def main():
    chosen = arguments()
    work = {"handshakes": handshakes, "sessions": sessions, "echoes": echoes, "idle": idle}[chosen.work]
    # A bound on the whole, so that a server that hangs fails the run.
    async with asyncio.timeout(600):
        await work(chosen)


asyncio.run(main())
