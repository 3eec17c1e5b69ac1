"""Argon2 for people's passwords, tuned to about 30 ms a check (OWASP's minimum: 19 MiB, t=2, p=1)."""

from django.contrib.auth import hashers


class Argon2PasswordHasher(hashers.Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
