"""Every error that django-userpods raises on purpose.

Nothing here imports Django or a Kubernetes client, so every room may use it. An error's text is
written for the person who reads it on a row, in a log or on a terminal: what was wrong, where,
and what to do. It never carries a token, a request body or a whole server answer.

::

    UserpodsError
    ├── TemplateError
    ├── SettingError
    ├── ManifestError
    ├── PodNotAllowed
    │   └── ProfileNotAllowed
    ├── ShareRefused
    ├── AdoptionError
    ├── MassDeletionRefused
    ├── NothingHeard
    ├── InvalidCredentials
    │   └── NotLetIn
    ├── Undecided
    ├── RequestRefused
    └── ClusterError
        ├── ClusterConfigurationError
        ├── NotInTests
        ├── NotOurs
        ├── Unauthorized                    401
        ├── Forbidden                       403
        │   └── QuotaExceeded
        ├── NotFound                        404
        │   └── UnknownKind
        ├── AlreadyExists                   409
        ├── Conflict                        409, transient
        │   └── StillDeleting
        ├── Expired                         410, transient
        ├── Invalid                         400, 422
        └── ClusterUnavailable              transient
            ├── ClusterTimeout
            ├── NodeUnavailable
            ├── OutOfTime
            │   └── NotLeading
            ├── TooManyRequests             429
            └── BadAnswer
"""

from __future__ import annotations

from typing import ClassVar

from django_userpods.version import DOCUMENTATION

__all__ = [
    "AdoptionError",
    "AlreadyExists",
    "BadAnswer",
    "ClusterConfigurationError",
    "ClusterError",
    "ClusterTimeout",
    "ClusterUnavailable",
    "Conflict",
    "Expired",
    "Forbidden",
    "Invalid",
    "InvalidCredentials",
    "ManifestError",
    "MassDeletionRefused",
    "NodeUnavailable",
    "NotFound",
    "NotLeading",
    "NotOurs",
    "NothingHeard",
    "OutOfTime",
    "PodNotAllowed",
    "ProfileNotAllowed",
    "QuotaExceeded",
    "SettingError",
    "ShareRefused",
    "StillDeleting",
    "TemplateError",
    "TooManyRequests",
    "Unauthorized",
    "Undecided",
    "UnknownKind",
    "UserpodsError",
]


class UserpodsError(Exception):
    """Base of all our errors; never raised itself."""


class TemplateError(UserpodsError):
    """The pod template (or what ``USERPODS_CUSTOMIZE`` made of it) is invalid.

    ``where`` is the place in the template, as in ``Deployment.spec.selector``, and ``message`` what
    is wrong there: ``texts.said`` where admins may read it in their language.
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        self.message = message
        self.where = where
        super().__init__(f"{where}: {message}" if where else message)


class NothingHeard(UserpodsError):  # noqa: N818 - says what happened
    """No router says when pods were used, or one of them does not."""


class SettingError(UserpodsError):
    """A ``USERPODS_*`` setting cannot be used as it is.

    ``setting`` is its name, ``hint`` is what to do about it.
    """

    def __init__(self, message: str, *, setting: str, hint: str = "") -> None:
        self.setting = setting
        self.hint = hint
        super().__init__(f"{setting}: {message}")


class ManifestError(UserpodsError):
    """The shipped manifests are not there, or not as ``deploy`` expects them."""


class PodNotAllowed(UserpodsError):  # noqa: N818 - says what the answer is
    """A user cannot have (or lose) a further pod as asked: slot, limit or user stand against it."""


class ProfileNotAllowed(PodNotAllowed):
    """A pod cannot be of a profile: ``why`` is one of ``WHY``."""

    #: With what is said of it on the pod's row; each begins with what ``core.reasons`` finds.
    WHY: ClassVar = {
        "gone": "ProfileNotOffered: there is no profile {profile!r} any more",
        "disabled": "ProfileNotOffered: the profile {profile!r} is disabled",
        "group": "ProfileNotOffered: its user is in none of the groups of the profile {profile!r}",
        "full": "ProfileFull: as many pods of the profile {profile!r} run as may run at once",
        "name": "ProfileNotOffered: its name is too long for the template of {profile!r}",
    }

    def __init__(self, profile: str, why: str) -> None:
        self.profile = profile
        self.why = why
        super().__init__(self.WHY[why].format(profile=profile))


class ShareRefused(UserpodsError):  # noqa: N818 - says what the answer is
    """A pod cannot be shared as asked.

    ``why`` is one of ``off``, ``nobodys``, ``address``, ``owner``, ``whom`` and ``time``.
    """

    def __init__(self, message: str, *, why: str) -> None:
        self.why = why
        super().__init__(message)


class AdoptionError(UserpodsError):
    """Nothing can be taken over from the installation that was named."""


class InvalidCredentials(UserpodsError):  # noqa: N818 - says what they are
    """A request's credentials are of the right form, but stand for nobody who may come in."""


