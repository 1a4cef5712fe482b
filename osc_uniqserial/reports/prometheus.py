# SPDX-License-Identifier: Apache-2.0
"""The report in Prometheus text format, for the node exporter's textfile collector."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from osc_uniqserial.policy import SerialSource
from osc_uniqserial.reports.baseline import Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import safe_text

_PREFIX = "openstack_unique_serial_"
#: Labels of every sample: one collector may read the files of several clouds.
_WHERE = ("command", "cloud", "region", "scope")
#: The serial source of servers that are on no host.
_NOT_PLACED = "not-placed"
#: The metrics, all of them gauges: description, and labels besides those of every sample.
_METRICS = {
    "findings": ("Findings by ID and severity", ("id", "severity", "standing")),
    "finding_servers": ("Servers that findings are about, by finding", ("id", "severity")),
    "servers": ("Servers by where their serial number comes from", ("serial_source",)),
    "sharing_servers": ("Servers that have one serial number with others of a host", ()),
    "coverage_servers": ("Servers by whether they could be checked", ("state",)),
    "run_duration_seconds": ("How long the last run took", ()),
    "run_timestamp_seconds": ("When the last run ended, in Unix time", ()),
}
#: The labels of each metric, by its full name.
LABELS = {f"{_PREFIX}{name}": (*_WHERE, *labels) for name, (_help, labels) in _METRICS.items()}


def render(run: Run) -> bytes:
    """Return the report; checks without findings have the value 0, so that alerts resolve."""
    registry = CollectorRegistry()
    scope = run.scope.partition(":")[0]
    where = (run.command, *map(safe_text, (run.label, run.region, scope)))

    def gauge(name: str) -> Gauge:
        help_, labels = _METRICS[name]
        return Gauge(f"{_PREFIX}{name}", help_, (*_WHERE, *labels), registry=registry)

    rows, about = gauge("findings"), gauge("finding_servers")
    for id_, found in run.by_id().items():
        severity = run.checks[id_].severity.value
        counts = Counter((each.standing or Standing.NEW).value for each in found)
        for standing in Standing:
            # Without a baseline all findings are new.
            if run.baseline is not None or standing is Standing.NEW:
                rows.labels(*where, id_, severity, standing.value).set(counts[standing.value])
        about.labels(*where, id_, severity).set(
            sum(len(each.finding.servers or ()) for each in found)
        )
    if run.command == "audit":
        # The metrics of verify are about guests; these are about the policy.
        servers = gauge("servers")
        sources = run.sources()
        for source in SerialSource:
            servers.labels(*where, source.value).set(sources[source])
        servers.labels(*where, _NOT_PLACED).set(run.nowhere)
        gauge("sharing_servers").labels(*where).set(sum(each.sharing for each in run.hosts))
    covered, coverage = run.covered, gauge("coverage_servers")
    coverage.labels(*where, "checked").set(covered.checked)
    coverage.labels(*where, "unchecked").set(covered.servers - covered.checked)
    coverage.labels(*where, "unread").set(covered.unread)
    gauge("run_duration_seconds").labels(*where).set(round(run.seconds, 3))
    ended = run.began.timestamp() + run.seconds
    gauge("run_timestamp_seconds").labels(*where).set(round(ended, 3))
    return generate_latest(registry)
