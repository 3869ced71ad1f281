"""`python -m tests.model FACTS.jsonl --outcomes OUT --orders ORDERS`: the dry run of RULES 5 by the model."""

import sys

from tests.model.dry_run import main

sys.exit(main(sys.argv[1:]))
