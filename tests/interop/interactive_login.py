"""A login with several methods in a row, through paramiko or AsyncSSH, and `exit 5` after it.

Each METHOD is `publickey`, `password` or `keyboard-interactive`; answers to prompts are taken from --answer in turn.
Prints what the server asked and what it said can continue, a line of JSON each. Ends with the command's status, or with
255 if nobody was let in.
"""

import argparse
import asyncio
import json
import sys

import asyncssh
import paramiko


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--library", choices=["paramiko", "asyncssh"], required=True)
    parser.add_argument("--method", action="append", default=[])
    parser.add_argument("--answer", action="append", default=[])
    parser.add_argument("--password")
    parser.add_argument("--new-password")
    parser.add_argument("--key", action="append", default=[])
    return parser.parse_args()


def tell(**what):
    print(json.dumps(what), flush=True)


def asked(answers, name, instruction, prompts):
    """Tells what the server asks, and answers it."""
    prompts = [[text, echo] for text, echo in prompts]
    tell(name=name, instruction=instruction, prompts=prompts)
    return [answers.pop(0) for _ in prompts]


def with_paramiko(chosen):
    transport = paramiko.Transport(("127.0.0.1", chosen.port))
    transport.start_client(timeout=60)
    answers, keys = list(chosen.answer), list(chosen.key)
    for method in chosen.method:
        if method == "publickey":
            left = transport.auth_publickey(chosen.user, paramiko.PKey.from_path(keys.pop(0)))
        elif method == "password":
            left = transport.auth_password(chosen.user, chosen.password, fallback=False)
        else:
            left = transport.auth_interactive(chosen.user, lambda *asks: asked(answers, *asks))
        tell(left=left)
    channel = transport.open_session()
    channel.exec_command("exit 5")
    status = channel.recv_exit_status()
    transport.close()
    return status


class Client(asyncssh.SSHClient):
    """Supplies what the arguments have, when it is asked for."""

    def __init__(self, chosen):
        self.chosen = chosen
        self.answers = list(chosen.answer)
        self.keys = list(chosen.key)
        self.passwords = [chosen.password] if chosen.password is not None else []

    def public_key_auth_requested(self):
        return self.keys.pop(0) if self.keys else None

    def password_auth_requested(self):
        return self.passwords.pop(0) if self.passwords else None

    def password_change_requested(self, prompt, lang):
        tell(change=prompt)
        return (self.chosen.password, self.chosen.new_password) if self.chosen.new_password else None

    def kbdint_auth_requested(self):
        return "" if self.answers else None

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        return asked(self.answers, name, instructions, prompts)


async def with_asyncssh(chosen):
    connection, _ = await asyncssh.create_connection(
        lambda: Client(chosen), "127.0.0.1", chosen.port, username=chosen.user, known_hosts=None, config=None,
        client_keys=None, agent_path=None, preferred_auth=",".join(dict.fromkeys(chosen.method)))
    async with connection:
        return (await connection.run("exit 5")).exit_status


def main():
    chosen = arguments()
    try:
        if chosen.library == "paramiko":
            return with_paramiko(chosen)
        return asyncio.run(with_asyncssh(chosen))
    except (asyncssh.Error, paramiko.SSHException, OSError, IndexError) as error:
        tell(error=f"{type(error).__name__}: {error}")
        return 255


sys.exit(main())