class NotLetIn(InvalidCredentials):
    """Somebody is known who may not come in: inactive, or not selected."""


class Undecided(UserpodsError):  # noqa: N818 - says what the question is
    """Whether a user may come in cannot be told now."""


class RequestRefused(UserpodsError):  # noqa: N818 - an answer, not a fault
    """Ends a request to the JSON API with a status and a text for programs."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        self.status, self.text, self.headers = status, text, headers
        super().__init__(text)


class MassDeletionRefused(UserpodsError):  # noqa: N818 - says what happened, as the exit code does
    """A sync would delete more than half of all pods whose deletion nobody asked for by name."""

    def __init__(self, *, deletions: int, total: int) -> None:
        self.deletions = deletions
        self.total = total
        super().__init__(
            f"refused to delete the objects of {deletions} of {total} users: more than half of "
            "all. If this is the right database and that is intended, run sync_userpods "
            "--allow-mass-delete, or name the users with --user"
        )


class ClusterError(UserpodsError):
    """Base of what a cluster answers when it does not do what was asked; never raised itself.

    ``status`` is the HTTP status where there was one, else 0. ``transient`` says that the same
    call may well succeed later without anyone doing anything.
    """

    transient = False

    def __init__(self, message: str, *, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class ClusterConfigurationError(ClusterError):
    """No cluster can be spoken to: kubeconfig missing or malformed, credentials absent."""


class NotInTests(ClusterError):  # noqa: N818 - says what is not done
    """This is a test run, and the settings do not say that tests may use the cluster."""

    def __init__(self) -> None:
        super().__init__(
            "nothing was sent to the cluster: this is a test run, and USERPODS_CLUSTER does not "
            "say that tests may use it. Use django_userpods.testing to see what would be made, or "
            "add 'IN_TESTS': True beside BACKEND; see "
            f"{DOCUMENTATION}/testing.md#a-real-cluster-for-tests"
        )


class ClusterUnavailable(ClusterError):  # noqa: N818 - the state of the cluster, as HTTP names it
    """The API server did not answer, answered 5xx, or broke off in the middle."""

    transient = True


class ClusterTimeout(ClusterUnavailable):
    """The API server took longer than the call was allowed to."""


class NodeUnavailable(ClusterUnavailable):
    """The API server answers, but the machine that a pod runs on does not answer it."""


class OutOfTime(ClusterUnavailable):
    """The time that the caller gave the whole work is used up; nothing is wrong as such."""


class NotLeading(OutOfTime):
    """Another controller may be at work by now, so nothing was written; it will see to it."""


class TooManyRequests(ClusterUnavailable):
    """429. ``retry_after`` is what the server asked for, in seconds, or None."""

    def __init__(
        self, message: str, *, status: int = 429, retry_after: float | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, status=status)


class Unauthorized(ClusterError):  # noqa: N818 - HTTP's own name
    """401: the credentials were refused."""


class Forbidden(ClusterError):  # noqa: N818 - HTTP's own name
    """403: RBAC or admission (Pod Security) does not allow it."""


class QuotaExceeded(Forbidden):
    """403 because a ResourceQuota is used up."""


class NotFound(ClusterError):  # noqa: N818 - HTTP's own name
    """404: the object, its namespace or its kind is not there."""


class UnknownKind(NotFound):
    """404 for a whole kind, which says nothing about whether an object is there."""


class NotOurs(ClusterError):  # noqa: N818 - says what was found
    """An object of the wanted name belongs to somebody else, and is left alone."""


class AlreadyExists(ClusterError):  # noqa: N818 - Kubernetes' own reason
    """409 AlreadyExists: an object of that kind and name is there."""


class Conflict(ClusterError):  # noqa: N818 - Kubernetes' own reason
    """409 Conflict: a precondition (UID, resourceVersion) or another writer stood against it."""

    transient = True


class StillDeleting(Conflict):
    """An earlier object of this name is still being deleted; the new one has to wait for that."""

    def __init__(self, what: object) -> None:
        super().__init__(
            f"an earlier {what} is still being deleted; the new one is made once it is gone"
        )


class Expired(ClusterError):  # noqa: N818 - Kubernetes' own reason
    """410: a page token or resourceVersion is too old; the list has to begin again."""

    transient = True


class Invalid(ClusterError):  # noqa: N818 - Kubernetes' own reason
    """400 or 422: the API server does not accept the object as it is.

    ``fields`` are the paths that it named: ``spec.template.spec.containers[0].image``.
    """

    def __init__(self, message: str, *, status: int = 0, fields: tuple[str, ...] = ()) -> None:
        self.fields = fields
        super().__init__(message, status=status)


class BadAnswer(ClusterUnavailable):
    """What answered is not a Kubernetes API server (HTML from a proxy, JSON cut in two)."""
