# SPDX-License-Identifier: Apache-2.0
"""Serve one service's WSGI application. Runs in the services' environment.

The socket is inherited, already listening: there is no port to lose to somebody else, and
whoever connects before the service is ready waits in the socket's queue.
"""

import importlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from devcloud.layout import Layout

THREADS = {"nova": 12, "placement": 6, "keystone": 6}
#: Seconds after which an idle connection is closed, where it is not the default of waitress, 120. A
#: client that sends a request at that moment gets a reset: the scheduler takes that for a Placement
#: without hosts. Horizon leaves connections open, which count against waitress's limit of 100, but
#: none to Placement.
IDLE = {"placement": 24 * 3600}


def keystone(layout: Layout) -> Any:
    """Keystone's application."""
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(layout.config_file("keystone"))
    application = _application("keystone.wsgi.api")
    # Keystone makes its policy at the first request, and refuses those that come meanwhile
    # in other threads (keystone.common.rbac_enforcer.enforcer has no lock).
    enforcer = importlib.import_module("keystone.common.rbac_enforcer.policy")._ENFORCER
    enforcer._enforcer.load_rules()
    return application


def glance(layout: Layout) -> Any:
    """Glance's application."""
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(layout.config_dir("glance"))
    return _application("glance.wsgi.api")


def placement(layout: Layout) -> Any:
    """Placement's application."""
    os.environ["OS_PLACEMENT_CONFIG_DIR"] = str(layout.config_dir("placement"))
    return _application("placement.wsgi.api")


def neutron(layout: Layout) -> Any:
    """Neutron's application."""
    os.environ["OS_NEUTRON_CONFIG_FILES"] = str(layout.config_file("neutron"))
    # With SQLAlchemy 2.1 the mappers must be configured with all models known, or the first
    # list of ports fails.
    importlib.import_module("neutron.db.migration.models.head")
    importlib.import_module("sqlalchemy.orm").configure_mappers()
    return _application("neutron.wsgi.api")


def cinder(layout: Layout) -> Any:
    """Cinder's API, scheduler and volume service in one process."""
    sys.argv = ["cinder-api", "--config-file", str(layout.config_file("cinder"))]
    return importlib.import_module("devcloud.cinder_all").start()


def nova(layout: Layout) -> Any:
    """Nova's API, conductor, scheduler and computes in one process."""
    paste = layout.venv / "etc" / "nova" / "api-paste.ini"
    # Nova takes the first one for the paste configuration.
    os.environ["OS_NOVA_CONFIG_FILES"] = f"{paste};{layout.config_file('nova')}"
    return importlib.import_module("devcloud.nova_all").start(layout)


RUNNERS: dict[str, Callable[[Layout], Any]] = {
    function.__name__: function for function in (keystone, glance, placement, neutron, cinder, nova)
}


def _application(module: str) -> Any:
    return importlib.import_module(module).application


def main(service: str, root: str, fd: str) -> None:
    """Load the application and serve it until the process ends."""
    sys.argv = [service]
    listener = socket.socket(fileno=int(fd))
    importlib.import_module("devcloud.sqlite_writers").install()
    application = RUNNERS[service](Layout.of(root))
    waitress = importlib.import_module("waitress")
    waitress.serve(
        application,
        sockets=[listener],
        threads=THREADS.get(service, 4),
        # Images come in through here.
        max_request_body_size=1 << 40,
        channel_timeout=IDLE.get(service, 120),
        ident=service,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
