/** Miniflare, with two of its faults mended: those of sockets.mjs, and lost answers of synchronous calls. */

import { fileURLToPath, pathToFileURL } from "node:url";
import "./sockets.mjs";

/**
 * Miniflare 4 waits for the answer of a synchronous call (a property of a binding, `prepare` of D1) without looking at the value
 * that it waits for. If its thread is interrupted between the change of the value and the notification, the late notification
 * ends the wait of the next call: that one and all later calls fail. So a wait ends only when the value differs. Mended in
 * miniflare 5 (https://github.com/cloudflare/workers-sdk/pull/15552).
 */
const wait = Atomics.wait;
Atomics.wait = (array, index, value, ...timeout) => {
  for (;;) {
    const outcome = wait(array, index, value, ...timeout);
    if (outcome !== "ok" || Atomics.load(array, index) !== value) return outcome;
  }
};

const MODULE = fileURLToPath(new URL("../../workers/node_modules/miniflare/dist/src/index.js", import.meta.url));
export const { Log, LogLevel, Miniflare } = await import(pathToFileURL(MODULE).href);
