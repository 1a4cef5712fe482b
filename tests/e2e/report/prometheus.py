# SPDX-License-Identifier: Apache-2.0
"""A Prometheus and a node exporter of Debian, on ports of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import yaml

_TIMEOUT = 60


@dataclasses.dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes one node exporter every second.

    :ivar port: on the loopback interface
    """

    port: int

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        answer = requests.get(url, params=parameters, timeout=_TIMEOUT)
        document = answer.json()
        assert document["status"] == "success", document
        return document["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of a query now."""
        samples: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return samples

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of a query as soon as there are any."""
        until = time.monotonic() + _TIMEOUT
        while not (found := self.query(expression)):
            assert time.monotonic() < until, f"no result: {expression}"
            time.sleep(0.2)
        return found


@contextlib.contextmanager
def started(folder: Path, metrics: Path, rules: Path) -> Iterator[Prometheus]:
    """Start both programs and end them.

    :param folder: for data and logs
    :param metrics: the folder that the textfile collector reads
    :param rules: the alert rules to load
    """
    exporter, port = _free_port(), _free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {
                        "job_name": "node",
                        "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}],
                    }
                ],
            }
        )
    )
    with contextlib.ExitStack() as programs:
        for command in (
            [
                "prometheus-node-exporter",
                f"--web.listen-address=127.0.0.1:{exporter}",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={metrics}",
            ],
            [
                "prometheus",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
            ],
        ):
            programs.enter_context(_running(command, folder / f"{command[0]}.log"))
        found = Prometheus(port)
        _wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
        yield found


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=log.parent, env={"PATH": os.environ["PATH"]}, stdout=stream, stderr=stream
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(_TIMEOUT)


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + _TIMEOUT
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=_TIMEOUT).ok:
                return
        assert time.monotonic() < until, url
        time.sleep(0.1)
