"""python grafana/make_dashboards.py: writes grafana/dashboards/*.json. A test compares, and asks a real Prometheus each expression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
COUNT = "parley_http_request_seconds_count"


def rate(what: str, by: str = "") -> str:
    return f"sum{f' by ({by}) ' if by else ''}(rate({what}[$__rate_interval]))"


def quantile(q: float, histogram: str, by: str = "") -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', f'le, {by}' if by else 'le')})"


def quantiles(histogram: str) -> list[tuple[str, str]]:
    return [(quantile(q, histogram), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


def or_zero(expression: str) -> str:
    """Where nothing was counted yet, that is a zero too."""
    return f"{expression} or vector(0)"


def share(part: str, whole: str) -> str:
    return f"{rate(part)} / {rate(whole)}"


def mean(histogram: str) -> str:
    return share(f"{histogram}_sum", f"{histogram}_count")


Panel = tuple[str, str, list[tuple[str, str]]]
"""(title, unit, [(expression, legend)])"""

SERVICE: list[Panel] = [
    ("Requests a second", "reqps", [(rate(COUNT), "all")]),
    ("Time to the answer", "s", quantiles("parley_http_request_seconds")),
    ("4xx by route", "reqps", [(rate(COUNT + '{status=~"4.."}', "route, status"), "{{route}} {{status}}")]),
    ("5xx by route", "reqps", [(or_zero(rate(COUNT + '{status=~"5.."}', "route")), "{{route}}")]),
    ("Open sockets", "short", [("sum by (instance) (parley_sockets)", "{{instance}}")]),
    ("Blocks of memory held", "short", [("sum by (instance) (parley_memory_blocks)", "{{instance}}")]),
    (
        "Messages a second",
        "ops",
        [(rate('parley_commands_decided_total{type="message.send",outcome="committed"}'), "sent")],
    ),
    ("From sending to delivery", "s", quantiles("parley_send_deliver_seconds")),
    ("Commands by outcome", "ops", [(rate("parley_commands_decided_total", "outcome"), "{{outcome}}")]),
]
JOURNEY: list[Panel] = [
    ("1 Gateway: commands accepted", "ops", [(rate("parley_commands_accepted_total", "type"), "{{type}}")]),
    ("1 Gateway: commands the broker did not take", "ops", [(or_zero(rate("parley_commands_refused_total", "code")), "{{code}}")]),
    ("2 Broker: commands an envelope", "short", [(mean("parley_envelope_commands"), "mean")]),
    ("2 Broker: wait in the queue", "s", quantiles("parley_queue_wait_seconds")),
    ("2 Broker: connected", "short", [("min by (use) (parley_broker_connected)", "{{use}}")]),
    ("3 Worker: commands a batch", "short", [(mean("parley_batch_commands"), "mean")]),
    ("3 Worker: time of a batch", "s", quantiles("parley_batch_seconds")),
    ("3 Worker: lanes held", "short", [('sum by (instance, state) (parley_worker_lanes)', "{{instance}} {{state}}")]),
    ("4 Database: connections", "short", [("sum by (state) (parley_database_connections)", "{{state}}")]),
    ("4 Database: from sending to commit", "s", quantiles("parley_send_commit_seconds")),
    ("5 Redis: announcements dropped", "ops", [(rate("parley_announcements_dropped_total"), "dropped")]),
    ("6 Hub: healed", "ops", [(rate("parley_hub_healed_total", "what"), "{{what}}")]),
    ("6 Sockets closed by us", "ops", [(rate("parley_sockets_closed_total", "code"), "{{code}}")]),
    ("Refused envelopes", "ops", [(rate("parley_envelopes_refused_total", "why"), "{{why}}")]),
    ("Errors that were survived", "ops", [(or_zero(rate("parley_trouble_total", "what")), "{{what}}")]),
]  # fmt: skip
ASSISTANTS: list[Panel] = [
    ("Answers a second by their end", "ops", [(rate("parley_replies_total", "status"), "{{status}}")]),
    ("Share that failed", "percentunit", [(share('parley_replies_total{status="failed"}', "parley_replies_total"), "failed")]),
    ("Until the first token", "s", quantiles("parley_reply_first_token_seconds")),
    ("Until the end", "s", quantiles("parley_reply_seconds")),
    ("Tokens a second", "ops", [(rate("parley_reply_tokens_total", "kind"), "{{kind}}")]),
]  # fmt: skip
DASHBOARDS = {"service": ("Parley: Service", SERVICE), "journey": ("Parley: Journey", JOURNEY), "assistants": ("Parley: Assistants", ASSISTANTS)}  # fmt: skip


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    return {
        "uid": f"parley-{uid}",
        "title": title,
        "tags": ["parley"],
        "timezone": "utc",
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-30m", "to": "now"},
        "panels": [_panel(number, *panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, title: str, unit: str, expressions: list[tuple[str, str]]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + place), "datasource": source, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(expressions)
        ],
    }


def made() -> dict[str, str]:
    """File name → content."""
    return {
        f"{uid}.json": json.dumps(dashboard(uid, title, panels), indent=1) + "\n"
        for uid, (title, panels) in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, content in made().items():
        (FOLDER / name).write_text(content)
