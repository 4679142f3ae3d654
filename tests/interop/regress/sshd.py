"""Stands for sshd in OpenSSH's regress scripts: translates its configuration into one of Whelk and serves by that.

    sshd.py SETTINGS [-i | -t | -T | -D] [-f FILE] [-E LOG] [-o OPTION]...

SETTINGS is a JSON file of the test: `whelk` (the program), `plugins`, `state`, `service` (the address of the command
service), `algorithms` (every name that Whelk knows, a list for each kind), `lacks` (parts of names that it does not
know), `left_out` (keywords that this script may use although they are left out), `refused` (a file for what cannot be
translated).

A keyword that Whelk has no setting for ends the script: its name goes into the file `refused`.
"""

import fnmatch
import getopt
import getpass
import glob
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

# Keywords whose lines all count; of all others the first one does.
REPEATED = {"hostkey", "hostcertificate", "acceptenv", "subsystem", "listenaddress", "port", "setenv"}

# Keywords that need no setting: Whelk does what they ask for anyway, or they concern the process of sshd alone.
WITHOUT_EFFECT = {
    "addressfamily", "loglevel", "modulifile", "permituserenvironment", "pidfile", "protocol", "sshdauthpath",
    "sshdsessionpath", "strictmodes", "useprivilegeseparation",
}

# The lists of algorithms: the settings of Whelk, and the kind in SETTINGS.
ALGORITHMS = {
    "kexalgorithms": ("key_exchange", "kex"),
    "hostkeyalgorithms": ("host_key_algorithms", "key"),
    "ciphers": ("ciphers", "cipher"),
    "macs": ("macs", "mac"),
}

# What PerSourcePenalties consists of, by the names of Whelk's limits.
PENALTIES = {
    "authfail": "penalty_failed_login", "noauth": "penalty_no_attempt", "grace-exceeded": "penalty_timed_out",
    "crash": "penalty_crash", "min": "penalty_least", "max": "penalty_most",
}

# The least limit that Whelk takes; the scripts ask for 16 bytes, too.
LEAST_REKEY = 1024


class NotApplicable(Exception):
    """Whelk has no setting for this."""


def read(path, user, options):
    """The lines as a dictionary of lower-case keywords, each with its values. Match blocks are decided for the user."""
    with open(path) as file:
        lines = [*options, *file]
    first, matched, of_block, applies = {}, {}, False, True
    for line in lines:
        words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        if not words[0] or words[0].startswith("#"):
            continue
        keyword, value = words[0].lower(), words[1] if len(words) > 1 else ""
        if keyword == "match":
            of_block, applies = True, matches(value, user)
        elif applies:
            values = (matched if of_block else first).setdefault(keyword, [])
            if not values or keyword in REPEATED:
                values.append(value)
    both = {keyword: matched[keyword] + first.get(keyword, []) for keyword in matched}
    return {**first, **both}


def matches(criteria, user):
    words = re.split(r"[\s=]+", criteria.split("#")[0].strip())
    if words[0].lower() == "all":
        return True
    if words[0].lower() == "user" and len(words) == 2:
        return any(fnmatch.fnmatchcase(user, pattern) for pattern in words[1].split(","))
    raise NotApplicable(f"Match {words[0]}")


def chosen(keyword, value, known):
    """The names of a list with patterns, and with + - ^ before it, as far as they are known."""
    sign, names = (value[0], value[1:]) if value[:1] in "+-^" else ("", value)
    fits = [name for pattern in names.split(",") for name in known if fnmatch.fnmatchcase(name, pattern.strip())]
    fits = list(dict.fromkeys(fits))
    if sign == "+":
        fits = known
    elif sign == "-":
        fits = [name for name in known if name not in fits]
    elif sign == "^":
        fits += [name for name in known if name not in fits]
    if not fits:
        raise NotApplicable(f"{keyword} {value}")
    return fits


def size(text):
    number, unit = re.fullmatch(r"(\d+)([kKmMgG]?)", text).groups()
    return max(int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit.lower()], LEAST_REKEY)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smhdw]?)", text.lower()).groups()
    return int(number) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


