/** The age-out Worker deletes the objects that the rotation no longer keeps, in every store, a day after it planned that. */

import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { openDatabase } from "../database.js";
import { withLease } from "../lease.js";
import { recordRun } from "../runs.js";
import { ageOut } from "./plan.js";

/** @import { Env } from "./plan.js" */

/** A wrong clock would delete too early, so the run fails when clock and schedule differ by more than this. */
const CLOCK_TOLERANCE_MILLISECONDS = 600_000;

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const db = await openDatabase(env.DB);
    const scheduled = new Date(controller.scheduledTime);
    await withLease(db, "age-out", now(env), () =>
      recordRun(db, "age-out", scheduled, async () => {
        if (Math.abs(now(env).getTime() - scheduled.getTime()) > CLOCK_TOLERANCE_MILLISECONDS) throw new ClockError();
        return ageOut(env, db, scheduled);
      }),
    );
  },
};

class ClockError extends Error {
  name = "ClockError";
}
