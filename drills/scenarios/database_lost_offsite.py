"""The whole database and the primary bucket are lost: rebuild from the copy `offsite` alone."""

from drills.running.rebuilt import rebuilt_from

SCENARIO = rebuilt_from("offsite")
