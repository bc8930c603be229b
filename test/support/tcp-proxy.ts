/** A TCP proxy before a PostgreSQL server, in which a network can be had that is as bad as a test needs it. */
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

export interface TcpProxy extends AsyncDisposable {
  /** The server's URL, through the proxy. */
  readonly url: string;
  /** Lets nothing through, and keeps it: a network, or a server, that hangs. Until `pass`. */
  hold(): void;
  /** Lets nothing more through on the connections there are, ever, and tells nobody: they are half-open. New ones work. */
  swallow(): void;
  pass(): void;
  /** Ends every connection on the spot. */
  cut(): void;
  /** Resolves when every connection so far has ended. */
  allEnded(): Promise<unknown>;
}

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
}

export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const server = new URL(target);
  const pairs = new Set<Pair>();
  const swallowed: Pair[] = [];
  const ended: Promise<unknown>[] = [];
  let isHolding = false;
  const proxy = createServer((client) => {
    const upstream = createConnection(addressOf(server));
    const pair = { client, upstream };
    pairs.add(pair);
    ended.push(new Promise((resolve) => client.once("close", resolve)));
    client.pipe(upstream).on("error", () => {});
    upstream.pipe(client).on("error", () => {});
    client.on("close", () => {
      // Of a half-open connection the server hears nothing.
      if (pairs.delete(pair)) upstream.destroy();
    });
    upstream.on("close", () => pairs.has(pair) && client.destroy());
    if (isHolding) pause(pair);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  const through = new URL(target);
  through.host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;

  function pause({ client, upstream }: Pair): void {
    client.unpipe(upstream).pause();
    upstream.unpipe(client).pause();
  }

  const cut = (): void => {
    for (const { client, upstream } of pairs) for (const socket of [client, upstream]) socket.destroy();
  };
  return {
    url: through.href,
    hold() {
      isHolding = true;
      for (const pair of pairs) pause(pair);
    },
    swallow() {
      for (const { client, upstream } of pairs) {
        client.unpipe(upstream).resume();
        upstream.unpipe(client).resume();
      }
      swallowed.push(...pairs);
      pairs.clear();
    },
    pass() {
      isHolding = false;
      for (const { client, upstream } of pairs) {
        client.pipe(upstream);
        upstream.pipe(client);
      }
    },
    cut,
    allEnded: () => Promise.all(ended),
    async [Symbol.asyncDispose]() {
      cut();
      for (const { client, upstream } of swallowed) for (const socket of [client, upstream]) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

function addressOf({ hostname, port }: URL) {
  const host = decodeURIComponent(hostname);
  const number = Number(port || 5432);
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${number}` } : { host, port: number };
}
