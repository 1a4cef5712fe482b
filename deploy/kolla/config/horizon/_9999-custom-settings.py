# The files of the nightly audit, in the container of Horizon.
UNIQUE_SERIAL_REPORT = "/var/lib/uniqserial/audit.json"
UNIQUE_SERIAL_REPORT_HTML = "/var/lib/uniqserial/audit.html"
