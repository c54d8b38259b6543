/** Runs in the reader's browser, where the page has put its source; see live.js. */
export function live(): void;
