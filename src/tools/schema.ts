/**
 * One form for every way of writing a schema: Zod or another Standard Schema, and plain JSON Schema 2020-12.
 * A model reads `jsonSchema`; `parse` judges a value and says what is wrong so that a model can mend its call.
 */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { isObject, type Json, type JsonObject } from "../agent/json.ts";
import { HoldfastError, InvalidInputError, messageOf } from "../platform/errors.ts";
import { escapePointer } from "../platform/json-pointer.ts";

export interface Schema {
  /** JSON Schema 2020-12. */
  readonly jsonSchema: JsonObject;
  /**
   * Never changes `value`; the parsed value has defaults filled in and, from a Standard Schema, its transforms applied.
   * @throws HoldfastError `async_schema_unsupported` when the validator answers with a promise; Zod does so too when
   * a check throws
   */
  parse(value: unknown): Parsed;
}

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problems: readonly SchemaProblem[] };

export interface SchemaProblem {
  /** JSON pointer into the value; "" is the value itself. */
  readonly path: string;
  readonly message: string;
}

export type SchemaSource = StandardSchemaV1 | JsonObject;

/** Which side of the schema is its JSON Schema: what goes in, or what comes out after defaults and transforms. */
export type Direction = "input" | "output";

const compiled: Record<Direction, WeakMap<object, Schema>> = { input: new WeakMap(), output: new WeakMap() };
/** Begins what is said of a value that the validator stumbles over. */
export const cannotCheck = "cannot be checked by its schema";
const dialect = "https://json-schema.org/draft/2020-12/schema";

/** @throws InvalidInputError `invalid_schema` when it is no schema, or cannot be written as JSON Schema */
export function compileSchema(source: SchemaSource, direction: Direction): Schema {
  const cached = compiled[direction].get(source);
  if (cached !== undefined) return cached;
  const schema = isStandard(source) ? fromStandard(source, direction) : fromJsonSchema(source);
  compiled[direction].set(source, schema);
  return schema;
}

/** One line for each problem, bounded, for a model or a human to read. */
export function describeProblems(problems: readonly SchemaProblem[]): string {
  const shown = 10;
  const lines = problems.slice(0, shown).map(({ path, message }) => clip(`${path || "(the value)"}: ${message}`, 500));
  if (problems.length > shown) lines.push(`and ${problems.length - shown} more`);
  return lines.join("\n");
}

function isStandard(source: SchemaSource): source is StandardSchemaV1 {
  if ((typeof source === "object" && source !== null) || typeof source === "function") return "~standard" in source;
  throw invalidSchema(`A schema must be a Standard Schema or a JSON Schema object, but is ${show(source)}.`);
}

function fromStandard(source: StandardSchemaV1, direction: Direction): Schema {
  const standard: StandardSchemaV1["~standard"] & Partial<StandardJSONSchemaV1["~standard"]> = source["~standard"];
  if (standard.jsonSchema === undefined) {
    throw invalidSchema(
      `This ${standard.vendor} schema cannot tell its JSON Schema, which models need. ` +
        "Use a library with Standard JSON Schema (Zod 4, for one), or give a plain JSON Schema.",
    );
  }
  return { jsonSchema: jsonSchemaOf(standard.jsonSchema, direction), parse };

  function parse(value: unknown): Parsed {
    const result = standard.validate(value);
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw new HoldfastError(
        "async_schema_unsupported",
        "The schema answers with a promise: a check in it is asynchronous, or throws. Do such checks in the tool.",
      );
    }
    if (result.issues === undefined) return { ok: true, value: result.value };
    return { ok: false, problems: result.issues.map(({ path, message }) => ({ path: pointer(path ?? []), message })) };
  }
}

function jsonSchemaOf(converter: StandardJSONSchemaV1.Converter, direction: Direction): JsonObject {
  try {
    const { $schema: _, ...jsonSchema } = converter[direction]({ target: "draft-2020-12" });
    return jsonSchema as JsonObject;
  } catch (thrown) {
    throw invalidSchema(`The schema cannot be written as JSON Schema: ${messageOf(thrown)}.`);
  }
}

