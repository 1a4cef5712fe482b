# The functions of DevStack that the plugin calls, without sudo, constraints and dependencies.

function define_plugin {
    :
}

function echo_summary {
    echo "$@"
}

# is_service_enabled - True if one of the services is enabled
function is_service_enabled {
    local service
    for service in "$@"; do
        if [[ " $SERVICES " == *" $service "* ]]; then
            return 0
        fi
    done
    return 1
}

function iniset {
    crudini --set "$@"
}

function pip_install {
    "$DEVSTACK_VENV/bin/pip" install --quiet --no-deps --no-build-isolation "$@"
}

function pip_uninstall {
    "$DEVSTACK_VENV/bin/pip" uninstall --quiet --yes "$@"
}

function setup_install {
    pip_install "$1"
}

function sudo {
    "$@"
}
