"""The edge of a live stack: R2, Cloudflare Workers, their queues and their schedules, in one Node process.

| file | content |
|---|---|
| `plan.py` | what the process must run, computed from the simulated Cloudflare; pure |
| `start.py` | starts the process, and waits until it has applied the plan |
| `host.mjs` | the process: follows the plan |
| `workers.mjs` | the deployed Cloudflare Workers in workerd, with their bindings |
| `schedules.mjs`, `queues.mjs` | call the Workers: each minute, and for each batch of messages |
| `miniflare.mjs`, `sockets.mjs` | miniflare, with its faults mended; the tests of Workers use it too |
| `tunnels.mjs` | passes Hyperdrive's connections on to the machines that have opened a tunnel |
| `databases.py` | finds the file of a D1 database, and reads it |
| `urls.py` | serves the Workers' custom domains on this computer's loopback interface |
| `r2/` | the buckets: `objects.mjs` stores bytes; `s3.mjs` serves machines, `bindings.mjs` serves Workers |

Miniflare's own R2 is not used: it has no bucket locks, no event notifications and no S3 interface, and writes 40 MiB a
second at most.
"""
