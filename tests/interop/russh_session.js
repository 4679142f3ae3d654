// One session through russh, behaving as `ssh` does: stdin in, stdout and stderr out. This binding for node hands on no
// exit status and no signal, so the status is 0 for a session that was closed in order.

"use strict";

const fs = require("node:fs");
const russh = require("russh");

const crossings = require("./crossings.js");
const driver = require("./driver.js");

const chosen = driver.parse({});

// A connection that has logged in, offering only what `preferred` lists.
async function connect(preferred) {
  const transport = await russh.SshTransport.newSocket(`127.0.0.1:${chosen.port}`);
  const client = await russh.SSHClient.connect(transport, async () => true, { preferred });
  let answer;
  if (chosen.password !== undefined) {
    answer = await client.authenticateWithPassword(chosen.user, chosen.password);
  } else if (chosen.key !== undefined) {
    const key = await russh.KeyPair.parse(fs.readFileSync(chosen.key, "utf8"));
    answer = await client.authenticateWithKeyPair(chosen.user, key, key.algorithm === "ssh-rsa" ? "sha512" : null);
  } else {
    answer = await client.authenticateNone(chosen.user);
  }
  if (!(answer instanceof russh.AuthenticatedSSHClient)) {
    throw new Error(`refused, what is left: ${answer.remainingMethods}`);
  }
  return answer;
}

async function open(client) {
  return client.activateChannel(await client.openSessionChannel());
}

async function start(channel) {
  if (chosen.pty) {
    await channel.requestPTY("xterm", { columns: 80, rows: 24, pixWidth: 640, pixHeight: 480 });
  }
  await (chosen.exec === undefined ? channel.requestShell() : channel.requestExec(chosen.exec));
}

async function feed(channel) {
  for await (const block of process.stdin) {
    await channel.write(block);
  }
  await channel.eof();
}

async function session() {
  const client = await connect(undefined);
  const channel = await open(client);
  channel.data$.subscribe((block) => process.stdout.write(block));
  channel.extendedData$.subscribe(([, block]) => process.stderr.write(block));
  const closed = new Promise((resolve) => channel.closed$.subscribe(resolve));
  await start(channel);
  // The session may end first.
  feed(channel).catch(() => {});
  await closed;
}

async function runCommand(client, command, data) {
  const channel = await open(client);
  const blocks = [];
  channel.data$.subscribe((block) => blocks.push(Buffer.from(block)));
  const closed = new Promise((resolve) => channel.closed$.subscribe(resolve));
  await channel.requestExec(command);
  for (let at = 0; at < data.length; at += 32768) {
    await channel.write(data.subarray(at, at + 32768));
  }
  await channel.eof();
  await closed;
  return Buffer.concat(blocks);
}

async function cross(wishes) {
  const preferred = {};
  for (const [kind, offer] of Object.entries({
    kex: "kex", cipher: "ciphers", mac: "mac", key: "key", compression: "compression",
  })) {
    if (kind in wishes) {
      preferred[offer] = [wishes[kind]];
    }
  }
  const client = await connect(preferred);
  const echoed = await runCommand(client, "cat", crossings.payload(wishes));
  await runCommand(client, `exit ${crossings.STATUS}`, Buffer.alloc(0));
  await client.disconnect();
  crossings.check(wishes, echoed, 0, crossings.STATUS);
}

if (chosen.crossings) {
  crossings.run(cross);
} else {
  session().then(
    () => driver.leave(0),
    (error) => {
      process.stderr.write(`${error.message}\n`);
      driver.leave(255);
    },
  );
}
