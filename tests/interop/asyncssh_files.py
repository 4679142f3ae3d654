"""File transfer through AsyncSSH, over SFTP."""

import asyncio

import asyncssh

import file_operations as operations
from file_operations import HALF


class Does:
    def __init__(self, sftp):
        self.sftp = sftp

    def put(self, folders):
        return self.sftp.put(folders.here("data"), folders.there("data"))

    def get(self, folders):
        return self.sftp.get(folders.there("data"), folders.here("data"))

    async def list(self, folders):
        names = await self.sftp.readdir(folders.there())
        return "\n".join(f"{name.filename} {name.attrs.size}" for name in names)

    async def rename(self, folders):
        await self.sftp.posix_rename(folders.there("from"), folders.there("between"))
        await self.sftp.rename(folders.there("between"), folders.there("to"))

    def remove(self, folders):
        return self.sftp.remove(folders.there("file"))

    def mkdir(self, folders):
        return self.sftp.mkdir(folders.there("new"))

    def rmdir(self, folders):
        return self.sftp.rmdir(folders.there("old"))

    async def reput(self, folders):
        at = await self.sftp.getsize(folders.there("data"))
        assert at == HALF, at
        async with self.sftp.open(folders.there("data"), "r+b") as target:
            with open(folders.here("data"), "rb") as source:
                source.seek(at)
                await target.write(source.read(), at)
            await target.fsync()

    async def reget(self, folders):
        async with self.sftp.open(folders.there("data"), "rb") as source:
            with open(folders.here("data"), "ab") as target:
                target.write(await source.read(-1, target.tell()))

    def put_r(self, folders):
        return self.sftp.put(folders.here("tree"), folders.there(), recurse=True)

    def get_r(self, folders):
        return self.sftp.get(folders.there("tree"), folders.local, recurse=True)

    def put_many(self, folders):
        return self.sftp.put(folders.here("many"), folders.there(), recurse=True)

    def get_many(self, folders):
        return self.sftp.get(folders.there("many"), folders.local, recurse=True)

    async def names(self, folders):
        await self.sftp.put(folders.here("names"), folders.there(), recurse=True)
        await self.sftp.get(folders.there("names"), folders.here("back/names"), recurse=True)

    def put_p(self, folders):
        return self.sftp.put(folders.here("data"), folders.there("data"), preserve=True)

    def get_p(self, folders):
        return self.sftp.get(folders.there("data"), folders.here("data"), preserve=True)

    async def link(self, folders):
        await self.sftp.symlink("file", folders.there("made"))
        assert await self.sftp.readlink(folders.there("made")) == "file"
        assert await self.sftp.islink(folders.there("made"))
        await self.sftp.get(folders.there("made"), folders.here("through"), follow_symlinks=True)

    async def df(self, folders):
        space = await self.sftp.statvfs(folders.there())
        assert space.bsize > 0 and space.bavail <= space.bfree <= space.blocks, space
        return f"{space.blocks} blocks of {space.frsize}"

    def chmod(self, folders):
        return self.sftp.chmod(folders.there("file"), 0o640)


async def main(chosen):
    async with asyncssh.connect(
        "127.0.0.1", chosen.port, username=chosen.user, client_keys=[chosen.key], known_hosts=None, config=None
    ) as connection, connection.start_sftp_client() as sftp:
        await operations.run_async(chosen, Does(sftp))


asyncio.run(main(operations.parser(__doc__).parse_args()))
