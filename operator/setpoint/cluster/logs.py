"""Structured logs: one line per record, JSON for machines or text for people, with the object it is about."""

import json
import logging
from datetime import UTC, datetime

QUIET = ("asyncio", "httpx", "httpcore", "kubernetes", "aiohttp.access")
"""Loggers of libraries that speak of their own insides below WARNING."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, message, logger, the object's kind, namespace and name, and the error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        subject = getattr(record, "object", None)
        if subject is not None:
            line["object"] = subject
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, object and message, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        subject = getattr(record, "object", None)
        where = f"{subject['kind']} {subject['namespace']}/{subject['name']}: " if subject else ""
        text = f"{moment} {record.levelname:<7} {where}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(*, json_lines: bool, level: str) -> None:
    """Send all logs to standard error in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if json_lines else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # kopf tells every processed event at INFO; what matters of it is told here.
    logging.getLogger("kopf").setLevel(logging.WARNING if level.upper() != "DEBUG" else logging.DEBUG)
