# SPDX-License-Identifier: Apache-2.0
"""Serve Horizon, with its static files. Runs in Horizon's environment."""

import os
import socket
import sys
from typing import Any

import waitress
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.http import FileResponse, Http404
from openstack_dashboard.wsgi import application


class Static(StaticFilesHandler):  # type: ignore[misc]  # Django has no types
    """Serves what was collected; Django's own looks among the sources, in debug mode only."""

    def serve(self, request: Any) -> FileResponse:
        """Return one file."""
        root = os.environ["HORIZON_TEST_STATIC"]
        path = os.path.normpath(os.path.join(root, self.file_path(request.path)))
        if not path.startswith(root + os.sep) or not os.path.isfile(path):
            raise Http404
        return FileResponse(open(path, "rb"))


def main(descriptor: str) -> None:
    """Serve on a socket that is listening already."""
    listener = socket.socket(fileno=int(descriptor))
    waitress.serve(Static(application), sockets=[listener], threads=8, ident="horizon")


if __name__ == "__main__":
    main(sys.argv[1])
