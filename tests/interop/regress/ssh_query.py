"""`ssh -Q`, less what Whelk does not know: the scripts take the names that they try from it.

    ssh_query.py SETTINGS SSH -Q KIND
"""

import json
import subprocess
import sys

# What ssh calls each kind in SETTINGS. It queries by the names of its options, too.
KINDS = {"kex": "kex", "kexalgorithms": "kex", "cipher": "cipher", "cipher-auth": "cipher", "ciphers": "cipher",
         "mac": "mac", "macs": "mac"}


def main(settings, program, *words):
    with open(settings) as file:
        settings = json.load(file)
    names = subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    kind = KINDS.get(words[-1].lower())
    for name in names:
        known = [name] if kind is None else settings["algorithms"][kind]
        # With ring there is no P-521: nor are there keys of it.
        if name in known and not any(part in name for part in settings["lacks"]):
            print(name)


main(*sys.argv[1:])
