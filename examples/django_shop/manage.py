"""A shop with Django: an order is placed, and its receipt is a job.

python manage.py migrate
python manage.py runserver
python manage.py atomiqworker   # beside it
curl -X POST 'localhost:8000/orders?item=tea'
curl -X POST 'localhost:8000/orders?item=tea&fail=1'     # rolled back: no order, no job
curl localhost:8000/orders
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
