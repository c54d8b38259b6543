/** One line of JSON per event, which Workers observability indexes by field. */

/**
 * Names the kind of a failure and leaves out its text, which may hold an address or a credential.
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
