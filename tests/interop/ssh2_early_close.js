// Closes sessions early, as ssh2 for node does whenever a stream is closed before its end, beside a witness on the same connection.
//
// Prints one JSON object a line for each stream that was closed: whether the witness echoed after it. Then one for the whole:
// how many commands in a row and at once gave their own output and status.

"use strict";

const { parseArgs } = require("node:util");
const { Client } = require("ssh2");

const { values: chosen } = parseArgs({
  options: {
    port: { type: "string" },
    user: { type: "string" },
    times: { type: "string" },
  },
});

function connect() {
  return new Promise((resolve, reject) => {
    const client = new Client();
    client.on("ready", () => resolve(client));
    client.on("error", reject);
    client.connect({ host: "127.0.0.1", port: Number(chosen.port), username: chosen.user });
  });
}

function exec(client, command) {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, stream) => (error ? reject(error) : resolve(stream)));
  });
}

// Whether the witness gives back what it is sent. It never does on a connection that has ended.
function echo(witness, text) {
  return new Promise((resolve) => {
    let seen = "";
    const answer = (right) => {
      witness.off("data", take);
      witness.off("close", gone);
      resolve(right);
    };
    const take = (data) => {
      seen += data;
      if (seen.length >= text.length) {
        answer(seen === text);
      }
    };
    const gone = () => answer(false);
    witness.on("data", take);
    witness.on("close", gone);
    witness.write(text);
  });
}

// Reads a little and closes while more is coming: ssh2 goes on to send WINDOW_ADJUST for what it still reads.
async function closeEarly(client) {
  const stream = await exec(client, "zeros 100000000");
  await new Promise((resolve) => {
    stream.once("data", () => {
      stream.close();
      stream.on("data", () => {});
    });
    stream.once("close", resolve);
    client.once("close", resolve);
  });
}

// Whether a command gives its own output and status. The listeners are there before anything can come: the end of a short command
// is in the same packet as the answer to the request.
function run(client, number) {
  return new Promise((resolve, reject) => {
    client.exec(`print ${number}`, (error, stream) => {
      if (error) {
        reject(error);
        return;
      }
      let text = "";
      let status = null;
      stream.on("data", (data) => (text += data));
      stream.on("exit", (code) => (status = code));
      // A stream that nobody reads is never closed.
      stream.stderr.resume();
      stream.on("close", () => resolve(text === String(number) && status === 0));
    });
  });
}

async function main() {
  const client = await connect();
  const witness = await exec(client, "cat");
  for (let time = 1; time <= Number(chosen.times); time += 1) {
    await closeEarly(client);
    console.log(JSON.stringify({ time, echo: await echo(witness, `after ${time}\n`) }));
  }
  let commands = 0;
  for (let number = 0; number < 20; number += 1) {
    commands += await run(client, number);
  }
  const together = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((number) => run(client, number)));
  commands += together.filter((right) => right).length;
  console.log(JSON.stringify({ commands, echo: await echo(witness, "at the end\n") }));
  client.end();
}

main().catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