const ajv = new Ajv2020({
  strict: false,
  allErrors: true,
  verbose: true,
  useDefaults: true,
  logger: false,
});
addFormats.default(ajv);

function fromJsonSchema(source: JsonObject): Schema {
  if (!isObject(source)) throw invalidSchema(`A JSON Schema must be an object, but is ${show(source)}.`);
  const { $schema = dialect, ...jsonSchema } = structuredClone(source);
  if ($schema !== dialect) {
    throw invalidSchema(`The schema declares ${show($schema)}, but must be written in, and declare, "${dialect}".`);
  }
  const validate = compileAjv(jsonSchema);
  const hasDefaults = JSON.stringify(jsonSchema).includes('"default":');
  return {
    jsonSchema,
    parse(value) {
      const copy: unknown = hasDefaults ? structuredClone(value) : value; // defaults are written into it
      try {
        if (validate(copy)) return { ok: true, value: copy };
      } catch (thrown) {
        // ajv 8 makes code that throws of some schemas: of `properties: {a: false}` within `oneOf`, for one.
        return { ok: false, problems: [{ path: "", message: `${cannotCheck}: ${messageOf(thrown)}` }] };
      }
      return { ok: false, problems: (validate.errors ?? []).map(explain) };
    },
  };
}

function compileAjv(jsonSchema: JsonObject): ReturnType<Ajv2020["compile"]> {
  try {
    const validate = ajv.compile(jsonSchema);
    if ("$async" in validate) throw invalidSchema('The schema says "$async"; it must be synchronous.');
    return validate;
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown;
    throw invalidSchema(`The JSON Schema is not valid: ${messageOf(thrown)}.`);
  } finally {
    ajv.removeSchema(jsonSchema); // else it is kept for ever, and no other schema may have its $id
  }
}

/** An error of ajv with the names and values that lead to a right call. */
function explain(error: ErrorObject): SchemaProblem {
  const { instancePath: path, params, data } = error;
  const parent = (error.parentSchema ?? {}) as JsonObject;
  const properties = isObject(parent["properties"]) ? parent["properties"] : {};
  switch (error.keyword) {
    case "required": {
      const missing = String(params["missingProperty"]);
      const wanted = properties[missing];
      const types = isObject(wanted) ? [wanted["type"]].flat().filter((type) => typeof type === "string") : [];
      const hint = types.length > 0 ? ` (${types.join(" or ")})` : "";
      return { path: path + pointer([missing]), message: `is required${hint}` };
    }
    case "additionalProperties":
    case "unevaluatedProperties": {
      const extra = String(params["additionalProperty"] ?? params["unevaluatedProperty"]);
      const allowed = Object.keys(properties).map(show).join(", ") || "nothing";
      return { path: path + pointer([extra]), message: `is not allowed; allowed here: ${allowed}` };
    }
    case "enum":
      return { path, message: `must be one of ${listed(params["allowedValues"])}, but is ${show(data)}` };
    case "const":
      return { path, message: `must be ${show(params["allowedValue"])}, but is ${show(data)}` };
    default:
      return { path, message: `${error.message ?? error.keyword}, but is ${show(data)}` };
  }
}

function pointer(path: ReadonlyArray<PropertyKey | StandardSchemaV1.PathSegment>): string {
  return path
    .map((segment) => String(typeof segment === "object" ? segment.key : segment))
    .map((key) => `/${escapePointer(key)}`)
    .join("");
}

function listed(values: Json[]): string {
  return values.map(show).join(", ");
}

function show(value: unknown): string {
  return clip(JSON.stringify(value) ?? String(value), 100);
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function invalidSchema(message: string): InvalidInputError {
  return new InvalidInputError("invalid_schema", message);
}
