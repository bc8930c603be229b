/**
 * The shapes of the HTTP API as they travel: JSON in snake_case, times in RFC 3339, money in dollars. The server answers
 * in these very types; what is the user's own (tool inputs and outputs, context, metadata) is never renamed. Each subject
 * has a file in wire/.
 */
export type * from "./wire/agents.ts";
export type * from "./wire/approvals.ts";
export type * from "./wire/experiments.ts";
export type * from "./wire/gateway.ts";
export type * from "./wire/journal.ts";
export type * from "./wire/keys.ts";
export type * from "./wire/page.ts";
export type * from "./wire/problem.ts";
export type * from "./wire/service.ts";
export type * from "./wire/sessions.ts";
export type * from "./wire/tasks.ts";
export type * from "./wire/usage.ts";
