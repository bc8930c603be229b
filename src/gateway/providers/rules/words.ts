/** Words as the rules compare them: lower case, cut to a stem so that "orders", "ordered" and "ordering" are one. */

/** The words of a text in lower case, possessives cut. */
export function wordsOf(text: string): string[] {
  return (
    text
      .toLowerCase()
      .replaceAll(/['’]s\b/gu, "")
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

/** The words of an identifier: `findOrder`, `find_order` and `find-order` all give find, order. */
export function nameWords(name: string): string[] {
  return wordsOf(name.replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, "$1 $2").replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2"));
}

const abbreviations = new Set(["usd", "eur", "gbp", "url", "sku", "vat", "iban"]);

/** How an identifier is said to a person: `orderId` is "order id". */
export function spoken(name: string): string {
  const words = nameWords(name).map((word) => (abbreviations.has(word) ? word.toUpperCase() : word));
  return words.length === 0 ? name : words.join(" ");
}

/** Longer words are none, and would take the patterns below quadratic time. */
const longestWord = 40;

/** Crude on purpose: equal stems matter, not real words. */
export function stem(word: string): string {
  if (word.length <= 3 || word.length > longestWord) return word;
  let base = word;
  if (base.endsWith("ies")) base = `${base.slice(0, -3)}y`;
  else if (/(?:ss|x|z|ch|sh)es$/u.test(base)) base = base.slice(0, -2);
  else if (base.endsWith("s") && !/(?:ss|us|is)$/u.test(base)) base = base.slice(0, -1);
  const cut = /^(.*[aeiouy].*)(?:ing|ed|ation|ment)$/u.exec(base)?.[1];
  if (cut !== undefined && cut.length >= 3) base = cut;
  return base.replace(/([bcdfghjklmnpqrstvwxz])\1$/u, "$1").replace(/(?<=...)[eyi]$/u, "");
}

export function stemsOf(text: string): string[] {
  return wordsOf(text).map(stem);
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
