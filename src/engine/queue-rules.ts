/** How the queue is shared and bounded, as it is configured: one answer for every tenant and agent. */
import type { AgentDefinition } from "../agent/definition.ts";
import { InvalidInputError } from "../platform/errors.ts";
import type { Share, Shares } from "../store/queries/claim.ts";

/** What a tenant may have of the queue. Everything is optional. */
export interface TenantRules {
  /** Tasks that start in a row when it is the tenant's turn, 1 to 100; default 1. */
  readonly weight?: number;
  /** Tasks that run at the same time, in all processes together; default: no bound. */
  readonly maxRunning?: number;
  /** Tasks that wait for a worker before submits are refused with 429; default: no bound but that of all. */
  readonly maxWaiting?: number;
}

export interface QueueOptions {
  readonly agents: readonly AgentDefinition[];
  readonly maxWaiting?: number;
  readonly maxPerSession?: number;
  readonly tenantRules?: TenantRules;
  readonly tenants?: Readonly<Record<string, TenantRules>>;
}

export interface QueueRules {
  readonly shares: Shares;
  /** Of all tenants and agents together. */
  readonly maxWaiting: number;
  readonly maxPerSession: number;
  maxWaitingOfTenant(tenant: string): number | undefined;
  maxWaitingOfAgent(agent: string): number | undefined;
  /** Whether a task of theirs may have to wait although a worker is free. */
  limitsRunning(tenant: string, agent: string): boolean;
}

const defaultMaxWaiting = 10_000;
const defaultMaxPerSession = 1_000;
const mostWeight = 100;

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function queueRules(options: QueueOptions): QueueRules {
  const { agents, maxWaiting = defaultMaxWaiting, maxPerSession = defaultMaxPerSession } = options;
  const { tenantRules = {}, tenants = {} } = options;
  checkCount(maxWaiting, "/maxWaiting");
  checkCount(maxPerSession, "/maxPerSession");
  checkTenant(tenantRules, "/tenantRules");
  // What a tenant of its own does not say is as for all others.
  const named = new Map(Object.entries(tenants).map(([name, rules]) => [name, { ...tenantRules, ...rules }]));
  for (const [name, rules] of named) checkTenant(rules, `/tenants/${name}`);
  const boundOf = new Map(agents.map(({ name, queue }) => [name, queue]));
  const shares: Shares = {
    tenant: shareOf(tenantRules),
    tenants: new Map([...named].map(([name, rules]) => [name, shareOf(rules)])),
    agents: new Map(agents.flatMap(({ name, queue }) => (queue.maxRunning === null ? [] : [[name, queue.maxRunning]]))),
  };
  return {
    shares,
    maxWaiting,
    maxPerSession,
    maxWaitingOfTenant: (tenant) => (named.get(tenant) ?? tenantRules).maxWaiting,
    maxWaitingOfAgent: (agent) => boundOf.get(agent)?.maxWaiting ?? undefined,
    limitsRunning: (tenant, agent) =>
      shares.agents.has(agent) || (shares.tenants.get(tenant) ?? shares.tenant).maxRunning !== null,
  };
}

function shareOf({ weight = 1, maxRunning }: TenantRules): Share {
  return { weight, maxRunning: maxRunning ?? null };
}

function checkTenant({ weight = 1, maxRunning, maxWaiting }: TenantRules, path: string): void {
  checkCount(weight, `${path}/weight`, mostWeight);
  checkCount(maxRunning ?? 1, `${path}/maxRunning`);
  checkCount(maxWaiting ?? 1, `${path}/maxWaiting`);
}

/** The largest integer of PostgreSQL. */
const mostCount = 2 ** 31 - 1;

function checkCount(value: number, path: string, most = mostCount): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new InvalidInputError("invalid_config", `${path} is ${value}, but must be an integer from 1 to ${most}.`, path);
}
