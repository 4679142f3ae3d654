// One work of the part `shell` in wasmsh: `node wasmsh.mjs COUNT SCRIPT [keep]` runs the script so often, each time in a
// new instance, and prints what `just_bash.mjs` prints.
import { openSync, readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const [count, script, keep] = process.argv.slice(2);
const module = await WebAssembly.compile(readFileSync(new URL("wasmsh.wasm", import.meta.url)));
const stdout = openSync("/dev/null", "w");
const run = async () => {
  const wasi = new WASI({ version: "preview1", args: ["wasmsh", script], returnOnExit: true, stdout });
  const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
  const status = wasi.start(instance);
  if (status !== 0) throw new Error(`status ${status}`);
  return instance;
};
// The first ones are compiled twice, quickly and then well.
for (let time = 0; time < 20; time++) await run();
const kept = [];
const [cpu, wall, memory] = [process.cpuUsage(), process.hrtime.bigint(), process.memoryUsage().rss];
for (let time = 0; time < Number(count); time++) {
  const instance = await run();
  if (keep) kept.push(instance);
}
const used = process.cpuUsage(cpu);
const took = Number(process.hrtime.bigint() - wall) / 1e6;
const most = keep ? process.memoryUsage().rss : process.resourceUsage().maxRSS * 1024;
const grown = Math.max(most - memory, 0) / 2 ** 20;
console.log(`\n${(used.user + used.system) / 1e3 / Number(count)} ${took / Number(count)} ${grown}`);
