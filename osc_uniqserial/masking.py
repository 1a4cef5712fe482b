# SPDX-License-Identifier: Apache-2.0
"""Masking of secrets in URLs, in texts and in log messages."""

from __future__ import annotations

import logging
import re

#: What stands for a secret.
_MASK = "***"
_WORD = re.compile(r"\S+")
#: The end of a text before the host, with at most one character before the scheme.
_HTTP = re.compile(r"(?:.*[^A-Za-z0-9+.-])?https?", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r"([?&;])([^\s=&;?]+)=([^\s&;]*)")
#: urllib3 takes a password with a slash for a host with a wrong port.
_NO_HOST = re.compile(r"(Failed to parse: )\S+")
#: Parameters of URLs that hold no secret: those of libvirt, and those of our requests.
_HARMLESS = frozenset(
    {
        *("auto_answer", "command", "keyfile", "known_hosts", "known_hosts_verify", "mode", "name"),
        *("netcat", "no_sanity", "no_tty", "no_verify", "pkipath", "socket", "sshauth"),
        *("tls_priority", "all_tenants", "associated", "changes-since", "deleted", "host", "limit"),
        *("is_public", "marker", "member_of", "os_hidden", "project_id", "required", "visibility"),
    }
)


def without_secrets(text: str) -> str:
    """Return text with the secrets masked that its URLs contain.

    These are the password, in a URL of HTTP also the user name, which may be a token, and the
    values of unknown parameters.
    """
    if "://" in text:
        text = _WORD.sub(_masked_user, text)
    if "=" in text:
        text = _PARAMETER.sub(_masked_parameter, text)
    return _NO_HOST.sub(rf"\1{_MASK}", text)


def _masked_user(match: re.Match[str]) -> str:
    """Mask what precedes the host of a URL.

    A password may have characters that belong into no URL: it ends at the last "@" of the word.
    """
    word = match[0]
    head, _, tail = word.partition("://")
    user_info, at, rest = tail.rpartition("@")
    if not at:
        return word
    user, colon, _password = user_info.partition(":")
    if _HTTP.fullmatch(head[-len("'https") :]):
        return f"{head}://{_MASK}@{rest}"
    return f"{head}://{user}:{_MASK}@{rest}" if colon else word


def _masked_parameter(match: re.Match[str]) -> str:
    sign, name, _value = match.groups()
    return match[0] if name.lower() in _HARMLESS else f"{sign}{name}={_MASK}"


class _Masking(logging.Filter):
    """Masks messages and tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record, and keep it."""
        record.msg, record.args = without_secrets(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
        return True


_MASKING = _Masking()


def mask_logs() -> None:
    """Mask what the present handlers of the root logger write.

    keystoneauth logs a warning with the URL before each retry, and the shell logs the errors of
    commands, those of authentication too.
    """
    for handler in logging.getLogger().handlers:
        # It is added once.
        handler.addFilter(_MASKING)
