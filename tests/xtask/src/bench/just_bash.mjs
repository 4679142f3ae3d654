// One work of the part `shell` in just-bash: `node just_bash.mjs COUNT SCRIPT [keep]` runs the script so often, each time
// in a new shell, and prints the CPU time and the wall time of one in milliseconds, and by how many MiB the process grew
// at most; with `keep`, by how many while all shells are kept.
import { Bash } from "just-bash";

const [count, script, keep] = process.argv.slice(2);
const run = async () => {
  const limits = { maxLoopIterations: 1e9, maxCommandCount: 1e9, maxStringLength: 2 ** 31 };
  const shell = new Bash({ executionLimits: limits });
  const { exitCode, stderr } = await shell.exec(script);
  if (exitCode !== 0) throw new Error(`status ${exitCode}: ${stderr}`);
  return shell;
};
// The first one loads what it needs.
await run();
const kept = [];
const [cpu, wall, memory] = [process.cpuUsage(), process.hrtime.bigint(), process.memoryUsage().rss];
for (let time = 0; time < Number(count); time++) {
  const shell = await run();
  if (keep) kept.push(shell);
}
const used = process.cpuUsage(cpu);
const took = Number(process.hrtime.bigint() - wall) / 1e6;
const most = keep ? process.memoryUsage().rss : process.resourceUsage().maxRSS * 1024;
const grown = Math.max(most - memory, 0) / 2 ** 20;
console.log(`\n${(used.user + used.system) / 1e3 / Number(count)} ${took / Number(count)} ${grown}`);
