// File transfer through ssh2-sftp-client, the wrapper of ssh2 that most programs for node use.

"use strict";

const fs = require("node:fs");
const { parseArgs } = require("node:util");
const Client = require("ssh2-sftp-client");

const options = Object.fromEntries(["port", "user", "key", "here", "there"].map((name) => [name, { type: "string" }]));
const { values: chosen, positionals: operations } = parseArgs({ options, allowPositionals: true });

const client = new Client();

// Each with the names of its files here and there.
const does = {
  put: (here, there) => client.put(here("data"), there("data")),
  get: (here, there) => client.fastGet(there("data"), here("data")),
  list: async (_, there) => (await client.list(there(""))).map((entry) => entry.longname).join("\n"),
  rename: async (_, there) => {
    await client.posixRename(there("from"), there("between"));
    await client.rename(there("between"), there("to"));
  },
  remove: (_, there) => client.delete(there("file")),
  mkdir: (_, there) => client.mkdir(there("new")),
  rmdir: (_, there) => client.rmdir(there("old")),
  reput: async (here, there) => {
    const { size } = await client.stat(there("data"));
    await client.append(fs.createReadStream(here("data"), { start: size }), there("data"));
  },
  reget: async (here, there) => {
    const { size } = fs.statSync(here("data"));
    const target = fs.createWriteStream(here("data"), { flags: "a" });
    await client.get(there("data"), target, { readStreamOptions: { start: size } });
  },
  "put-r": (here, there) => client.uploadDir(here("tree"), there("tree")),
  "get-r": (here, there) => client.downloadDir(there("tree"), here("tree")),
  "put-many": (here, there) => client.uploadDir(here("many"), there("many")),
  "get-many": (here, there) => client.downloadDir(there("many"), here("many")),
  names: async (here, there) => {
    await client.uploadDir(here("names"), there("names"));
    await client.downloadDir(there("names"), here("back/names"));
  },
  chmod: (_, there) => client.chmod(there("file"), 0o640),
};

async function main() {
  const privateKey = fs.readFileSync(chosen.key);
  await client.connect({ host: "127.0.0.1", port: Number(chosen.port), username: chosen.user, privateKey });
  for (const operation of operations) {
    const at = (folder) => (name) => (name === "" ? `${folder}/${operation}` : `${folder}/${operation}/${name}`);
    const report = { operation, error: null, said: "" };
    try {
      const said = await does[operation](at(chosen.here), at(chosen.there));
      report.said = typeof said === "string" ? said : "";
    } catch (error) {
      report.error = `${error.name}: ${error.message}`;
    }
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  await client.end();
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
