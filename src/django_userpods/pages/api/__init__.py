"""The JSON API, ``/userpods/api/``: one's own pods and tokens; with staff's permissions, all.

Plain views: ``document`` says what there is, as OpenAPI, and a test holds the views against it.
"""

from __future__ import annotations
