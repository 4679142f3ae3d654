"""What the drivers of file transfer have in common: the operations by name, and a JSON line about each.

A driver gives functions by the titles of the operations, with `-` as `_`. The files are those that the test has laid
out: `here(operation, name)` is a path of this machine, `there(operation, name)` one of the server.
"""

import argparse
import inspect
import json
import os
import posixpath
import traceback

# The first half of a transfer that is resumed is there.
HALF = 150_000


def parser(description):
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--user", required=True)
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--here", required=True)
    arguments.add_argument("--there", required=True)
    arguments.add_argument("operations", nargs="*")
    return arguments


class Folders:
    """The folders of one operation."""

    def __init__(self, chosen, operation):
        self.local, self.remote = f"{chosen.here}/{operation}", f"{chosen.there}/{operation}"

    def here(self, name):
        return f"{self.local}/{name}"

    def there(self, name=""):
        return f"{self.remote}/{name}" if name else self.remote


class Trees:
    """The operations on whole trees, of `put_tree(local, remote)` and `get_tree(remote, local)`."""

    def put_r(self, folders):
        self.put_tree(folders.here("tree"), folders.there("tree"))

    def get_r(self, folders):
        self.get_tree(folders.there("tree"), folders.here("tree"))

    def put_many(self, folders):
        self.put_tree(folders.here("many"), folders.there("many"))

    def get_many(self, folders):
        self.get_tree(folders.there("many"), folders.here("many"))

    def names(self, folders):
        self.put_tree(folders.here("names"), folders.there("names"))
        self.get_tree(folders.there("names"), folders.here("back/names"))


def report(operation, error=None, said=""):
    print(json.dumps({"operation": operation, "error": error, "said": said or ""}), flush=True)


def describe(error):
    where = traceback.extract_tb(error.__traceback__)
    lines = ", ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in where[-4:])
    return f"{type(error).__name__}: {error} ({lines})"


def run(chosen, does):
    """Does the operations one after another. `does` has a method for each."""
    for operation in chosen.operations:
        try:
            said = getattr(does, operation.replace("-", "_"))(Folders(chosen, operation))
        except Exception as error:
            report(operation, describe(error))
        else:
            report(operation, said=said)


async def run_async(chosen, does):
    """The same for methods that are awaited."""
    for operation in chosen.operations:
        try:
            said = getattr(does, operation.replace("-", "_"))(Folders(chosen, operation))
            if inspect.isawaitable(said):
                said = await said
        except Exception as error:
            report(operation, describe(error))
        else:
            report(operation, said=said)


def walk(folder):
    """The folders and files below a local folder, as paths relative to it: folders first."""
    for root, folders, files in os.walk(folder):
        relative = os.path.relpath(root, folder)
        at = (lambda name: name) if relative == "." else (lambda name, base=relative: posixpath.join(base, name))
        yield from ((at(name), True) for name in folders)
        yield from ((at(name), False) for name in files)
