// Many commands, one after the other, on one connection through ssh2 for node. Prints the milliseconds of each.

"use strict";

const { parseArgs } = require("node:util");
const { Client } = require("ssh2");

const { values: chosen } = parseArgs({
  options: {
    port: { type: "string" },
    user: { type: "string" },
    times: { type: "string" },
    exec: { type: "string" },
    stdin: { type: "string", default: "0" },
    "no-delay": { type: "boolean", default: false },
  },
});

function exec(client) {
  return new Promise((resolve, reject) => {
    client.exec(chosen.exec, (error, stream) => {
      if (error) {
        reject(error);
        return;
      }
      if (Number(chosen.stdin) > 0) {
        stream.end(Buffer.alloc(Number(chosen.stdin)));
      }
      stream.on("data", () => {});
      stream.on("close", (status) => (status === 0 ? resolve() : reject(new Error(`status ${status}`))));
    });
  });
}

async function main(client) {
  for (let left = Number(chosen.times); left > 0; left--) {
    const started = process.hrtime.bigint();
    await exec(client);
    console.log((Number(process.hrtime.bigint() - started) / 1e6).toFixed(2));
  }
  client.end();
}

const client = new Client();
client.on("ready", () => {
  client.setNoDelay(chosen["no-delay"]);
  main(client);
});
client.connect({ host: "127.0.0.1", port: Number(chosen.port), username: chosen.user });
