"""Runs scenarios on a stack, and measures what clients notice.

`scenario` describes a scenario, `timeline` records what happens, `stage` is what a scenario can do and ask, `cloud`
loses and rebuilds what a cloud has, `traffic` are the clients, `runner` runs a scenario and judges it.
"""
