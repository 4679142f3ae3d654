"""The command service of OpenSSH's regress scripts: runs what the plugin `relay` asks for by a shell, as sshd would.

It listens on a free port of loopback, whose number it prints. One connection is one session; the frames are those of
`relay/src/lib.rs`. It ends when its standard input does.
"""

import asyncio
import fcntl
import os
import pty
import signal
import sys
import termios

# A kind and a length.
HEADER = 5
PIECE = 32 << 10
SHELL = "/bin/sh"
# What begins so is no variable for commands, but the command of a subsystem.
SUBSYSTEM = "SUBSYSTEM_"


def frame(kind, payload=b""):
    return kind + len(payload).to_bytes(4, "big") + payload


def environment(given):
    """What sshd sets, and over it the session's variables."""
    base = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "PATH") if name in os.environ}
    session = {name: value for name, value in given.items() if not name.startswith(SUBSYSTEM)}
    return {**base, "SHELL": SHELL, **session}


class Session:
    """One session."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.variables = {}
        self.terminal = None
        self.process = None
        self.master = None

    async def serve(self):
        """Obeys the plugin until it goes; then the command has lost its client."""
        try:
            while True:
                header = await self.reader.readexactly(HEADER)
                payload = await self.reader.readexactly(int.from_bytes(header[1:], "big"))
                await self.obey(header[:1], payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            if self.process and self.process.returncode is None:
                os.killpg(self.process.pid, signal.SIGHUP)

    async def obey(self, kind, payload):
        if kind == b"v":
            name, _, value = payload.partition(b"=")
            self.variables[name.decode()] = value.decode(errors="surrogateescape")
        elif kind == b"t":
            self.terminal = payload.decode()
        elif kind == b"s":
            await self.start([SHELL])
        elif kind == b"c":
            await self.start([SHELL, "-c", payload.decode(errors="surrogateescape")])
        elif kind == b"u":
            await self.start([SHELL, "-c", self.subsystem(payload.decode())])
        elif kind == b"i" and self.process:
            self.feed(payload)
        elif kind == b"e" and self.process and self.process.stdin:
            self.process.stdin.close()
        elif kind == b"k" and self.process and self.process.returncode is None:
            os.killpg(self.process.pid, getattr(signal, f"SIG{payload.decode()}", 0))

    def subsystem(self, name):
        return self.variables.get(SUBSYSTEM + name, f"echo no subsystem {name} >&2; exit 1")

    def feed(self, data):
        """Input waits in memory without a bound, so that the plugin's writes never wait for the command."""
        if self.master is not None:
            os.write(self.master, data)
        elif not self.process.stdin.is_closing():
            self.process.stdin.write(data)

    async def start(self, command):
        variables = environment(self.variables)
        if self.terminal is None:
            pipe = asyncio.subprocess.PIPE
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, env=variables, start_new_session=True
            )
            outputs = [self.copy(self.process.stdout, b"o"), self.copy(self.process.stderr, b"r")]
        else:
            self.master, slave = pty.openpty()
            variables.update(TERM=self.terminal, SSH_TTY=os.ttyname(slave))
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
            os.close(slave)
            outputs = [self.copy_terminal()]
        asyncio.ensure_future(self.finish(outputs))

    async def copy(self, pipe, kind):
        while data := await pipe.read(PIECE):
            await self.send(frame(kind, data))

    async def copy_terminal(self):
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.run_in_executor(None, os.read, self.master, PIECE):
                await self.send(frame(b"o", data))
        except OSError:  # EIO: nobody has the terminal open.
            pass

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def finish(self, outputs):
        """Tells the end of the outputs when both have ended, and that of the command when it has, too."""
        try:
            await asyncio.gather(*outputs)
            if self.process.returncode is None:
                await self.send(frame(b"z"))
            status = await self.process.wait()
            if status < 0:
                await self.send(frame(b"k", signal.Signals(-status).name.removeprefix("SIG").encode()))
            else:
                await self.send(frame(b"x", status.to_bytes(4, "big")))
        except ConnectionError:
            pass
        finally:
            self.writer.close()


async def main():
    async def serve(reader, writer):
        await Session(reader, writer).serve()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # Sessions whose clients have gone are of no interest.
    os._exit(0)


asyncio.run(main())
