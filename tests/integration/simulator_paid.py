"""What a gateway simulator has paid, as a conformance kit asks for it: `python -m tests.integration.simulator_paid DIR`."""

import json
import sys
from pathlib import Path

from ops.local.gateway import effects

if __name__ == "__main__":
    for one in effects(Path(sys.argv[1])):
        names = ("command_id", "party_id", "amount_minor", "currency")
        sys.stdout.write(json.dumps({name: getattr(one, name) for name in names}) + "\n")
