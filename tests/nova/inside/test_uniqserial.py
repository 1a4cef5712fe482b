# SPDX-License-Identifier: Apache-2.0
"""The driver, the validator and the image property on real Nova objects.

Runs where Nova is installed, on Nova's own fake libvirt. Plain unittest: the oldest Nova comes
with what its distribution has.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

# First: it decides whether Nova runs with threads, and patches what it must.
import nova.tests.unit

# isort: split
import nova.conf
import sqlalchemy.event
from nova import context, exception, objects, test
from nova.api.validation.extra_specs import validators
from nova.compute import api as compute_api
from nova.compute import provider_tree
from nova.compute import utils as compute_utils
from nova.tests import fixtures
from nova.virt import driver as virt_driver
from nova.virt import fake
from nova.virt.libvirt import config as libvirt_config
from nova.virt.libvirt import driver as libvirt_driver
from nova_uniqserial import compatibility, driver, image_meta, options, traits
from oslo_utils.fixture import uuidsentinel as uuids
from sqlalchemy.engine import Engine

CONF = nova.conf.CONF
options.register(CONF)

OPEN = "CUSTOM_UNIQUE_SERIAL_IMAGE_MAY_SHOW_HOST"
MAY_ASK = "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK"
KEYS = {"CUSTOM_UNIQUE_SERIAL", "CUSTOM_UNIQUE_SERIAL_KEYS", OPEN, MAY_ASK}
MODES = ("unique", "os", "hardware", "auto", "none")
MACHINE_ID = "0123456789abcdef0123456789abcdef"
OS_SERIAL = "01234567-89ab-cdef-0123-456789abcdef"
HARDWARE_SERIAL = "c0ffee00-0000-4000-8000-000000000001"
NODE = "node-1"
LOGGER = "nova_uniqserial"
LIBVIRT_DRIVER = "nova.virt.libvirt.driver.LibvirtDriver"

#: What a guest gets that asks for the host's own serial: the host has a machine ID.
HOSTS_OWN = {
    "unique": OS_SERIAL,
    "os": OS_SERIAL,
    "hardware": HARDWARE_SERIAL,
    "auto": OS_SERIAL,
    "none": None,
}

_exists = os.path.exists
_open = open
# Nova's fixture hides the machine ID, which is what is tested here.
_read_machine_id = libvirt_driver.LibvirtDriver._get_host_sysinfo_serial_os


class Base(test.NoDBTestCase):  # type: ignore[misc]  # Nova has no types
    """Makes drivers on a host whose machine ID the test chooses."""

    machine_id: str | None = MACHINE_ID
    #: The sign that the machine ID is a container's own: what runs the tests may be a container.
    container: str | None = None

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.LibvirtFixture())
        for target, replacement in (
            ("os.path.exists", self._exists),
            ("builtins.open", self._open),
            ("nova_uniqserial.driver.container", lambda: self.container),
            (f"{LIBVIRT_DRIVER}._get_host_sysinfo_serial_os", _read_machine_id),
            (f"{LIBVIRT_DRIVER}._get_host_sysinfo_serial_hardware", lambda _self: HARDWARE_SERIAL),
        ):
            patcher = mock.patch(target, replacement)
            patcher.start()
            self.addCleanup(patcher.stop)

    def _exists(self, path: Any) -> bool:
        if path == "/etc/machine-id":
            return self.machine_id is not None
        return _exists(path)

    def _open(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        if path == "/etc/machine-id":
            return mock.mock_open(read_data=self.machine_id)()
        return _open(path, *args, **kwargs)

    def driver(
        self, mode: str, virt_type: str = "kvm", may_show: bool = True, may_ask: bool = True
    ) -> Any:
        """Load the driver as nova-compute does."""
        self.flags(sysinfo_serial=mode, virt_type=virt_type, group="libvirt")
        self.flags(image_may_show_host=may_show, server_may_ask=may_ask, group="unique_serial")
        return virt_driver.load_compute_driver(
            fake.FakeVirtAPI(), "uniqserial.UniqueSerialLibvirtDriver"
        )


def instance(
    flavor: str | None = None,
    image: str | None = None,
    uuid: str = uuids.one,
    server: str | None = None,
) -> Any:
    """Return an instance without a context: whatever it would load from elsewhere fails."""
    return objects.Instance(
        uuid=uuid,
        project_id=uuids.project,
        flavor=objects.Flavor(extra_specs={} if flavor is None else {"hw:unique_serial": flavor}),
        system_metadata={} if image is None else {"image_hw_unique_serial": image},
        metadata={} if server is None else {"hw_unique_serial": server},
    )


class SerialTest(Base):
    """What guests get."""

    def test_every_combination(self) -> None:
        for mode, may_show, may_ask in itertools.product(MODES, (True, False), (True, False)):
            loaded = self.driver(mode, may_show=may_show, may_ask=may_ask)
            for flavor, image, server in itertools.product(
                (None, "true", "false"), (None, "true", "false"), (None, "true", "false", "banana")
            ):
                if "true" in (flavor, image) or (server == "true" and may_ask):
                    expected: str | None = uuids.one
                elif flavor == "false" or (image == "false" and may_show):
                    expected = HOSTS_OWN[mode]
                else:
                    expected = uuids.one if mode == "unique" else HOSTS_OWN[mode]
                one = instance(flavor, image, server=server)
                self.assertEqual(
                    expected,
                    loaded._get_guest_config_sysinfo(one).system_serial,
                    (mode, may_show, may_ask, flavor, image, server),
                )

    def test_everything_else_is_the_stock_drivers(self) -> None:
        ours = self.driver("os")
        stock = virt_driver.load_compute_driver(fake.FakeVirtAPI(), "libvirt.LibvirtDriver")
        for one in (instance(), instance("true")):
            expected = stock._get_guest_config_sysinfo(one)
            sysinfo = ours._get_guest_config_sysinfo(one)
            sysinfo.system_serial = expected.system_serial
            self.assertEqual(expected.to_xml(), sysinfo.to_xml())

    def test_the_host_without_an_identity_of_its_own_shows_its_hardware(self) -> None:
        self.machine_id = None
        sysinfo = self.driver("unique")._get_guest_config_sysinfo(instance("false"))
        self.assertEqual(HARDWARE_SERIAL, sysinfo.system_serial)

    def test_junk_counts_as_unset_and_is_told_once_an_instance(self) -> None:
        loaded = self.driver("os")
        for junk in ("banana", "null", "", " ", "\x1b[2J", "truetrue", "x" * 255):
            uuid = getattr(uuids, f"junk{len(junk)}{junk[:1]}")
            one = instance(junk, junk, uuid, junk)
            with self.assertLogs(LOGGER, logging.WARNING) as logs:
                for _ in range(3):
                    self.assertEqual(OS_SERIAL, loaded._get_guest_config_sysinfo(one).system_serial)
            self.assertEqual(3, len(logs.output), logs.output)
            self.assertIn("hw:unique_serial of the flavor is ", logs.output[0])
            self.assertIn("hw_unique_serial of the image is ", logs.output[1])
            self.assertIn("hw_unique_serial in the metadata of the server is ", logs.output[2])
            for line in logs.output:
                self.assertIn("counts as not set", line)
                self.assertNotIn("\x1b", line)

    def test_false_on_a_server_counts_as_unset_and_is_logged_once(self) -> None:
        loaded = self.driver("unique")
        one = instance(server="false")
        with self.assertLogs(LOGGER, logging.WARNING) as logs:
            for _ in range(3):
                self.assertEqual(uuids.one, loaded._get_guest_config_sysinfo(one).system_serial)
        (line,) = logs.output
        self.assertIn(
            "hw_unique_serial in the metadata of the server is 'false', which has no meaning"
            " there: it counts as not set.",
            line,
        )

    def test_no_warning_where_servers_may_not_ask(self) -> None:
        loaded = self.driver("os", may_ask=False)
        for value in ("banana", "false"):
            with self.assertLogs(LOGGER, logging.DEBUG) as logs:
                loaded._get_guest_config_sysinfo(instance(server=value))
            (line,) = logs.output
            self.assertIn("host mode: os, server: unset)", line)

    def test_warnings_are_remembered_up_to_a_limit(self) -> None:
        loaded = self.driver("os")
        with mock.patch.object(driver, "_WARNINGS_AT_MOST", 3):
            for number in range(10):
                one = instance("banana", None, getattr(uuids, f"many{number}"))
                loaded._get_guest_config_sysinfo(one)
        self.assertLessEqual(len(loaded._warned), 3)

    def test_the_spellings_of_oslo_are_accepted(self) -> None:
        loaded = self.driver("os")
        for text in ("True", "TRUE", "yes", "on", "1", "t", " true "):
            for asks in (instance(text), instance(None, text), instance(server=text)):
                sysinfo = loaded._get_guest_config_sysinfo(asks)
                self.assertEqual(uuids.one, sysinfo.system_serial, text)

    def test_a_flavor_without_extra_specs(self) -> None:
        bare = instance()
        bare.flavor = objects.Flavor(name="bare")
        sysinfo = self.driver("unique")._get_guest_config_sysinfo(bare)
        self.assertEqual(uuids.one, sysinfo.system_serial)

    def test_a_decision_is_logged_with_its_inputs(self) -> None:
        loaded = self.driver("os")
        for one, by, inputs in (
            (instance(None, "true"), "image", "image: unique, host mode: os, server: unset"),
            (instance(server="true"), "server", "image: unset, host mode: os, server: unique"),
        ):
            with self.assertLogs(LOGGER, logging.DEBUG) as logs:
                loaded._get_guest_config_sysinfo(one)
            (line,) = logs.output
            self.assertIn(
                f"Serial number: instance-uuid, decided by the {by} (flavor: unset, {inputs}).",
                line,
            )


class LoadTest(Base):
    """Where the metadata come from, with instances of a real database."""

    USES_DB = True

    #: What an operation may load besides the metadata.
    OTHERS = ("system_metadata", "flavor")

    def setUp(self) -> None:
        super().setUp()
        # An error for Nova's fixture, and Nova 34 uses it; SQLAlchemy deprecates it since 2.1.
        warnings.filterwarnings("ignore", r"The noload\(\) option is deprecated")
        self.context = context.get_admin_context()
        stored = objects.Instance(
            self.context,
            host="host-1",
            project_id=uuids.project,
            user_id=uuids.user,
            metadata={"hw_unique_serial": "true"},
            system_metadata={},
            flavor=objects.Flavor(
                flavorid="1",
                name="small",
                memory_mb=64,
                vcpus=1,
                root_gb=0,
                ephemeral_gb=0,
                swap=0,
                rxtx_factor=1.0,
                vcpu_weight=0,
                disabled=False,
                is_public=True,
                extra_specs={},
            ),
        )
        stored.create()
        self.uuid: str = stored.uuid
        self.stored = stored

    def load(self, *attributes: str) -> Any:
        return objects.Instance.get_by_uuid(
            self.context, self.uuid, expected_attrs=list(attributes)
        )

    @contextlib.contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect the statements that the database gets."""
        sent: list[str] = []

        def keep(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            sent.append(statement)

        sqlalchemy.event.listen(Engine, "before_cursor_execute", keep)
        try:
            yield sent
        finally:
            sqlalchemy.event.remove(Engine, "before_cursor_execute", keep)

    def test_no_request_where_the_metadata_are_loaded(self) -> None:
        loaded = self.driver("os")
        one = self.load("metadata", *self.OTHERS)
        with self.statements() as sent:
            self.assertEqual(self.uuid, loaded._get_guest_config_sysinfo(one).system_serial)
        self.assertEqual([], sent)

    def test_one_request_where_they_are_not(self) -> None:
        loaded = self.driver("os")
        one = self.load(*self.OTHERS)
        with self.statements() as sent, self.assertLogs("nova.objects", logging.DEBUG) as logs:
            self.assertEqual(self.uuid, loaded._get_guest_config_sysinfo(one).system_serial)
            self.assertTrue([text for text in sent if "instance_metadata" in text], sent)
            sent.clear()
            self.assertEqual(self.uuid, loaded._get_guest_config_sysinfo(one).system_serial)
            self.assertEqual([], sent)
        lines = [line for line in logs.output if "Lazy-loading" in line]
        self.assertEqual(1, len(lines), lines)
        self.assertIn(f"Lazy-loading 'metadata' on Instance uuid {self.uuid}", lines[0])

    def test_no_request_where_servers_may_not_ask(self) -> None:
        loaded = self.driver("os", may_ask=False)
        one = self.load(*self.OTHERS)
        with self.statements() as sent:
            self.assertEqual(OS_SERIAL, loaded._get_guest_config_sysinfo(one).system_serial)
        self.assertEqual([], sent)

    def test_the_api_loads_them_with_every_instance(self) -> None:
        """What nova-api hands to nova-compute for a reboot, start, resize, rebuild and so on."""
        cells = objects.CellMappingList.get_all(self.context)
        objects.InstanceMapping(
            self.context,
            instance_uuid=self.uuid,
            project_id=uuids.project,
            cell_mapping=next(cell for cell in cells if not cell.is_cell0()),
        ).create()
        loaded = self.driver("os")
        for attributes in (None, ["flavor"], ["numa_topology", "flavor"]):
            one = compute_api.API().get(self.context, self.uuid, expected_attrs=attributes)
            self.assertEqual({"hw_unique_serial": "true"}, one.metadata)
            self.assertIn("metadata", one)
            with self.assertLogs(LOGGER, logging.DEBUG), self.statements() as sent:
                self.assertEqual(self.uuid, loaded._get_guest_config_sysinfo(one).system_serial)
            self.assertEqual([], [text for text in sent if "instance_metadata" in text])

    def test_what_cannot_be_loaded_fails_the_operation(self) -> None:
        """No serial number is better than a wrong one."""
        loaded = self.driver("os")
        gone = self.load(*self.OTHERS)
        self.stored.destroy(hard_delete=True)
        self.assertRaises(exception.InstanceNotFound, loaded._get_guest_config_sysinfo, gone)
        orphan = objects.Instance(
            uuid=self.uuid, flavor=objects.Flavor(extra_specs={}), system_metadata={}
        )
        self.assertRaises(exception.OrphanedObjectError, loaded._get_guest_config_sysinfo, orphan)


class MachineIdTest(Base):
    """A host whose identity cannot be read."""

    def test_guests_that_need_it_fail_with_what_to_do(self) -> None:
        for machine_id, mode, cause in (
            (None, "os", "does not exist"),
            ("", "os", "is empty"),
            ("\n", "auto", "is empty"),
            ("uninitialized\n", "os", "badly formed"),
            ("", "unique", "is empty"),
        ):
            self.machine_id = machine_id
            loaded = self.driver(mode)
            error = self.assertRaises(
                exception.InternalError, loaded._get_guest_config_sysinfo, instance("false")
            )
            self.assertIn(cause, str(error))
            self.assertIn("systemd-machine-id-setup", str(error))

    def test_guests_that_do_not_need_it_start(self) -> None:
        """With the stock driver every guest of such a host fails."""
        self.machine_id = ""
        for mode in ("os", "auto"):
            sysinfo = self.driver(mode)._get_guest_config_sysinfo(instance("true"))
            self.assertEqual(uuids.one, sysinfo.system_serial)

    def test_the_stock_driver_fails_them_all(self) -> None:
        self.machine_id = ""
        self.flags(sysinfo_serial="os", group="libvirt")
        stock = virt_driver.load_compute_driver(fake.FakeVirtAPI(), "libvirt.LibvirtDriver")
        self.assertRaises(
            exception.InternalError, stock._get_guest_config_sysinfo, instance("true")
        )

    def _start(self, mode: str, virt_type: str = "kvm", may_ask: bool = True) -> list[str]:
        loaded = self.driver(mode, virt_type, may_ask=may_ask)
        with (
            mock.patch.object(libvirt_driver.LibvirtDriver, "init_host"),
            self.assertLogs(LOGGER, logging.INFO) as logs,
        ):
            loaded.init_host("host-1")
        lines: list[str] = logs.output
        return lines

    def test_the_start_warns(self) -> None:
        self.machine_id = ""
        (line, warning) = self._start("os")
        self.assertIn("Host mode ([libvirt]sysinfo_serial): os", line)
        self.assertIn("do not ask for a unique serial number cannot start", warning)
        (line, warning) = self._start("unique")
        self.assertIn("ask for the host's serial number (false) cannot start", warning)

    def test_the_start_logs_what_the_host_does(self) -> None:
        for mode in MODES:
            line = self._start(mode)[0]
            self.assertIn(
                "hw:unique_serial and hw_unique_serial are honoured on this host. Host mode"
                f" ([libvirt]sysinfo_serial): {mode}. [unique_serial]image_may_show_host: true,"
                " server_may_ask: true.",
                line,
            )
        line = self._start("os", may_ask=False)[0]
        self.assertIn("image_may_show_host: true, server_may_ask: false.", line)

    def test_the_start_logs_the_identity_that_guests_show(self) -> None:
        for mode in MODES:
            _, *identity = self._start(mode)
            self.assertEqual(mode in ("os", "auto"), bool(identity), identity)
            for line in identity:
                self.assertTrue(line.startswith("INFO"), line)
                self.assertIn("show the machine ID of this host (0123***).", line)
        self.container = "a file of this container"
        (_, warning) = self._start("os")
        self.assertTrue(warning.startswith("WARNING"), warning)
        self.assertIn("show the machine ID 0123***, a file of this container.", warning)
        self.machine_id = None
        (_, warning) = self._start("auto")
        self.assertTrue(warning.startswith("WARNING"), warning)
        self.assertIn("show the hardware UUID of this host (c0ff***), because /etc/mach", warning)
        self.assertNotIn(HARDWARE_SERIAL, warning)

    def test_the_start_names_the_files_that_decide(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(lambda: os.system(f"rm -r {folder}"))  # noqa: S605 - our own folder
        files = [os.path.join(folder, name) for name in ("nova.conf", "nova-compute.conf")]
        with _open(files[0], "w") as file:
            file.write("[libvirt]\nsysinfo_serial = hardware\n")
        with _open(files[1], "w") as file:
            file.write(
                "[libvirt]\nvirt_type = kvm\n[DEFAULT]\n# Ours.\n"
                "compute_driver = uniqserial.UniqueSerialLibvirtDriver\n"
            )
        args = ["--config-file", files[0], f"--config-file={files[1]}"]
        CONF(args, project="nova")
        loaded = virt_driver.load_compute_driver(fake.FakeVirtAPI())
        with (
            mock.patch.object(libvirt_driver.LibvirtDriver, "init_host"),
            mock.patch("sys.argv", ["nova-compute", *args]),
            self.assertLogs(LOGGER, logging.INFO) as logs,
        ):
            loaded.init_host("host-1")
        self.assertIn(
            f" compute_driver is from {files[1]}, line 5; sysinfo_serial is from {files[0]},"
            " line 2.",
            logs.output[0],
        )

    def test_the_start_warns_where_guests_have_no_serial(self) -> None:
        self.machine_id = ""
        (warning,) = self._start("os", "lxc")
        self.assertIn(
            "Guests of this host have no serial number ([libvirt]virt_type is lxc)", warning
        )


class CompatibilityTest(Base):
    """A Nova that changed what is overridden."""

    def refusal(self) -> str:
        """Return what nova-compute logs when it refuses to start."""
        with self.assertLogs("nova.virt.driver", logging.ERROR) as logs:
            error = self.assertRaises(SystemExit, self.driver, "os")
        self.assertEqual(1, error.code)
        (log,) = logs.output
        self.assertIn("nova-compute does not start, because guests would get a wrong", log)
        self.assertIn("compute_driver = libvirt.LibvirtDriver", log)
        return str(log)

    def changed(self, name: str, value: Any) -> None:
        patcher = mock.patch.object(libvirt_driver.LibvirtDriver, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def removed(self, name: str) -> None:
        value = vars(libvirt_driver.LibvirtDriver)[name]
        delattr(libvirt_driver.LibvirtDriver, name)
        self.addCleanup(setattr, libvirt_driver.LibvirtDriver, name, value)

    def test_the_method_is_gone(self) -> None:
        self.removed("_get_guest_config_sysinfo")
        self.assertIn("LibvirtDriver has no method _get_guest_config_sysinfo", self.refusal())

    def test_the_method_has_other_parameters(self) -> None:
        for method in (
            lambda _self: None,
            lambda _self, guest: None,
            lambda _self, instance, image_meta: None,
            lambda _self, instance, image_meta=None: None,
            lambda _self, *, instance: None,
        ):
            with mock.patch.object(
                libvirt_driver.LibvirtDriver, "_get_guest_config_sysinfo", method
            ):
                self.assertIn("_get_guest_config_sysinfo has other parameters: (", self.refusal())

    def test_the_method_is_not_called(self) -> None:
        with mock.patch.object(compatibility, "_calls", return_value=False):
            self.assertIn("no longer calls _get_guest_config_sysinfo", self.refusal())

    def test_which_class_calls_the_method(self) -> None:
        class Caller:
            def build(self: Any, instances: Any) -> Any:
                return [self._get_guest_config_sysinfo(one) for one in instances]

        class Other:
            def _get_guest_config_sysinfo(self, instance: Any) -> None:
                """It is there."""

        self.assertTrue(compatibility._calls(Caller))
        self.assertTrue(compatibility._calls(libvirt_driver.LibvirtDriver))
        self.assertFalse(compatibility._calls(Other))

    def test_the_host_is_read_in_another_way(self) -> None:
        self.removed("_get_host_sysinfo_serial_auto")
        self.changed("_get_host_sysinfo_serial_hardware", lambda _self, path: None)
        log = self.refusal()
        self.assertIn("LibvirtDriver has no method _get_host_sysinfo_serial_auto", log)
        self.assertIn("_get_host_sysinfo_serial_hardware has other parameters: (_self, path)", log)

    def test_the_result_has_another_form(self) -> None:
        class Sysinfo:
            """It has no system_serial."""

        with mock.patch.object(libvirt_config, "LibvirtConfigGuestSysinfo", Sysinfo):
            self.assertIn("has no attribute system_serial", self.refusal())


class TraitsTest(Base):
    """What Placement is told."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = provider_tree.ProviderTree()
        self.tree.new_root(NODE, uuids.node, generation=0)
        self.seen: list[set[str]] = []

    def report(self, loaded: Any) -> set[str]:
        """Let the driver report, with stock traits from the stock driver."""

        def stock(_self: Any, tree: Any, nodename: str, allocations: Any = None) -> None:
            self.seen.append(set(tree.data(nodename).traits))
            tree.add_traits(nodename, "HW_CPU_X86_AVX")

        with mock.patch.object(libvirt_driver.LibvirtDriver, "update_provider_tree", stock):
            loaded.update_provider_tree(self.tree, NODE)
        return set(self.tree.data(NODE).traits) - {"HW_CPU_X86_AVX"}

    def test_every_mode(self) -> None:
        for mode in MODES:
            mode_trait = f"CUSTOM_SYSINFO_SERIAL_{mode.upper()}"
            # The tree holds what the mode before reported: nova.conf changed.
            self.assertEqual({*KEYS, mode_trait}, self.report(self.driver(mode)))
            self.assertEqual(
                {*KEYS, mode_trait} - {OPEN}, self.report(self.driver(mode, may_show=False))
            )
            self.assertEqual(
                {*KEYS, mode_trait} - {MAY_ASK}, self.report(self.driver(mode, may_ask=False))
            )

    def test_traits_of_others_stay(self) -> None:
        self.tree.add_traits(NODE, "CUSTOM_LICENSED", "CUSTOM_SYSINFO_SERIAL_NONE")
        reported = self.report(self.driver("os"))
        self.assertEqual({*KEYS, "CUSTOM_SYSINFO_SERIAL_OS", "CUSTOM_LICENSED"}, reported)

    def test_the_stock_driver_reports_first(self) -> None:
        self.report(self.driver("os"))
        self.assertEqual([set()], self.seen)

    def test_nothing_where_guests_have_no_serial(self) -> None:
        self.tree.add_traits(NODE, *KEYS, "CUSTOM_SYSINFO_SERIAL_OS")
        self.assertEqual(set(), self.report(self.driver("os", "lxc")))

    def test_nothing_where_the_host_is_no_pc(self) -> None:
        loaded = self.driver("os")
        caps = mock.Mock()
        caps.host.cpu.arch = "aarch64"
        with mock.patch.object(loaded._host, "get_capabilities", return_value=caps):
            self.assertEqual(set(), self.report(loaded))
            self.assertEqual("its architecture is aarch64", loaded._why_no_serials())

    def test_a_reshape_passes(self) -> None:
        loaded = self.driver("os")
        with mock.patch.object(
            libvirt_driver.LibvirtDriver,
            "update_provider_tree",
            side_effect=exception.ReshapeNeeded(),
        ):
            self.assertRaises(exception.ReshapeNeeded, loaded.update_provider_tree, self.tree, NODE)
        self.assertEqual(set(), set(self.tree.data(NODE).traits))

    def test_allocations_reach_the_stock_driver(self) -> None:
        loaded = self.driver("os")
        with mock.patch.object(libvirt_driver.LibvirtDriver, "update_provider_tree") as stock:
            loaded.update_provider_tree(self.tree, NODE, allocations={"a": 1})
        stock.assert_called_once_with(self.tree, NODE, allocations={"a": 1})

    def test_traits_in_provider_yaml_are_warned_of(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(lambda: os.system(f"rm -r {folder}"))  # noqa: S605 - our own folder
        self.flags(provider_config_location=folder, group="compute")
        with _open(os.path.join(folder, "serial.yaml"), "w") as file:
            file.write(
                "meta: {schema_version: '1.0'}\n"
                "providers:\n"
                "  - identification: {uuid: $COMPUTE_NODE}\n"
                "    traits: {additional: [CUSTOM_OTHER, CUSTOM_SYSINFO_SERIAL_AUTO]}\n"
            )
        loaded = self.driver("os")
        with (
            mock.patch.object(libvirt_driver.LibvirtDriver, "init_host"),
            self.assertLogs(LOGGER, logging.WARNING) as logs,
        ):
            loaded.init_host("host-1")
        (warning,) = logs.output
        self.assertIn(f"serial.yaml in {folder} declares CUSTOM_SYSINFO_SERIAL_AUTO", warning)
        self.assertNotIn("CUSTOM_OTHER", warning)

    def test_a_broken_provider_yaml_is_novas_business(self) -> None:
        loaded = self.driver("os")
        with (
            mock.patch.object(libvirt_driver.LibvirtDriver, "init_host"),
            mock.patch(
                "nova.compute.provider_config.get_provider_configs",
                side_effect=exception.ProviderConfigException(error="broken"),
            ) as read,
        ):
            loaded.init_host("host-1")
        read.assert_called_once()


class StartTest(Base):
    """What keeps nova-compute from starting."""

    def test_a_host_mode_of_a_newer_nova(self) -> None:
        with mock.patch.object(traits, "CONF") as conf:
            conf.libvirt.sysinfo_serial = "tpm"
            error = self.assertRaises(ImportError, traits._host_mode)
        self.assertIn("sysinfo_serial is tpm, which nova-uniqserial does not know", str(error))


class ValidatorTest(test.NoDBTestCase):  # type: ignore[misc]  # Nova has no types
    """What nova-api accepts: the validator is found through its entry point."""

    def test_booleans(self) -> None:
        for text in ("true", "True", "false", "FALSE", "1", "0", "yes", "off"):
            validators.validate("hw:unique_serial", text)

    def test_anything_else(self) -> None:
        for text in ("banana", "null", "", "2", "truetrue"):
            self.assertRaises(
                exception.ValidationError, validators.validate, "hw:unique_serial", text
            )

    def test_others_are_as_before(self) -> None:
        validators.validate("hw:cpu_policy", "dedicated")
        self.assertRaises(
            exception.ValidationError, validators.validate, "hw:unique_serials", "true"
        )


class SnapshotTest(test.NoDBTestCase):  # type: ignore[misc]  # Nova has no types
    """Snapshots inherit the property, unless nova.conf says as the guide does."""

    def snapshot(self) -> dict[str, str]:
        one = instance(image="true")
        one.image_ref = ""
        meta = compute_utils.initialize_instance_snapshot_metadata(
            context.get_admin_context(), one, "snapshot"
        )
        properties: dict[str, str] = meta["properties"]
        return properties

    def test_inherited(self) -> None:
        self.assertEqual("true", self.snapshot()["hw_unique_serial"])

    def test_not_inherited(self) -> None:
        guide = os.environ["OPERATORS_GUIDE_NOT_INHERITED"]
        CONF.set_override("non_inheritable_image_properties", guide.split(","))
        self.addCleanup(CONF.clear_override, "non_inheritable_image_properties")
        self.assertNotIn("hw_unique_serial", self.snapshot())


class ImagePropertyTest(test.NoDBTestCase):  # type: ignore[misc]  # Nova has no types
    """The field, as Nova's own readers see it."""

    def test_read_from_an_image(self) -> None:
        for text, expected in (("true", True), ("False", False), ("banana", False)):
            meta = objects.ImageMeta.from_dict({"properties": {"hw_unique_serial": text}})
            self.assertIs(expected, meta.properties.hw_unique_serial)
        self.assertNotIn("hw_unique_serial", objects.ImageMeta.from_dict({}).properties)

    def test_read_from_an_instance(self) -> None:
        one = instance(image="true")
        one.image_ref = ""
        self.assertTrue(one.image_meta.properties.hw_unique_serial)

    def test_registering_again_does_no_harm(self) -> None:
        before = objects.ImageMetaProps
        image_meta.register()
        self.assertIs(before, objects.ImageMetaProps)
        self.assertIn("hw_cpu_policy", before.fields)
