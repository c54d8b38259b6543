-- Webhook contacts whose signing secret was rotated. A secret is derived from the Worker's key, the contact and `number`.
CREATE TABLE IF NOT EXISTS webhook_secrets (
  contact TEXT PRIMARY KEY,
  number INTEGER NOT NULL, -- of the current secret; a contact without a row has number 0
  overlap_until INTEGER NOT NULL -- until then, webhooks are also signed with the previous secret
) WITHOUT ROWID;
