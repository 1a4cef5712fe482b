# SPDX-License-Identifier: Apache-2.0
"""Where Nova looks for compute drivers: ``compute_driver = uniqserial.UniqueSerialLibvirtDriver``.

Nova imports drivers from below ``nova.virt`` only, so this one file lies among Nova's own.
"""

try:
    from nova_uniqserial.driver import UniqueSerialLibvirtDriver
except Exception as error:
    # Nova refuses to start on an ImportError, with this text: better than wrong serial numbers.
    raise ImportError(
        "nova-uniqserial is incomplete or does not fit this Nova, so nova-compute does not start:"
        " guests could get a wrong serial number. Install nova-uniqserial again into the folder"
        " that has Nova ('Install nova-uniqserial' in its manual). To run without it, follow"
        " 'Roll back the driver' in that manual: servers would still be sent here for the traits"
        " that this host has."
        f" Reason: {type(error).__name__}: {error}"
    ) from error

__all__ = ["UniqueSerialLibvirtDriver"]
