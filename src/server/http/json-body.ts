/** Bodies: JSON in UTF-8, and nothing else. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HoldfastError, InvalidInputError, messageOf } from "../../platform/errors.ts";

/** Other content types are refused, which also keeps out what a web page may send without asking. */
export function parseJsonBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (request: FastifyRequest, body: Buffer) => {
      const encoding = request.headers["content-encoding"] ?? "identity";
      if (encoding !== "identity") {
        const message = `A body with the content encoding ${JSON.stringify(encoding.slice(0, 50))} is not taken; send it as it is.`;
        throw new HoldfastError("unsupported_content_encoding", message);
      }
      // Many clients name the content type even where there is no body.
      return body.length === 0 ? undefined : parse(body);
    },
  );
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new InvalidInputError("invalid_json", `The body is not JSON in UTF-8: ${messageOf(error)}`, "");
  }
}
