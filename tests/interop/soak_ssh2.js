// Many connections through ssh2 for node in one process: what each does is in `soak_work.py`.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const { parseArgs } = require("node:util");
const { Client } = require("ssh2");

const names = ["port", "user", "key", "connections", "first", "pause"];
const { values: chosen } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const privateKey = fs.readFileSync(chosen.key);

// Resolves once stdin has ended.
const stop = { isSet: false };
const stopped = new Promise((resolve) => {
  process.stdin.resume();
  process.stdin.on("end", () => {
    stop.isSet = true;
    resolve();
  });
});

class Plan {
  constructor(number) {
    this.name = `ssh2-${number}`;
    this.checked = 0;
    this.state = number + 1;
  }

  // Below `most`; the same in each run.
  random(most) {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * most);
  }

  bytes(most) {
    const bytes = Buffer.alloc(1 + this.random(most));
    for (let at = 0; at < bytes.length; at += 1) {
      bytes[at] = this.random(256);
    }
    return bytes;
  }

  // A command, its input, its output and its status.
  command() {
    const choice = this.random(4);
    if (choice === 0) {
      const status = this.random(100);
      return [`exit ${status}`, Buffer.alloc(0), Buffer.alloc(0), status];
    }
    if (choice === 1) {
      const count = 1 + this.random(1_000_000);
      return [`zeros ${count}`, Buffer.alloc(0), Buffer.alloc(count), 0];
    }
    const data = this.bytes(200_000);
    if (choice === 2) {
      return ["cat", data, data, 0];
    }
    return ["sink", data, Buffer.from(`${data.length} ${crypto.createHash("sha256").update(data).digest("hex")}\n`), 0];
  }

  check(what, found, expected) {
    const isSame = Buffer.isBuffer(expected) ? expected.equals(found) : found === expected;
    if (!isSame) {
      const shown = (value) => (Buffer.isBuffer(value) ? `${value.length} bytes` : value);
      throw new Error(`${what}: ${shown(found)}, not ${shown(expected)}`);
    }
    this.checked += 1;
  }

  // The time between two commands, or less if stdin ends.
  async pause() {
    let timer;
    const time = Number(chosen.pause) * (0.5 + this.random(1000) / 1000);
    await Promise.race([stopped, new Promise((resolve) => (timer = setTimeout(resolve, time)))]);
    clearTimeout(timer);
  }
}

// A connection that has logged in. `lost` rejects when it ends before `client.end` was called.
function connect() {
  return new Promise((resolve, reject) => {
    const client = new Client();
    const connection = { client, isEnding: false };
    connection.lost = new Promise((_, lose) => {
      client.on("close", () => (connection.isEnding ? undefined : lose(new Error("the connection has ended"))));
      client.on("error", (error) => (connection.isEnding ? undefined : lose(error)));
    });
    connection.lost.catch(reject);
    client.on("ready", () => resolve(connection));
    client.connect({
      host: "127.0.0.1",
      port: Number(chosen.port),
      username: chosen.user,
      privateKey,
      readyTimeout: 300_000,
    });
  });
}

// The value that a function of the library hands to its callback.
function call(work) {
  return new Promise((resolve, reject) => work((error, value) => (error ? reject(error) : resolve(value))));
}

// The whole output of a session, and its status.
function ended(stream) {
  return new Promise((resolve) => {
    const blocks = [];
    let status = null;
    stream.on("data", (block) => blocks.push(block));
    stream.stderr.resume();
    stream.on("exit", (code) => (status = code));
    stream.on("close", () => resolve([Buffer.concat(blocks), status]));
  });
}

// A session, and what comes of it. All of it may come with the answer to the request, so it is listened to at once.
function start(client, line) {
  return call((done) => client.exec(line, (error, stream) => done(error, error ? null : [stream, ended(stream)])));
}

async function command(client, plan) {
  const [line, data, output, status] = plan.command();
  const [stream, end] = await start(client, line);
  stream.end(data);
  const [found, code] = await end;
  plan.check(line, found, output);
  plan.check(`status of ${line}`, code, status);
}

// A session that stays: `echo` sends a line and waits for it, `close` ends it.
async function hold(client) {
  const [stream, end] = await start(client, "cat");
  let received = Buffer.alloc(0);
  let wake = () => {};
  stream.on("data", (block) => {
    received = Buffer.concat([received, block]);
    wake();
  });
  return {
    async echo(plan) {
      const line = plan.bytes(1_000);
      received = Buffer.alloc(0);
      const isWhole = new Promise((resolve) => (wake = () => received.length >= line.length && resolve()));
      stream.write(line);
      await isWhole;
      plan.check("echo", received, line);
    },
    async close(plan) {
      stream.end();
      plan.check("status of the echo", (await end)[1], 0);
    },
  };
}

async function file(client, plan) {
  const [data, name] = [plan.bytes(300_000), `${plan.name}.data`];
  const sftp = await call((done) => client.sftp(done));
  await call((done) => sftp.writeFile(name, data, done));
  plan.check("file", await call((done) => sftp.readFile(name, done)), data);
  await call((done) => sftp.unlink(name, done));
  sftp.end();
}

async function exchange(client, plan) {
  const held = await hold(client);
  const count = 5 + plan.random(16);
  for (let number = 0; number < count && !stop.isSet; number += 1) {
    await command(client, plan);
    await held.echo(plan);
    if (number % 4 === 1) {
      await file(client, plan);
    }
    await plan.pause();
  }
  await held.close(plan);
}

async function work(plan) {
  try {
    await plan.pause();
    while (!stop.isSet) {
      const connection = await connect();
      await Promise.race([connection.lost, exchange(connection.client, plan)]);
      connection.isEnding = true;
      connection.client.end();
    }
    process.stdout.write(`ok ${plan.name} ${plan.checked}\n`);
  } catch (error) {
    process.stdout.write(`failed ${plan.name}: ${error.message}`.replaceAll("\n", " ") + "\n");
  }
}

const first = Number(chosen.first);
const plans = Array.from({ length: Number(chosen.connections) }, (_, number) => new Plan(first + number));
Promise.all(plans.map(work)).then(() => process.stdout.write("", () => process.exit(0)));
