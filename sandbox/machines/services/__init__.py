"""Stand-ins for the services that machines call: the parts of AWS and R2 that only a cloud has.

One process serves them all behind HAProxy, in the stack's `cloud` namespace. It reads the simulated clouds' store at
each request, so it always knows what the engine has created. Who asks is known by the source address.
"""
