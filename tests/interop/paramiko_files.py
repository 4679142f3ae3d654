"""File transfer through paramiko. It transfers single files; trees are walked here, as its users do."""

import os
import stat

import paramiko

import file_operations as operations
from file_operations import HALF


class Does(operations.Trees):
    def __init__(self, sftp):
        self.sftp = sftp

    def put(self, folders):
        self.sftp.put(folders.here("data"), folders.there("data"))

    def get(self, folders):
        self.sftp.get(folders.there("data"), folders.here("data"))

    def list(self, folders):
        attributes = self.sftp.listdir_attr(folders.there())
        assert sorted(entry.filename for entry in attributes) == sorted(self.sftp.listdir(folders.there()))
        return "\n".join(map(str, attributes))

    def rename(self, folders):
        self.sftp.posix_rename(folders.there("from"), folders.there("between"))
        self.sftp.rename(folders.there("between"), folders.there("to"))

    def remove(self, folders):
        self.sftp.remove(folders.there("file"))

    def mkdir(self, folders):
        self.sftp.mkdir(folders.there("new"))

    def rmdir(self, folders):
        self.sftp.rmdir(folders.there("old"))

    def reput(self, folders):
        at = self.sftp.stat(folders.there("data")).st_size
        assert at == HALF, at
        with open(folders.here("data"), "rb") as source, self.sftp.open(folders.there("data"), "ab") as target:
            source.seek(at)
            target.set_pipelined(True)
            target.write(source.read())

    def reget(self, folders):
        with self.sftp.open(folders.there("data"), "rb") as source, open(folders.here("data"), "ab") as target:
            source.seek(target.tell())
            source.prefetch(self.sftp.stat(folders.there("data")).st_size)
            target.write(source.read())

    def put_tree(self, local, remote):
        self.sftp.mkdir(remote)
        for name, is_folder in operations.walk(local):
            if is_folder:
                self.sftp.mkdir(f"{remote}/{name}")
            else:
                self.sftp.put(f"{local}/{name}", f"{remote}/{name}")

    def get_tree(self, remote, local):
        os.makedirs(local)
        for entry in self.sftp.listdir_attr(remote):
            if stat.S_ISDIR(entry.st_mode):
                self.get_tree(f"{remote}/{entry.filename}", f"{local}/{entry.filename}")
            else:
                self.sftp.get(f"{remote}/{entry.filename}", f"{local}/{entry.filename}")

    def put_p(self, folders):
        self.put(folders)
        times = os.stat(folders.here("data"))
        self.sftp.utime(folders.there("data"), (times.st_atime, times.st_mtime))

    def get_p(self, folders):
        self.get(folders)
        times = self.sftp.stat(folders.there("data"))
        os.utime(folders.here("data"), (times.st_atime, times.st_mtime))

    def link(self, folders):
        self.sftp.symlink("file", folders.there("made"))
        assert self.sftp.readlink(folders.there("made")) == "file"
        assert stat.S_ISLNK(self.sftp.lstat(folders.there("made")).st_mode)
        assert stat.S_ISREG(self.sftp.stat(folders.there("made")).st_mode)
        self.sftp.get(folders.there("made"), folders.here("through"))

    def chmod(self, folders):
        self.sftp.chmod(folders.there("file"), 0o640)


chosen = operations.parser(__doc__).parse_args()
with paramiko.Transport(("127.0.0.1", chosen.port)) as transport:
    transport.start_client()
    transport.auth_publickey(chosen.user, paramiko.PKey.from_path(chosen.key))
    operations.run(chosen, Does(paramiko.SFTPClient.from_transport(transport)))
