/** Validates the bodies of operators' requests: JSON in, values or every problem out. Pure. */

import { IMPACTS } from "../judge.js";
import { HISTORY_DAYS } from "../model.js";
import { MINUTE, minuteOf } from "../uptime.js";
import { addressOf } from "./addresses.js";
import {
  checked,
  line,
  minute,
  notEmpty,
  nullable,
  oneOf,
  optional,
  someOf,
  text,
  wholeFrom,
  yesOrNo,
} from "./checks.js";

/** @import { Problem } from "./checks.js" */

const TITLE_CHARACTERS = 200;
const BODY_CHARACTERS = 5_000;

const HOUR_MINUTES = 60;
const DAY_MINUTES = 24 * HOUR_MINUTES;

/** Emergency maintenance is often announced only after the work has begun. */
const PAST_MINUTES = 15;
/** Longer durations and later starts are probably typing errors. */
const MAX_DURATION_DAYS = 7;
const MAX_AHEAD_DAYS = 366;

/** Includes a working day in every time zone, also over a week-end. */
const OVERLAP_HOURS = 72;

const OPEN = /** @type {const} */ (["investigating", "identified", "monitoring"]);

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 */
export function readIncident(given, components) {
  return checked(given, {
    title: line(TITLE_CHARACTERS),
    impact: oneOf(IMPACTS),
    components: optional(someOf(components), []),
    status: optional(oneOf(OPEN), OPEN[0]),
    body: text(BODY_CHARACTERS),
    startedAt: optional(minute, undefined),
  });
}

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 */
export function readIncidentUpdate(given, components) {
  const read = checked(given, {
    status: oneOf(/** @type {const} */ ([...OPEN, "resolved", "postmortem"])),
    body: text(BODY_CHARACTERS),
    title: optional(line(TITLE_CHARACTERS), undefined),
    impact: optional(oneOf(IMPACTS), undefined),
    components: optional(someOf(components), undefined),
    startedAt: optional(minute, undefined),
    endedAt: optional(minute, undefined),
  });
  const { status, body, ...changes } = read.value;
  if (status === "postmortem" && Object.values(changes).some((value) => value !== undefined)) {
    read.problems.push({ field: "status", problem: "postmortem cannot be combined with changes of the incident" });
  }
  return read;
}

/**
 * @param {{ status?: string | undefined, startedAt?: number | undefined, endedAt?: number | undefined }} given minutes
 * @param {Date} time
 * @returns {Problem[]} with an incident's times, relative to now
 */
export function pastProblems({ status, startedAt, endedAt }, time) {
  const now = minuteOf(time);
  /** @type {Problem[]} */
  const problems = [];
  for (const [field, at] of Object.entries({ startedAt, endedAt })) {
    if (at === undefined) continue;
    if (at > now) problems.push({ field, problem: "must not be in the future" });
    else if (at < now - HISTORY_DAYS * DAY_MINUTES) {
      problems.push({ field, problem: `must not be more than ${HISTORY_DAYS} days ago` });
    }
  }
  if (endedAt !== undefined && status !== "resolved") {
    problems.push({ field: "endedAt", problem: "is only valid with status resolved" });
  } else if (startedAt !== undefined && endedAt !== undefined && endedAt < startedAt) {
    problems.push({ field: "endedAt", problem: "must not be before startedAt" });
  }
  return problems;
}

/** @param {unknown} given */
export function readAmendment(given) {
  const read = checked(given, {
    id: line(TITLE_CHARACTERS),
    body: optional(text(BODY_CHARACTERS), undefined),
    title: optional(line(TITLE_CHARACTERS), undefined),
  });
  if (read.problems.length === 0 && (read.value.body === undefined) === (read.value.title === undefined)) {
    read.problems.push({
      field: "",
      problem: "must contain either body (of an update) or title (of an incident or maintenance)",
    });
  }
  return read;
}

/** @param {unknown} given */
export function readRedaction(given) {
  return checked(given, { id: line(TITLE_CHARACTERS) });
}

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 */
export function readMaintenance(given, components) {
  return checked(given, {
    title: line(TITLE_CHARACTERS),
    body: text(BODY_CHARACTERS),
    components: notEmpty(someOf(components)),
    startsAt: minute,
    endsAt: minute,
    emergency: optional(yesOrNo, false),
  });
}

