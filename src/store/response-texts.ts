/** What models said in answer to POST /v1/responses; see queries/response-texts.ts. */
import { createCoalescer } from "./coalescer.ts";
import type { Database } from "./database.ts";
import { keepTextsStatement, keptTextsStatement, type ResponseText } from "./queries/response-texts.ts";

const mostPerFlush = 200;
const mostBytesPerFlush = 8 * 1_048_576;

export function createResponseTexts(database: Database) {
  return {
    keepTexts: createCoalescer<readonly ResponseText[], void>({
      maxItems: mostPerFlush,
      maxBytes: mostBytesPerFlush,
      sizeOf: (texts) => texts.reduce((sum, { text }) => sum + text.length, 0),
      flush: async (answers) => {
        await database.query(keepTextsStatement(answers.flat()));
        return answers.map(() => undefined);
      },
    }),
    /** By their ids; those that are not kept are not among them. */
    keptTexts: async (asked: { tenant: string; ids: readonly string[] }): Promise<Map<string, string>> => {
      const rows = await database.query<{ id: string; text: string }>(keptTextsStatement(asked));
      return new Map(rows.map(({ id, text }) => [id, text]));
    },
  };
}
