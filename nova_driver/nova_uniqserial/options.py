# SPDX-License-Identifier: Apache-2.0
"""The configuration of the compute driver."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

GROUP = cfg.OptGroup(
    "unique_serial",
    title="Per-instance serial numbers",
    help="Options of nova-uniqserial, which reads hw:unique_serial and hw_unique_serial.",
)

OPTIONS = [
    cfg.BoolOpt(
        "image_may_show_host",
        default=True,
        help="""
Whether an image property ``hw_unique_serial=false`` may give a guest the serial number of its
compute host.

The specification lets an image supersede the host: a tenant who uploads an image with false then
reads the host's identity (OSSN-0028), even where ``[libvirt]sysinfo_serial`` is ``unique``. With
false here, an image's false counts as unset on this host. The flavor, which only administrators
write, keeps its say.

Related options:

* ``[libvirt]sysinfo_serial``
""",
    ),
    cfg.BoolOpt(
        "server_may_ask",
        default=True,
        help="""
Whether the metadata ``hw_unique_serial=true`` of a server asks for a serial number of its own.

Users can set the metadata of their servers at any time. It counts when Nova next makes the
definition of the guest: at a hard reboot, stop and start, resize, cold migration, evacuation,
rebuild or unshelve. Only true has a meaning: no user can show a host by it.

With false here, the metadata counts for nothing on this host.

Related options:

* ``[libvirt]sysinfo_serial``
""",
    ),
]


def register(conf: Any) -> None:
    """Register the options with a configuration; registering twice does no harm.

    :param conf: an ``oslo_config.cfg.ConfigOpts``
    """
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[Any, list[Any]]]:
    """Return the options, for oslo-config-generator and oslo-config-validator."""
    return [(GROUP, OPTIONS)]
