# SPDX-License-Identifier: Apache-2.0
"""The image property, as a field of Nova's image metadata object.

With it, compute API 2.98 shows the value that a server was built with. The compute driver reads the
raw text instead: this field turns any unknown text into False. Conductor and scheduler do not load
it, and drop it.
"""

from __future__ import annotations

from nova import objects
from nova.objects import base, fields, image_meta

from nova_uniqserial.policy import IMAGE_KEY


def register() -> None:
    """Add ``hw_unique_serial`` to ImageMetaProps of this process; twice does no harm.

    A subclass of the same name and version takes the registered one's place
    (nova/objects/base.py, NovaObjectRegistry). A service without it drops the field when it reads
    the object, so that services can be upgraded in any order. Only registered, never bound to
    ``nova.objects.image_meta.ImageMetaProps``: its own methods would call themselves.
    """
    if IMAGE_KEY in getattr(objects, "ImageMetaProps", image_meta.ImageMetaProps).fields:
        return

    @base.NovaObjectRegistry.register
    class ImageMetaProps(image_meta.ImageMetaProps):  # type: ignore[misc]  # Nova has no types
        """Nova's image properties and one more."""

        fields = {IMAGE_KEY: fields.FlexibleBooleanField()}  # noqa: RUF012 - Nova's own form
