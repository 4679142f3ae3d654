"""Requests of SFTP that are unusual, too large or hostile, each in a session of its own on one connection. A JSON line
for each says what the server did. Another session of the connection must go on each time.

`refused` is any status that says so; the number of the status is given where clients act on it.
"""

import argparse
import json
import struct

from raw_sftp import *

CASES = []


def case(title):
    def add(function):
        CASES.append((title, function))
        return function

    return add


def refused(answer):
    """A status other than success, as a word."""
    if isinstance(answer, int) and answer != OK:
        return "refused"
    return f"status {answer}" if isinstance(answer, int) else f"accepted: {answer!r:.60}"


class Place:
    """A new session, and a folder of its own with a file in it."""

    def __init__(self, transport, folder):
        self.transport, self.folder = transport, folder
        self.sftp = Sftp(transport)
        assert self.sftp.status(MKDIR, string(folder) + NO_ATTRIBUTES) == OK, folder
        self.file = self.at("file")
        handle = self.sftp.open(self.file, FOR_WRITING | CREATING)
        assert self.sftp.write(handle, 0, b"x" * 1000) == OK
        assert self.sftp.close(handle) == OK

    def at(self, name):
        return self.folder + "/" + name

    def stat(self, path):
        return self.sftp.ask(STAT, string(path))


@case("version 6 asked for")
def later_version(place):
    return f"version {Sftp(place.transport, 6).version}"


@case("handle of 257 bytes")
def long_handle(place):
    return refused(place.sftp.read(b"h" * 257, 0, 10))


@case("handle of 64 KiB")
def longer_handle(place):
    return refused(place.sftp.close(b"h" * 65536))


@case("handle of no bytes")
def empty_handle(place):
    return refused(place.sftp.close(b""))


@case("handle after its close")
def closed_handle(place):
    handle = place.sftp.open(place.file)
    assert place.sftp.close(handle) == OK
    return ", ".join([refused(place.sftp.read(handle, 0, 10)), refused(place.sftp.close(handle))])


@case("handle of another session of the connection")
def foreign_handle(place):
    handle = place.sftp.open(place.file)
    answer = refused(Sftp(place.transport).read(handle, 0, 10))
    assert place.sftp.read(handle, 0, 10) == b"x" * 10
    return answer


@case("folder's handle read as a file, and a file's as a folder")
def other_kind_of_handle(place):
    _, body = place.sftp.ask(OPENDIR, string(place.folder))
    folder = place.sftp.read(body[4:], 0, 10)
    return ", ".join([refused(folder), refused(place.sftp.status(READDIR, string(place.sftp.open(place.file))))])


@case("10,000 files opened and none closed")
def many_opens(place):
    body = string(place.file) + struct.pack(">I", FOR_READING) + NO_ATTRIBUTES
    numbers = []
    answers = []
    # In parts: who never reads is not answered without end.
    for _ in range(20):
        numbers = [place.sftp.send(OPEN, body) for _ in range(500)]
        answers += [place.sftp.answer(number) for number in numbers]
    opened = [body[4:] for kind, body in answers if kind == HANDLE]
    others = {status(answer) for answer in answers if answer[0] != HANDLE}
    assert place.sftp.read(opened[-1], 0, 4) == b"xxxx"
    assert place.sftp.close(opened[0]) == OK
    assert isinstance(place.sftp.open(place.file), bytes), "a closed handle made no room"
    return "all opened" if not others else f"some opened, then {refused(others.pop())}"


@case("READ of 2^32 - 1 bytes")
def long_read(place):
    data = place.sftp.read(place.sftp.open(place.file), 0, 0xFFFFFFFF)
    return f"{len(data)} bytes" if isinstance(data, bytes) else refused(data)


@case("READ of 0 bytes")
def no_read(place):
    data = place.sftp.read(place.sftp.open(place.file), 0, 0)
    return f"{len(data)} bytes" if isinstance(data, bytes) else refused(data)


@case("READ at 2^63 - 1 and at 2^64 - 1")
def far_read(place):
    handle = place.sftp.open(place.file)
    return ", ".join(refused(place.sftp.read(handle, offset, 10)) for offset in (2**63 - 1, 2**64 - 1))


@case("WRITE across 2^63 and at 2^64 - 1")
def far_write(place):
    handle = place.sftp.open(place.file, FOR_WRITING)
    answers = [refused(place.sftp.write(handle, offset, b"y" * 100)) for offset in (2**63 - 10, 2**64 - 1)]
    assert place.stat(place.file)[1][4:12] == struct.pack(">Q", 1000)
    return ", ".join(answers)


@case("sizes of 2^63 and 2^64 - 1 set")
def far_size(place):
    sizes = [struct.pack(">IQ", 1, size) for size in (2**63, 2**64 - 1)]
    return ", ".join(refused(place.sftp.status(SETSTAT, string(place.file) + size)) for size in sizes)


