# SPDX-License-Identifier: Apache-2.0
"""What a move would do: do the other hosts give a server the same serial?

At most three requests to Placement, whatever the number of hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from osc_uniqserial import policy
from osc_uniqserial.api import hosts
from osc_uniqserial.api.rest import Rest, parsing
from osc_uniqserial.model.cloud import GivenModes, HostView, Moves, ServerFacts
from osc_uniqserial.policy import HostMode, Setting

_FORBIDDEN_TRAITS = "1.22"
_ANY_OF_TRAITS = "1.39"


def judge(rest: Rest, facts: ServerFacts, view: HostView, given: GivenModes) -> Moves | None:
    """Tell whether every other host would also give the server its UUID as serial.

    Two sets decide: hosts that lack a steady trait, and hosts that speak against
    it. Only a trait of this project narrows them: it sits on the host's own
    resource provider, while others may sit on a nested one.

    :returns: None when the other hosts were not looked at
    :raises Unreadable: when Placement cannot be read
    """
    # What flavor and image ask for wherever the guest is; a host may overrule an image.
    wish = policy.resolve(facts.flavor.used, facts.image.used, policy.HostInput()).requested
    if wish is None or view.own is None or view.input.mode is None:
        return None
    others = {
        hypervisor.id: hypervisor.host
        for hypervisor in view.hypervisors
        if hypervisor.enabled and hypervisor.is_libvirt_qemu and hypervisor.id != view.own.id
    }
    if not others:
        return Moves(None)
    known = hosts.existing_traits(rest)
    unique_mode = policy.mode_trait(HostMode.UNIQUE)
    # Which traits say that a host gives the UUID depends on the request.
    steady = {unique_mode}
    contrary = set(policy.MODE_TRAITS) - {unique_mode}
    obeying = set()
    if wish is Setting.UNIQUE:
        steady |= {policy.TRAIT_UNIQUE, policy.TRAIT_KEYS}
        obeying = {policy.TRAIT_KEYS}
    elif wish is Setting.HOST:
        # A host that honours the keys would show its own identity; not to an image, if it says so.
        from_flavor = facts.flavor.used.value and facts.flavor.used.value.setting is Setting.HOST
        contrary.add(policy.TRAIT_KEYS if from_flavor else policy.TRAIT_IMAGE_MAY_SHOW_HOST)

    needs = {trait: need for trait, need in facts.needs.items() if trait in known}
    left = _providers(rest, others, needs, forbidden=steady & known)
    against = _speaking_against(rest, others, needs, contrary & known, obeying & known)
    if against is None:
        return Moves(None, _names(others))
    changing = {}
    for provider, host in list(left.items()):
        mode = given.get(host)
        if provider in against:
            changing[provider] = host
        elif mode is HostMode.UNIQUE:
            del left[provider]
        elif mode is not None and (wish is Setting.UNIQUE or policy.TRAIT_UNIQUE not in known):
            # Without a trait a given mode counts; a stock host with only
            # CUSTOM_UNIQUE_SERIAL is in mode unique whatever was given.
            changing[provider] = host
    doubtful = {**left, **against}
    if not doubtful:
        return Moves(True)
    if changing and not facts.bounded:
        return Moves(False, _names(changing))
    return Moves(None, _names(doubtful))


def _speaking_against(
    rest: Rest,
    among: Mapping[str, str],
    needs: Mapping[str, str],
    contrary: set[str],
    obeying: set[str],
) -> dict[str, str] | None:
    """Return the hosts with any contrary trait; None where Placement is too old to ask."""
    if not contrary:
        return {}
    query = ",".join(sorted(contrary))
    if len(contrary) > 1:
        if rest.microversion("placement", _ANY_OF_TRAITS) != _ANY_OF_TRAITS:
            return None
        query = f"in:{query}"
    return _providers(rest, among, needs, query, obeying)


def _providers(
    rest: Rest,
    among: Mapping[str, str],
    needs: Mapping[str, str],
    required: str = "",
    forbidden: Iterable[str] = (),
) -> dict[str, str]:
    """Return those of the providers that match, and that the server's own needs allow."""
    terms = [f"!{trait}" for trait in sorted(forbidden)]
    terms += [trait if need == "required" else f"!{trait}" for trait, need in needs.items()]
    newest = _FORBIDDEN_TRAITS
    query = []
    if required.startswith("in:"):
        # It stands alone, and the parameter is repeated.
        query.append(("required", required))
        newest = _ANY_OF_TRAITS
    elif required:
        terms.append(required)
    if terms:
        query.append(("required", ",".join(terms)))
    found = rest.items("placement", "/resource_providers", "resource_providers", query, newest)
    with parsing("placement"):
        return {item["uuid"]: among[item["uuid"]] for item in found if item["uuid"] in among}


def _names(providers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(set(providers.values())))
