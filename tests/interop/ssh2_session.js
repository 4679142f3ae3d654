// One session through ssh2 for node, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on, 255 for a
// signal, whose name it prints.

"use strict";

const fs = require("node:fs");
const { parseArgs } = require("node:util");
const { Client } = require("ssh2");

const { values: chosen } = parseArgs({
  options: {
    port: { type: "string" },
    user: { type: "string" },
    exec: { type: "string" },
    pty: { type: "boolean" },
    password: { type: "string" },
    key: { type: "string" },
  },
});

function leave(status) {
  // Whoever reads stdout may be slow: what is written is waited for.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
}

function fail(error) {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  leave(255);
}

function handOn(client, stream) {
  let status = 255;
  stream.on("exit", (code, signal) => {
    if (code === null) {
      process.stderr.write(`signal ${signal}\n`);
    } else {
      status = code;
    }
  });
  stream.on("close", () => {
    client.end();
    leave(status);
  });
  stream.pipe(process.stdout, { end: false });
  stream.stderr.pipe(process.stderr, { end: false });
  process.stdin.pipe(stream);
  // The session may end first: its status says why.
  stream.on("error", () => {});
}

const client = new Client();
client.on("error", fail);
client.on("ready", () => {
  const start = (error, stream) => (error ? fail(error) : handOn(client, stream));
  const pty = chosen.pty ? { term: "xterm", cols: 80, rows: 24, width: 640, height: 480 } : false;
  if (chosen.exec === undefined) {
    client.shell(pty, start);
  } else {
    client.exec(chosen.exec, { pty }, start);
  }
});
client.connect({
  host: "127.0.0.1",
  port: Number(chosen.port),
  username: chosen.user,
  password: chosen.password,
  privateKey: chosen.key === undefined ? undefined : fs.readFileSync(chosen.key),
});
