"""From the settings and one user to the objects that the user should have."""

from __future__ import annotations

import copy
import hashlib
import json
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django_userpods import profiles, setting
from django_userpods.conf import conf
from django_userpods.core import builtin, template
from django_userpods.core.naming import MAX_LABEL, InstallationIdentity, PodIdentity
from django_userpods.core.template import Template, placeholder_values
from django_userpods.core.yamlfile import read_yaml
from django_userpods.exceptions import ProfileNotAllowed, SettingError, TemplateError, UserpodsError
from django_userpods.models import Installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AbstractBaseUser

    from django_userpods.core.objects import Kind, Manifest
    from django_userpods.core.profile import Profile
    from django_userpods.core.shape import Values


#: For whom a template is compiled when it does not matter.
_ANYBODY = InstallationIdentity("anybody", "anybody")
_NOBODY = "the template depends on the user, who is gone"


class TemplateSource:
    """The pod template of one run, and those of its profiles: read once, the same for all users.

    Raises SettingError or TemplateError at construction where the settings are invalid. What is
    wrong with one profile is an error of its pods alone.
    """

    def __init__(self, installation: InstallationIdentity) -> None:
        self.installation = installation
        self._customize = conf.USERPODS_CUSTOMIZE
        source = conf.USERPODS_TEMPLATE
        self._source = source if callable(source) else None
        self._manifests = [] if callable(source) else base_manifests()
        #: Whether each user may have another template: it then takes the user to know it.
        self.per_user = self._source is not None or self._customize is not None
        self._shared = None if self.per_user else _compiled(self._manifests, self.installation)
        self._of_profiles: dict[str, Template | str] = {}

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that the template makes; of one that depends on the user none are known."""
        return self._shared.kinds if self._shared is not None else frozenset()

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """The profiles there are, read at the first pod that has one."""
        return profiles.known()

    @property
    def digest(self) -> str:
        """What tells one template from another; the same for all that are up to the user.

        With profiles it is of them together.
        """
        own = "of each user"
        if self._source is None:
            own = _compiled(self._manifests, self.installation).digest
        if not self.profiles:
            return own
        said = [_said_by(one) for _, one in sorted(self.profiles.items())]
        text = json.dumps([own, said], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def template_for(
        self, user: AbstractBaseUser | None, values: Values, profile: str = ""
    ) -> Template:
        """Return the template of a pod, which may be of a profile (its slug).

        Raises TemplateError where a callable of the project's gives something that makes no
        sense, or raises itself, where the profile is not there any more and the pod is to run, and
        where the pod's name leaves no room for its suffixes.
        """
        if profile and profile not in self.profiles:
            if not values["stopped"]:
                raise TemplateError(ProfileNotAllowed.WHY["gone"].format(profile=profile))
            # Nothing of it is to run, and any template will do to have it so.
            profile = ""
        try:
            found = self._template_for(user, values, profile)
        except TemplateError:
            if not (profile and values["stopped"]):
                raise
            # The same of one that is invalid.
            found = self._template_for(user, values, "")
        too_long = len(values["name"]) + found.room - MAX_LABEL
        if too_long > 0:
            message = (
                f"its suffixes are {too_long} characters too long for {values['name']}, a name "
                "that was given when they were shorter: shorten them"
            )
            raise TemplateError(message)
        return found

    def shared_by(self, profile: str, user: AbstractBaseUser | None) -> Template:
        """Return the template before it is customised for one user; raises TemplateError."""
        if not profile and self._shared is not None:
            return self._shared
        if not profile:
            return _compiled(self._from_settings(user), self.installation)
        one = self.profiles[profile]
        if self._source is not None and one.template is None:
            return self._compiled_profile(one, self._from_settings(user))
        if profile not in self._of_profiles:
            try:
                self._of_profiles[profile] = self._compiled_profile(one, self._manifests)
            except TemplateError as error:
                self._of_profiles[profile] = str(error)
        found = self._of_profiles[profile]
        if isinstance(found, str):
            raise TemplateError(found)
        return found

    def _compiled_profile(self, profile: Profile, manifests: list[Manifest]) -> Template:
        try:
            return _compiled(manifests_of(profile, manifests), self.installation)
        except TemplateError as error:
            message = f"the profile {profile.slug!r} is invalid: {error}"
            raise TemplateError(message) from error

    def _from_settings(self, user: AbstractBaseUser | None) -> list[Manifest]:
        if self._source is None:
            return self._manifests
        if user is None:
            raise TemplateError(_NOBODY)
        return _called("USERPODS_TEMPLATE", self._source, user)

    def _template_for(
        self, user: AbstractBaseUser | None, values: Values, profile: str
    ) -> Template:
        if user is None and self.per_user:
            raise TemplateError(_NOBODY)
        shared = self.shared_by(profile, user)
        if self._customize is None:
            return shared
        # What customises sees the user's own values, not placeholders.
        running = {**values, "stopped": False, "restarted_at": None}
        filled = copy.deepcopy(shared.fill(running))
        manifests = _called("USERPODS_CUSTOMIZE", self._customize, filled, user)
        return template.personal(
            manifests, name=values["name"], installation=self.installation, values=values
        )


def manifests_of(profile: Profile, base: list[Manifest]) -> list[Manifest]:
    """Return a profile's manifests, placeholders not filled in; ``base`` are the settings'."""
    from django_userpods.core.profile import merged

    own = own_manifests(profile)
    return merged(base if own is None else own, profile)


def problem_of(profile: Profile) -> TemplateError | None:
    """Return what is wrong with the objects of a profile's pods, None where nothing is.

    What is wrong with the settings that they are made from is not the profile's.
    """
    base: list[Manifest] = []
    if profile.template is None:
        try:
            base = base_manifests()
            template.compile_template(base, installation=_ANYBODY)
        except UserpodsError:
            return None
    try:
        template.compile_template(manifests_of(profile, base), installation=_ANYBODY)
    except TemplateError as error:
        return error
    return None


def own_manifests(profile: Profile) -> list[Manifest] | None:
    """Return the manifests of a profile that has a template of its own, else None.

    Raises TemplateError where its file cannot be read, or it cannot be used at all.
    """
    if profile.problem:
        raise TemplateError(profile.problem)
    if not isinstance(profile.template, Path):
        return profile.template
    return _read_file(profile.template)


def this_installation(*, write: bool = True) -> InstallationIdentity:
    """Return who we are to the cluster: the database's own id and ``USERPODS_INSTANCE``.

    Where the database has no id yet it gets one; not with ``write=False``, when what is returned
    is the id of nobody.
    """
    found = Installation.objects.current(write=write)
    return InstallationIdentity(found.identifier, conf.USERPODS_INSTANCE)


def room_of_users() -> Callable[[AbstractBaseUser], int]:
    """Return what tells how much a user's template appends to a pod's name, in characters.

    0 where the template cannot be used: what is wrong with it is said when it is.
    """
    try:
        source = conf.USERPODS_TEMPLATE
        if not callable(source):
            shared = _compiled(base_manifests(), _ANYBODY).room
            return lambda _user: shared
    except UserpodsError:
        return lambda _user: 0

    def room_of(user: AbstractBaseUser) -> int:
        try:
            return _compiled(_called("USERPODS_TEMPLATE", source, user), _ANYBODY).room
        except UserpodsError:
            return 0

    return room_of


def room_of_profile(profile: str, user: AbstractBaseUser | None = None) -> int:
    """Return how much a profile's template appends to a pod's name, 0 where it cannot be used."""
    try:
        return TemplateSource(_ANYBODY).shared_by(profile, user).room
    except (UserpodsError, KeyError):
        return 0


def base_manifests() -> list[Manifest]:
    """Return the manifests of the settings, placeholders not filled in.

    Raises SettingError or TemplateError. Not for a ``USERPODS_TEMPLATE`` that is a callable.
    """
    source = conf.USERPODS_TEMPLATE
    if source is None:
        return builtin.manifests(
            image=conf.USERPODS_IMAGE,
            port=conf.USERPODS_PORT,
            env=conf.USERPODS_ENV,
            resources=conf.USERPODS_RESOURCES,
            has_address=conf.USERPODS_URL is not None,
        )
    if isinstance(source, Path):
        try:
            changed = source.stat().st_mtime_ns
        except OSError as error:
            message = f"cannot read {source}: {error.strerror}"
            hint = "Give the path of a readable YAML file, best an absolute one."
            raise SettingError(message, setting="USERPODS_TEMPLATE", hint=hint) from error
        return _read(source, changed)
    if isinstance(source, list):
        return source
    return []


def row_values(
    identity: PodIdentity,
    *,
    name: str,
    namespace: str,
    username: str,
    slot: str,
    stopped: bool,
    restarted_at: Any,  # noqa: ANN401 - a datetime or None
) -> Values:
    """Return what fills a template in for one row."""
    return placeholder_values(
        identity,
        name=name,
        namespace=namespace,
        username=username,
        slot=slot,
        stopped=stopped,
        restarted_at=restarted_at.isoformat() if restarted_at else None,
        url=conf.url_of(name, slot=slot),
        path=conf.path_of(name),
    )


def _said_by(profile: Profile) -> list[Any]:
    """Return what decides on the objects of a profile's pods."""
    try:
        own = own_manifests(profile)
    except TemplateError as error:
        return [profile.slug, str(error)]
    return [profile.slug, own, profile.image, profile.resources, profile.env]


