/** Deletes what the rotation no longer keeps, in every store alike: planned a day ahead, published, then done. */

import { now } from "../../lib/clock.js";
import { notFound } from "../../lib/http.js";
import { opened } from "../database.js";
import { alone } from "../lease.js";
import { recordRun } from "../runs.js";
import { ageOut } from "./plan.js";

/** @import { Env } from "./plan.js" */

/** A clock that is off deletes too early: nothing happens when it and the schedule disagree by more. */
const CLOCK_MILLISECONDS = 600_000;

/** @satisfies {ExportedHandler<Env>} */
export default {
  fetch: notFound,

  async scheduled(controller, env) {
    const db = await opened(env.DB);
    const scheduled = new Date(controller.scheduledTime);
    await alone(db, "age-out", now(env), () =>
      recordRun(db, "age-out", scheduled, async () => {
        if (Math.abs(now(env).getTime() - scheduled.getTime()) > CLOCK_MILLISECONDS) throw new ClockError();
        return ageOut(env, db, scheduled);
      }),
    );
  },
};

class ClockError extends Error {
  name = "ClockError";
}
