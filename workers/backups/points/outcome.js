/** How the wait for a backup's point ends, and the findings about backups without one. */

import { open } from "../findings.js";

/** @import { Member } from "./choice.js" */

/**
 * Ends the wait for a backup's point: the backup stays without one.
 *
 * @param {D1Database} db
 * @param {Member} member
 * @param {readonly string[]} groups for which a finding is opened
 * @param {string} why
 * @param {Date} time
 */
export async function miss(db, member, groups, why, time) {
  await db.batch([
    db
      .prepare("UPDATE promotions SET point = NULL, segment = NULL WHERE class = ?1 AND grp = ?2 AND run = ?3")
      .bind(member.class, member.grp, member.run),
    settled(db, member, time),
  ]);
  await warn(db, member, groups, why, time);
}

/**
 * @param {D1Database} db
 * @param {Member} member
 * @param {Date} time
 * @returns {D1PreparedStatement}
 */
export function settled(db, { class: folder, grp, run }, time) {
  return db
    .prepare("UPDATE promotions SET settled_at = ?4 WHERE class = ?1 AND grp = ?2 AND run = ?3")
    .bind(folder, grp, run, time.toISOString());
}

/**
 * Opens the finding that a backup has no point; none for a group that is not in `groups`.
 *
 * @param {D1Database} db
 * @param {Member} member
 * @param {readonly string[]} groups
 * @param {string} why
 * @param {Date} time
 */
export async function warn(db, { class: folder, grp, run }, groups, why, time) {
  if (!groups.includes(grp)) return;
  const detail = `${why}; this backup can be restored by itself, but not to the same point as the other groups. The finding ends with the group's next backup that has a point`;
  await open(db, { kind: "incomplete", store: "primary", key: `${folder}/${grp}/${run}/`, detail }, time).run();
}

/**
 * @param {D1Database} db
 * @param {string} group
 * @param {readonly Member[]} members
 * @param {Date} time
 */
export async function warnOfAbsence(db, group, members, time) {
  const [{ class: folder, period }] = /** @type {[Member]} */ (members);
  const detail = `the group has no full backup of ${period}, so the other groups' backups get a restore point without it. See journalctl -u 'backbuild-backup@*' on the group's leader`;
  await open(db, { kind: "incomplete", store: "primary", key: `${folder}/${group}/`, detail }, time).run();
}
