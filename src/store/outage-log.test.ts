import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { createOutageLog } from "./outage-log.ts";

function open() {
  const clock = createVirtualClock();
  const lines: string[] = [];
  return { clock, lines, outage: createOutageLog({ where: "db:5432/agents", clock, log: (line) => lines.push(line) }) };
}

test("an outage is one line when it begins, one when it is over, and a reminder now and then", async () => {
  const { clock, lines, outage } = open();
  for (let second = 0; second < 65; second++) {
    for (let call = 0; call < 6; call++) outage.failed(new Error("connection refused"));
    await clock.advance(1_000);
  }
  outage.answered();
  await clock.advance(1_500);
  outage.answered();
  outage.answered();
  assert.deepEqual(lines, [
    "Trouble with PostgreSQL at db:5432/agents: connection refused. It is tried again.",
    "Still trouble with PostgreSQL at db:5432/agents, after 30.0 s and 181 failures: connection refused.",
    "Still trouble with PostgreSQL at db:5432/agents, after 60.0 s and 361 failures: connection refused.",
    "PostgreSQL at db:5432/agents is well again, after 65.0 s and 390 failures.",
  ]);
});

test("a server that answers every other call is one trouble", async () => {
  const { clock, lines, outage } = open();
  for (let second = 0; second < 10; second++) {
    outage.failed(new Error("too many clients"));
    outage.answered();
    await clock.advance(1_000);
  }
  assert.equal(lines.length, 1);
  await clock.advance(2_000);
  outage.answered();
  outage.failed(new Error("too many clients"));
  assert.equal(lines.length, 3);
});
