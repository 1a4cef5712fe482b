# SPDX-License-Identifier: Apache-2.0
"""A service of Nova that sends or receives objects, with or without the driver's field.

Usage, with the Python of a Nova: peer.py stock|driver STEP

STEP is ``send`` (objects to stdout), ``relay`` (read from stdin, and sent on), ``receive`` (read
from stdin; what arrived, to stdout) or ``describe`` (versions, backports and notifications). What
goes over the pipe is what goes over RPC.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from unittest import mock

from nova import context, objects
from nova.objects import base
from oslo_serialization import jsonutils

FIELD = "hw_unique_serial"
UUID = "7d3f5d0c-5a65-4b0e-8c0c-2f3a4a4d7c11"
PROPERTIES = {FIELD: "true", "hw_disk_bus": "scsi", "hw_cdrom_bus": "sata"}
SPECS = {"hw:unique_serial": "false", "hw:cpu_policy": "shared"}


def image_meta() -> Any:
    """Return the image, made as Nova makes it."""
    return objects.ImageMeta.from_dict({"id": UUID, "name": "im", "properties": PROPERTIES})


def flavor() -> Any:
    """Return a flavor with the key."""
    return objects.Flavor(flavorid="1", name="small", memory_mb=64, vcpus=1, extra_specs=SPECS)


def bundle() -> dict[str, Any]:
    """Return the objects that carry the settings between services."""
    system_metadata = {f"image_{key}": value for key, value in PROPERTIES.items()}
    return {
        "properties": image_meta().properties,
        "image_meta": image_meta(),
        "request_spec": objects.RequestSpec(
            image=image_meta(), flavor=flavor(), instance_uuid=UUID, num_instances=1
        ),
        "instance": objects.Instance(
            uuid=UUID, image_ref=UUID, flavor=flavor(), system_metadata=system_metadata
        ),
    }


def send(entities: dict[str, Any]) -> None:
    """Serialise as for RPC."""
    serializer = base.NovaObjectSerializer()
    sent = serializer.serialize_entity(context.get_admin_context(), entities)
    print(jsonutils.dumps(sent))


def receive() -> dict[str, Any]:
    """Deserialise as after RPC."""
    serializer = base.NovaObjectSerializer()
    received = jsonutils.loads(sys.stdin.read())
    entities: dict[str, Any] = serializer.deserialize_entity(context.get_admin_context(), received)
    return entities


def seen(properties: Any) -> dict[str, Any]:
    """Return the image properties that an object has."""
    return {
        key: properties.get(key)
        for key in PROPERTIES
        if key in properties.fields and properties.obj_attr_is_set(key)
    }


def report(entities: dict[str, Any]) -> dict[str, Any]:
    """Return what a service sees in the objects."""
    instance, spec = entities["instance"], entities["request_spec"]
    return {
        "properties": seen(entities["properties"]),
        "image_meta": seen(entities["image_meta"].properties),
        "request_spec image": seen(spec.image.properties),
        "request_spec flavor": spec.flavor.extra_specs,
        "instance image": seen(instance.image_meta.properties),
        "instance flavor": instance.flavor.extra_specs,
        "instance system_metadata": instance.system_metadata,
    }


def describe() -> dict[str, Any]:
    """Return what other services and listeners rely on."""
    import nova.conf
    from nova import rpc
    from nova.notifications.objects import image

    nova.conf.CONF([], project="nova", default_config_files=[])
    nova.conf.CONF.set_override("notification_format", "versioned", group="notifications")
    rpc.NOTIFIER = mock.Mock()
    properties = image_meta().properties
    minor = int(properties.VERSION.split(".")[1])
    payload = image.ImageMetaPropsPayload(image_meta_props=properties)
    return {
        "fields": sorted(objects.ImageMetaProps.fields),
        "version": properties.VERSION,
        "backports": {
            version: properties.obj_to_primitive(target_version=version)
            for version in (f"1.{number}" for number in range(minor + 1))
        },
        "trees": {
            name: base.ovoo_base.obj_tree_get_versions(name)
            for name in ("ImageMeta", "RequestSpec", "Instance")
        },
        "notification": [
            payload.VERSION,
            sorted(payload.fields),
            payload.obj_to_primitive(),
            image.ImageMetaPayload(image_meta()).properties.obj_to_primitive(),
        ],
    }


def main() -> None:
    """Take one step."""
    side, step = sys.argv[1:]
    objects.register_all()
    if side == "driver":
        from nova_uniqserial import image_meta as plugin

        plugin.register()
        plugin.register()
    if step == "send":
        send(bundle())
    elif step == "relay":
        send(receive())
    elif step == "receive":
        print(json.dumps(report(receive())))
    else:
        print(json.dumps(describe()))


if __name__ == "__main__":
    main()
