"""Audit a cloud, as ``openstack unique serial audit --fail-on medium`` does."""

import sys

import openstack

import osc_uniqserial

run = osc_uniqserial.audit(openstack.connect())
findings = [found for found in run if found.severity.value in ("high", "medium")]
for found in findings:
    print(found.id, found.type, repr(found.resource_name), ascii(found.evidence))
print(run.covered.text, file=sys.stderr)
sys.exit(3 if findings else 0)
