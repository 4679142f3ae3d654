"""Opens a file below a name that is a link now inside and now outside of the home, and exchanges links itself, too.

Prints how often the file inside was read, and how often nothing was. Any byte from outside is a failure.
"""

import argparse

from raw_sftp import *

TIMES = 1000

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--user", required=True)
arguments.add_argument("--key", required=True)
arguments.add_argument("--folder", required=True)
arguments.add_argument("--outside", required=True, help="a folder of the machine with a file that must not be read")
chosen = arguments.parse_args()
with connect(chosen) as transport:
    reader, other = Sftp(transport), Sftp(transport)
    counts = {}
    for turn in range(TIMES):
        # The other session exchanges links under a second name at the same time.
        target = "inside" if turn % 2 else chosen.outside
        other.send(REMOVE, string(f"{chosen.folder}/mine"))
        other.send(SYMLINK, string(target) + string(f"{chosen.folder}/mine"))
        for name in ("swap", "mine"):
            handle = reader.open(f"{chosen.folder}/{name}/file")
            if not isinstance(handle, bytes):
                counts[f"{name}: status"] = counts.get(f"{name}: status", 0) + 1
                continue
            data = reader.read(handle, 0, 100)
            assert data == b"inside", data
            assert reader.close(handle) == OK
            counts[f"{name}: inside"] = counts.get(f"{name}: inside", 0) + 1
    print(counts)
    assert counts.get("swap: inside", 0) > 0, counts
