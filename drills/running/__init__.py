"""Runs scenarios on a stack, and measures what clients notice.

`scenario` describes a scenario, `timeline` records what happens, `stage` is what a scenario can do and ask, `edge` the
same for Workers, `cloud` loses and rebuilds what a cloud has, `rolling` changes every machine, `traffic` are clients of
the database, `prober` is one of the API, `runner` runs a scenario and judges it.
"""
