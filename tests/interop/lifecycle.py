"""Everything that a client can do to a session, in one session of `lifecycle` through AsyncSSH. Prints what comes back."""

import argparse
import asyncio

import asyncssh


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    connection = await asyncssh.connect(
        "127.0.0.1", chosen.port, username="lifecycle", known_hosts=None, config=None, agent_path=None, client_keys=None)
    async with connection:
        process = await connection.create_process(
            env={"LC_TIME": "en_GB", "LD_PRELOAD": "evil.so"}, term_type="vt220", term_size=(97, 33, 970, 330),
            term_modes={asyncssh.PTY_VINTR: 3, asyncssh.PTY_ECHO: 0}, encoding=None)
        process.change_terminal_size(101, 35, 1010, 350)
        process.stdin.write(b"typed\n")
        process.channel.send_signal("USR1")
        process.channel.send_break(250)
        process.stdin.write_eof()
        print((await process.stdout.read()).decode(), end="")
        await process.wait_closed()
        print("status", process.exit_status)


asyncio.run(main())
