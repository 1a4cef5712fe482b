# SPDX-License-Identifier: Apache-2.0
"""Cinder's API, scheduler and one volume service in one process over the fake transport."""

# First: it decides how everything that follows runs.
from cinder import monkey_patch

monkey_patch.patch(backend="threading")

import os  # noqa: E402
import shlex  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from cinder import objects, service, utils  # noqa: E402
from cinder.common import constants  # noqa: E402
from cinder.volume import driver  # noqa: E402
from cinder.wsgi import wsgi  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_privsep import priv_context  # noqa: E402

BACKEND = "fake"


class BackendDriver(driver.VolumeDriver):  # type: ignore[misc]  # Cinder has no types
    """A backend of empty files: the records in Cinder are real."""

    VERSION = "1.0.0"

    def check_for_setup_error(self) -> None:
        """Nothing can be set up wrong."""

    def _update_volume_stats(self) -> None:
        self._stats = {
            "volume_backend_name": BACKEND,
            "vendor_name": "devcloud",
            "driver_version": self.VERSION,
            "storage_protocol": BACKEND,
            "total_capacity_gb": "infinite",
            "free_capacity_gb": "infinite",
            "multiattach": True,
        }

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Claim to have the image's data, so that it is not downloaded."""
        return {}, True

    def initialize_connection(self, volume: Any, connector: Any) -> dict[str, Any]:
        """Return a file that libvirt attaches, with the size of the volume and without data."""
        path = self._path(volume)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.truncate(path, volume.size << 30)
        # Nova's driver for this type attaches a file as it is (nova/virt/libvirt/volume/gpfs.py).
        return {"driver_volume_type": "gpfs", "data": {"device_path": str(path)}}

    def delete_volume(self, volume: Any) -> None:
        """Remove the file."""
        self._path(volume).unlink(missing_ok=True)

    def _path(self, volume: Any) -> Path:
        return Path(cfg.CONF.state_path, "volumes", volume.id)

    def _nothing(self, *_args: Any, **_kwargs: Any) -> None:
        """There is no data."""

    create_volume = extend_volume = _nothing
    create_volume_from_snapshot = create_cloned_volume = _nothing
    create_snapshot = delete_snapshot = _nothing
    ensure_export = create_export = remove_export = terminate_connection = _nothing
    copy_image_to_volume = copy_volume_to_image = _nothing


def start() -> Any:
    """Start all of Cinder; return the API's application."""
    application = wsgi.initialize_application()
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    objects.register_all()
    service.Service.create(binary=constants.SCHEDULER_BINARY).start()
    service.Service.create(
        host=f"{cfg.CONF.host}@{BACKEND}",
        service_name=BACKEND,
        binary=constants.VOLUME_BINARY,
        coordination=True,
    ).start()
    return application
