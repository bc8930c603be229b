/**
 * Durations, counted so that the counts of many processes can be added up: bucket by bucket, each a tenth wider than the one
 * before. A percentile is that much too large at most.
 */
const firstMs = 5;
const growth = 1.1;
/** Up to about 15 minutes; what is longer counts in the last. */
const buckets = 128;

export type Histogram = number[];

export function emptyHistogram(): Histogram {
  return Array.from({ length: buckets }, () => 0);
}

export function addTo(histogram: Histogram, ms: number): void {
  const bucket = ms <= firstMs ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(ms / firstMs) / Math.log(growth) - 1e-9));
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
}

export function sumOf(one: Histogram, other: Histogram): Histogram {
  return one.map((count, bucket) => count + (other[bucket] ?? 0));
}

/** @returns the duration that so many do not exceed, in milliseconds; null: there is none */
export function percentileOf(histogram: Histogram, share: number): number | null {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = Math.max(1, Math.ceil(total * share));
  const bucket = histogram.findIndex((count) => (left -= count) <= 0);
  return Math.round(firstMs * growth ** bucket);
}
