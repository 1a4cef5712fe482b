"""Write one CSV file for each project from the servers of a plan.

Usage: openstack unique serial plan FILE --servers -f csv | python3 by_project.py FOLDER
"""

import csv
import pathlib
import re
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir()
reader = csv.DictReader(sys.stdin)
for row in reader:
    project = row["project_id"]
    if not re.fullmatch(r"[\w-]+", project):
        # A row about something that could not be planned has no project.
        print(row["why"], file=sys.stderr)
        continue
    path = folder / f"{project}.csv"
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames)
        if is_new:
            writer.writeheader()
        writer.writerow(row)