@case("packet of 256 MiB announced")
def huge_packet(place):
    place.sftp.send_raw(struct.pack(">I", 256 << 20) + b"x" * 100)
    return ended(place)


@case("packet of 2^32 - 1 bytes announced")
def largest_packet(place):
    place.sftp.send_raw(b"\xff" * 4 + b"x" * 100)
    return ended(place)


@case("packet of no bytes")
def empty_packet(place):
    place.sftp.send_raw(bytes(4) + b"x" * 100)
    return ended(place)


def ended(place):
    try:
        kind, body = place.sftp.packet()
        return f"answered: {status((kind, body[4:]))}"
    except Closed:
        return "session ended"


@case("OPEN without its flags")
def short_open(place):
    try:
        return refused(status(place.sftp.ask(OPEN, string(place.file))))
    except Closed:
        return "session ended"


@case("string that is longer than its packet")
def long_string(place):
    try:
        return refused(status(place.sftp.ask(STAT, struct.pack(">I", 0xFFFFFFF0) + b"x")))
    except Closed:
        return "session ended"


@case("packet sent byte by byte")
def slow_packet(place):
    place.sftp.next += 1
    body = bytes([STAT]) + struct.pack(">I", place.sftp.next) + string(place.file)
    for byte in struct.pack(">I", len(body)) + body:
        place.sftp.send_raw(bytes([byte]))
    return f"type {place.sftp.answer(place.sftp.next)[0]}"


@case("WRITE of 255 KiB")
def large_write(place):
    handle = place.sftp.open(place.file, FOR_WRITING)
    return f"status {place.sftp.write(handle, 0, b'y' * (255 << 10))}"


@case("2,000 requests before the first answer is read")
def pipelined(place):
    numbers = [place.sftp.send(STAT, string(place.file)) for _ in range(2000)]
    assert all(place.sftp.answer(number)[0] == ATTRS for number in numbers)
    return "all answered"


@case("1,000 READDIRs after the end")
def many_readdirs(place):
    kind, body = place.sftp.ask(OPENDIR, string(place.folder))
    assert kind == HANDLE
    handle = string(body[4:])
    while (answer := place.sftp.ask(READDIR, handle))[0] == NAME:
        pass
    answers = {status(answer)} | {place.sftp.status(READDIR, handle) for _ in range(1000)}
    return f"status {answers.pop()}" if len(answers) == 1 else str(answers)


@case("unknown extended request")
def unknown_extended(place):
    return f"status {place.sftp.status(EXTENDED, string('nothing@example.org') + b'x' * 100)}"


@case("unknown type of packet")
def unknown_type(place):
    unknown = place.sftp.send(99, b"")
    # Answers may come in any order, so this one is no proof that there was none before; a second one is.
    for _ in range(2):
        assert place.stat(place.file)[0] == ATTRS
    return f"status {status(place.sftp.kept[unknown])}" if unknown in place.sftp.kept else "not answered"


@case("no such file")
def no_such_file(place):
    return f"status {status(place.stat(place.at('none')))}"


@case("path with NUL")
def nul_path(place):
    try:
        return refused(status(place.stat(place.at("fi\0le"))))
    except Closed:
        return "session ended"


@case("name of 256 bytes")
def long_name(place):
    return refused(place.sftp.status(MKDIR, string(place.at("n" * 256)) + NO_ATTRIBUTES))


@case("path of 4 KiB")
def long_path(place):
    return refused(status(place.stat(place.at("p" * 4096))))


@case("path of 64 KiB")
def longer_path(place):
    return refused(status(place.stat(place.at("p/" * 32768))))


@case("path of 4,096 folders, and back")
def deep_path(place):
    return ", ".join(refused(status(place.stat(place.at(part * 4096 + "file")))) for part in ("d/", "../"))


@case("name that is not UTF-8")
def odd_name(place):
    return "status %s" % place.sftp.status(MKDIR, string(place.at("").encode() + b"\xff\xfe") + NO_ATTRIBUTES)


@case("empty path")
def empty_path(place):
    return f"type {place.sftp.ask(REALPATH, string(''))[0]}"


@case("file of the machine by an absolute path")
def absolute(place):
    return "seen" if place.stat("/etc/passwd")[0] == ATTRS else "not there"


@case("file of the machine by way of `..`")
def parents(place):
    return "seen" if place.stat("../" * 40 + "etc/passwd")[0] == ATTRS else "not there"