def _read_file(path: Path) -> list[Manifest]:
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise TemplateError(message, where=str(path)) from error
    return _read(path, changed)


@lru_cache(maxsize=32)
def _read(path: Path, changed: int) -> list[Manifest]:  # noqa: ARG001 - part of the cache's key
    return read_yaml(path)


def _compiled(manifests: list[Manifest], installation: InstallationIdentity) -> Template:
    try:
        key = json.dumps(manifests)
    except (TypeError, ValueError):
        # Compiling says better what is wrong with it.
        return template.compile_template(manifests, installation=installation)
    return _compiled_text(key, installation, _addresses_in(key))


@lru_cache(maxsize=64)
def _compiled_text(manifests: str, installation: InstallationIdentity, values: str) -> Template:
    documents = json.loads(manifests)
    return template.compile_template(documents, installation=installation, values=values)


def _addresses_in(manifests: str) -> str:
    """Return what decides on the addresses in a template; "" where it has none."""
    if "{url}" not in manifests and "{path}" not in manifests:
        return ""
    # As they are: whether they are valid is not asked here.
    return str([setting.get(name, None) for name in ("USERPODS_URL", "USERPODS_SITE_URL")])


def _called(setting: str, function: Any, *args: object) -> list[Manifest]:  # noqa: ANN401
    try:
        manifests = function(*args)
    except Exception as error:
        message = f"{setting} raised {type(error).__name__}: {error}"
        raise TemplateError(message) from error
    if not isinstance(manifests, list | tuple):
        message = f"{setting} returned a {type(manifests).__name__}, not a list of manifests"
        raise TemplateError(message)
    return list(manifests)
