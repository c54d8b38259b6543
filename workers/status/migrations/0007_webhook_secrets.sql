-- Webhook contacts whose signing secret was changed. Secrets follow from the Worker's key, the contact and this number.
CREATE TABLE IF NOT EXISTS webhook_secrets (
  contact TEXT PRIMARY KEY,
  number INTEGER NOT NULL, -- 0 where there is no row
  overlap_until INTEGER NOT NULL -- until then, webhooks are also signed with the secret before
) WITHOUT ROWID;
