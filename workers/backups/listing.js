/** Lists a store page after page: a page that holds nothing need not be the last one, and one that repeats never ends. */

import { withTimeout } from "../lib/timeout.js";

/** S3 answers so many empty pages at most where somebody deleted thousands of objects; beyond them it is no answer. */
const EMPTY_PAGES = 50;

const PAGE_MILLISECONDS = 30_000;

/**
 * @template Page
 * @param {(cursor: string | undefined) => Promise<Page>} ask for the page at a cursor, the first one without
 * @param {(page: Page) => string | undefined} nextOf the cursor of the page behind; undefined behind the last
 * @param {(page: Page) => number} sizeOf what a page holds
 * @yields {Page}
 */
export async function* pages(ask, nextOf, sizeOf) {
  /** @type {string | undefined} */
  let cursor;
  for (let empty = 0; empty < EMPTY_PAGES; ) {
    const page = await ask(cursor);
    yield page;
    const next = nextOf(page);
    if (next === undefined) return;
    if (next === cursor || next === "") break;
    empty = sizeOf(page) === 0 ? empty + 1 : 0;
    cursor = next;
  }
  throw new Stalled();
}

/**
 * @param {R2Bucket} bucket
 * @param {R2ListOptions} options
 * @returns {AsyncGenerator<R2Objects>} every page
 */
export function r2Pages(bucket, options) {
  return pages(
    (cursor) => withTimeout(bucket.list({ ...options, ...(cursor !== undefined && { cursor }) }), PAGE_MILLISECONDS),
    (page) => (page.truncated ? page.cursor : undefined),
    (page) => page.objects.length + page.delimitedPrefixes.length,
  );
}

/** A store that says that there is more, and does not come to it. */
export class Stalled extends Error {
  name = "Stalled";
}
