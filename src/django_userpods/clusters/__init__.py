"""Where pods run. Modules here import ``core`` and ``exceptions``, never Django.

``base`` is the interface, ``kubernetes`` the real thing, ``local`` processes on this machine,
``memory`` a stand-in for the unit tests of host projects.
"""

from __future__ import annotations
