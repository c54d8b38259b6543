/** Validates input field by field and reports every problem. Pure. */

/** @typedef {{ field: string, problem: string }} Problem */
/** @template T @typedef {{ value: T } | { problem: string }} Checked */
/** @template T @typedef {(given: unknown) => Checked<T>} Check */

/** Letters and symbols except invisible ones: default-ignorable characters and the blank Braille pattern. */
const VISIBLE = /(?![\p{Default_Ignorable_Code_Point}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u;

/** Directional formatting characters, which also affect the text beside a line. */
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/;

/** Control characters and line or paragraph separators. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const CONTROL_BUT_LINES = /[^\P{Cc}\n\r\t]/u;

const TIME = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d)(:00(\.0+)?)?(Z|[+-](0\d|1[0-4]):[0-5]\d)$/;

const MINUTE = 60_000;

/**
 * @template {Record<string, unknown>} T
 * @param {unknown} given
 * @param {{ [Field in keyof T]: Check<T[Field]> }} checks
 * @returns {{ value: T, problems: Problem[] }} `value` is complete only without problems
 */
export function checked(given, checks) {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return { value: /** @type {T} */ ({}), problems: [{ field: "", problem: "must be an object" }] };
  }
  /** @type {Record<string, unknown>} */
  const fields = { ...given };
  /** @type {Record<string, unknown>} */
  const value = {};
  const problems = Object.keys(fields)
    .filter((field) => !Object.hasOwn(checks, field))
    .map((field) => ({ field, problem: `is unknown; valid fields are ${Object.keys(checks).join(", ")}` }));
  for (const [field, check] of Object.entries(checks)) {
    const result = check(fields[field]);
    if ("value" in result) value[field] = result.value;
    else problems.push({ field, problem: fields[field] === undefined ? "is missing" : result.problem });
  }
  return { value: /** @type {T} */ (value), problems };
}

/**
 * @template T, F
 * @param {Check<T>} check
 * @param {F} fallback value of a missing field
 * @returns {Check<T | F>}
 */
export function optional(check, fallback) {
  return (given) => (given === undefined ? { value: fallback } : check(given));
}

/**
 * @template T
 * @param {Check<T>} check
 * @returns {Check<T | null>}
 */
export function nullable(check) {
  return (given) => (given === null ? { value: null } : check(given));
}

/**
 * @param {number} limit characters
 * @returns {Check<string>} one line
 */
export function line(limit) {
  return (given) => {
    const result = text(limit)(given);
    if ("problem" in result) return result;
    if (CONTROL.test(result.value)) return { problem: "must be one line, without control characters" };
    return DIRECTION.test(result.value)
      ? { problem: "must not contain directional formatting characters (U+202A to U+202E, U+2066 to U+2069)" }
      : result;
  };
}

/**
 * @param {number} limit characters
 * @returns {Check<string>} lines
 */
export function text(limit) {
  return (given) => {
    if (typeof given !== "string") return { problem: "must be a text" };
    if (!VISIBLE.test(given)) return { problem: "must contain a visible character" };
    if (!given.isWellFormed()) return { problem: "must not contain unpaired surrogates" };
    if (CONTROL_BUT_LINES.test(given)) return { problem: "must not contain control characters" };
    const length = [...given].length;
    return length > limit ? { problem: `has ${length} characters; at most ${limit} are allowed` } : { value: given };
  };
}

/** @type {Check<boolean>} */
export function yesOrNo(given) {
  return typeof given === "boolean" ? { value: given } : { problem: "must be true or false" };
}

/**
 * @param {number} least
 * @param {number} most
 * @returns {Check<number>}
 */
export function wholeFrom(least, most) {
  return (given) =>
    Number.isInteger(given) && Number(given) >= least && Number(given) <= most
      ? { value: Number(given) }
      : { problem: `must be a whole number from ${least} to ${most}` };
}

/**
 * @template {string} T
 * @param {readonly T[]} allowed
 * @returns {Check<T>}
 */
export function oneOf(allowed) {
  return (given) => {
    const found = allowed.find((value) => value === given);
    return found === undefined ? { problem: `must be one of ${allowed.join(", ")}` } : { value: found };
  };
}

/**
 * @param {readonly string[]} allowed
 * @returns {Check<string[]>} each at most once
 */
export function someOf(allowed) {
  return (given) => {
    if (!Array.isArray(given)) return { problem: `must be a list of ${allowed.join(", ")}` };
    const unknown = given.filter((value) => !allowed.includes(value));
    if (unknown.length > 0) {
      return { problem: `${JSON.stringify(unknown[0])} is unknown; valid values are ${allowed.join(", ")}` };
    }
    return new Set(given).size < given.length ? { problem: "contains a duplicate" } : { value: given };
  };
}

/**
 * @template {unknown[]} T
 * @param {Check<T>} check
 * @returns {Check<T>}
 */
export function notEmpty(check) {
  return (given) => {
    const result = check(given);
    return "value" in result && result.value.length === 0 ? { problem: "must contain at least one" } : result;
  };
}

/** A time with its zone, as whole minutes since 1970-01-01T00:00Z. @type {Check<number>} */
export function minute(given) {
  const problem = "must be a whole minute with its zone, such as 2026-12-01T02:00Z";
  const found = typeof given === "string" ? TIME.exec(given) : null;
  if (found === null) return { problem };
  const [year, month, day] = found.slice(1, 4).map(Number);
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, day));
  // Date.UTC turns the 31st of a short month into the first of the next one.
  if (date.getUTCMonth() + 1 !== month || date.getUTCDate() !== day) return { problem: "is not a valid date" };
  return { value: Date.parse(/** @type {string} */ (given)) / MINUTE };
}
