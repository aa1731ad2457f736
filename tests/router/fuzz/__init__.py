"""Fuzzing of the router with real parts: nginx, gunicorn, Django and pods that say anything.

``docs/fuzzing.md`` says how to run it and what is compared.
"""
