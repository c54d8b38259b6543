/**
 * A simulated clock for a Worker's time limits, so that no test depends on the speed of the machine. A limit expires when the
 * simulated time reaches it: `pass` advances the time, and `passing` advances it whenever only silent calls are pending. After
 * two minutes of real time every limit expires, so that a Worker that waits for ever ends with an error.
 */

export const TIMEOUT_MILLISECONDS = 120_000;

/** Long enough for all local consequences of an expired limit. */
const TURN_MILLISECONDS = 20;

/** The simulated time in milliseconds, since the last `forget`. */
let time = 0;

/** Whether a limit expired by real time. */
let overdue = false;

/** Limits that have neither expired nor been cancelled. @type {Set<{ due: number, over: () => void }>} */
const waiting = new Set();

/** The number of pending calls of bindings and requests, without those that never end. */
let calls = 0;

const turn = (milliseconds = TURN_MILLISECONDS) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function start(over, milliseconds) {
  const limit = { due: time + milliseconds, over };
  waiting.add(limit);
  const timer = setTimeout(() => {
    overdue ||= waiting.has(limit);
    end(limit);
  }, TIMEOUT_MILLISECONDS);
  return () => {
    waiting.delete(limit);
    clearTimeout(timer);
  };
}

/** Replaces AbortSignal.timeout. */
export function signal(milliseconds) {
  const controller = new AbortController();
  start(() => controller.abort(new DOMException("The operation timed out", "TimeoutError")), milliseconds);
  return controller.signal;
}

function end(limit) {
  if (waiting.delete(limit)) limit.over();
}

function next() {
  return [...waiting].sort((one, other) => one.due - other.due)[0];
}

/** Waits for a limit, then advances the time. Limits expire in order, each with a pause for its consequences. */
export async function pass(milliseconds) {
  for (let turns = 0; waiting.size === 0 && turns < TIMEOUT_MILLISECONDS / TURN_MILLISECONDS; turns++) await turn();
  const until = time + milliseconds;
  for (let limit = next(); limit !== undefined && limit.due <= until; limit = next()) {
    time = limit.due;
    end(limit);
    await turn();
  }
  time = until;
}

/** Counts a call in `calls` while it is pending. */
export async function counted(call) {
  calls += 1;
  try {
    return await call;
  } finally {
    calls -= 1;
  }
}

/** Lets the next limit expire whenever only silent calls are pending, until `work` has ended. Returns its result. */
export async function passing(work) {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  for (let idle = 0; !over; await turn(5)) {
    idle = calls === 0 ? idle + 1 : 0;
    const limit = idle > 3 ? next() : undefined;
    if (limit === undefined) continue;
    time = limit.due;
    end(limit);
    idle = 0;
  }
  return done;
}

/** Returns the simulated time in milliseconds. */
export function passed() {
  return time;
}

/** Returns the result of `work`. Throws if a limit expired by real time. */
export async function inTime(work) {
  const result = await work;
  if (overdue) throw new Error("the Worker waited two minutes for an event that never happened");
  return result;
}

/** Removes the limits of earlier tests and resets the time. */
export function forget() {
  waiting.clear();
  time = 0;
  overdue = false;
  calls = 0;
}
