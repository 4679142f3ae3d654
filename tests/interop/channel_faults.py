"""Odd messages of real clients, sent one at a time after login, each on a connection of its own.

Each case opens two sessions. The witness runs `cat` and must go on echoing. The victim is what the odd message is about. Prints
one JSON object a line: the case, and what the server did, in words that a person can compare with another server's.

paramiko does the key exchange and the login. From then on its transport thread handles key exchanges only: every other message
goes to a queue, and this script sends whatever payload it likes.
"""

import argparse
import json
import queue
import socket
import struct
import sys
import threading

import paramiko
from paramiko.message import Message

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, EXT_INFO = 1, 2, 3, 4, 5, 7
USERAUTH_REQUEST = 50
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
OPEN, OPEN_CONFIRMATION, OPEN_FAILURE, WINDOW_ADJUST, DATA, EXTENDED_DATA = 90, 91, 92, 93, 94, 95
EOF, CLOSE, REQUEST, SUCCESS, FAILURE = 96, 97, 98, 99, 100

WITNESS, VICTIM = 0, 1
# How long one expected message may take. Nothing waits for its end, except a server that does not answer.
TIMEOUT = 30
# What the client lets the server send on a channel that is read.
WIDE = 64 << 20
# The longest data in one packet that both servers announce.
PIECE = 32768
# How many exchanges with the witness a window must stay shut.
ROUNDS = 10


def uint32(value):
    return struct.pack(">I", value)


def string(value):
    return uint32(len(value)) + value


def payload(number, *fields):
    """A message: numbers become uint32, bytes a string, booleans a byte."""
    parts = [bytes([number])]
    for field in fields:
        if isinstance(field, bool):
            parts.append(bytes([field]))
        elif isinstance(field, int):
            parts.append(uint32(field))
        else:
            parts.append(string(field))
    return b"".join(parts)


class Ended(Exception):
    """The server has ended the connection. The text says how."""


class RawTransport(paramiko.Transport):
    """paramiko's transport, whose user takes over all messages after login."""

    def __init__(self, sock):
        super().__init__(sock)
        self.inbox = queue.Queue()
        self.raw = False
        self._read = self.packetizer.read_message
        self.packetizer.read_message = self._read_message

    def _read_message(self):
        while True:
            try:
                number, message = self._read()
            except (EOFError, OSError, paramiko.SSHException):
                self.inbox.put((None, b""))
                raise
            # Key exchange stays with paramiko.
            if not self.raw or 20 <= number <= 49:
                return number, message
            self.inbox.put((number, message.asbytes()))

    def send_raw(self, body):
        message = Message()
        message.add_bytes(body)
        try:
            self._send_user_message(message)
        except (EOFError, OSError):
            pass  # The inbox tells how it has ended.


class Channel:
    """What is known of one session."""

    def __init__(self, number):
        self.number = number
        self.peer = None
        self.window = 0
        self.packet = 0
        self.data = bytearray()
        self.replies = []
        self.eof = False
        self.closed = False


