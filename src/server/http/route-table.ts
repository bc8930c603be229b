/** Which methods a path takes: for telling "no such path" from "not with this method". */
import type { RouteOptions } from "fastify";

export class RouteTable {
  readonly #routes: { readonly pattern: RegExp; readonly method: string }[] = [];

  add({ url, method }: Pick<RouteOptions, "url" | "method">): void {
    const pattern = new RegExp(`^${url.replaceAll(".", "\\.").replaceAll(/:\w+/g, "[^/]+")}$`);
    for (const each of [method].flat()) this.#routes.push({ pattern, method: each });
  }

  /** None: there is no such path. */
  methodsOf(path: string): string[] {
    return [...new Set(this.#routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].sort();
  }
}
