// One work of the part `shell` in just-bash: `node just_bash.mjs COUNT SCRIPT` runs the script so often, each time in a
// new shell, and prints the CPU time and the wall time of one in milliseconds.
import { Bash } from "just-bash";

const [count, script] = process.argv.slice(2);
const run = async () => {
  const limits = { maxLoopIterations: 1e9, maxCommandCount: 1e9, maxStringLength: 2 ** 31 };
  const { exitCode, stderr } = await new Bash({ executionLimits: limits }).exec(script);
  if (exitCode !== 0) throw new Error(`status ${exitCode}: ${stderr}`);
};
// The first one loads what it needs.
await run();
const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
for (let time = 0; time < Number(count); time++) await run();
const used = process.cpuUsage(cpu);
const took = Number(process.hrtime.bigint() - wall) / 1e6;
console.log(`${(used.user + used.system) / 1e3 / Number(count)} ${took / Number(count)}`);
