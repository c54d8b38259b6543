"""Weakenings of the Workers that verify, watch and delete backups."""

from __future__ import annotations

from policies.mutation.bindings import (
    BACKUPS,
    change_bindings,
    rebind,
    redocument,
    redocumented,
    relist,
    silenced,
    unbind,
)
from policies.mutation.operators import Operator, drop, named, put
from policies.mutation.weakening import Weakenings
from policies.views.edge import CRON

VERIFY, WATCH, AGE_OUT = "backups/verify", "backups/watch", "backups/age-out"
ONE_GROUP = '["coordinator"]'


def schedule(cron: str, name: str) -> Operator:
    """Change a Worker's schedule."""
    return put(CRON, "schedules[0].cron", cron, named(name))


def overlooking(folder: str) -> dict[str, Operator]:
    """Return the changes after which a Worker does not read every copy."""
    return {
        "it has a wrong jurisdiction for the replica": rebind("COPY_REPLICA", folder, jurisdiction="eu"),
        "it has a wrong off-site region": relist("offsite", folder, region="us-east-1"),
        "it has no off-site key": unbind("COPY_OFFSITE_SECRET*", folder),
        "it has no off-site copy": change_bindings(redocumented("COPIES", lambda copies: copies[:2]), folder),
    }


WEAKENINGS: Weakenings = {
    "verification-is-scheduled": {
        "backups are verified daily": schedule("0 3 * * *", "verify"),
        "backups are never verified": drop(CRON, named("verify")),
        "the replica is not verified": unbind("COPY_REPLICA", VERIFY),
        "it has no database": unbind("DB", VERIFY),
        **overlooking(VERIFY),
    },
    "watchdog-within-the-recovery-point": {
        "backups are watched every two hours": schedule("0 */2 * * *", "watch"),
        "backups are never watched": drop(CRON, named("watch")),
        "the watchdog does not read the primary": unbind("COPY_PRIMARY", WATCH),
        "the watchdog reads another jurisdiction": rebind("COPY_PRIMARY", WATCH, jurisdiction="us"),
    },
    "backup-alarms-reach-two-channels": silenced(WATCH),
    "workers-share-one-rotation": {
        "one Worker has another rotation": redocument("ROTATION", *BACKUPS, pointInTimeDays=9),
        "one Worker has no rotation": unbind("ROTATION", *BACKUPS),
        "a Worker has a wrong lock mode": relist("offsite", "backups/replicate", lockMode="GOVERNANCE"),
    },
    "age-out-is-scheduled": {
        "old backups are deleted weekly": schedule("15 7 * * 1", "age-out"),
        "old backups are never deleted": drop(CRON, named("age-out")),
        **overlooking(AGE_OUT),
    },
    "every-group-is-looked-after": {
        "a Worker does not know a group": rebind("GROUPS", *BACKUPS, json=ONE_GROUP),
        "the API does not know a group": rebind("STANZAS", "api", json=ONE_GROUP),
    },
}
