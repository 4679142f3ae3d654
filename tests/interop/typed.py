"""Runs a program on a terminal of its own and types lines when it asks for them without echo.

Usage: typed.py [--echo] PROGRAM ARGUMENT... -- LINE...

With --echo it asks with echo.

Prints what the terminal shows, and ends with the program's status.
"""

import os
import pty
import sys
import termios

LOCAL_MODES = 3


def main():
    split = sys.argv.index("--")
    echo = sys.argv[1] == "--echo"
    command, lines = sys.argv[1 + echo:split], sys.argv[split + 1:]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    shown, answered = b"", 0
    try:
        for line in lines:
            # The prompt comes before echo is off.
            while not shown[answered:].endswith(b": "):
                shown += os.read(terminal, 4096)
            while not echo and termios.tcgetattr(terminal)[LOCAL_MODES] & termios.ECHO:
                os.sched_yield()
            if echo and not termios.tcgetattr(terminal)[LOCAL_MODES] & termios.ECHO:
                sys.exit("it hides what is typed")
            answered = len(shown)
            os.write(terminal, line.encode() + b"\n")
        while block := os.read(terminal, 4096):
            shown += block
    except OSError:
        pass  # Linux reports the end of the other side of a terminal as an error.
    sys.stdout.buffer.write(shown)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
