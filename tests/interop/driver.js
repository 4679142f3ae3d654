// What the drivers of the clients for node have in common: the arguments of one session, and the end.

"use strict";

const { parseArgs } = require("node:util");

// The arguments, and with them those that only this driver has.
function parse(more) {
  const options = {
    port: { type: "string" },
    user: { type: "string" },
    exec: { type: "string" },
    pty: { type: "boolean" },
    password: { type: "string" },
    key: { type: "string" },
    crossings: { type: "boolean" },
    ...more,
  };
  return parseArgs({ options }).values;
}

function leave(status) {
  // Whoever reads stdout may be slow: what is written is waited for.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(status)));
}

module.exports = { leave, parse };
