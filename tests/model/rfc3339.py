"""Times by the grammar of RFC 3339, section 5.6: a superset that parsers of ISO 8601 allow is not valid."""

import calendar
import re

TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def is_time(text: object) -> bool:
    match = TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return False
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    sign, offset_hour, offset_minute = match.group(7) or "+", *map(int, match.groups("0")[7:9])
    if not (1 <= month <= 12 and 1 <= day <= days_in(year, month)):
        return False
    if hour > 23 or minute > 59 or offset_hour > 23 or offset_minute > 59:
        return False
    offset = (offset_hour * 60 + offset_minute) * (1 if sign == "+" else -1)
    is_last_minute_utc = (hour * 60 + minute - offset) % 1440 == 1439
    return second <= 59 or (second == 60 and is_last_minute_utc)


def days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if calendar.isleap(year) else 28
    return 30 if month in {4, 6, 9, 11} else 31
