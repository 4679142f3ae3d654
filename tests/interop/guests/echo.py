"""An echo handler: sends back what comes, and ends as a pipe ends."""

from wit_world import exports
from wit_world.imports import channel
from wit_world.imports.types import Exit_Status, Output_Stdout


class Session(exports.Session):
    def open(self):
        return True

    def env(self, name, value):
        return False

    def pty_req(self, pty):
        return True

    def shell(self):
        return True

    def exec(self, command):
        channel.write(Output_Stdout(), b"python " + command)
        return True

    def subsystem(self, name):
        return False

    def window_change(self, size):
        pass

    def signal(self, name):
        pass

    def data(self, data):
        channel.write(Output_Stdout(), data)

    def extended_data(self, kind, data):
        pass

    def eof(self):
        channel.finish(Exit_Status(0))

    def close(self):
        pass

    def closed(self, why):
        pass
