"""Writes one row after another, and records each acknowledged commit: `writer.py CONNINFO TABLE FILE`.

A line of the file is a time in seconds and the row's number. A failed commit may have happened or not, so the next row
gets a new number.
"""

import itertools
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

conninfo, table, path = sys.argv[1:]
name = sql.Identifier(table)
create = sql.SQL("CREATE TABLE IF NOT EXISTS {} (number bigint PRIMARY KEY)").format(name)
insert = sql.SQL("INSERT INTO {} VALUES (%s)").format(name)
numbers = itertools.count()
with Path(path).open("a", buffering=1) as acknowledged:
    while True:
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(create)
                for number in numbers:
                    connection.execute(insert, [number])
                    acknowledged.write(f"{time.time()} {number}\n")
                    time.sleep(0.01)
        except psycopg.Error as error:
            print(error, flush=True)
            time.sleep(0.05)
