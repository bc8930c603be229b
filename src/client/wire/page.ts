/** What lists answer. */

/** A page of a list; `next_cursor` is what to pass as `cursor` for the next one, null at the end. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
