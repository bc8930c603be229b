/** What people do to tasks and conversations. Rare, so each goes alone, as a transaction that takes its locks first. */
import { NotFoundError } from "../platform/errors.ts";
import type { Database, Statement } from "./database.ts";
import { packLarge, writeWithLarge } from "./large.ts";
import {
  answerStatements,
  cancelStatements,
  discardStatement,
  replayStatements,
  type AnswerCommand,
} from "./queries/control.ts";
import {
  copyJournalStatement,
  copyReferencesStatement,
  keepOriginalStatement,
  originalIsThere,
  type Stretch,
} from "./queries/fork.ts";
import { keepLargeStatement, referLargeStatement, type LargeContent } from "./queries/large-values.ts";
import { deleteSessionStatements } from "./queries/sessions.ts";
import { submitStatement } from "./queries/submit.ts";
import type { TaskKey } from "./queries/tasks.ts";
import type { NewTask, TaskStatus } from "./task-row.ts";

export function createCommands(database: Database) {
  /** The rows of the statement of a transaction that carries its answer. */
  const answered = async <Row>(statements: Statement[], index: number): Promise<Row[]> =>
    ((await database.batch(statements))[index] ?? []) as Row[];

  return {
    /** The status before, or undefined if there is no such task. */
    cancel: async (command: TaskKey & { by: string }) =>
      (await answered<{ status: TaskStatus }>(cancelStatements(command), 3))[0]?.status,
    /** False: answered before, or its task no longer waits. */
    answer: async (command: AnswerCommand) => (await answered(answerStatements(command), 2)).length > 0,
    /** False: it is no dead letter. */
    replay: async (command: TaskKey & { prompt: string | null; by: string }) =>
      (await answered(replayStatements(command), 2)).length > 0,
    /** False: it is no dead letter. */
    discard: async (key: TaskKey) => (await database.query(discardStatement(key))).length > 0,
    /**
     * Stores a task whose journal begins with a copy of that of the one it is forked from.
     * @throws NotFoundError `task_not_found`: the other was deleted meanwhile, and nothing is stored
     */
    fork: async (task: NewTask, copy: Stretch) => {
      const { value: input, contents } = packLarge(task.input);
      const statements = [
        keepOriginalStatement({ tenant: task.tenant, id: copy.from }),
        submitStatement([{ task: { ...task, input }, worker: null }], originalIsThere),
        copyJournalStatement({ ...copy, to: task.id }),
        copyReferencesStatement({ ...copy, to: task.id }),
      ];
      const large = [{ taskId: task.id, tenant: task.tenant, contents }];
      const [original = []] = await writeWithLarge(database, statements, large);
      if (original.length === 0) throw new NotFoundError("task_not_found", `There is no task ${copy.from}.`);
    },
    /** False: a task of it is open. Undefined: there is no such session. */
    deleteSession: async (tenant: string, id: string) => {
      const [row] = await answered<{ open_tasks: number }>(deleteSessionStatements(tenant, id), 1);
      return row === undefined ? undefined : row.open_tasks === 0;
    },
    /** Keeps a value that a task needs. */
    keepLarge: ({ taskId, ...content }: LargeContent & { taskId: string }) =>
      database.batch([keepLargeStatement([{ taskId, ...content }]), referLargeStatement([{ taskId, ...content }])]),
  };
}
