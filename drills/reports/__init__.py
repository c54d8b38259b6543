"""The filed reports of drills: signed, chained, and shown as pages.

`ledger` files and verifies reports, `keys` signs them, `page` and `picture` draw one as HTML, and `index` writes the
table in docs/drills.md.
"""
