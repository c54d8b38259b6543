/** What operators may ask for. Pure: JSON in, values or every problem out. */

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

const TITLE = 200;
const BODY = 5_000;

const HOUR_MINUTES = 60;
const DAY_MINUTES = 24 * HOUR_MINUTES;

/** An emergency is often declared by somebody whose hands are already in it. */
const PAST_MINUTES = 15;
/** Beyond these a time is more likely misspelt than meant. */
const LONGEST_DAYS = 7;
const FARTHEST_DAYS = 366;

/** A working day in every zone, and no week-end alone. */
const OVERLAP_HOURS = 72;

const OPEN = /** @type {const} */ (["investigating", "identified", "monitoring"]);

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 */
export function readIncident(given, components) {
  return checked(given, {
    title: line(TITLE),
    impact: oneOf(IMPACTS),
    components: optional(someOf(components), []),
    status: optional(oneOf(OPEN), OPEN[0]),
    body: text(BODY),
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
    body: text(BODY),
    title: optional(line(TITLE), undefined),
    impact: optional(oneOf(IMPACTS), undefined),
    components: optional(someOf(components), undefined),
    startedAt: optional(minute, undefined),
    endedAt: optional(minute, undefined),
  });
  const { status, body, ...changes } = read.value;
  if (status === "postmortem" && Object.values(changes).some((value) => value !== undefined)) {
    read.problems.push({ field: "status", problem: "is postmortem, which changes nothing else of the incident" });
  }
  return read;
}

/**
 * @param {{ status?: string | undefined, startedAt?: number | undefined, endedAt?: number | undefined }} given minutes
 * @param {Date} time
 * @returns {Problem[]} with an incident's times, as of now
 */
export function pastProblems({ status, startedAt, endedAt }, time) {
  const now = minuteOf(time);
  /** @type {Problem[]} */
  const problems = [];
  for (const [field, at] of Object.entries({ startedAt, endedAt })) {
    if (at === undefined) continue;
    if (at > now) problems.push({ field, problem: "must not lie ahead" });
    else if (at < now - HISTORY_DAYS * DAY_MINUTES) {
      problems.push({ field, problem: `must not lie more than ${HISTORY_DAYS} days back` });
    }
  }
  if (endedAt !== undefined && status !== "resolved") {
    problems.push({ field: "endedAt", problem: "is for status resolved alone" });
  } else if (startedAt !== undefined && endedAt !== undefined && endedAt < startedAt) {
    problems.push({ field: "endedAt", problem: "must not be before startedAt" });
  }
  return problems;
}

/** @param {unknown} given */
export function readAmendment(given) {
  const read = checked(given, {
    id: line(TITLE),
    body: optional(text(BODY), undefined),
    title: optional(line(TITLE), undefined),
  });
  if (read.problems.length === 0 && (read.value.body === undefined) === (read.value.title === undefined)) {
    read.problems.push({
      field: "",
      problem: "must hold either the body of an update or the title of what it is about",
    });
  }
  return read;
}

/** @param {unknown} given */
export function readRedaction(given) {
  return checked(given, { id: line(TITLE) });
}

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 */
export function readMaintenance(given, components) {
  return checked(given, {
    title: line(TITLE),
    body: text(BODY),
    components: notEmpty(someOf(components)),
    startsAt: minute,
    endsAt: minute,
    emergency: optional(yesOrNo, false),
  });
}

/**
 * @param {{ startsAt?: number, endsAt?: number, emergency?: boolean }} plan minutes; what could not be read is absent
 * @param {number} noticeHours that were promised
 * @param {Date} time
 * @returns {Problem[]} with its times, as of now
 */
export function timeProblems({ startsAt, endsAt, emergency = false }, noticeHours, time) {
  const now = minuteOf(time);
  /** @type {Problem[]} */
  const problems = [];
  if (startsAt !== undefined) {
    if (!emergency && startsAt * MINUTE < time.getTime() + noticeHours * HOUR_MINUTES * MINUTE) {
      const problem = `must be at least ${noticeHours} hours ahead, as was promised; with less notice it is an emergency (emergency: true), which excuses no minute`;
      problems.push({ field: "startsAt", problem });
    } else if (startsAt < now - PAST_MINUTES) {
      problems.push({ field: "startsAt", problem: `must not lie more than ${PAST_MINUTES} minutes back` });
    } else if (startsAt > now + FARTHEST_DAYS * DAY_MINUTES) {
      problems.push({ field: "startsAt", problem: `must not lie more than ${FARTHEST_DAYS} days ahead` });
    }
  }
  if (endsAt !== undefined && endsAt <= now) problems.push({ field: "endsAt", problem: "must lie ahead" });
  if (startsAt !== undefined && endsAt !== undefined) {
    if (endsAt <= startsAt) problems.push({ field: "endsAt", problem: "must be after startsAt" });
    if (endsAt > startsAt + LONGEST_DAYS * DAY_MINUTES) {
      problems.push({ field: "endsAt", problem: `must be at most ${LONGEST_DAYS} days after startsAt` });
    }
  }
  return problems;
}

/** @param {unknown} given */
export function readMaintenanceUpdate(given) {
  return checked(given, {
    body: text(BODY),
    status: optional(oneOf(/** @type {const} */ (["in_progress", "completed", "cancelled"])), undefined),
    endsAt: optional(minute, undefined),
  });
}

/**
 * @param {{ status: string | undefined, endsAt: number }} update
 * @param {{ start: number, until: number }} plan minutes
 * @param {Date} time
 * @returns {Problem[]} with a later end, as of now
 */
export function extensionProblems({ status, endsAt }, { start, until }, time) {
  const says = (/** @type {string} */ problem) => [{ field: "endsAt", problem }];
  if (status !== undefined) return says("is for updates without a status");
  if (endsAt <= minuteOf(time)) return says("must lie ahead");
  if (endsAt <= until) return says("must be later than the planned end; to end sooner, complete it");
  return endsAt > start + LONGEST_DAYS * DAY_MINUTES ? says(`must be at most ${LONGEST_DAYS} days after startsAt`) : [];
}

/**
 * @param {unknown} given
 * @param {readonly string[]} components ids
 * @param {string} page address of the status page
 */
export function readContact(given, components, page) {
  const read = checked(given, {
    name: line(TITLE),
    channel: oneOf(/** @type {const} */ (["email", "webhook"])),
    address: line(BODY),
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
  return checked(given, { update: line(TITLE), contact: line(TITLE) });
}
