// One session through ssh2 for node, behaving as `ssh` does: stdin in, stdout and stderr out, the exit status handed on, 255 for a
// signal, whose name it prints.

"use strict";

const fs = require("node:fs");
const { Client } = require("ssh2");

const crossings = require("./crossings.js");
const driver = require("./driver.js");

const chosen = driver.parse({ signal: { type: "string" } });

function fail(error) {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  driver.leave(255);
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
    driver.leave(status);
  });
  stream.pipe(process.stdout, { end: false });
  stream.stderr.pipe(process.stderr, { end: false });
  if (chosen.signal !== undefined) {
    stream.signal(chosen.signal);
  }
  process.stdin.pipe(stream);
  // The session may end first: its status says why.
  stream.on("error", () => {});
}

// Opens a connection that has logged in.
function connect(algorithms) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    client.on("error", reject);
    client.on("ready", () => resolve(client));
    client.connect({
      host: "127.0.0.1",
      port: Number(chosen.port),
      username: chosen.user,
      password: chosen.password,
      privateKey: chosen.key === undefined ? undefined : fs.readFileSync(chosen.key),
      algorithms,
    });
  });
}

// The output and the status of a command. Keys are changed after each `rekey` bytes of output.
function runCommand(client, command, data, rekey) {
  return new Promise((resolve, reject) => {
    client.on("error", reject);
    client.exec(command, (error, stream) => {
      if (error) {
        reject(error);
        return;
      }
      const blocks = [];
      let received = 0;
      let status = null;
      stream.on("data", (block) => {
        const before = received;
        blocks.push(block);
        received += block.length;
        if (Math.floor(before / rekey) !== Math.floor(received / rekey)) {
          // Only the server of this library has a function for it.
          client._protocol.rekey();
        }
      });
      stream.on("exit", (code) => (status = code));
      stream.on("close", () => resolve([Buffer.concat(blocks), status]));
      stream.end(data);
    });
  });
}

const OFFERS = { kex: "kex", cipher: "cipher", mac: "hmac", key: "serverHostKey", compression: "compress" };

async function cross(wishes) {
  const offered = Object.entries(OFFERS).filter(([kind]) => kind in wishes);
  const client = await connect(Object.fromEntries(offered.map(([kind, offer]) => [offer, [wishes[kind]]])));
  const rekey = Number(wishes.rekey ?? Infinity);
  const [echoed, status] = await runCommand(client, "cat", crossings.payload(wishes), rekey);
  const [, second] = await runCommand(client, `exit ${crossings.STATUS}`, "", Infinity);
  client.end();
  crossings.check(wishes, echoed, status, second);
}

function session(client) {
  client.on("error", fail);
  const start = (error, stream) => (error ? fail(error) : handOn(client, stream));
  const pty = chosen.pty ? { term: "xterm", cols: 80, rows: 24, width: 640, height: 480 } : false;
  if (chosen.exec === undefined) {
    client.shell(pty, start);
  } else {
    client.exec(chosen.exec, { pty }, start);
  }
}

if (chosen.crossings) {
  crossings.run(cross);
} else {
  connect(undefined).then(session, fail);
}
