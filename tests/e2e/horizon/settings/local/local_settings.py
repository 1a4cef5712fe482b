# SPDX-License-Identifier: Apache-2.0
"""Settings of the site under test. Horizon imports all names. Runs in Horizon's environment."""

import os
import secrets
from typing import Any

#: Where static files are; made once for an environment.
STATIC_ROOT = os.environ["HORIZON_TEST_STATIC"]
OPENSTACK_KEYSTONE_URL = os.environ.get("HORIZON_TEST_KEYSTONE", "http://127.0.0.1:1/v3")

_REPORTS = os.environ.get("HORIZON_TEST_REPORTS", "")
UNIQUE_SERIAL_REPORT = os.path.join(_REPORTS, "audit.json")
UNIQUE_SERIAL_REPORT_HTML = os.path.join(_REPORTS, "audit.html")

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = secrets.token_hex(32)
COMPRESS_OFFLINE = True
# The default is memcached.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SESSION_ENGINE = "django.contrib.sessions.backends.file"
SESSION_FILE_PATH = os.environ.get("HORIZON_TEST_SESSIONS")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
