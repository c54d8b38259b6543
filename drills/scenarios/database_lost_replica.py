"""The whole database and the primary bucket are lost: rebuild from the copy `replica` alone."""

from drills.running.rebuilt import rebuilt_from

SCENARIO = rebuilt_from("replica")
