# SPDX-License-Identifier: Apache-2.0
"""Checks of compute hosts: their traits and driver options. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from osc_uniqserial.checks.check import Check, Part, Problem, run
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.model.cloud import Host
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.policy import IMAGE_KEY, TRAIT_KEYS


def _correct_traits(host: Host) -> Remedy:
    command = (
        "openstack --os-placement-api-version 1.6 resource provider trait list"
        f" {host.hypervisor.id}"
    )
    return run(
        command,
        "; 'trait set' replaces all of them: repeat those that are to stay, and correct the host's"
        " provider.yaml",
    )


@Check("wrong-traits", Severity.MEDIUM, rests_on={Part.TRAITS})
def wrong_traits(host: Host, _cloud: Cloud) -> Iterator[Problem]:
    """Traits of this project on a host whose guests have no serial number."""
    if host.wrong_traits:
        text = (
            "Nova writes no serial number here, but the host has traits that promise or"
            f" describe one: {', '.join(sorted(host.wrong_traits))}"
        )
        yield Problem(text, _correct_traits(host))


@Check("contradicting-traits", Severity.MEDIUM, rests_on={Part.TRAITS})
def contradicting_traits(host: Host, _cloud: Cloud) -> Iterator[Problem]:
    """Traits that cannot all be true."""
    if host.contradicting_traits:
        text = f"Its traits contradict each other: {', '.join(host.contradicting_traits)}"
        yield Problem(text, _correct_traits(host))


@Check("incomplete-traits", Severity.MEDIUM, rests_on={Part.TRAITS})
def incomplete_traits(host: Host, _cloud: Cloud) -> Iterator[Problem]:
    """The driver's trait without those that it reports with it."""
    if host.has_incomplete_traits:
        text = (
            f"It has {TRAIT_KEYS}, but not all traits that the compute driver reports with it:"
            " something else set it, or the driver does not work"
        )
        yield Problem(text, _correct_traits(host))


@Check("image-may-show-host", Severity.INFO, rests_on={Part.HOSTS, Part.TRAITS})
def image_may_show_host(host: Host, _cloud: Cloud) -> Iterator[Problem]:
    """A host whose identity any image can show."""
    if host.input.smbios and host.exposed_by_images:
        yield Problem(
            f"An image with {IMAGE_KEY}=false shows the host's identity to its guests"
            " (OSSN-0028), where they would have their own UUID",
            Remedy("Set [unique_serial] image_may_show_host = false in its nova.conf"),
        )
