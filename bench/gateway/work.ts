/** What the gateway's bench asks and is answered: about 500 characters each. */

export const firstMark = "It begins here: ";
export const lastMark = " and here it ends.";

/** The answer, in the pieces it streams in. */
export const pieces: readonly string[] = [
  firstMark,
  ...Array.from({ length: 18 }, (_, index) => `piece ${index} of the whole text, `),
  lastMark,
];

const question = "Say what is known of it, and how sure that is. ".repeat(10);

export function requestBody({ model, streaming }: { model: string; streaming: boolean }): string {
  const messages = [
    { role: "system", content: "You answer briefly." },
    { role: "user", content: question },
  ];
  return JSON.stringify({
    model,
    messages,
    ...(streaming && { stream: true, stream_options: { include_usage: true } }),
  });
}
