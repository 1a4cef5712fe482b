#!/bin/bash
#
# DevStack plugin osc-uniqserial: nova-uniqserial for nova-api and nova-compute, and the commands of
# osc-uniqserial. DevStack sources this file with the mode and the phase.

_XTRACE_UNIQSERIAL=$(set +o | grep xtrace)
set +o xtrace

UNIQSERIAL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Nova imports compute drivers from its own folder only.
UNIQSERIAL_DRIVER=$NOVA_DIR/nova/virt/uniqserial

# install_uniqserial - Install both distributions, and link the driver into Nova's folder
#
# DevStack installs Nova editable: its finder comes after the search of site-packages. The folder
# nova that pip writes there for the driver would hide Nova from all services.
function install_uniqserial {
    local site
    setup_install "$UNIQSERIAL_DIR"
    setup_install "$UNIQSERIAL_DIR/nova_driver"
    site=$($PYTHON -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if [[ ! -e $site/nova/__init__.py ]]; then
        sudo rm -rf "$site/nova"
    fi
    rm -rf "$UNIQSERIAL_DRIVER"
    ln -s "$UNIQSERIAL_DIR/nova_driver/nova/virt/uniqserial" "$UNIQSERIAL_DRIVER"
}

function configure_uniqserial {
    # DevStack copies this file to $NOVA_CPU_CONF before it starts nova-compute.
    iniset "$NOVA_CONF" DEFAULT compute_driver uniqserial.UniqueSerialLibvirtDriver
    iniset "$NOVA_CONF" libvirt sysinfo_serial "$UNIQSERIAL_HOST_MODE"
}

function cleanup_uniqserial {
    rm -rf "$UNIQSERIAL_DRIVER"
    # clean.sh removes the virtual environment.
    if [[ "$GLOBAL_VENV" != "True" ]]; then
        pip_uninstall nova-uniqserial
        pip_uninstall osc-uniqserial
    fi
}

if [[ "$1" == "stack" && "$2" == "install" ]]; then
    if is_service_enabled n-api n-cpu; then
        echo_summary "Installing nova-uniqserial"
        install_uniqserial
    fi
elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
    if is_service_enabled n-cpu && [[ "$VIRT_DRIVER" == "libvirt" ]]; then
        echo_summary "Configuring nova-uniqserial"
        configure_uniqserial
    fi
elif [[ "$1" == "clean" ]]; then
    cleanup_uniqserial
fi

$_XTRACE_UNIQSERIAL
