/** Feeds scripted answers to the PostgreSQL client. Stdin: a list of answers, each a list of chunks in base64. */

import { readFileSync } from "node:fs";
import { Connection } from "../../workers/api/postgres.js";

async function outcome(chunks) {
  const readable = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new Uint8Array(Buffer.from(chunk, "base64")));
      controller.close();
    },
  });
  const socket = { readable, writable: new WritableStream(), close: async () => {} };
  try {
    return { rows: await new Connection(socket, new AbortController().signal).query("SELECT") };
  } catch (error) {
    return { error: error.name, sqlState: error.sqlState };
  }
}

const outcomes = [];
for (const chunks of JSON.parse(readFileSync(0, "utf8"))) outcomes.push(await outcome(chunks));
process.stdout.write(JSON.stringify(outcomes));
