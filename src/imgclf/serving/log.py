"""The log of a server: requests on standard output, anything else on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time

from imgclf.machine.plain_text import printable
from imgclf.serving.observation import REQUESTS

__all__ = ["write_log"]


def write_log(*, as_json: bool) -> None:
    """Write the log of this process from now on.

    Args:
        as_json: Whether messages are lines of JSON, as requests are then.
    """
    requests = logging.getLogger(REQUESTS)
    requests.setLevel(logging.INFO)
    requests.propagate = False
    requests.handlers = [logging.StreamHandler(sys.stdout)]
    messages = logging.StreamHandler(sys.stderr)
    messages.setFormatter(_JsonMessage() if as_json else _TextMessage())
    for name in ("imgclf.serving", "uvicorn"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.handlers = [messages]


class _TextMessage(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.gmtime(record.created))
        return printable(f"{moment} {super().format(record)}")


class _JsonMessage(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        facts = {
            "time": moment,
            "level": record.levelname.lower(),
            "message": super().format(record),
        }
        return json.dumps(facts)
