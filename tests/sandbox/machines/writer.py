"""Writes one row after another, and records each acknowledged commit: `writer.py CONNINFO TABLE FILE`.

A line of the file is a time in seconds and the row's number. A failed commit may have happened or not, so the next row
gets a new number.
"""

import itertools
import sys
import time
from pathlib import Path

import psycopg

conninfo, table, path = sys.argv[1:]
numbers = itertools.count()
with Path(path).open("a", buffering=1) as acknowledged:
    while True:
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (number bigint PRIMARY KEY)")
                for number in numbers:
                    connection.execute(f"INSERT INTO {table} VALUES (%s)", [number])
                    acknowledged.write(f"{time.time()} {number}\n")
                    time.sleep(0.01)
        except psycopg.Error as error:
            print(error, flush=True)
            time.sleep(0.05)
