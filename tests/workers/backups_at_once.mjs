/** Checks the backups of many stanzas in a slow bucket; says what came out, and how many were asked for at once. */

import { checkBackups } from "../../workers/api/checks.js";

const [stanzas, milliseconds] = process.argv.slice(2).map(Number);
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
const began = performance.now();
const health = await checkBackups({ BACKUPS: bucket, STANZAS: Array.from({ length: stanzas }, (_, index) => `group-${index}`) });
const took = performance.now() - began;
process.stdout.write(JSON.stringify({ health, most, took }));
