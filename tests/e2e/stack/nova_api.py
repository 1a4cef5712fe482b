# SPDX-License-Identifier: Apache-2.0
"""Serve Nova's API. Runs in the services' environment."""

import importlib
import os
import socket
import sys

THREADS = 12


def main(port: str, paste: str, config_file: str) -> None:
    """Load the application and serve it at the port that the catalog names."""
    sys.argv = ["nova-api"]
    # The embedded cloud holds the port without listening: only with this option may we.
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen(1024)
    os.environ["OS_NOVA_CONFIG_FILES"] = f"{paste};{config_file}"
    importlib.import_module("nova.monkey_patch").patch(backend="threading")
    wsgi = importlib.import_module("nova.api.openstack.wsgi_app")
    application = wsgi.init_application("osapi_compute", "nova-api-os-compute")
    waitress = importlib.import_module("waitress")
    waitress.serve(application, sockets=[listener], threads=THREADS, ident="nova")


if __name__ == "__main__":
    main(*sys.argv[1:])
