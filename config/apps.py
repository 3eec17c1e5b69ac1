"""Django's admin, with the site of config/admin.py in place of the stock one."""

from django.contrib.admin.apps import AdminConfig


class OperatorsConfig(AdminConfig):
    default_site = "config.admin.OperatorSite"
