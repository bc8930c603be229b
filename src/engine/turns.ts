/**
 * Tenants take turns. A claim begins behind the tenant whose turn it was last; a claim that is full in the middle of a
 * turn leaves the rest of it to the next one. So between two starts of a tenant that has tasks waiting, a worker starts at
 * most as many of each other tenant as that one has weight.
 */
import type { ClaimedRow, Turn } from "../store/queries/claim.ts";

/** Where the turns stand after a claim of at most `limit` tasks. */
export function turnAfter(
  turn: Turn,
  rows: readonly Pick<ClaimedRow, "tenant" | "place" | "quota">[],
  limit: number,
): Turn {
  // Everybody was served, each in whole rounds: whose turn it was, it is over.
  if (rows.length < limit) return { tenant: turn.tenant, left: 0 };
  const [first] = rows;
  if (first === undefined) return turn;
  const last = rows.reduce((a, b) => (b.place > a.place ? b : a), first);
  const served = rows.filter(({ place }) => place === last.place).length;
  return { tenant: last.tenant, left: Math.max(0, last.quota - served) };
}
