/** Everything that is compared: Holdfast, the floor, and the peers. */

export interface SubjectEntry {
  readonly name: string;
  /** As the table says it. */
  readonly title: string;
  /** From bench/. */
  readonly file: string;
  readonly store: "postgres" | "redis" | "restate";
  readonly variant: string;
  /** How far what is durable lags behind what the store shows, where it does by its settings: then the check cannot tell. */
  readonly lag?: string;
  /** The packages whose versions the table says. */
  readonly packages: readonly string[];
}

const langgraph = ["@langchain/langgraph", "@langchain/langgraph-checkpoint-postgres"];
const mastra = ["@mastra/core", "@mastra/pg"];
const inPostgres = { store: "postgres", variant: "" } as const;

export const subjects: readonly SubjectEntry[] = [
  { ...inPostgres, name: "holdfast", title: "**Holdfast**", file: "comparison/holdfast.ts", packages: [] },
  {
    ...inPostgres,
    name: "holdfast-reads",
    title: "Holdfast, a tool declared to only read",
    lag: "yes, but for a turn before its reading tool",
    file: "comparison/holdfast.ts",
    variant: "reads",
    packages: [],
  },
  { ...inPostgres, name: "raw", title: "raw coalesced INSERTs", file: "comparison/raw-inserts.ts", packages: [] },
  {
    ...inPostgres,
    name: "dbos",
    title: "DBOS, a step per turn and call",
    file: "peers/dbos.ts",
    packages: ["@dbos-inc/dbos-sdk"],
  },
  {
    ...inPostgres,
    name: "absurd-poll-10ms",
    title: "Absurd, polls every 10 ms",
    file: "peers/absurd.ts",
    variant: "0.01",
    packages: ["absurd-sdk"],
  },
  {
    ...inPostgres,
    name: "absurd",
    title: "Absurd, polls as by default",
    file: "peers/absurd.ts",
    packages: ["absurd-sdk"],
  },
  {
    ...inPostgres,
    name: "langgraph",
    title: "LangGraph.js, durability as by default (async)",
    file: "peers/langgraph.ts",
    packages: langgraph,
  },
  {
    ...inPostgres,
    name: "langgraph-sync",
    title: "LangGraph.js, durability sync",
    file: "peers/langgraph.ts",
    variant: "sync",
    packages: langgraph,
  },
  {
    ...inPostgres,
    name: "mastra-agent",
    title: "Mastra, durable agent",
    file: "peers/mastra-agent.ts",
    packages: mastra,
  },
  {
    ...inPostgres,
    name: "mastra-workflow",
    title: "Mastra, workflow",
    file: "peers/mastra-workflow.ts",
    packages: mastra,
  },
  {
    name: "restate",
    title: "Restate, a run per turn and call",
    file: "peers/restate.ts",
    store: "restate",
    variant: "",
    packages: ["@restatedev/restate-server", "@restatedev/restate-sdk"],
  },
  {
    name: "bullmq-always",
    title: "BullMQ, Redis syncs every write",
    file: "peers/bullmq.ts",
    store: "redis",
    variant: "always",
    packages: ["bullmq"],
  },
  {
    name: "bullmq-everysec",
    title: "BullMQ, Redis syncs every second",
    lag: "no, up to a second later",
    file: "peers/bullmq.ts",
    store: "redis",
    variant: "everysec",
    packages: ["bullmq"],
  },
];
