/** The judge of the chaos run finds what it is there to find. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { AgentResult, Client, Entry } from "../../src/client/index.ts";
import { systemId } from "../../src/platform/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { testDatabases } from "../support/databases.ts";
import { sql } from "../support/stored-tasks.ts";
import { calls } from "./agent.ts";
import type { Told } from "./clients.ts";
import type { Effect } from "./ledger.ts";
import { findViolations } from "./verdict.ts";

const [embedded] = await testDatabases();

describe("The judge of a chaos run", () => {
  let database: Database;
  before(async () => {
    database = await embedded!.open();
  });
  after(() => database.close());
  beforeEach(() => database.script("truncate task, entry, approval cascade"));

  interface Story {
    readonly told: Told[];
    readonly journals: Map<string, Entry[]>;
    readonly effects: Effect[];
  }

  /** Two tasks of one session, run as they should be. */
  async function happyStory(): Promise<Story> {
    const story: Story = { told: [], journals: new Map(), effects: [] };
    for (const place of [0, 1]) {
      const taskId = systemId();
      const journal = [1, 2].map((seq) => {
        const at = new Date(1_000 * (2 * place + seq)).toISOString();
        return seq === 2 ? { seq, at, kind: "end", status: "completed" } : { seq, at, kind: "model" };
      }) as Entry[];
      await database.query(
        sql(
          `insert into task (id, tenant, session_id, position, agent, status, is_head, input, output)
           values ($1, 'default', 'one', $2, 'courier', 'completed', false, '{}', 'Done.')`,
          taskId,
          place,
        ),
      );
      story.journals.set(taskId, journal);
      const result = { status: "completed", output: "Done." } as AgentResult;
      story.told.push({ taskId, sessionId: "one", place, entries: [...journal], result });
      for (const { id, tool } of calls) {
        if (tool !== "look") story.effects.push({ task: taskId, call: id, tool, key: `${taskId}:${id}`, pid: 1 });
      }
    }
    return story;
  }

  async function judge({ told, journals, effects }: Story): Promise<string[]> {
    const client = { journal: async (id: string) => ({ items: journals.get(id) ?? [] }) } as unknown as Client;
    const violations = await findViolations({ database, client, told, answers: [], effects });
    return violations.map((line) => line.split(":")[0]!);
  }

  test("finds nothing where nothing is wrong", async () => {
    assert.deepEqual(await judge(await happyStory()), []);
  });

  test("finds a task that is lost, not done, or stored twice", async () => {
    const story = await happyStory();
    const [first, second] = story.told as [Told, Told];
    await database.query(sql("update task set status = 'running' where id = $1", first.taskId));
    assert.ok((await judge(story)).includes("lost"));
    await database.query(sql("delete from task where id = $1", second.taskId));
    assert.equal((await judge(story)).filter((what) => what === "lost").length, 2);
    assert.ok((await judge({ ...story, told: [] })).includes("doubled"));
  });

  test("finds effects that came twice or not at all, and calls with two keys", async () => {
    const story = await happyStory();
    const ofTool = (name: string): Effect => story.effects.find(({ tool }) => tool === name)!;
    assert.deepEqual(await judge({ ...story, effects: [...story.effects, ofTool("pay")] }), ["once"]);
    const missing = story.effects.filter((effect) => effect !== ofTool("pay"));
    assert.deepEqual(await judge({ ...story, effects: missing }), ["once"]);
    assert.deepEqual(await judge({ ...story, effects: [...story.effects, ofTool("note")] }), []);
    const twoKeys = [...story.effects, { ...ofTool("note"), key: "another" }];
    assert.deepEqual(await judge({ ...story, effects: twoKeys }), ["idempotent"]);
  });

  test("finds gaps, news that were not true, and tasks of a session that overlap", async () => {
    const story = await happyStory();
    const [first, second] = story.told as [Told, Told];
    const journal = story.journals.get(first.taskId)!;
    story.journals.set(first.taskId, [journal[0]!, { ...journal[1]!, seq: 3 }]);
    assert.deepEqual(await judge(story), ["gap", "news"]);
    story.journals.set(first.taskId, journal);
    second.result = { ...second.result!, output: "Something else." };
    assert.deepEqual(await judge(story), ["news"]);
    second.result = { ...second.result, output: "Done." };
    story.journals.set(second.taskId, [{ ...journal[0]!, at: new Date(0).toISOString() }, second.entries[1]!]);
    assert.ok((await judge(story)).includes("order"));
    assert.ok(
      (
        await judge({
          ...story,
          told: [
            { ...first, place: 1 },
            { ...second, place: 0 },
          ],
        })
      ).includes("order"),
    );
  });
});
