/** Structured log: one line of JSON for each event. Workers observability indexes its fields. */

/**
 * Returns the name of an error, without its message: the message may contain an address or a credential.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function failureName(error) {
  return error instanceof Error ? error.name : "Error";
}

/**
 * @param {string} event what happened, for example `"object not replicated"`
 * @param {Record<string, unknown>} fields
 */
export function logFailure(event, fields) {
  console.error(JSON.stringify({ event, ...fields }));
}
