"""Copies a tree with AsyncSSH's scp: PORT SOURCE TARGET, of which one is USER@HOST:PATH."""

import asyncio
import sys

import asyncssh


async def main(port, source, target):
    remote = next(place for place in (source, target) if "@" in place)
    user, rest = remote.split("@", 1)
    host, path = rest.split(":", 1)
    async with asyncssh.connect(host, int(port), username=user, known_hosts=None, config=None, agent_path=None,
                                client_keys=None) as connection:
        source, target = ((connection, path) if place == remote else place for place in (source, target))
        await asyncssh.scp(source, target, preserve=True, recurse=True)


asyncio.run(main(*sys.argv[1:]))
