"""The same for a stack at AWS: `stage` and `edge` are what scenarios can do there, `traffic` and `client` its clients.

`machines` are the shell commands of the clients, `updates` runs Pulumi, `plan` shows what a scenario would call.
"""
