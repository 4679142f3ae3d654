"""File transfer through AsyncSSH, over the protocol of scp."""

import asyncio


import asyncssh

import file_operations as operations


class Does:
    def __init__(self, connection):
        self.connection = connection

    def up(self, source, target, **options):
        return asyncssh.scp(source, (self.connection, target), **options)

    def down(self, source, target, **options):
        return asyncssh.scp((self.connection, source), target, **options)

    def put(self, folders):
        return self.up(folders.here("data"), folders.there("data"))

    def get(self, folders):
        return self.down(folders.there("data"), folders.here("data"))

    def put_r(self, folders):
        return self.up(folders.here("tree"), folders.there(), recurse=True)

    def get_r(self, folders):
        return self.down(folders.there("tree"), folders.local, recurse=True)

    def put_many(self, folders):
        return self.up(folders.here("many"), folders.there(), recurse=True)

    def get_many(self, folders):
        return self.down(folders.there("many"), folders.local, recurse=True)

    async def names(self, folders):
        await self.up(folders.here("names"), folders.there(), recurse=True)
        await self.down(folders.there("names"), folders.here("back"), recurse=True)

    def put_p(self, folders):
        return self.up(folders.here("data"), folders.there("data"), preserve=True)

    def get_p(self, folders):
        return self.down(folders.there("data"), folders.here("data"), preserve=True)


async def main(chosen):
    async with asyncssh.connect(
        "127.0.0.1", chosen.port, username=chosen.user, client_keys=[chosen.key], known_hosts=None, config=None
    ) as connection:
        await operations.run_async(chosen, Does(connection))


asyncio.run(main(operations.parser(__doc__).parse_args()))