class Connection:
    """One connection with its witness, and the notes of what the server did that nobody had asked for."""

    def __init__(self, chosen):
        sock = socket.create_connection(("127.0.0.1", chosen.port), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = RawTransport(sock)
        self.transport.start_client(timeout=TIMEOUT)
        # From the request on: what follows the server's SUCCESS must not reach paramiko's own channels.
        self.transport.auth_publickey(chosen.user, paramiko.Ed25519Key(filename=chosen.key))
        self.transport.raw = True
        self.transport.send_raw(payload(IGNORE, b"wakes the reader"))
        self.channels = {}
        self.notes = []
        self.globals = []
        self.said = 0
        self.witness = self.start(WITNESS, b"cat")
        self.check_witness()

    # Receiving.

    def take(self):
        """Takes in one message."""
        try:
            number, body = self.transport.inbox.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Ended("no answer") from None
        if number is None:
            raise Ended("connection ended")
        if number == DISCONNECT:
            raise Ended(f"DISCONNECT {struct.unpack('>I', body[:4])[0]}")
        if number in (IGNORE, DEBUG):
            return
        if number == GLOBAL_REQUEST:
            return  # sshd announces its host keys.
        if number in (REQUEST_SUCCESS, REQUEST_FAILURE):
            self.globals.append(number)
            return
        if number < GLOBAL_REQUEST:
            self.notes.append(str(number))
            return
        self.take_in_channel(number, body)

    def take_in_channel(self, number, body):
        channel = self.channels[struct.unpack(">I", body[:4])[0]]
        rest = body[4:]
        if number == OPEN_CONFIRMATION:
            channel.peer, channel.window, channel.packet = struct.unpack(">III", rest[:12])
        elif number == OPEN_FAILURE:
            channel.replies.append(f"{OPEN_FAILURE} reason {struct.unpack('>I', rest[:4])[0]}")
        elif number == WINDOW_ADJUST:
            channel.window += struct.unpack(">I", rest[:4])[0]
        elif number == DATA:
            channel.data += rest[4:]
        elif number in (SUCCESS, FAILURE):
            channel.replies.append(number)
        elif number == EOF:
            channel.eof = True
        elif number == CLOSE:
            channel.closed = True

    def until(self, condition):
        while not condition():
            self.take()

    # Sending.

    def send(self, number, *fields):
        self.transport.send_raw(payload(number, *fields))

    def send_bytes(self, body):
        self.transport.send_raw(body)

    def open(self, number, kind=b"session", window=WIDE, packet=PIECE):
        channel = self.channels[number] = Channel(number)
        self.send(OPEN, kind, number, window, packet)
        self.until(lambda: channel.peer is not None or channel.replies)
        return channel

    def start(self, number, command, **how):
        channel = self.open(number, **how)
        self.send(REQUEST, channel.peer, b"exec", True, command)
        self.until(lambda: channel.replies)
        assert channel.replies.pop() == SUCCESS, f"{command} was refused"
        return channel

    def victim(self, command=b"cat", **how):
        return self.start(VICTIM, command, **how)

    def write(self, channel, data):
        self.send(DATA, channel.peer, data)
        channel.window = max(0, channel.window - len(data))

    def check_witness(self):
        """The witness echoes, and a global request is answered. What the server sent before that has been taken in."""
        for _ in range(2):
            self.said += 1
            wanted = len(self.witness.data) + len(b"witness %08d" % self.said)
            self.write(self.witness, b"witness %08d" % self.said)
            self.until(lambda: len(self.witness.data) >= wanted or self.witness.closed)
            if self.witness.closed:
                raise Ended("the witness was closed")
        answered = len(self.globals)
        self.send(GLOBAL_REQUEST, b"barrier@tests", True)
        self.until(lambda: len(self.globals) > answered)

    def fill_window(self, channel):
        """Sends until the server's window is shut and stays so; gives how much was sent."""
        sent, quiet = 0, 0
        # More than one round: a program that waits for a processor takes its input later.
        while quiet < ROUNDS:
            quiet += 1
            while channel.window > 0:
                part = pattern(sent, min(channel.window, channel.packet, PIECE))
                self.write(channel, part)
                sent, quiet = sent + len(part), 0
            self.check_witness()
        return sent

    def close_both(self, channel):
        self.send(CLOSE, channel.peer)
        self.until(lambda: channel.closed)

    def state(self, channel):
        """Whether the server has closed the channel by itself."""
        return ["channel closed"] if channel.closed else []

    def echo_of(self, channel, sent):
        """Opens the window, ends the input and judges what `cat` gives back."""
        self.send(WINDOW_ADJUST, channel.peer, WIDE)
        self.send(EOF, channel.peer)
        self.until(lambda: channel.closed)
        if channel.data == pattern(0, sent):
            return ["all data taken"]
        # How much depends on how fast the program takes its input.
        return ["data lost"]

    def leave(self):
        self.transport.close()


SEED = bytes((at * 2654435761 >> 16) & 0xFF for at in range(1 << 16)) + bytes(range(251))


def pattern(start, length):
    """Bytes of an endless sequence from a place on, so that what is lost or moved shows."""
    offset = start % len(SEED)
    return (SEED * ((offset + length) // len(SEED) + 1))[offset:offset + length]


def counted(answers):
    """`100 x 900`, in the order in which each kind came first."""
    return [f"{kind} x {answers.count(kind)}" if answers.count(kind) > 1 else str(kind)
            for kind in dict.fromkeys(answers)]


CASES = {}


def case(name):
    def enter(function):
        CASES[name] = function
        return function
    return enter


# Channels that both sides have closed.

def after_both_closes(*message):
    def run(connection):
        victim = connection.victim()
        connection.close_both(victim)
        number, *rest = message
        connection.send(number, victim.peer, *rest)
    return run


case("WINDOW_ADJUST after both CLOSEs")(after_both_closes(WINDOW_ADJUST, 1000))
case("EOF after both CLOSEs")(after_both_closes(EOF))
case("DATA after both CLOSEs")(after_both_closes(DATA, b"late"))
case("EXTENDED_DATA after both CLOSEs")(after_both_closes(EXTENDED_DATA, 1, b"late"))
case("request without reply after both CLOSEs")(after_both_closes(REQUEST, b"signal", False, b"TERM"))
case("request with reply after both CLOSEs")(after_both_closes(REQUEST, b"keepalive@openssh.com", True))
case("CLOSE after both CLOSEs")(after_both_closes(CLOSE))


@case("closing early while output comes, then three WINDOW_ADJUSTs")
def _(connection):
    victim = connection.victim(connection.commands["zeros"], window=2 << 20)
    connection.until(lambda: victim.data)
    connection.send(EOF, victim.peer)
    connection.send(CLOSE, victim.peer)
    connection.until(lambda: victim.closed)
    for _ in range(3):
        connection.send(WINDOW_ADJUST, victim.peer, 1 << 20)


@case("CLOSE twice without waiting")
def _(connection):
    victim = connection.victim()
    connection.send(CLOSE, victim.peer)
    connection.send(CLOSE, victim.peer)
    connection.until(lambda: victim.closed)


@case("CLOSE, then EOF, WINDOW_ADJUST and a request at once")
def _(connection):
    victim = connection.victim()
    connection.send(CLOSE, victim.peer)
    connection.send(EOF, victim.peer)
    connection.send(WINDOW_ADJUST, victim.peer, 1000)
    connection.send(REQUEST, victim.peer, b"signal", False, b"TERM")
    connection.until(lambda: victim.closed)


# The end of input.

def after_eof(*message):
    def run(connection):
        victim = connection.victim(connection.commands["sleep"])
        connection.send(EOF, victim.peer)
        number, *rest = message
        connection.send(number, victim.peer, *rest)
        connection.check_witness()
        return connection.state(victim)
    return run


case("EOF twice")(after_eof(EOF))
case("DATA after EOF")(after_eof(DATA, b"late"))


# More than was announced.

def big_packet(size):
    def run(connection):
        victim = connection.victim()
        connection.write(victim, pattern(0, size(victim)))
        return connection.echo_of(victim, size(victim))
    return run


case("DATA of 9 bytes more than the maximum packet size")(big_packet(lambda victim: victim.packet + 9))
case("DATA of 100,000 bytes in one packet")(big_packet(lambda victim: 100_000))


def over_window(size):
    def run(connection):
        # Its output is not read, so it stops reading its input.
        victim = connection.victim(window=0)
        first = victim.window
        sent = connection.fill_window(victim)
        left = size(first)
        while left > 0:
            part = min(left, PIECE)
            connection.write(victim, pattern(sent, part))
            sent, left = sent + part, left - part
        connection.check_witness()
        return connection.state(victim) or connection.echo_of(victim, sent)
    return run


case("9 bytes over the window")(over_window(lambda window: 9))
case("5 % over the window")(over_window(lambda window: window // 20))
case("1 MiB over a window of at most 2 MiB")(over_window(lambda window: 1 << 20))


@case("WINDOW_ADJUST twice by 2^32 - 1")
def _(connection):
    victim = connection.victim()
    connection.send(WINDOW_ADJUST, victim.peer, 0xFFFFFFFF)
    connection.send(WINDOW_ADJUST, victim.peer, 0xFFFFFFFF)
    connection.check_witness()
    return connection.state(victim)


# Requests that are only questions whether somebody is there.

def asked(kind, times, busy):
    def run(connection):
        victim = connection.victim(window=0)
        if busy:
            # Nobody reads what it writes, so it stands in the middle of that.
            connection.fill_window(victim)
        for _ in range(times):
            connection.send(REQUEST, victim.peer, kind, True)
        connection.check_witness()
        return counted(victim.replies) or ["no reply"]
    return run


case("keepalive@openssh.com")(asked(b"keepalive@openssh.com", 1, False))
case("winadj@putty.projects.tartarus.org")(asked(b"winadj@putty.projects.tartarus.org", 1, False))
case("keepalive@openssh.com while the program is busy")(asked(b"keepalive@openssh.com", 1, True))
case("winadj@putty.projects.tartarus.org 200 times while the program is busy")(
    asked(b"winadj@putty.projects.tartarus.org", 200, True))
case("unknown channel request")(asked(b"unknown@tests", 1, False))


@case("a second exec on one channel")
def _(connection):
    victim = connection.victim()
    connection.send(REQUEST, victim.peer, b"exec", True, b"cat")
    connection.check_witness()
    return counted(victim.replies) or ["no reply"]


# Messages that belong to another time.

def stray(*messages):
    def run(connection):
        for number, *fields in messages:
            connection.send(number, *fields)
        connection.check_witness()
        return counted(connection.notes)
    return run


EXTENSIONS = (EXT_INFO, 1, b"ext-info-in-auth@openssh.com", b"0")
case("EXT_INFO after login")(stray(EXTENSIONS))
case("EXT_INFO twice after login")(stray(EXTENSIONS, EXTENSIONS))
case("SERVICE_REQUEST after login")(stray((SERVICE_REQUEST, b"ssh-connection")))
case("USERAUTH_REQUEST after login")(stray((USERAUTH_REQUEST, b"root", b"ssh-connection", b"none")))
case("unknown message 200")(stray((200,)))
case("UNIMPLEMENTED for a message of long ago")(stray((UNIMPLEMENTED, 1)))
case("200 REQUEST_SUCCESS that nobody asked for")(stray(*[(REQUEST_SUCCESS,)] * 200))
case("200 REQUEST_FAILURE that nobody asked for")(stray(*[(REQUEST_FAILURE,)] * 200))


@case("200 CHANNEL_SUCCESS that nobody asked for")
def _(connection):
    victim = connection.victim()
    for _ in range(200):
        connection.send(SUCCESS, victim.peer)
    connection.check_witness()
    return connection.state(victim)


# Variables.

def variables(want_reply):
    def run(connection):
        victim = connection.open(VICTIM)
        for number in range(900):
            connection.send(REQUEST, victim.peer, b"env", want_reply, b"CI_%d" % number, b"value")
        connection.send(REQUEST, victim.peer, b"exec", True, b"cat")
        connection.until(lambda: len(victim.replies) == (901 if want_reply else 1))
        started = victim.replies.pop() == SUCCESS
        return counted(victim.replies) + ["then a command runs" if started else "then a command is refused"]
    return run


case("900 variables in a burst, without replies")(variables(False))
case("900 variables in a burst, with replies")(variables(True))


# Channels that are not there, and those that cannot be.

case("WINDOW_ADJUST for a channel that never was")(stray((WINDOW_ADJUST, 777, 1000)))
case("DATA for a channel that never was")(stray((DATA, 777, b"lost")))
case("EOF for a channel that never was")(stray((EOF, 777)))
case("CLOSE for a channel that never was")(stray((CLOSE, 777)))
case("request for a channel that never was")(stray((REQUEST, 777, b"signal", False, b"TERM")))
case("OPEN_CONFIRMATION that nobody asked for")(stray((OPEN_CONFIRMATION, 777, 5, 1000, 1000)))


@case("unknown global request")
def _(connection):
    connection.globals.clear()
    connection.send(GLOBAL_REQUEST, b"unknown@tests", False)
    connection.send(GLOBAL_REQUEST, b"unknown@tests", True)
    connection.until(lambda: connection.globals)
    return counted(connection.globals)


def opened(kind=b"session", **how):
    def run(connection):
        victim = connection.open(VICTIM, kind, **how)
        return counted(victim.replies) or [str(OPEN_CONFIRMATION)]
    return run


case("unknown channel type")(opened(b"unknown@tests"))
case("session with a maximum packet size of 0")(opened(packet=0))


@case("session with a maximum packet size of 1")
def _(connection):
    victim = connection.victim(packet=1)
    connection.write(victim, b"abc")
    connection.until(lambda: len(victim.data) == 3)
    return [f"echo {victim.data.decode()}"]


@case("session with a window of 0, opened later")
def _(connection):
    victim = connection.victim(window=0)
    connection.write(victim, b"abc")
    connection.check_witness()
    early = len(victim.data)
    connection.send(WINDOW_ADJUST, victim.peer, 1000)
    connection.until(lambda: len(victim.data) == 3)
    return [f"{early} bytes, then echo {victim.data.decode()}"]


@case("extended data of an unknown type")
def _(connection):
    victim = connection.victim()
    connection.send(EXTENDED_DATA, victim.peer, 7, b"aside")
    connection.write(victim, b"abc")
    connection.until(lambda: len(victim.data) >= 3 or victim.closed)
    return connection.state(victim) or [f"echo {victim.data.decode()}"]


@case("70 sessions on one connection")
def _(connection):
    answers = []
    for number in range(1, 71):
        channel = connection.open(number)
        answers += channel.replies or [OPEN_CONFIRMATION]
    return counted(answers)


# What nobody can make sense of.

@case("a channel request that is cut off")
def _(connection):
    victim = connection.victim()
    connection.send_bytes(bytes([REQUEST]) + uint32(victim.peer) + uint32(100) + b"short")


def run_case(chosen, name):
    connection = None
    try:
        connection = Connection(chosen)
        connection.commands = {"zeros": chosen.zeros.encode(), "sleep": chosen.sleep.encode()}
        result = CASES[name](connection) or []
        connection.check_witness()
        return ", ".join(result) or "ignored"
    except Ended as how:
        return str(how)
    finally:
        if connection is not None:
            connection.leave()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--zeros", required=True, help="a command that writes a hundred million bytes")
    parser.add_argument("--sleep", required=True, help="a command that waits for a minute")
    parser.add_argument("--only", help="a part of the names of the cases to run")
    chosen = parser.parse_args()
    for name in CASES:
        if chosen.only is None or chosen.only in name:
            print(json.dumps({"case": name, "does": run_case(chosen, name)}), flush=True)
    sys.stdout.flush()


# paramiko tells of each connection that ended on stderr.
threading.excepthook = lambda _: None
main()
