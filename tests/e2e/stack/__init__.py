# SPDX-License-Identifier: Apache-2.0
"""A whole cloud whose guests are real: Nova, libvirt and QEMU on this machine.

``python -m tests.e2e.stack up`` starts it and leaves it up, ``run -- CMD`` starts it for one
command, ``down`` ends it. Tests get it as a fixture.

The parts, and who starts whom::

    control.py      up and down; also what the fixture uses
      supervisor.py PID 1 of a PID namespace: whatever it starts ends with it, daemons too
        devcloud        every service but Nova
        brokers.py      MariaDB and RabbitMQ
        nova_api.py     Nova's API; conductor and scheduler are Nova's own commands
        agent.py        one compute host: PID 1 of namespaces of its own
                        (virtlogd, libvirtd, nova-compute, and QEMU, which libvirtd starts)

Every host has its own disk space. Nova copies what moves with ssh and scp: ssh.py stands in for
them. So every move works between any two hosts: cold migration, resize, evacuation, unshelving,
and live migration.

Environment variables: ``E2E_STACK`` is the folder of a stack that is up, ``E2E_VENV`` the services'
virtual environment, ``E2E_VIRT_TYPE`` kvm or qemu, ``E2E_LOGS`` a folder that gets all logs when
the stack ends.
"""
