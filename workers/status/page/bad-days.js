/** Lists the bad days of each component with links to their incidents and maintenances. Pure. */

import { DAY_MINUTES, MINUTE } from "../uptime.js";
import { badDays, trouble } from "./days.js";
import { escaped } from "./html.js";

/** @import { History, Snapshot } from "../model.js" */

const DAY = DAY_MINUTES * MINUTE;

/**
 * @param {Snapshot} snapshot
 * @param {History} history
 * @returns {string} HTML
 */
export function badDayList({ components, time }, history) {
  const parts = components.flatMap(({ id, name }) => {
    const days = badDays(history.days[id] ?? [], time);
    if (days.length === 0) return [];
    const items = days.map((day) => `<li>${trouble(day)}: ${reasonsOf(id, day.day, history, time)}`);
    return [`<article><h3>${escaped(name)}</h3><ul>${items.join("\n")}</ul></article>`];
  });
  return parts.join("\n") || "<p>None.</p>";
}

/**
 * @param {string} component id
 * @param {number} day
 * @param {History} history
 * @param {Date} time
 * @returns {string} HTML: links to incidents and maintenances of the component on that day
 */
function reasonsOf(component, day, { incidents, incidentsTotal, maintenances }, time) {
  const [from, to] = [day * DAY, (day + 1) * DAY];
  const touches = (/** @type {string[]} */ components) => components.length === 0 || components.includes(component);
  const during = (/** @type {Date} */ start, /** @type {Date} */ end) => start.getTime() < to && end.getTime() >= from;
  const announced = [
    ...incidents
      .filter((one) => touches(one.components) && during(one.startedAt, one.resolvedAt ?? time))
      .map((one) => ({ ...one, path: "incidents" })),
    ...maintenances
      .filter((one) => one.status !== "cancelled" && touches(one.components) && during(one.startsAt, one.endsAt))
      .map((one) => ({ ...one, path: "maintenance" })),
  ];
  const links = announced.map(
    ({ id, title, path }) => `<a href="/${path}/${escaped(id)}" dir=auto>${escaped(title)}</a>`,
  );
  if (links.length > 0) return links.join(", ");
  // If not all incidents were read, one of the others may have been on that day.
  return incidentsTotal > incidents.length ? "our checks failed" : "our checks failed; no incident was declared";
}
