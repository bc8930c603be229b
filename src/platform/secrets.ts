/** Secrets: made of what nobody can guess, and kept as what nobody can turn back. */
import { createHash, randomBytes } from "node:crypto";

const secretBytes = 32;

/** @param prefix says what kind of secret it is to whoever finds it somewhere */
export function newSecret(prefix: string): string {
  return `${prefix}${randomBytes(secretBytes).toString("base64url")}`;
}

/** SHA-256 in hex. A secret of 256 random bits needs no slower one: there is nothing to try out. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
