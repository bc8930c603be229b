/**
 * What the desk did in the world: emails sent and money refunded, in a SQLite file that stands for the mail server and the
 * payment provider. As theirs would, it knows the idempotency key of every request, so that a repeated one changes nothing.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface Email {
  readonly to: string;
  readonly subject: string;
  readonly body: string;
}

export interface Refund {
  readonly orderId: string;
  readonly cents: number;
  readonly reason: string;
}

export interface DeskStore {
  /** @returns the number of the email; that of the first one if the key is known */
  putEmail(key: string, email: Email): number;
  /** @returns the number of the refund; that of the first one if the key is known, null if `maxCents` does not allow it */
  bookRefund(key: string, refund: Refund & { readonly maxCents: number }): number | null;
  refundNumber(key: string): number | null;
  refundedCents(orderId: string): number;
  emails(): Email[];
  refunds(): Refund[];
  close(): void;
}

const schema = `
  create table if not exists outbox (
    number integer primary key, key text not null unique, recipient text not null, subject text not null, body text not null,
    created_at text not null default current_timestamp
  );
  create table if not exists refunds (
    number integer primary key, key text not null unique, order_id text not null, cents integer not null check (cents > 0),
    reason text not null, created_at text not null default current_timestamp
  );
  create index if not exists refunds_order on refunds (order_id);
`;

/** The file is opened at the first use. */
export function openDeskStore(path: string): DeskStore {
  let opened: DatabaseSync | null = null;
  const database = (): DatabaseSync => (opened ??= open(path));
  const numberOf = (table: "outbox" | "refunds", key: string): number | null => {
    const row = database().prepare(`select number from ${table} where key = ?`).get(key);
    return row === undefined ? null : Number(row["number"]);
  };
  return {
    putEmail(key, { to, subject, body }) {
      const insert =
        "insert into outbox (key, recipient, subject, body) values (?, ?, ?, ?) on conflict (key) do nothing";
      database().prepare(insert).run(key, to, subject, body);
      return Number(numberOf("outbox", key));
    },
    bookRefund(key, { orderId, cents, reason, maxCents }) {
      // One statement, so that two refunds at the same time cannot both find the whole sum left.
      const insert = `insert into refunds (key, order_id, cents, reason)
        select ?, ?, ?, ? where (select coalesce(sum(cents), 0) from refunds where order_id = ?) + ? <= ?
        on conflict (key) do nothing`;
      database().prepare(insert).run(key, orderId, cents, reason, orderId, cents, maxCents);
      return numberOf("refunds", key);
    },
    refundNumber: (key) => numberOf("refunds", key),
    refundedCents(orderId) {
      const row = database()
        .prepare("select coalesce(sum(cents), 0) as cents from refunds where order_id = ?")
        .get(orderId);
      return Number(row?.["cents"]);
    },
    emails() {
      const rows = database().prepare("select recipient, subject, body from outbox order by number").all();
      return rows.map((row) => ({
        to: String(row["recipient"]),
        subject: String(row["subject"]),
        body: String(row["body"]),
      }));
    },
    refunds() {
      const rows = database().prepare("select order_id, cents, reason from refunds order by number").all();
      return rows.map((row) => ({
        orderId: String(row["order_id"]),
        cents: Number(row["cents"]),
        reason: String(row["reason"]),
      }));
    },
    close() {
      opened?.close();
      opened = null;
    },
  };
}

function open(path: string): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true });
  // Several processes may serve the desk: each waits for the other's write.
  const database = new DatabaseSync(path, { timeout: 5000 });
  database.exec("pragma journal_mode = wal");
  database.exec(schema);
  return database;
}
