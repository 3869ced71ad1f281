"""What a gateway simulator has paid, as a conformance kit asks for it: `python simulator_paid.py DIR`.

With the standard library alone, since it is asked hundreds of times.
"""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

NAMES = ("command_id", "party_id", "amount_minor", "currency")

if __name__ == "__main__":
    file = Path(sys.argv[1], "gateway.sqlite3").absolute()
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as books:
        for paid in books.execute(f"SELECT {', '.join(NAMES)} FROM effects"):
            sys.stdout.write(json.dumps(dict(zip(NAMES, paid, strict=True))) + "\n")
