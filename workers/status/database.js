/** The status Worker's D1 database. */

import alarms from "../lib/alarms.sql";
import { opener } from "../lib/migrations.js";
import samples from "./migrations/0001_samples.sql";
import days from "./migrations/0002_days.sql";
import announcements from "./migrations/0003_announcements.sql";
import notifications from "./migrations/0004_notifications.sql";
import corrections from "./migrations/0005_corrections.sql";
import webhookSecrets from "./migrations/0007_webhook_secrets.sql";
import deadDeliveries from "./migrations/0008_dead_deliveries.sql";

/** Timeout for opening the database, including its migrations. */
const OPEN_MILLISECONDS = 5_000;

export const openDatabase = opener(
  { samples, days, announcements, notifications, corrections, alarms, webhookSecrets, deadDeliveries },
  OPEN_MILLISECONDS,
);
