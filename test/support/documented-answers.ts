/** Holds answers against what /openapi.json says of them. */
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";

interface Operation {
  readonly responses: Record<string, { content?: Record<string, { schema?: object }> }>;
}

export interface OpenApi {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: object;
}

export interface GivenAnswer {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

/** @returns a function that throws if an answer of a documented route is not as its documentation says */
export function answerChecker(document: OpenApi): (answer: GivenAnswer) => void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const templates = Object.keys(document.paths).sort((a, b) => Number(a.includes("{")) - Number(b.includes("{")));
  return ({ method, path, status, contentType, body }) => {
    const bare = path.split("?")[0] ?? "";
    const template = templates.find((each) => new RegExp(`^${each.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(bare));
    const operation = document.paths[template ?? ""]?.[method.toLowerCase()];
    if (operation === undefined) return;
    const response = operation.responses[status] ?? operation.responses["default"];
    const what = `${method} ${template} answers ${status} ${contentType}`;
    if (status < 400) assert.ok(operation.responses[status], `${what}, which is not documented`);
    const [type = ""] = contentType.split(";");
    if (response?.content === undefined) return assert.equal(type, "", `${what}, but is documented to have no body`);
    const media = response.content[type];
    assert.ok(media, `${what}, but is documented as ${Object.keys(response.content).join(", ")}`);
    if (!type.includes("json")) return;
    const check = ajv.compile({ allOf: [media.schema ?? {}], components: document.components });
    assert.ok(check(body), `${what}, which is not as documented: ${ajv.errorsText(check.errors)}`);
  };
}
