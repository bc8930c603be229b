/** What travels between processes: JSON texts that fit into what a carrier takes. */

/** NOTIFY takes fewer than 8,000 in a payload. */
const mostBytes = 7_900;

/**
 * JSON texts as lists of them, as few as they fit in, in order. A text that does not even fit alone is left out.
 * @param aroundBytes what the caller puts around each list
 */
export function packLists(items: readonly string[], aroundBytes = 0): string[] {
  const lists: string[] = [];
  const room = mostBytes - aroundBytes;
  let list: string[] = [];
  let bytes = 2;
  for (const item of items) {
    const itemBytes = Buffer.byteLength(item) + 1;
    if (itemBytes + 2 > room) continue;
    if (bytes + itemBytes > room) {
      lists.push(`[${list.join(",")}]`);
      list = [];
      bytes = 2;
    }
    list.push(item);
    bytes += itemBytes;
  }
  if (list.length > 0) lists.push(`[${list.join(",")}]`);
  return lists;
}

/** Undefined: it is no JSON. Whoever may connect may shout on the channel. */
export function parsePayload(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}
