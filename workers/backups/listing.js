/** Pagination of listings. An empty page is not necessarily the last one, and a store that repeats pages must not cause a loop. */

import { withTimeout } from "../lib/timeout.js";

/** Limit of consecutive empty pages. S3 returns a few of them where thousands of objects were deleted. */
const EMPTY_PAGES = 50;

const PAGE_TIMEOUT_MILLISECONDS = 30_000;

/**
 * Yields every page of a listing.
 *
 * @template Page
 * @param {(cursor: string | undefined) => Promise<Page>} fetchPage returns the page at a cursor, or the first page without one
 * @param {(page: Page) => string | undefined} nextOf returns the cursor of the next page; undefined for the last page
 * @param {(page: Page) => number} sizeOf returns the number of entries on a page
 * @yields {Page}
 * @throws {StalledListing}
 */
export async function* pages(fetchPage, nextOf, sizeOf) {
  /** @type {string | undefined} */
  let cursor;
  for (let empty = 0; empty < EMPTY_PAGES; ) {
    const page = await fetchPage(cursor);
    yield page;
    const next = nextOf(page);
    if (next === undefined) return;
    if (next === cursor || next === "") break;
    empty = sizeOf(page) === 0 ? empty + 1 : 0;
    cursor = next;
  }
  throw new StalledListing();
}

/**
 * @param {R2Bucket} bucket
 * @param {R2ListOptions} options
 * @returns {AsyncGenerator<R2Objects>} every page
 */
export function r2Pages(bucket, options) {
  return pages(
    (cursor) =>
      withTimeout(bucket.list({ ...options, ...(cursor !== undefined && { cursor }) }), PAGE_TIMEOUT_MILLISECONDS),
    (page) => (page.truncated ? page.cursor : undefined),
    (page) => page.objects.length + page.delimitedPrefixes.length,
  );
}

/** A store announces further pages, but returns the same cursor again or only empty pages. */
export class StalledListing extends Error {
  name = "StalledListing";
}
