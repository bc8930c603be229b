/**
 * The ledger: what every call to a model used and cost. Rows of tasks are written by the statement that journals the call,
 * so there is never one without the other; `usageStatement` writes those of calls that are no task's.
 */
import { chargesOf, type Charge } from "../../agent/charges.ts";
import type { Entry } from "../../agent/journal.ts";
import type { Statement } from "../database.ts";
import { encodeText } from "../json.ts";

/** A call that is no task's, as it stands in the ledger. */
export interface UsageRow extends Charge {
  /** Made before the row is written: whoever does not hear of the end writes it again. */
  readonly id: string;
  readonly tenant: string;
  readonly agent: string | null;
  readonly sessionId: string | null;
  readonly userId: string | null;
  /** The virtual key that was used. */
  readonly keyId: string | null;
  /** Absent: the work itself. */
  readonly purpose?: "evaluation";
}

/** One array per column, as in append.ts. */
type ChargeArrays = [
  models: string[],
  codes: (string | null)[],
  times: number[],
  inputs: number[],
  cached: number[],
  outputs: number[],
  reasoning: number[],
  estimated: boolean[],
  costs: (number | null)[],
];

/** What the calls among the entries used, as parameters: mostly there are one or none. */
export function chargeArrays(
  appends: readonly { readonly taskId: string; readonly entries: readonly Entry[] }[],
): [string[], number[], ...ChargeArrays] {
  const taskIds: string[] = [];
  const seqs: number[] = [];
  const charges: Charge[] = [];
  for (const { taskId, entries } of appends) {
    for (const entry of entries) {
      for (const charge of chargesOf(entry)) {
        taskIds.push(taskId);
        seqs.push(entry.seq);
        charges.push(charge);
      }
    }
  }
  return [taskIds, seqs, ...columnsOf(charges)];
}

function columnsOf(charges: readonly Charge[]): ChargeArrays {
  const columns: ChargeArrays = [[], [], [], [], [], [], [], [], []];
  const [models, codes, times, inputs, cached, outputs, reasoning, estimated, costs] = columns;
  for (const { model, code, at, usage, costMicros } of charges) {
    models.push(encodeText(model));
    codes.push(code);
    times.push(at);
    inputs.push(usage.input);
    cached.push(usage.cached);
    outputs.push(usage.output);
    reasoning.push(usage.reasoning);
    estimated.push(usage.estimated);
    costs.push(costMicros);
  }
  return columns;
}

const chargeColumns = "model, code, at, input, cached, output, reasoning, estimated, cost_micros";
const chargeTypes = ["text", "text", "float8", "int", "int", "int", "int", "bool", "bigint"];
const chargeValues = `c.model, c.code, to_timestamp(c.at / 1000), c.input, c.cached, c.output, c.reasoning, c.estimated,
    c.cost_micros`;

/**
 * Writes the charges of `chargeArrays`, which begin at parameter number `first`, of the entries that the CTE `written`
 * answers: an entry that is repeated after a lost answer is charged once. Whose they are is taken from the rows of the CTE
 * `tasks`, which the statement holds locked.
 */
export function chargeSql(first: number, tasks: string): string {
  const arrays = ["uuid", "int", ...chargeTypes].map((type, index) => `$${first + index}::${type}[]`).join(", ");
  return `
  insert into usage (task_id, seq, ${chargeColumns}, tenant, agent, session_id, user_id, key_id)
  select c.task_id, c.seq, ${chargeValues},
    t.tenant, t.agent, t.session_id, t.user_id, t.key_id
  from unnest(${arrays}) as c(task_id, seq, ${chargeColumns})
  join ${tasks} t on t.id = c.task_id
  where ((c.task_id, c.seq) in (select task_id, seq from written)) is true`;
}

/** A row that is there already is left as it is. */
export function usageStatement(rows: readonly UsageRow[]): Statement {
  const owners = ["id", "tenant", "agent", "session_id", "user_id", "key_id", "purpose"];
  const types = [...chargeTypes, "uuid", ...owners.slice(1).map(() => "text")];
  const arrays = types.map((type, index) => `$${index + 1}::${type}[]`).join(", ");
  return {
    name: "usage",
    text: `insert into usage (${chargeColumns}, ${owners.join(", ")})
           select ${chargeValues}, ${owners.map((owner) => `c.${owner}`).join(", ")}
           from unnest(${arrays}) as c(${chargeColumns}, ${owners.join(", ")})
           on conflict (id) where id is not null do nothing`,
    values: [
      ...columnsOf(rows),
      rows.map(({ id }) => id),
      rows.map(({ tenant }) => tenant),
      rows.map(({ agent }) => agent),
      rows.map(({ sessionId }) => sessionId),
      rows.map(({ userId }) => userId),
      rows.map(({ keyId }) => keyId),
      rows.map(({ purpose = null }) => purpose),
    ],
  };
}
