/** What an agent came to on a case, judged by the criteria of the case. */
import { onlyTenant } from "../engine/tenant.ts";
import { paidIn, sumKnown } from "../gateway/cost.ts";
import { askJudge, type Verdict as BareVerdict } from "../gateway/judge.ts";
import type { ModelGateway } from "../gateway/model-gateway.ts";
import type { EvaluationCase, JudgeExpectation } from "./cases.ts";
import type { MadeCall } from "./checks.ts";

export interface Judge {
  readonly gateway: ModelGateway;
  /** `provider/model`. */
  readonly model: string;
}

export interface Verdict extends BareVerdict {
  /** Micro-dollars of the judge's calls, what failed included; null: the price is unknown. */
  readonly costMicros: number | null;
}

export interface JudgedAnswer {
  readonly answer: string;
  readonly calls: readonly MadeCall[];
}

/** @throws the signal's reason when it aborts */
export async function judgeAnswer(
  judge: Judge,
  it: EvaluationCase & { readonly judge: JudgeExpectation },
  { answer, calls, signal }: JudgedAnswer & { readonly signal: AbortSignal },
): Promise<Verdict> {
  const { criteria, reference } = it.judge;
  const caller = { tenant: onlyTenant, agent: null, taskId: null, sessionId: null, userId: null, keyId: null };
  const material = { asked: it.prompt, context: it.context, calls, answer, reference };
  const { replies, failed, ...verdict } = await askJudge({ ...judge, caller, signal }, criteria, material);
  const paid = [...replies, ...paidIn([...replies.flatMap(({ attempts }) => attempts), ...failed])];
  return { ...verdict, costMicros: sumKnown(paid.map(({ costMicros }) => costMicros)) };
}
