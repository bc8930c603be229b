/** Restate: a handler that makes a durable `run` of each model turn and each tool call, called through the ingress. */
import { createServer, type ServerHttp2Session } from "node:http2";
import * as restate from "@restatedev/restate-sdk";
import * as clients from "@restatedev/restate-sdk-clients";
import { freePort } from "../../test/support/free-port.ts";
import { runSubject } from "../comparison/subject.ts";
import { answer, prompt, runTurns } from "../work.ts";

const agent = restate.service({
  name: "agent",
  handlers: {
    run: async (context: restate.Context, input: string): Promise<string> => {
      if (input !== prompt) throw new restate.TerminalError("The input was lost.");
      return runTurns((name, perform) => context.run(name, perform));
    },
  },
});

/** What the server's journals hold, by its own SQL; the entries of an invocation are its input, its runs and its output. */
const stepsSql = `
  select count(*) as count from sys_journal where entry_type in ('Command: Input', 'Notification: Run')`;

await runSubject({
  start: async ({ restate: { ingressUrl, adminUrl } }) => {
    const port = await freePort();
    const logger = (): void => {};
    const handler = restate.createEndpointHandler({ services: [agent], logger });
    const http = createServer(handler);
    await new Promise<void>((resolve) => http.listen(port, "127.0.0.1", resolve));
    const sessions = new Set<ServerHttp2Session>();
    http.on("session", (session) => sessions.add(session));
    await ask(`${adminUrl}/deployments`, { uri: `http://127.0.0.1:${port}` });
    const ingress = clients.connect({ url: ingressUrl }).serviceClient<typeof agent>({ name: "agent" });
    return {
      runTask: async () => {
        if ((await ingress.run(prompt)) !== answer) throw new Error("The task ended otherwise than it should.");
      },
      durableSteps: async () => {
        const { rows } = (await ask(`${adminUrl}/query`, { query: stepsSql })) as { rows: { count: number }[] };
        return Number(rows[0]?.count);
      },
      stop: async () => {
        for (const session of sessions) session.destroy();
        await new Promise((resolve) => http.close(resolve));
      },
    };
  },
});

async function ask(url: string, body: unknown): Promise<unknown> {
  const headers = { "content-type": "application/json", accept: "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
