"""One session through Twisted Conch, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed
on, 255 for a signal, whose name it prints.
"""

import os
import struct
import sys

from twisted.conch.error import ConchError
from twisted.conch.ssh import channel, common, connection, keys, transport, userauth
from twisted.internet import defer, error, protocol, reactor, stdio

import crossings
import driver

# The attributes of a transport that hold what it offers.
OFFERS = {"kex": "supportedKeyExchanges", "cipher": "supportedCiphers", "mac": "supportedMACs",
          "key": "supportedPublicKeys", "compression": "supportedCompressions"}


class Authentication(userauth.SSHUserAuthClient):
    """Offers the one credential that the arguments name, once."""

    def __init__(self, chosen, instance):
        super().__init__(chosen.user.encode(), instance)
        self.chosen = chosen
        self.key = keys.Key.fromFile(chosen.key) if chosen.key else None

    def getPublicKey(self):
        key, self.key = self.key, None
        return key

    def getPrivateKey(self):
        return defer.succeed(keys.Key.fromFile(self.chosen.key))

    def getPassword(self, prompt=None):
        password, self.chosen.password = self.chosen.password, None
        return None if password is None else defer.succeed(password.encode())


class Connection(connection.SSHConnection):
    def __init__(self, ready):
        super().__init__()
        self.ready = ready

    def serviceStarted(self):
        super().serviceStarted()
        self.ready.callback(self)


class Transport(transport.SSHClientTransport):
    def __init__(self, chosen, wishes, ready):
        self.chosen, self.ready = chosen, ready
        self.left = self.rekey = int(wishes.get("rekey", 0))
        for kind, attribute in OFFERS.items():
            if kind in wishes:
                setattr(self, attribute, [wishes[kind].encode()])

    def verifyHostKey(self, key, fingerprint):
        return defer.succeed(True)

    def connectionSecure(self):
        # It is called after each key exchange.
        if self.service is None:
            self.requestService(Authentication(self.chosen, Connection(self.ready)))

    def moved(self, count):
        """Counts bytes of data. After `rekey` of them keys are changed."""
        self.left -= count
        if self.rekey and self.left <= 0 and self._keyExchangeState == self._KEY_EXCHANGE_NONE:
            self.left = self.rekey
            self.sendKexInit()

    def receiveError(self, code, description):
        self.fail(ConchError(description, code))

    def connectionLost(self, reason):
        if self.service is not None:
            super().connectionLost(reason)
        self.fail(reason)

    def fail(self, reason):
        if not self.ready.called:
            self.ready.errback(reason)


class Session(channel.SSHChannel):
    name = b"session"

    def __init__(self, command, pty=False, signal=None, data=None, feed=None):
        super().__init__(localWindow=1 << 20, localMaxPacket=32768)
        self.command, self.pty, self.sent_signal, self.data, self.feed = command, pty, signal, data, feed
        self.received, self.status, self.signal = bytearray(), None, None
        self.input_ends = False
        self.ended = defer.Deferred()

    def openFailed(self, reason):
        self.ended.errback(reason)

    @defer.inlineCallbacks
    def channelOpen(self, _):
        try:
            if self.pty:
                terminal = common.NS(b"xterm") + struct.pack("!4L", 80, 24, 640, 480) + common.NS(b"")
                yield self.conn.sendRequest(self, b"pty-req", terminal, wantReply=True)
            if self.command is None:
                yield self.conn.sendRequest(self, b"shell", b"", wantReply=True)
            else:
                yield self.conn.sendRequest(self, b"exec", common.NS(self.command.encode()), wantReply=True)
        except ConchError as refusal:
            self.ended.errback(refusal)
            return
        if self.sent_signal:
            self.conn.sendRequest(self, b"signal", common.NS(self.sent_signal.encode()))
        if self.data is not None:
            self.write(self.data)
            self.end_input()
        if self.feed is not None:
            self.feed(self)

    def end_input(self):
        """Sends EOF once everything is written: what has no room in the window is in `buf`."""
        self.input_ends = True
        self.addWindowBytes(0)

    def addWindowBytes(self, data):
        super().addWindowBytes(data)
        if self.input_ends and not self.buf and not self.localClosed:
            self.input_ends = False
            self.conn.sendEOF(self)

    def dataReceived(self, data):
        self.conn.transport.moved(len(data))
        if self.data is None:
            hand_on(data, 1)
        else:
            self.received += data

    def extReceived(self, _, data):
        hand_on(data, 2)

    def request_exit_status(self, data):
        self.status = struct.unpack("!L", data)[0]

    def request_exit_signal(self, data):
        self.signal = common.getNS(data)[0].decode()

    def closed(self):
        if not self.ended.called:
            self.ended.callback(self)


def hand_on(data, descriptor):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]


class Stdin(protocol.Protocol):
    """Hands stdin on as it comes, then its end."""

    def __init__(self, session):
        self.session = session

    def dataReceived(self, data):
        self.session.write(data)

    def connectionLost(self, _):
        self.session.end_input()


def connect(chosen, wishes):
    """The connection of a login."""
    ready = defer.Deferred()
    factory = protocol.ClientFactory()
    factory.protocol = lambda: Transport(chosen, wishes, ready)
    factory.clientConnectionFailed = lambda _, reason: ready.errback(reason)
    reactor.connectTCP("127.0.0.1", chosen.port, factory)
    return ready


@defer.inlineCallbacks
def session(chosen):
    opened = yield connect(chosen, {})
    one = Session(chosen.command, chosen.pty, chosen.signal,
                  feed=lambda channel: stdio.StandardIO(Stdin(channel), stdout=2))
    opened.openChannel(one)
    yield one.ended
    if one.signal:
        print(f"signal {one.signal}", file=sys.stderr)
        return 255
    return 255 if one.status is None else one.status


@defer.inlineCallbacks
def cross(chosen, wishes):
    opened = yield connect(chosen, wishes)
    sessions = []
    for command, data in [("cat", crossings.payload(wishes)), (f"exit {crossings.STATUS}", b"")]:
        one = Session(command, data=data)
        opened.openChannel(one)
        yield one.ended
        sessions.append(one)
    opened.transport.loseConnection()
    crossings.check(wishes, bytes(sessions[0].received), sessions[0].status, sessions[1].status)


@defer.inlineCallbacks
def cross_all(chosen):
    for line in sys.stdin:
        try:
            yield cross(chosen, crossings.parse(line))
        except Exception as problem:
            crossings.answer(problem)
        else:
            crossings.answer(None)
    return 0


def failed(failure):
    print(failure.getErrorMessage(), file=sys.stderr)
    driver.leave(255)


def main():
    chosen = driver.parser(__doc__).parse_args()
    work = cross_all if chosen.crossings else session
    reactor.callWhenRunning(lambda: work(chosen).addCallbacks(driver.leave, failed))
    reactor.run()


main()
