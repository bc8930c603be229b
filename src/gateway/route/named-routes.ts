/** Routes that the configuration names, so that programs from outside can ask for them by a short name. */
import { defineRoute, type ModelRoute, type RouteInput } from "../../agent/route.ts";
import { InvalidInputError, messageOf } from "../../platform/errors.ts";
import { escapePointer } from "../../platform/json-pointer.ts";

export interface NamedRouteOptions {
  /** By name, which holds no slash: what stands under it answers calls of that model at /v1. */
  readonly routes?: Readonly<Record<string, RouteInput>>;
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/;

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function namedRoutes({ routes = {} }: NamedRouteOptions = {}): ReadonlyMap<string, ModelRoute> {
  return new Map(Object.entries(routes).map(([name, input]) => [name, routeOf(name, input)]));
}

function routeOf(name: string, input: RouteInput): ModelRoute {
  const path = `/gateway/routes/${escapePointer(name)}`;
  if (!namePattern.test(name)) {
    const rule = 'must be letters, digits, ".", "_" or "-": a slash is for providers and agents';
    throw new InvalidInputError("invalid_config", `The route ${JSON.stringify(name)} ${rule}.`, path);
  }
  let route: ModelRoute;
  try {
    route = defineRoute(input);
  } catch (error) {
    throw new InvalidInputError("invalid_config", `Route ${JSON.stringify(name)}: ${messageOf(error)}`, path);
  }
  if (route.candidates.length > 0) return route;
  throw new InvalidInputError("invalid_config", `Route ${JSON.stringify(name)} has no candidate.`, path);
}
