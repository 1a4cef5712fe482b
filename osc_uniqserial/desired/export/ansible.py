# SPDX-License-Identifier: Apache-2.0
"""A playbook for the collection openstack.cloud. Pure.

Read in the modules of version 2.5.0: compute_flavor deletes each extra spec that a play does not
name, and host_aggregate each key of the metadata; image and server_metadata only add and replace.
So the first two get all keys, and the last two ours alone. compute_flavor also deletes and creates
the flavor when a number differs.

The module image writes properties also when they are stored already, creates an image that it does
not find, and finds none that is hidden or of the community. So its tasks are conditional, and fail
when the image is missing.

``!unsafe`` keeps templates of Jinja in names and values text. ansible-core 2.19 makes a boolean of
``!unsafe "true"``, so only text that may be a template has that tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from osc_uniqserial.desired.export.format import Format, Report
from osc_uniqserial.desired.export.quoting import yaml_string
from osc_uniqserial.desired.export.settings import CloudSettings, keys, named
from osc_uniqserial.model.cloud import Aggregate, Image
from osc_uniqserial.model.definition import FlavorDefinition, ServerRequest
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import IMAGE_KEY, Setting

#: Nova stores the availability zone of an aggregate in its metadata; the module adds it itself.
_ZONE = "availability_zone"

#: What a template begins with, and a text that gives these signs a new meaning.
_TEMPLATES, _OVERRIDE = ("{{", "{%", "{#"), "#jinja2:"

_Argument = str | int | float | bool | Mapping[str, str]
_Arguments = dict[str, _Argument]

_READ_IMAGES = (
    "    - name: Read the images",
    "      openstack.cloud.image_info:",
    "      register: found",
)
#: The end of a task for an image: the properties that it has, and whether others are wanted.
_STORED = (
    "        stored: >-",
    "          {{ found.images | selectattr('id', 'equalto', image) | map(attribute='properties')",
    "          | first }}",
    "      when: stored | combine(wanted) != stored",
)


def _lines(settings: CloudSettings, report: Report) -> Iterator[str]:
    yield from (
        "",
        "- name: Serial number settings",
        "  hosts: localhost",
        "  connection: local",
        "  gather_facts: false",
    )
    tasks = [
        *(_task(each.resource, "compute_flavor", _flavor(each)) for each in settings.flavors),
        *_aggregates(settings.aggregates, report),
        *_images(settings.images, report),
        *(
            _task(each.resource, "server_metadata", _server(each))
            for each in settings.servers
            if each.value.setting is Setting.UNIQUE
        ),
    ]
    yield "  tasks:" if tasks else "  tasks: []"
    for task in tasks:
        yield from task


def _flavor(each: FlavorDefinition) -> _Arguments:
    arguments: _Arguments = {"id": each.id, "name": each.name}
    if each.description is not None:
        arguments["description"] = each.description
    arguments |= {"ram": each.ram, "vcpus": each.vcpus, "disk": each.disk}
    arguments |= {"swap": each.swap, "ephemeral": each.ephemeral}
    if each.rxtx_factor is not None:
        arguments["rxtx_factor"] = each.rxtx_factor
    arguments["is_public"] = each.is_public
    arguments["extra_specs"] = each.stored
    return arguments


def _aggregates(aggregates: Sequence[Aggregate], report: Report) -> Iterator[Iterable[str]]:
    """Yield the tasks for aggregates, which the module finds by an ID first, then by a name."""
    for each in aggregates:
        if each.name.isdecimal() and each.name != each.id:
            about = named(each.resource)
            report(f"{about}: openstack.cloud.host_aggregate takes this name for an ID")
        else:
            yield _task(each.resource, "host_aggregate", _aggregate(each))


def _aggregate(each: Aggregate) -> _Arguments:
    arguments: _Arguments = {"name": each.name}
    if each.zone is not None:
        arguments["availability_zone"] = each.zone
    arguments["metadata"] = {key: text for key, text in each.metadata.items() if key != _ZONE}
    return arguments


def _images(images: Sequence[Image], report: Report) -> Iterator[Iterable[str]]:
    """Yield the tasks for images."""
    tasks = []
    for each in images:
        wanted = {key: each.stored[key] for key in sorted(keys("image") & each.stored.keys())}
        if each.value.setting is Setting.INVALID:
            del wanted[each.key]
        if not wanted:
            continue
        if each.is_hidden or each.visibility == "community":
            why = "hidden" if each.is_hidden else "a community image"
            report(f"{named(each.resource)} is {why}: openstack.cloud.image finds none of these")
            continue
        arguments: _Arguments = {
            "id": each.id,
            "name": each.name or "",
            "visibility": each.visibility,
        }
        tasks.append(
            (
                *_task(each.resource, "image", arguments),
                '        properties: "{{ wanted }}"',
                "      vars:",
                f"        image: {_text(each.id)}",
                *_argument("wanted", wanted),
                *_STORED,
            )
        )
    if tasks:
        yield _READ_IMAGES
    yield from tasks


def _server(each: ServerRequest) -> _Arguments:
    return {"name": each.resource.id or "", "metadata": {IMAGE_KEY: each.text}}


def _task(about: Resource, module: str, arguments: _Arguments) -> Iterator[str]:
    name = f" {about.name}" if about.name else ""
    yield f"    - name: {_text(f'{about.type}{name} ({about.id})')}"
    yield f"      openstack.cloud.{module}:"
    for key, value in arguments.items():
        yield from _argument(key, value)


def _argument(key: str, value: _Argument) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"        {key}:" if value else f"        {key}: {{}}"
        yield from (
            f"          {yaml_string(name)}: {_text(value[name])}" for name in sorted(value)
        )
    elif isinstance(value, bool):
        yield f"        {key}: {str(value).lower()}"
    else:
        yield f"        {key}: {_text(value) if isinstance(value, str) else value}"


def _text(text: str) -> str:
    is_template = text.startswith(_OVERRIDE) or any(sign in text for sign in _TEMPLATES)
    return f"!unsafe {yaml_string(text)}" if is_template else yaml_string(text)


FORMAT = Format(
    kinds=frozenset({"flavor", "image", "aggregate", "server"}),
    about=(
        "For ansible-playbook with the collection openstack.cloud; the cloud is that of OS_CLOUD.",
        "The modules remove extra specs and metadata of these flavors and aggregates that are not"
        " named",
        "here. A flavor whose numbers differ is deleted and created again.",
    ),
    lines=_lines,
)
