"""File transfer through libssh. It reads and writes single files; trees are walked here, as its users do."""

import os
import socket
import stat

from ssh import options
from ssh.key import import_privkey_file
from ssh.session import Session

import file_operations as operations
from file_operations import HALF

# The size of one request, in bytes.
BLOCK = 32768


class Does(operations.Trees):
    def __init__(self, sftp):
        self.sftp = sftp

    def upload(self, local, remote, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, offset=0):
        with open(local, "rb") as source, self.sftp.open(remote, flags, 0o644) as target:
            source.seek(offset)
            target.seek64(offset)
            while block := source.read(BLOCK):
                assert target.write(block) == len(block)

    def download(self, remote, local, mode="wb"):
        with self.sftp.open(remote, os.O_RDONLY, 0) as source, open(local, mode) as target:
            source.seek64(target.tell())
            for size, block in source:
                target.write(block[:size])

    def entries(self, folder):
        with self.sftp.opendir(folder) as entries:
            return [(entry.name.decode(), entry) for entry in entries if entry.name not in (b".", b"..")]

    def put(self, folders):
        self.upload(folders.here("data"), folders.there("data"))

    def get(self, folders):
        self.download(folders.there("data"), folders.here("data"))

    def list(self, folders):
        return "\n".join(f"{name} {entry.size}" for name, entry in self.entries(folders.there()))

    def rename(self, folders):
        self.sftp.rename(folders.there("from"), folders.there("to"))

    def remove(self, folders):
        self.sftp.unlink(folders.there("file"))

    def mkdir(self, folders):
        self.sftp.mkdir(folders.there("new"), 0o755)

    def rmdir(self, folders):
        self.sftp.rmdir(folders.there("old"))

    def reput(self, folders):
        at = self.sftp.stat(folders.there("data")).size
        assert at == HALF, at
        self.upload(folders.here("data"), folders.there("data"), os.O_WRONLY, at)

    def reget(self, folders):
        self.download(folders.there("data"), folders.here("data"), "ab")

    def put_tree(self, local, remote):
        self.sftp.mkdir(remote, 0o755)
        for name, is_folder in operations.walk(local):
            if is_folder:
                self.sftp.mkdir(f"{remote}/{name}", 0o755)
            else:
                self.upload(f"{local}/{name}", f"{remote}/{name}")

    def get_tree(self, remote, local):
        os.makedirs(local)
        for name, entry in self.entries(remote):
            get = self.get_tree if stat.S_ISDIR(entry.permissions) else self.download
            get(f"{remote}/{name}", f"{local}/{name}")

    def put_p(self, folders):
        self.put(folders)
        time = int(os.path.getmtime(folders.here("data")))
        self.sftp.utimes(folders.there("data"), time, 0)

    def get_p(self, folders):
        self.get(folders)
        time = self.sftp.stat(folders.there("data")).mtime
        os.utime(folders.here("data"), (time, time))

    def link(self, folders):
        self.sftp.symlink("file", folders.there("made"))
        assert self.sftp.readlink(folders.there("made")) in ("file", b"file")
        self.download(folders.there("made"), folders.here("through"))

    def df(self, folders):
        space = self.sftp.statvfs(folders.there())
        return f"{space.f_blocks} blocks of {space.f_frsize}"

    def chmod(self, folders):
        self.sftp.chmod(folders.there("file"), 0o640)


chosen = operations.parser(__doc__).parse_args()
connection = socket.create_connection(("127.0.0.1", chosen.port))
session = Session()
session.options_set(options.HOST, "127.0.0.1")
session.options_set(options.USER, chosen.user)
session.set_socket(connection)
session.connect()
session.userauth_publickey(import_privkey_file(chosen.key))
sftp = session.sftp_new()
sftp.init()
operations.run(chosen, Does(sftp))
