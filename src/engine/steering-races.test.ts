/**
 * Messages from everywhere at once, while tasks begin, work, end, fail and are cancelled: each is heard by one task or is one,
 * and whoever sent it learns which. The seed is printed.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { turnsOfTheLoop } from "../../test/support/event-loop.ts";
import { startHoldfast, tenant, toolOf, until, type Running } from "../../test/support/running-holdfast.ts";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { Message } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import { ModelCallError, type ModelRequest } from "../gateway/model-gateway.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";

const sessions = 12;
const messagesEach = 12;
const mostRounds = 20;
const modes = ["queue", "inject", "inject", "interrupt", "interrupt"] as const;

for (const { name, open } of await testDatabases()) {
  describe(`messages from everywhere, on ${name}`, () => {
    test("each is heard once or is a task of its own, in an order that a model can read", async (t) => {
      const seed = Date.now() % 2 ** 31;
      const random = seededRandom(seed);
      t.diagnostic(`seed ${seed}`);
      const pick = (most: number): number => Math.floor(random() * most);
      const database = await open();
      const script = (request: ModelRequest): Promise<ScriptedTurn> => nextTurn(request, pick);
      const tools = [toolOf("look", "read", () => turnsOfTheLoop(pick(200)).then(() => "seen"))];
      const start = (): Promise<Running> =>
        startHoldfast(database, {
          script,
          tools,
          agent: { name: "worker", limits: { maxSteps: 4, tokens: 1_000_000 } },
          options: { tuning: { leaseMs: 1_000, pollMs: 20, drainMs: 1_000 } },
        });
      // Opening a second one on the embedded database would take the first for dead.
      const doors = name === "PGlite" ? [await start()] : [await start(), await start()];
      try {
        const seen = { heard: 0, became: 0 };
        // Chance decides how a message ends: now and then it has left out one of the ways.
        for (let round = 0; round < mostRounds && (seen.heard === 0 || seen.became === 0); round++) {
          const prefix = systemId();
          const talks = Array.from({ length: sessions }, (_, index) => talk(doors, `${prefix}-${index}`, pick));
          const told = (await Promise.all(talks)).flat();
          await until(async () => (await database.query(sql("select from session where open_tasks > 0"))).length === 0);
          const { heard, became } = await checkAll(database, doors[0]!, { prefix, told });
          seen.heard += heard;
          seen.became += became;
        }
        assert.ok(seen.heard > 0, "some were heard by a task at work");
        assert.ok(seen.became > 0, "some became tasks when it ended");
      } finally {
        for (const door of doors) await door.stop();
        await database.close();
      }
    });
  });
}

/** Some turns call, some take their time and may be cut off, few fail. */
async function nextTurn({ messages }: ModelRequest, pick: (most: number) => number): Promise<ScriptedTurn> {
  assertReadable(messages);
  await turnsOfTheLoop(pick(150));
  switch (pick(8)) {
    case 0:
      return { error: new ModelCallError("model_bad_request", "No.", { retry: "never", attempts: [] }) };
    case 1:
      return { first: "Well", text: ", so.", gate: turnsOfTheLoop(pick(1_000)) };
    case 2:
    case 3:
      // No call like another: a human would be asked whether it makes sense.
      return { calls: [pick(1e9), pick(1e9)].map((n) => ({ name: "look", input: { n } })) };
    default:
      return { text: "So." };
  }
}

/** What a sender was told. */
interface Told {
  readonly prompt: string;
  readonly taskId: string;
  readonly messageId: string | null;
}

async function talk(
  doors: readonly Running[],
  sessionId: string,
  pick: (most: number) => number,
): Promise<readonly Told[]> {
  const told: Told[] = [];
  for (let n = 0; n < messagesEach; n++) {
    const door = doors[pick(doors.length)]!;
    const prompt = `${sessionId} ${n}`;
    const request = { prompt, sessionId, whileBusy: modes[pick(modes.length)]!, idempotencyKey: prompt };
    // Some are sent twice at once, as by a client whose connection broke.
    const sent = await Promise.all(Array.from({ length: pick(4) === 0 ? 2 : 1 }, () => door.submit(request)));
    told.push(...sent.map(({ id, messageId }) => ({ prompt, taskId: id, messageId })));
    if (pick(12) === 0) await door.engine.cancel({ tenant, taskId: sent[0]!.id }, "somebody").catch(() => undefined);
    await turnsOfTheLoop(pick(400));
  }
  return told;
}

async function checkAll(
  database: Database,
  { store }: Running,
  { prefix, told }: { prefix: string; told: readonly Told[] },
): Promise<{ heard: number; became: number }> {
  type Row = { id: string; session: string; key: string; prompt: string; unheard: number };
  const tasks = await database.query<Row>(
    sql(
      `select id, session_id as session, idempotency_key as key, input->>'prompt' as prompt, unheard from task
       where session_id like $1 order by session_id, position`,
      `${prefix}%`,
    ),
  );
  const journals = await store.journals(tasks.map(({ id }) => id));
  const heard: Entry[] = [];
  for (const { id, unheard } of tasks) {
    const journal = journals.get(id) ?? [];
    assert.equal(unheard, 0);
    assert.deepEqual(
      journal.map(({ seq }) => seq),
      journal.map((_, index) => index + 1),
    );
    assert.equal(journal.filter(({ kind }) => kind === "end").length, 1);
    heard.push(...journal.filter(({ kind }) => kind === "message"));
  }
  const places = [
    ...tasks.map(({ prompt }) => prompt),
    ...heard.map((entry) => (entry.kind === "message" ? entry.prompt : "")),
  ];
  const expected = Array.from({ length: sessions }, (_, index) =>
    Array.from({ length: messagesEach }, (_each, n) => `${prefix}-${index} ${n}`),
  ).flat();
  assert.deepEqual(places.sort(), expected.sort(), "each message has one place");
  let became = 0;
  for (const { prompt, taskId, messageId } of told) {
    const own = tasks.find(({ id }) => id === (messageId ?? taskId));
    const entry = journals.get(taskId)?.find((each) => each.kind === "message" && each.messageId === messageId);
    const place = own?.prompt ?? (entry?.kind === "message" ? entry.prompt : undefined);
    assert.equal(place, prompt, "the message is where its sender was told");
    if (messageId !== null && own !== undefined) became += 1;
  }
  const left = await database.query(sql("select id from inbox where not heard"));
  assert.deepEqual(left, []);
  for (const mine of Map.groupBy(tasks, ({ session }) => session).values()) {
    for (const [index, task] of mine.entries()) {
      const before = journals.get(mine[index - 1]?.id ?? "")?.at(-1);
      const first = journals.get(task.id)?.[0];
      if (before !== undefined && first !== undefined && first.kind !== "end")
        assert.ok(first.at >= before.at, "one at a time");
    }
  }
  return { heard: heard.length, became };
}

function assertReadable(messages: readonly Message[]): void {
  let open: string[] = [];
  for (const message of messages) {
    if (message.role === "tool") assert.equal(message.callId, open.shift());
    else assert.deepEqual(open, [], "somebody speaks between a call and its outcome");
    if (message.role === "assistant") open = message.parts.flatMap((part) => (part.type === "call" ? [part.id] : []));
  }
  assert.deepEqual(open, [], "a call without an outcome");
  assert.equal(messages.at(-1)?.role === "assistant", false, "nothing to answer to");
}