class Translation:
    """A configuration of Whelk from one of sshd."""

    def __init__(self, options, user, settings):
        self.options, self.user, self.settings = options, user, settings
        self.top = {"plugins": settings["plugins"], "state": settings["state"]}
        self.algorithms, self.limits = {}, {}
        self.account = {"plugin": "relay", "authorized_keys": "/nonexistent"}
        self.environment = {"SERVICE": settings["service"]}
        self.denied = False
        # Lines for the file of authorized keys, beside those that it has.
        self.more_keys = []

    def text(self):
        for keyword, values in self.options.items():
            if keyword in WITHOUT_EFFECT or keyword in self.settings["left_out"]:
                continue
            if keyword in ALGORITHMS:
                setting, kind = ALGORITHMS[keyword]
                self.algorithms[setting] = chosen(keyword, values[0], self.settings["algorithms"][kind])
                continue
            translate = getattr(self, f"of_{keyword}", None)
            if translate is None:
                raise NotApplicable(keyword)
            translate(values)
        if "compression" not in self.options:
            self.of_compression(["delayed"])
        if self.more_keys:
            self.add_keys()
        # sshd takes what follows a colon in a user's name for a style, which is no part of it.
        accounts = ["nobody"] if self.denied else [self.user, f"{self.user}:style"]
        tables = {
            "algorithms": self.algorithms,
            "limits": self.limits,
            **{f"users.{json.dumps(name)}": self.account for name in accounts},
            "tenants.default.grants": {"tcp": [self.settings["service"]]},
            "tenants.default.grants.environment": self.environment,
        }
        return table(self.top) + "".join(f"[{name}]\n{table(values)}" for name, values in tables.items())

    def add_keys(self):
        """Makes one file of all authorized keys: Whelk reads one for a user."""
        lines = lines_of(self.account["authorized_keys"]) + self.more_keys
        self.account["authorized_keys"] = f"{self.settings['state']}.{os.getpid()}.keys"
        with open(self.account["authorized_keys"], "w") as file:
            file.writelines(f"{line}\n" for line in lines)

    def path(self, value):
        (word,) = shlex.split(value)
        return word.replace("%u", self.user).replace("%%", "%")

    def of_listenaddress(self, values):
        self.top["listen"] = [f"{value}:{self.options['port'][0]}" for value in values]

    def of_port(self, values):
        pass

    def of_hostkey(self, values):
        self.top["host_key_files"] = [self.path(value) for value in values]

    def of_hostcertificate(self, values):
        self.top["host_certificates"] = [self.path(value) for value in values]

    def of_acceptenv(self, values):
        self.top["environment_names"] = [name for value in values for name in shlex.split(value)]

    def of_setenv(self, values):
        for word in (word for value in values for word in shlex.split(value)):
            name, value = word.split("=", 1)
            self.environment.setdefault(name, value)

    def of_subsystem(self, values):
        for value in values:
            name, command = value.split(None, 1)
            self.environment.setdefault(f"SUBSYSTEM_{name}", command)

    def of_banner(self, values):
        path = self.path(values[0])
        if path.lower() != "none" and os.path.exists(path) and os.path.getsize(path):
            with open(path) as file:
                self.top["banner"] = file.read()

    def of_authorizedkeysfile(self, values):
        files = self.files(values[0])
        if len(files) == 1:
            (self.account["authorized_keys"],) = files
        else:
            self.more_keys += [line for file in files for line in lines_of(file)]

    def of_authorizedprincipalsfile(self, values):
        lines = [line for file in self.files(values[0]) for line in lines_of(file)]
        # The setting is there, and without a line it names nobody.
        self.account["principals"] = [line for line in lines if " " not in line] or ["nobody at all"]
        authorities = lines_of(self.path(self.options["trustedusercakeys"][0]))
        for *options, principal in (line.rsplit(" ", 1) for line in lines if " " in line):
            options = ",".join([*options, "cert-authority", f'principals="{principal}"'])
            self.more_keys += [f"{options} {authority}" for authority in authorities]

    def files(self, value):
        """The files that patterns name. A name without a pattern need not exist."""
        paths = [self.path(word) for word in shlex.split(value) if word.lower() != "none"]
        return [file for path in paths for file in (sorted(glob.glob(path)) if "*" in path else [path])]

    def of_trustedusercakeys(self, values):
        path = self.path(values[0])
        if path.lower() != "none":
            self.top["trusted_user_ca_keys"] = path

    def of_revokedkeys(self, values):
        path = self.path(values[0])
        if path.lower() != "none":
            self.top["revoked_keys"] = path

    def of_authenticationmethods(self, values):
        self.top["methods"] = values[0].split()

    def of_pubkeyauthentication(self, values):
        if values[0].lower() != "yes":
            raise NotApplicable("PubkeyAuthentication no")

    def of_compression(self, values):
        self.algorithms["compression"] = ["none"] if values[0].lower() == "no" else ["none", "zlib@openssh.com"]

    def of_rekeylimit(self, values):
        words = values[0].split()
        if words[0].lower() != "default":
            self.limits["rekey_bytes"] = f"{size(words[0])} B"
        if len(words) > 1 and words[1].lower() != "none":
            self.limits["rekey_time"] = f"{seconds(words[1])} s"

    def of_logingracetime(self, values):
        self.limits["authentication_grace"] = f"{seconds(values[0])} s"

    def of_maxstartups(self, values):
        self.limits["unauthenticated_full"] = int(values[0].split(":")[-1])

    def of_persourcepenalties(self, values):
        if values[0].lower() == "no":
            self.limits["penalty_sources"] = 0
            return
        for word in values[0].split():
            name, value = word.split(":")
            if name not in PENALTIES:
                raise NotApplicable(f"PerSourcePenalties {name}")
            self.limits[PENALTIES[name]] = f"{seconds(value)} s"

    def of_persourcepenaltyexemptlist(self, values):
        self.top["penalty_exempt"] = values[0].split(",")

    def of_allowusers(self, values):
        self.denied |= self.user not in values[0].split()

    def of_denyusers(self, values):
        self.denied |= self.user in values[0].split()


