/** A process of bench/scale-out.ts: a worker, or the one that submits tasks and waits for their results. */
import { createInterface } from "node:readline";
import { runTask, startHoldfast } from "./holdfast.ts";
import { measure } from "./measure.ts";

interface Duty {
  readonly role: "api" | "worker";
  readonly databaseUrl: string;
  readonly concurrency: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

const duty = JSON.parse(process.argv[2] ?? "") as Duty;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const holdfast = await startHoldfast({ database: duty.databaseUrl, roles: [duty.role] });
print({ ready: true });
if (duty.role === "api") {
  await lines.next();
  print(await measure(() => runTask(holdfast), { ...duty, onEdge: (edge) => print({ edge }) }));
}
await lines.next();
await holdfast.stop();

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
