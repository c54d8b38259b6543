/** What the backup Workers remember together, in D1. */

import alarms from "../lib/alarms.sql";
import { opener } from "../lib/migrations.js";
import runs from "./migrations/0001_runs.sql";
import catalogue from "./migrations/0002_catalogue.sql";
import copies from "./migrations/0004_copies.sql";

/** Moving what is known of a full catalogue takes a while; D1 ends a statement after 30 seconds. */
const OPEN_MILLISECONDS = 60_000;

export const opened = opener({ runs, catalogue, alarms, copies }, OPEN_MILLISECONDS);
