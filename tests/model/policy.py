"""The policy's numbers, RULES 4.9; times in milliseconds."""

METHODS = ("visa", "mastercard")
DAY = 24 * 60 * 60 * 1000
MEDIATION_AFTER = 10 * DAY
PARK_LIMIT = 30 * DAY
COMMAND_VALID_FOR = DAY
PARKED_PER_ORDER_MAX = 1_000
MAX_ATTEMPTS = 5
