/**
 * Runs the API's check of backups for many stanzas in a slow bucket. Prints the result, the largest number of simultaneous
 * requests, and the duration in milliseconds of a mock clock, which stands still while the check computes.
 */

import { mock } from "node:test";
import { checkBackups } from "../../workers/api/checks.js";

const [stanzas, milliseconds] = process.argv.slice(2).map(Number);
mock.timers.enable({ apis: ["setTimeout"] });
let asking = 0;
let most = 0;
const bucket = {
  async head() {
    asking += 1;
    most = Math.max(most, asking);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    asking -= 1;
    return { uploaded: new Date() };
  },
};
let health;
const checked = checkBackups({ BACKUPS: bucket, STANZAS: Array.from({ length: stanzas }, (_, index) => `group-${index}`) });
checked.then((found) => {
  health = found;
});
let took = 0;
while (health === undefined) {
  await new Promise((resolve) => setImmediate(resolve)); // run everything that does not wait for the clock
  if (health === undefined) mock.timers.tick(1);
  took += 1;
}
process.stdout.write(JSON.stringify({ health, most, took }));
