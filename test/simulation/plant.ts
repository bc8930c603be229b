/**
 * A fault put into the engine from outside: the text of a statement is changed on its way to the database, or a part is
 * wrapped. The product has no switch for it. A clean run uses `nothingPlanted`.
 */
import type { Statement } from "../../src/store/database.ts";
import type { LanguageModelV4Usage } from "@ai-sdk/provider";
import type { Tool } from "../../src/tools/define-tool.ts";
import type { FaultKind } from "./faults.ts";

export interface Rewrite {
  readonly find: string;
  readonly replace: string;
}

/** What every seed has, where a bug would seldom show otherwise. All the rest is up to the seed, as ever. */
export interface Climate {
  /** As often as there may be. */
  readonly faults?: readonly FaultKind[];
  /** Of the fenced writes only those of this name arrive late, and every second one does. */
  readonly lateWrite?: string;
  /** The one that all tasks are for. */
  readonly agent?: string;
  readonly tenants?: number;
  /** At most, of a tenant. */
  readonly sessions?: number;
}

export interface PlantOptions {
  /** Each must be found in one statement, once: a pattern that no longer fits must not go unnoticed. */
  readonly rewrites?: readonly Rewrite[];
  /** Statements of this name are answered before they are committed. */
  readonly answersEarly?: string;
  readonly wrapTool?: (tool: Tool, process: string) => Tool;
  readonly wrapUsage?: (usage: LanguageModelV4Usage) => LanguageModelV4Usage;
  readonly climate?: Climate;
}

export class Plant {
  readonly #options: PlantOptions;
  readonly #known = new Map<string, string>();
  /** The statements in which each pattern was found, by how they begin. */
  readonly #found = new Map<string, Set<string>>();

  constructor(options: PlantOptions) {
    this.#options = options;
  }

  get climate(): Climate {
    return this.#options.climate ?? {};
  }

  /** @throws Error when a pattern occurs twice in a statement */
  rewrite(statement: Statement): Statement {
    if (this.#options.rewrites === undefined) return statement;
    const text = this.#known.get(statement.text) ?? this.#rewritten(statement.text);
    this.#known.set(statement.text, text);
    return text === statement.text ? statement : { ...statement, text };
  }

  answersEarly({ name }: Statement): boolean {
    return name !== undefined && name === this.#options.answersEarly;
  }

  tool(tool: Tool, process: string): Tool {
    return this.#options.wrapTool?.(tool, process) ?? tool;
  }

  usage(usage: LanguageModelV4Usage): LanguageModelV4Usage {
    return this.#options.wrapUsage?.(usage) ?? usage;
  }

  /** The patterns that were not found in exactly one statement. */
  misfits(): string[] {
    return (this.#options.rewrites ?? [])
      .filter(({ find }) => this.#found.get(find)?.size !== 1)
      .map(({ find }) => `in ${this.#found.get(find)?.size ?? 0} statements: ${find}`);
  }

  #rewritten(original: string): string {
    return (this.#options.rewrites ?? []).reduce((text, { find, replace }) => {
      const parts = text.split(find);
      if (parts.length > 2) throw new Error(`The pattern is not unique: ${find}`);
      if (parts.length === 2) this.#foundIn(find, original);
      return parts.join(replace);
    }, original);
  }

  #foundIn(find: string, text: string): void {
    const statements = this.#found.get(find) ?? new Set<string>();
    // Variants of one statement begin alike.
    this.#found.set(find, statements.add(text.trim().slice(0, 100)));
  }
}

export function nothingPlanted(): Plant {
  return new Plant({});
}
