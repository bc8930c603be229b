/** The servers of engines that keep their state elsewhere than in Postgres: a fresh one per process, gone afterwards. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../test/support/free-port.ts";
import { atExit, removeWhileEnding } from "../../test/support/at-exit.ts";

interface OwnServer<Address> {
  readonly address: Address;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

const startTimeoutMs = 30_000;

/** Redis with its append-only file, which is the only way it keeps anything; `appendfsync` is `always` or `everysec`. */
export async function startRedis(appendfsync: string): Promise<OwnServer<{ redisPort: number }>> {
  const port = await freePort();
  const flags = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"];
  return startServer({
    command: "redis-server",
    args: (directory) => [...flags, "--appendfsync", appendfsync, "--dir", directory],
    address: { redisPort: port },
    isReady: () => answersOn(port),
  });
}

/** Restate's server as its package starts it, one node with its default settings. */
export async function startRestate(
  peersFolder: string,
): Promise<OwnServer<{ restate: { ingressUrl: string; adminUrl: string } }>> {
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()];
  const require = createRequire(join(peersFolder, "package.json"));
  const adminUrl = `http://127.0.0.1:${admin}`;
  return startServer({
    command: require.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`),
    args: (directory) => ["--base-dir", directory, "--bind-port", String(node), "--listen-mode", "tcp"],
    env: {
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      RESTATE_LOG_FILTER: "error",
      DO_NOT_TRACK: "1",
    },
    address: { restate: { ingressUrl: `http://127.0.0.1:${ingress}`, adminUrl } },
    isReady: async () => (await answersOn(ingress)) && (await fetch(`${adminUrl}/health`)).ok,
  });
}

interface ServerPlan<Address> {
  readonly command: string;
  readonly args: (directory: string) => string[];
  readonly env?: Record<string, string>;
  readonly address: Address;
  readonly isReady: () => Promise<boolean>;
}

/** Starts a server in a directory of its own and waits until it is ready. */
export async function startServer<Address>(plan: ServerPlan<Address>): Promise<OwnServer<Address>> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-server-"));
  const env = { ...process.env, ...plan.env };
  const server = spawn(plan.command, plan.args(directory), { cwd: directory, env, stdio: "ignore" });
  const settled = atExit(() => {
    server.kill("SIGKILL");
    removeWhileEnding(directory);
  });
  const stop = async (): Promise<void> => {
    await terminate(server);
    settled();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await once(server, "spawn");
    await untilReady(server, plan);
    return { address: plan.address, pid: server.pid ?? 0, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady<Address>(server: ChildProcess, { command, isReady }: ServerPlan<Address>): Promise<void> {
  const giveUpAt = performance.now() + startTimeoutMs;
  while (!(await isReady().catch(() => false))) {
    if (server.exitCode !== null) throw new Error(`${command} ended with code ${server.exitCode}.`);
    if (performance.now() > giveUpAt) throw new Error(`${command} does not answer.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function terminate(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, "exit");
  server.kill("SIGTERM");
  const force = setTimeout(() => server.kill("SIGKILL"), 10_000);
  await exit;
  clearTimeout(force);
}

export async function answersOn(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}
