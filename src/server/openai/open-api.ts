/** What the OpenAPI document says of the gateway's endpoints: their errors have OpenAI's shape. */
import { z } from "zod";

const openaiError = z
  .object({
    error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string() }),
  })
  .meta({ title: "OpenAiError" });

const error = (description: string) => ({ description, schema: openaiError });

export const openaiProblems = {
  errors: {
    400: error("The request is wrong, or asks for what is not supported; `param` says where."),
    401: error("A key is needed, or this one is of no use."),
    403: error("The key may not be used for this model."),
    404: error("There is no such model."),
    413: error("The body is larger than 16 MiB."),
    415: error("The body is not JSON."),
    429: error("Too much was asked for, of a model or by a key; `Retry-After` says when to try again."),
    502: error("The model cannot be used as it is set up, or its answer broke off."),
    503: error("No model answers now, or the service cannot; try again after `Retry-After` seconds."),
    default: error("Any other error."),
  },
} as const;
