"""SFTP version 3 (draft-ietf-secsh-filexfer-02) packet by packet, through a session of paramiko: what no library sends.
"""

import struct

import paramiko

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(11, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE = 0, 1, 2
# Flags of OPEN.
FOR_READING, FOR_WRITING, APPENDING, CREATING, TRUNCATING, EXCLUSIVE = 1, 2, 4, 8, 16, 32
NO_ATTRIBUTES = struct.pack(">I", 0)


def connect(chosen):
    transport = paramiko.Transport(("127.0.0.1", chosen.port))
    transport.start_client()
    transport.auth_publickey(chosen.user, paramiko.PKey.from_path(chosen.key))
    return transport


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">I", len(raw)) + raw


class Closed(Exception):
    """The server has ended the session."""


class Sftp:
    """One session. Requests are answered in any order; an answer that is not asked for yet is kept."""

    def __init__(self, transport, version=3):
        self.channel = transport.open_session()
        self.channel.settimeout(60)
        self.channel.invoke_subsystem("sftp")
        self.next = 0
        self.kept = {}
        self.rest = b""
        self.send_packet(bytes([INIT]) + struct.pack(">I", version))
        kind, body = self.packet()
        assert kind == VERSION, kind
        self.version = struct.unpack(">I", body[:4])[0]

    def send_raw(self, data):
        try:
            self.channel.sendall(data)
        except OSError as error:
            raise Closed from error

    def send_packet(self, payload):
        self.send_raw(struct.pack(">I", len(payload)) + payload)

    def take(self, count):
        while len(self.rest) < count:
            block = self.channel.recv(1 << 18)
            if not block:
                raise Closed
            self.rest += block
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def packet(self):
        length = struct.unpack(">I", self.take(4))[0]
        payload = self.take(length)
        return payload[0], payload[1:]

    def send(self, kind, body):
        """Sends a request, and gives its number."""
        self.next += 1
        self.send_packet(bytes([kind]) + struct.pack(">I", self.next) + body)
        return self.next

    def answer(self, number):
        while number not in self.kept:
            kind, body = self.packet()
            self.kept[struct.unpack(">I", body[:4])[0]] = (kind, body[4:])
        return self.kept.pop(number)

    def ask(self, kind, body):
        return self.answer(self.send(kind, body))

    def status(self, kind, body):
        """The status that a request is answered with."""
        return status(self.ask(kind, body))

    def open(self, path, flags=FOR_READING):
        """A handle, or the status instead."""
        kind, body = self.ask(OPEN, string(path) + struct.pack(">I", flags) + NO_ATTRIBUTES)
        return body[4:] if kind == HANDLE else status((kind, body))

    def read(self, handle, offset, length):
        """Data, or the status instead."""
        kind, body = self.ask(READ, string(handle) + struct.pack(">QI", offset, length))
        return body[4:] if kind == DATA else status((kind, body))

    def write(self, handle, offset, data):
        return self.status(WRITE, string(handle) + struct.pack(">Q", offset) + string(data))

    def close(self, handle):
        return self.status(CLOSE, string(handle))

    def end(self):
        self.channel.close()


def status(answer):
    kind, body = answer
    return struct.unpack(">I", body[:4])[0] if kind == STATUS else f"type {kind}"
