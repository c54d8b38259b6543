/**
 * The clock of a Worker's limits in tests: how fast the machine is must decide nothing. A limit is over once the test's
 * own time has passed, by `pass`, or by itself while `passing` looks on; or after two minutes of the machine's time, so that a
 * Worker that waits for what never comes still ends: with an error.
 */

export const GENEROUS_MILLISECONDS = 120_000;

/** A turn of the event loop, long enough for all that follows from a limit without the network to have happened. */
const TURN_MILLISECONDS = 20;

/** Milliseconds since the test began, or since something was silent. */
let time = 0;

/** Whether a limit ended by the machine's time. */
let overdue = false;

/** Limits that are neither over nor called off. @type {Set<{ due: number, over: () => void }>} */
const waiting = new Set();

/** Calls of bindings and requests that are not over, but for those which never will be. */
let calls = 0;

const turn = (milliseconds = TURN_MILLISECONDS) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function start(over, milliseconds) {
  const limit = { due: time + milliseconds, over };
  waiting.add(limit);
  const timer = setTimeout(() => {
    overdue ||= waiting.has(limit);
    end(limit);
  }, GENEROUS_MILLISECONDS);
  return () => {
    waiting.delete(limit);
    clearTimeout(timer);
  };
}

/** In the place of AbortSignal.timeout. */
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

/** Lets time pass, once there is a limit that waits; limits end in their order, and each has its consequences first. */
export async function pass(milliseconds) {
  for (let turns = 0; waiting.size === 0 && turns < GENEROUS_MILLISECONDS / TURN_MILLISECONDS; turns++) await turn();
  const until = time + milliseconds;
  for (let limit = next(); limit !== undefined && limit.due <= until; limit = next()) {
    time = limit.due;
    end(limit);
    await turn();
  }
  time = until;
}

/** Counts a call while it is not over. */
export async function counted(call) {
  calls += 1;
  try {
    return await call;
  } finally {
    calls -= 1;
  }
}

/** Until `work` is over: lets the next limit end whenever nothing but silence is waited for. Answers with `work`'s outcome. */
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

/** How much time has passed. */
export function passed() {
  return time;
}

/** Fails when a Worker would have waited longer than the test's own time. */
export async function inTime(work) {
  const result = await work;
  if (overdue) throw new Error("the Worker waits for what never comes");
  return result;
}

/** What a test before has left waits no more, and the time begins anew. */
export function forget() {
  waiting.clear();
  time = 0;
  overdue = false;
  calls = 0;
}