/**
 * @param {{ startsAt?: number, endsAt?: number, emergency?: boolean }} plan minutes; invalid fields are absent
 * @param {number} noticeHours promised notice
 * @param {Date} time
 * @returns {Problem[]} with the maintenance's times, relative to now
 */
export function timeProblems({ startsAt, endsAt, emergency = false }, noticeHours, time) {
  const now = minuteOf(time);
  /** @type {Problem[]} */
  const problems = [];
  if (startsAt !== undefined) {
    if (!emergency && startsAt * MINUTE < time.getTime() + noticeHours * HOUR_MINUTES * MINUTE) {
      const problem = `must be at least ${noticeHours} hours ahead (the promised notice); with less notice declare it an emergency (emergency: true), whose downtime is not excused`;
      problems.push({ field: "startsAt", problem });
    } else if (startsAt < now - PAST_MINUTES) {
      problems.push({ field: "startsAt", problem: `must not be more than ${PAST_MINUTES} minutes ago` });
    } else if (startsAt > now + MAX_AHEAD_DAYS * DAY_MINUTES) {
      problems.push({ field: "startsAt", problem: `must not be more than ${MAX_AHEAD_DAYS} days ahead` });
    }
  }
  if (endsAt !== undefined && endsAt <= now) problems.push({ field: "endsAt", problem: "must be in the future" });
  if (startsAt !== undefined && endsAt !== undefined) {
    if (endsAt <= startsAt) problems.push({ field: "endsAt", problem: "must be after startsAt" });
    if (endsAt > startsAt + MAX_DURATION_DAYS * DAY_MINUTES) {
      problems.push({ field: "endsAt", problem: `must be at most ${MAX_DURATION_DAYS} days after startsAt` });
    }
  }
  return problems;
}

/** @param {unknown} given */
export function readMaintenanceUpdate(given) {
  return checked(given, {
    body: text(BODY_CHARACTERS),
    status: optional(oneOf(/** @type {const} */ (["in_progress", "completed", "cancelled"])), undefined),
    endsAt: optional(minute, undefined),
  });
}

/**
 * @param {{ status: string | undefined, endsAt: number }} update
 * @param {{ start: number, until: number }} plan minutes
 * @param {Date} time
 * @returns {Problem[]} with the new end, relative to now
 */
export function extensionProblems({ status, endsAt }, { start, until }, time) {
  const problemOf = (/** @type {string} */ problem) => [{ field: "endsAt", problem }];
  if (status !== undefined) return problemOf("cannot be combined with status");
  if (endsAt <= minuteOf(time)) return problemOf("must be in the future");
  if (endsAt <= until) return problemOf("must be later than the planned end; to end earlier, complete the maintenance");
  return endsAt > start + MAX_DURATION_DAYS * DAY_MINUTES
    ? problemOf(`must be at most ${MAX_DURATION_DAYS} days after startsAt`)
    : [];
}

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 * @param {string} page URL of the status page
 */
export function readContact(given, components, page) {
  const read = checked(given, {
    name: line(TITLE_CHARACTERS),
    channel: oneOf(/** @type {const} */ (["email", "webhook"])),
    address: line(BODY_CHARACTERS),
    components: optional(nullable(notEmpty(someOf(components))), null),
    minimum: optional(oneOf(IMPACTS), /** @type {const} */ ("major")),
  });
  const { channel, address } = /** @type {Partial<typeof read.value>} */ (read.value);
  if (channel !== undefined && address !== undefined) {
    const result = addressOf(channel, address, page);
    if ("value" in result) read.value.address = result.value;
    else read.problems.push({ field: "address", problem: result.problem });
  }
  return read;
}

/** @param {unknown} given */
export function readRotation(given) {
  return checked(given, { overlapHours: optional(wholeFrom(0, OVERLAP_HOURS * 7), OVERLAP_HOURS) });
}

/** @param {unknown} given */
export function readRetry(given) {
  return checked(given, { update: line(TITLE_CHARACTERS), contact: line(TITLE_CHARACTERS) });
}
