"""File transfer through fzsftp, FileZilla's program for SFTP, in the place of FileZilla's engine.

The engine writes commands, a line each, and reads events: a digit or letter for the type, and then lines. Files pass
through memory that both share, a buffer at a time: fzsftp asks for the next one, and the engine reads or writes files.
"""

import mmap
import os
import subprocess
import sys
import tempfile

import file_operations as operations

# The types of events that need something, by their distance from "0".
REPLY, DONE, ERROR, LIST_ENTRY = 0, 1, 2, 8
ASK_HOST_KEY, ASK_HOST_KEY_CHANGED, ASK_HOST_KEY_BETTER, ASK_PASSWORD = 9, 10, 11, 12
QUOTA_RECEIVE, QUOTA_SEND = 16, 17
IO_SIZE, IO_OPEN, IO_NEXT, IO_FINISH = 26, 27, 28, 29
# How many lines follow a type. One after all others.
LINES = {QUOTA_RECEIVE: 0, QUOTA_SEND: 0, IO_SIZE: 0, ASK_HOST_KEY: 2, ASK_HOST_KEY_CHANGED: 2, ASK_HOST_KEY_BETTER: 2,
         LIST_ENTRY: 3}
# The memory that both share, in bytes.
SHARED = 256 << 10
# The offset that asks for the end of a file.
END = (1 << 64) - 1


def quoted(path):
    return '"' + path.replace('"', '""') + '"'


class Engine:
    def __init__(self, chosen):
        self.memory_file = tempfile.TemporaryFile()
        self.memory_file.truncate(SHARED)
        self.memory = mmap.mmap(self.memory_file.fileno(), SHARED)
        self.process = subprocess.Popen([chosen.program, "-v"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        pass_fds=[self.memory_file.fileno()])
        # The local file of the running transfer, and whether it is read.
        self.path = self.file = self.is_upload = None
        self.listed, self.said = [], []
        self.wait()
        self.command(f"keyfile {quoted(chosen.putty_key)}")
        self.command(f"open {quoted(chosen.user + '@127.0.0.1')} {chosen.port}")

    def write(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def event(self):
        kind = self.process.stdout.read(1)
        if not kind:
            raise EOFError(f"fzsftp has ended with status {self.process.wait()}")
        number = kind[0] - ord("0")
        lines = [self.process.stdout.readline().decode(errors="replace").rstrip("\r\n") for _ in
                 range(LINES.get(number, 1))]
        return number, lines

    def command(self, line):
        self.listed, self.said = [], []
        self.write(line)
        return self.wait()

    def wait(self):
        """Answers until the command is done."""
        errors = []
        while True:
            kind, lines = self.event()
            if kind == REPLY:
                return lines[0]
            if kind == DONE:
                if lines[0] != "1":
                    raise OSError("; ".join(errors) or f"result {lines[0]}")
                return ""
            self.said += lines
            if kind == ERROR:
                errors.append(lines[0])
            else:
                self.answer(kind, lines)

    def answer(self, kind, lines):
        if kind in (ASK_HOST_KEY, ASK_HOST_KEY_CHANGED, ASK_HOST_KEY_BETTER):
            self.write("y")
        elif kind == LIST_ENTRY:
            self.listed.append(lines)
        elif kind in (QUOTA_RECEIVE, QUOTA_SEND):
            self.write(f"-{kind - QUOTA_RECEIVE}-")
        elif kind == IO_SIZE:
            self.write(f"-{os.path.getsize(self.path)}")
        elif kind == IO_OPEN:
            self.open(int(lines[0]))
        elif kind == IO_NEXT:
            self.next(int(lines[0] or 0))
        elif kind == IO_FINISH:
            self.file.write(self.memory[:int(lines[0])])
            self.file.close()
            self.write("-1")

    def open(self, offset):
        if self.is_upload:
            self.file = open(self.path, "rb")
            self.file.seek(offset)
        else:
            self.file = open(self.path, "ab" if offset == END else "wb")
        self.write(f"-{self.memory_file.fileno()} {SHARED} {self.file.tell()}")

    def next(self, filled):
        """The next buffer: with more of the file, or to be filled after this many bytes."""
        if not self.is_upload:
            self.file.write(self.memory[:filled])
            self.write(f"-0 {SHARED}")
            return
        block = self.file.read(SHARED)
        self.memory[:len(block)] = block
        self.write(f"-0 {len(block)}" if block else "-")

    def transfer(self, command, is_upload, local, remote):
        self.path, self.is_upload = local, is_upload
        first, second = (local, remote) if is_upload else (remote, local)
        return self.command(f"{command} {quoted(first)} {quoted(second)}")


class Does(operations.Trees):
    def __init__(self, engine):
        self.engine = engine

    def up(self, local, remote, command="put"):
        self.engine.transfer(command, True, local, remote)

    def down(self, remote, local, command="get"):
        self.engine.transfer(command, False, local, remote)

    def put(self, folders):
        self.up(folders.here("data"), folders.there("data"))

    def get(self, folders):
        self.down(folders.there("data"), folders.here("data"))

    def entries(self, folder):
        self.engine.command(f"cd {quoted(folder)}")
        self.engine.command("ls")
        entries = [(text, name) for text, _, name in self.engine.listed]
        return [(text.startswith("d"), name) for text, name in entries if name not in (".", "..")]

    def list(self, folders):
        return "\n".join(name for _, name in self.entries(folders.there()))

    def rename(self, folders):
        self.engine.command(f"mv {quoted(folders.there('from'))} {quoted(folders.there('to'))}")

    def remove(self, folders):
        self.engine.command(f"rm {quoted(folders.there('file'))}")

    def mkdir(self, folders):
        self.engine.command(f"mkdir {quoted(folders.there('new'))}")

    def rmdir(self, folders):
        self.engine.command(f"rmdir {quoted(folders.there('old'))}")

    def reput(self, folders):
        self.up(folders.here("data"), folders.there("data"), "reput")

    def reget(self, folders):
        self.down(folders.there("data"), folders.here("data"), "reget")

    def put_tree(self, local, remote):
        self.engine.command(f"mkdir {quoted(remote)}")
        for name, is_folder in operations.walk(local):
            if is_folder:
                self.engine.command(f"mkdir {quoted(f'{remote}/{name}')}")
            else:
                self.up(f"{local}/{name}", f"{remote}/{name}")

    def get_tree(self, remote, local):
        os.makedirs(local)
        for is_folder, name in self.entries(remote):
            get = self.get_tree if is_folder else self.down
            get(f"{remote}/{name}", f"{local}/{name}")

    def put_p(self, folders):
        self.put(folders)
        time = int(os.path.getmtime(folders.here("data")))
        self.engine.command(f"chmtime {time} {quoted(folders.there('data'))}")

    def get_p(self, folders):
        self.get(folders)
        time = int(self.engine.command(f"mtime {quoted(folders.there('data'))}"))
        os.utime(folders.here("data"), (time, time))

    def chmod(self, folders):
        # It says what it did, and ends with the result of a failure, with any server.
        try:
            self.engine.command(f"chmod 640 {quoted(folders.there('file'))}")
        except OSError:
            if not any("-> 0640" in line or "-> 0644" in line for line in self.engine.said):
                raise


arguments = operations.parser(__doc__)
arguments.add_argument("--program", required=True)
arguments.add_argument("--putty-key", required=True)
chosen = arguments.parse_args()
engine = Engine(chosen)
operations.run(chosen, Does(engine))
engine.process.stdin.close()
sys.exit(engine.process.wait())
