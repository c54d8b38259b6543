/** Calls Cloudflare Workers at the minutes of their cron triggers. */

const MINUTE = 60_000;

/**
 * Returns whether a cron trigger fires in a minute. If days of the month and days of the week are both restricted, one of them
 * must match.
 *
 * @param {{ minutes: number[], hours: number[], days: number[] | null, months: number[], weekdays: number[] | null }} cron null: any day;
 *   Sunday is 0
 * @param {Date} time
 */
export function fires({ minutes, hours, days, months, weekdays }, time) {
  const onDay = days?.includes(time.getUTCDate()) ?? false;
  const onWeekday = weekdays?.includes(time.getUTCDay()) ?? false;
  return (
    minutes.includes(time.getUTCMinutes()) &&
    hours.includes(time.getUTCHours()) &&
    months.includes(time.getUTCMonth() + 1) &&
    (onDay || onWeekday || (days === null && weekdays === null))
  );
}

export class Schedules {
  /** @type {({ script: string, cron: string } & Parameters<typeof fires>[0])[]} */
  triggers = [];
  #call;
  #running = new Set();
  #paused = false;

  /** @param {(script: string, cron: string, time: Date) => Promise<unknown>} call calls a Worker */
  constructor(call) {
    this.#call = call;
    this.#wait();
  }

  /** Calls no Worker until `resume`, and waits for the running calls. */
  async pause() {
    this.#paused = true;
    await Promise.all(this.#running);
  }

  resume() {
    this.#paused = false;
  }

  #wait() {
    const next = new Date((Math.floor(Date.now() / MINUTE) + 1) * MINUTE);
    setTimeout(() => {
      this.#fire(next);
      this.#wait();
    }, next.getTime() - Date.now());
  }

  #fire(time) {
    if (this.#paused) return;
    for (const trigger of this.triggers.filter((one) => fires(one, time))) {
      const { script, cron } = trigger;
      const call = this.#call(script, cron, time)
        .catch((error) => console.error(`${script} could not be called for its schedule ${cron}: ${error}`))
        .finally(() => this.#running.delete(call));
      this.#running.add(call);
    }
  }
}
