/** The D1 database that the backup Workers share. */

import alarms from "../lib/alarms.sql";
import { opener } from "../lib/migrations.js";
import runs from "./migrations/0001_runs.sql";
import catalogue from "./migrations/0002_catalogue.sql";
import copies from "./migrations/0004_copies.sql";
import points from "./migrations/0005_points.sql";
import uploads from "./migrations/0006_uploads.sql";

/** Long enough to migrate a full catalogue: D1 ends a statement after 30 seconds. */
const MIGRATION_TIMEOUT_MILLISECONDS = 60_000;

export const openDatabase = opener(
  { runs, catalogue, alarms, copies, points, uploads },
  MIGRATION_TIMEOUT_MILLISECONDS,
);
