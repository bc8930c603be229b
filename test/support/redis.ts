/**
 * Redis for tests: the one at HOLDFAST_TEST_REDIS_URL or 127.0.0.1:6379, of which each test takes its own prefix, and
 * servers of a test's own, to be killed and paused. Where there is none its tests are left out, which is said; with CI set
 * that is an error.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "./free-port.ts";

export interface TestRedis {
  readonly url: string;
  /** Of this test alone. */
  readonly prefix: string;
  /** Deletes all that begins with the prefix. */
  readonly clear: () => Promise<void>;
}

/** The reason why tests of Redis are left out, or false. */
export async function noRedis(): Promise<string | false> {
  return leaveOut(await reaches(redisUrl), `Redis not reachable at ${redisUrl}: its tests are left out`);
}

/** The reason why tests that need a Redis of their own are left out, or false. */
export function noRedisServer(): string | false {
  const found = spawnSync("redis-server", ["--version"]).status === 0;
  return leaveOut(found, "redis-server is not installed: the tests that kill it are left out");
}

function leaveOut(found: boolean, message: string): string | false {
  if (found) return false;
  if (process.env["CI"]) throw new Error(`${message}, but in CI they must run.`);
  console.log(message);
  return message;
}

const redisUrl = process.env["HOLDFAST_TEST_REDIS_URL"] ?? "redis://127.0.0.1:6379";

export function testRedis(url: string = redisUrl): TestRedis {
  const prefix = `holdfast-test-${randomBytes(6).toString("hex")}`;
  return {
    url,
    prefix,
    clear: () =>
      withClient(url, async (client) => {
        for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1_000 })) {
          if ((keys as string[]).length > 0) await client.del(...(keys as string[]));
        }
      }),
  };
}

/** A busy machine takes its time to start a server. */
const patienceMs = 60_000;

export interface RedisServer {
  readonly url: string;
  start(): Promise<void>;
  /** SIGKILL; what it was told is on its disk all the same. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stand, and nothing answers. */
  pause(): void;
  resume(): void;
  /** Kills it and removes its data. */
  remove(): Promise<void>;
}

/** A server of one's own, not started yet, which keeps every write across a kill. */
export async function createRedisServer(): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let server: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (server === undefined) return;
    // One that could not start has ended already, and does so only once.
    if (server.exitCode === null && server.signalCode === null) {
      const exited = once(server, "exit");
      server.kill("SIGKILL");
      await exited;
    }
    server = undefined;
  };
  return {
    url,
    async start() {
      const options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"];
      const line = ["--port", String(port), "--dir", directory, ...options];
      server = spawn("redis-server", line, { stdio: "ignore" });
      for (const giveUpAt = performance.now() + patienceMs; !(await reaches(url));) {
        if (performance.now() > giveUpAt) throw new Error(`redis-server does not answer at ${url}.`);
        // Whoever tries to reconnect meanwhile may happen to do so from this very port: then it cannot be bound for a moment.
        if (server.exitCode !== null) server = spawn("redis-server", line, { stdio: "ignore" });
      }
    },
    kill,
    pause: () => void server?.kill("SIGSTOP"),
    resume: () => void server?.kill("SIGCONT"),
    async remove() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function reaches(url: string): Promise<boolean> {
  try {
    await withClient(url, (client) => client.ping());
    return true;
  } catch {
    return false;
  }
}

async function withClient<Result>(url: string, use: (client: Redis) => Promise<Result>): Promise<Result> {
  // Three attempts, 50 ms apart: for a server that was just started.
  const client = new Redis(url, { lazyConnect: true, retryStrategy: (attempt) => (attempt > 3 ? null : 50) });
  client.on("error", () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    client.disconnect();
  }
}
