/** Answers of models that are given again. Looking them up and keeping them is what many calls do at the same time. */
import { roughSize } from "../agent/json.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database } from "./database.ts";
import {
  findAnswersStatement,
  keepAnswersStatement,
  type AnswerKey,
  type AnswerRow,
  type AnswerToKeep,
} from "./queries/answers.ts";

const mostPerFlush = 200;
const mostBytes = 4 * 1024 * 1024;

export function createAnswers(database: Database) {
  return {
    /** Undefined: there is none. */
    findAnswer: createCoalescer<AnswerKey, Omit<AnswerRow, "n"> | undefined>({
      maxItems: mostPerFlush,
      flush: async (keys) => {
        const rows = await database.query<AnswerRow>(findAnswersStatement(keys));
        const byPlace = new Map(rows.map(({ n, ...found }) => [n, found]));
        return keys.map((_, index) => byPlace.get(index + 1));
      },
    }),
    keepAnswer: createCoalescer<AnswerToKeep, void>({
      maxItems: mostPerFlush,
      maxBytes: mostBytes,
      sizeOf: ({ answer }) => roughSize(answer),
      flush: async (answers) => {
        await database.query(keepAnswersStatement(answers));
        return answers.map(() => undefined);
      },
    }),
  };
}
