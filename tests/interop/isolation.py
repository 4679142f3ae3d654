"""Two sessions of `probe` on one AsyncSSH connection: one echoes, the other is brought down, again and again.

Prints one JSON object a line: the command, the signal that the client was told of, and whether the echo came back.
"""

import argparse
import asyncio
import json

import asyncssh


async def echo(process, text):
    """Writes to a session that runs `cat` and reads the same number of bytes back."""
    process.stdin.write(text)
    return await process.stdout.readexactly(len(text)) == text


async def bring_down(connection, standing, command):
    process = await connection.create_process(command, encoding=None)
    during = await echo(standing, f"during {command}\n".encode())
    await process.wait_closed()
    after = await echo(standing, f"after {command}\n".encode())
    signal, _, message, _ = process.exit_signal or (None, None, None, None)
    print(json.dumps({"command": command, "signal": signal, "message": message, "status": process.exit_status,
                      "echo": during and after}))


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("commands", nargs="+")
    chosen = parser.parse_args()
    connection = await asyncssh.connect(
        "127.0.0.1", chosen.port, username="probe", known_hosts=None, config=None, agent_path=None, client_keys=None)
    async with connection:
        standing = await connection.create_process("cat", encoding=None)
        for command in chosen.commands:
            await bring_down(connection, standing, command)
        standing.stdin.write_eof()
        await standing.wait_closed()
        print(json.dumps({"command": "cat", "signal": None, "message": None, "status": standing.exit_status,
                          "echo": True}))


asyncio.run(main())
