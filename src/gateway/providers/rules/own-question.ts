/** The phrase by which this model knows its own question again when the user replies to it. */
export const askingPhrase = "I need to know";

export function isOwnQuestion(text: string): boolean {
  return text.includes(`, ${askingPhrase}`);
}