def table(values):
    """Settings as TOML. What JSON writes for a string or a list of strings means the same there."""
    pairs = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    return pairs.replace("\x7f", "\\u007f")


def arguments(words):
    """The options of sshd's command line: a letter each, with its values."""
    found = {}
    for option, value in getopt.getopt(words, "C:E:b:c:f:g:h:k:o:p:u:46DGQRTdeiqrtV")[0]:
        found.setdefault(option[1], []).append(value)
    return found


def listen(command, log, pid_file):
    """Serves as a daemon, as sshd does: ends at SIGTERM, and has a file with its number as long as it runs."""
    if os.fork():
        for _ in range(600):
            if os.path.exists(pid_file):
                return
            time.sleep(0.1)
        sys.exit("whelk does not listen")
    os.setsid()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    for line in process.stderr:
        log.write(line)
        log.flush()
        if " listening " in line and not os.path.exists(pid_file):
            with open(f"{pid_file}.new", "w") as file:
                file.write(f"{os.getpid()}\n")
            os.rename(f"{pid_file}.new", pid_file)
    process.wait()
    if os.path.exists(pid_file):
        os.remove(pid_file)


def main(settings, *words):
    with open(settings) as file:
        settings = json.load(file)
    given, user = arguments(words), getpass.getuser()
    try:
        if "T" in given:
            raise NotApplicable("sshd -T")
        (path,) = given["f"]
        options = read(path, user, given.get("o", []))
        text = Translation(options, user, settings).text()
    except NotApplicable as error:
        with open(settings["refused"], "a") as file:
            file.write(f"{error}\n")
        sys.exit(255)
    configuration = f"{settings['state']}.{os.getpid()}.toml"
    with open(configuration, "w") as file:
        file.write(text)
    command = [settings["whelk"], "serve", "--config", configuration, "--no-strict-modes"]
    log = open(given["E"][0], "a") if "E" in given else sys.stderr
    if "t" in given:
        return
    if "i" in given:
        os.dup2(log.fileno(), 2)
        os.execv(command[0], [*command, "--stdio"])
    listen(command, log, options["pidfile"][0])


main(*sys.argv[1:])
