"""Many connections through AsyncSSH in one loop: see `soak_work.py`."""

import asyncio
import os
import sys

import asyncssh

import soak_work

# For one answer of the server, on a busy machine.
SECONDS = 300


async def command(connection, plan):
    line, data, output, status = plan.command()
    ended = await asyncio.wait_for(connection.run(line, input=data, encoding=None), SECONDS)
    plan.check(line, ended.stdout, output)
    plan.check(f"status of {line}", ended.exit_status, status)


async def echo(held, plan):
    line = plan.bytes(1_000)
    held.stdin.write(line)
    plan.check("echo", await asyncio.wait_for(held.stdout.readexactly(len(line)), SECONDS), line)


async def file(connection, plan):
    data, name = plan.bytes(300_000), f"{plan.name}.data"
    async with connection.start_sftp_client() as sftp:
        async with sftp.open(name, "wb") as target:
            await target.write(data)
        async with sftp.open(name, "rb") as source:
            plan.check("file", await asyncio.wait_for(source.read(), SECONDS), data)
        await sftp.remove(name)


async def pause(plan, stop):
    try:
        await asyncio.wait_for(stop.wait(), plan.pause())
    except TimeoutError:
        pass


async def connect(chosen, plan, stop):
    async with asyncssh.connect(
        "127.0.0.1", chosen.port, username=chosen.user, client_keys=[chosen.key], known_hosts=None, config=None,
        agent_path=None, login_timeout=SECONDS,
    ) as connection:
        held = await connection.create_process("cat", encoding=None)
        for number in range(plan.exchanges()):
            if stop.is_set():
                break
            await command(connection, plan)
            await echo(held, plan)
            if number % 4 == 1:
                await file(connection, plan)
            await pause(plan, stop)
        held.stdin.write_eof()
        ended = await asyncio.wait_for(held.wait(), SECONDS)
        plan.check("rest of the echo", ended.stdout, b"")
        plan.check("status of the echo", ended.exit_status, 0)


async def work(chosen, number, stop):
    plan = soak_work.Plan("asyncssh", number, chosen.pause)
    await pause(plan, stop)
    try:
        while not stop.is_set():
            await connect(chosen, plan, stop)
    except Exception as error:  # Whatever the library raises is no end that was asked for.
        plan.failed(error)
    else:
        plan.ok()


async def main():
    chosen, stop = soak_work.parse(__doc__), asyncio.Event()
    numbers = range(chosen.first, chosen.first + chosen.connections)
    working = asyncio.gather(*(work(chosen, number, stop) for number in numbers))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stop.set()
    await working
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main())
