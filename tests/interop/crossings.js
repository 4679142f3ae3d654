// Crossings, as in `crossings.py`: lines of `KIND=NAME` words on stdin, one answer for each on stdout.

"use strict";

const readline = require("node:readline");

// The status that the second session of each crossing ends with.
const STATUS = 7;

// Bytes to be echoed: half of them as good as random, half of them the same.
function payload(wishes) {
  const bytes = Buffer.alloc(Number(wishes.bytes));
  for (let at = 0, state = 1; at < bytes.length / 2; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

// What a crossing has brought: the echo, the status of `cat` and that of `exit 7`.
function check(wishes, echoed, status, second) {
  if (!payload(wishes).equals(echoed)) {
    throw new Error(`${echoed.length} bytes were echoed, or others`);
  }
  if (status !== 0 || second !== STATUS) {
    throw new Error(`the statuses are ${status} and ${second}`);
  }
}

// Does all crossings, one after another, then ends.
async function run(cross) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const wishes = Object.fromEntries(line.split(" ").map((word) => word.split("=", 2)));
    let text = "ok";
    try {
      await cross(wishes);
    } catch (error) {
      text = `failed: ${error.message ?? error}`.replaceAll("\n", " ");
    }
    process.stdout.write(`${text}\n`);
  }
  process.stdout.write("", () => process.exit(0));
}

module.exports = { STATUS, check, payload, run };