@case("file of the machine by way of a link")
def linked(place):
    place.sftp.ask(SYMLINK, string("/etc/passwd") + string(place.at("absolute")))
    place.sftp.ask(SYMLINK, string("../" * 40 + "etc/passwd") + string(place.at("relative")))
    handles = [place.sftp.open(place.at(name)) for name in ("absolute", "relative")]
    return "seen" if any(isinstance(handle, bytes) for handle in handles) else "not there"


@case("link to itself opened")
def circle(place):
    assert place.sftp.status(SYMLINK, string("circle") + string(place.at("circle"))) == OK
    return refused(place.sftp.open(place.at("circle")))


@case("folder renamed into itself, removed while full, removed as a file")
def bad_folders(place):
    into = place.sftp.status(RENAME, string(place.folder) + string(place.at("inside")))
    full = place.sftp.status(RMDIR, string(place.folder))
    return ", ".join(refused(one) for one in (into, full, place.sftp.status(REMOVE, string(place.folder))))


@case("RENAME to a name that exists")
def rename_over(place):
    handle = place.sftp.open(place.at("other"), FOR_WRITING | CREATING)
    place.sftp.close(handle)
    return refused(place.sftp.status(RENAME, string(place.file) + string(place.at("other"))))


@case("RENAME of a file, a folder and a link to new names, and to names that exist")
def renames(place):
    rename = lambda old, new: place.sftp.status(RENAME, string(place.at(old)) + string(place.at(new)))
    made = [
        place.sftp.status(MKDIR, string(place.at("folder")) + NO_ATTRIBUTES),
        place.sftp.status(SYMLINK, string("new-file") + string(place.at("link"))),
    ]
    names = ("file", "folder", "link")
    new = [rename(name, "new-" + name) for name in names]
    taken = [refused(rename("new-" + old, "new-" + taken)) for old in names for taken in names]
    kinds = [place.stat(place.at("new-" + name))[0] for name in ("file", "folder")]
    same_kinds = kinds == [ATTRS, ATTRS] and place.sftp.ask(READLINK, string(place.at("new-link")))[0] == NAME
    return f"{made + new}, {set(taken)}, {'kept' if same_kinds else 'not kept'}"


@case("as many folders read at once as are promised")
def promised_handles(place):
    kind, body = place.sftp.ask(EXTENDED, string("limits@openssh.com"))
    assert kind == EXTENDED_REPLY, kind
    promised = struct.unpack(">Q", body[24:32])[0]
    # sshd's limit is that of its process.
    most = min(promised, 200)
    folders = [place.sftp.ask(OPENDIR, string(place.folder)) for _ in range(most)]
    read = [place.sftp.ask(READDIR, body)[0] for kind, body in folders if kind == HANDLE]
    return "all read" if most > 1 and read == [NAME] * most else f"{len(read)} of {promised} read"


@case("READ of a file that is open for writing only")
def unreadable(place):
    return refused(place.sftp.read(place.sftp.open(place.file, FOR_WRITING), 0, 10))


@case("WRITE to a file that is open for reading only")
def unwritable(place):
    return refused(place.sftp.write(place.sftp.open(place.file), 0, b"y"))


@case("exclusive OPEN of a file that exists")
def exclusive(place):
    return refused(place.sftp.open(place.file, FOR_WRITING | CREATING | EXCLUSIVE))


@case("two sessions write one file")
def two_writers(place):
    other = Sftp(place.transport)
    handles = [(sftp, sftp.open(place.file, FOR_WRITING)) for sftp in (place.sftp, other)]
    for at in range(0, 2000, 100):
        sftp, handle = handles[at // 100 % 2]
        assert sftp.write(handle, at, bytes([ord("a") + at // 100 % 2]) * 100) == OK
    data = other.read(other.open(place.file), 0, 4000)
    return "both seen" if data == (b"a" * 100 + b"b" * 100) * 10 else f"{len(data)} other bytes"


@case("file removed while it is open")
def removed(place):
    handle = place.sftp.open(place.file)
    assert place.sftp.status(REMOVE, string(place.file)) == OK
    data = place.sftp.read(handle, 0, 10)
    return f"{len(data)} bytes" if isinstance(data, bytes) else refused(data)


arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--user", required=True)
arguments.add_argument("--key", required=True)
arguments.add_argument("--folder", required=True, help="a folder of the server that is there")
chosen = arguments.parse_args()
with connect(chosen) as transport:
    neighbour = Sftp(transport)
    for number, (title, does) in enumerate(CASES):
        place = Place(transport, f"{chosen.folder}/case{number}")
        try:
            answer = does(place)
        except (AssertionError, OSError, Closed) as error:
            answer = f"{type(error).__name__} {error}"
        place.sftp.end()
        if neighbour.ask(STAT, string(chosen.folder))[0] != ATTRS:
            answer += ", and another session is lost"
        print(json.dumps({"case": title, "does": answer}), flush=True)
