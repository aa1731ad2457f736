"""``manage.py sync_userpods``: make the cluster agree with the database."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import DatabaseError, router
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from django_userpods.access import router_client, tickets
from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.controller import idle
from django_userpods.core import naming
from django_userpods.core.rollout import Turn
from django_userpods.core.states import UNSETTLED, State
from django_userpods.exceptions import ClusterError, SettingError, UserpodsError
from django_userpods.management.arguments import seconds_or_0
from django_userpods.management.base import EXIT_FAILED, UserpodsCommand
from django_userpods.management.progress import Progress
from django_userpods.management.sync_words import tell
from django_userpods.models import UserPod
from django_userpods.reconcile import adopt, reconcile, rollout
from django_userpods.reconcile.missing import missing_namespaces
from django_userpods.reconcile.namesakes import namesakes
from django_userpods.reconcile.report import Failure, Report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection

    from django.db.models import QuerySet

EXIT_REFUSED = 3
_NAMESAKES = gettext_noop(
    "Others have objects here under the instance name 'default', too (installation %(ids)s). "
    "Nothing of theirs is touched; set USERPODS_INSTANCE so that people can tell them from yours."
)

#: Seconds between two looks while waiting.
_LOOK_EVERY = 2.0
#: Seconds that routers have at the end to hear of addresses that changed.
_TELL_ROUTERS = 5.0


class Command(UserpodsCommand):
    """Make the cluster agree with the database."""

    help = gettext_noop(
        "Make the cluster agree with the database: every selected user gets a Deployment and a "
        "Service, objects of users who are gone are deleted, and what was changed by hand is put "
        "back. Safe to run at any time, as often as you like, several at once."
    )
    epilog = gettext_noop(
        "Exit status: 0 all agree; 1 some could not be done (each is named); 3 refused, because "
        "more than half of all pods would be deleted."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Add the exit statuses to ``--help``."""
        return super().create_parser(prog_name, subcommand, epilog=_(self.epilog), **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--user",
            action="append",
            metavar=_("NAME"),
            help=_("only this user (the username; may be given several times)"),
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("show what would be done, with the differences in each object, and do nothing"),
        )
        parser.add_argument(
            "--no-prune", action="store_true", help=_("keep objects whose owner is unknown")
        )
        parser.add_argument(
            "--wait",
            type=seconds_or_0,
            default=0.0,
            metavar=_("SECONDS"),
            help=_("longest time to wait until all pods run (or are stopped, or gone)"),
        )
        parser.add_argument(
            "--allow-mass-delete",
            action="store_true",
            help=_("delete even if that is more than half of all pods"),
        )
        parser.add_argument(
            "--resume-rollout",
            action="store_true",
            help=_("first resume a rollout that was stopped because updated pods failed"),
        )
        parser.add_argument(
            "--adopt-from",
            metavar="ID",
            help=_(
                "first take over the objects of another installation, whose database is lost: "
                "shows what it would take, and asks (ID is their label "
                "django-userpods/installation)"
            ),
        )
        parser.add_argument(
            "--no-input", action="store_true", help=_("take over without asking (--adopt-from)")
        )
        parser.add_argument(
            "--format", choices=["text", "json"], default="text", help=_("how to report [text]")
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        as_json = options["format"] == "json"
        bar = Progress(self.stderr, quiet=as_json or options["verbosity"] == 0)
        deadline = monotonic() + options["wait"]
        where: dict[str, str] = {}
        not_adopted: list[Failure] = []
        others: list[str] = []
        try:
            user_pks = _user_pks(options["user"])
            where = _whereabouts()
            if not as_json and options["verbosity"] > 0:
                self.say(_("Cluster: %(cluster)s, namespace %(namespace)s") % where)
                self.stdout.flush()
            if options["resume_rollout"] and not options["dry_run"]:
                rollout.resume()
            if options["adopt_from"] is not None:
                not_adopted = self._adopt(options, user_pks, as_json=as_json)
            report, unwell = self._sync(options, user_pks, deadline, bar)
            report.failed[:0] = not_adopted
            others = namesakes() if user_pks is None else []
            router_client.wait_idle(_TELL_ROUTERS)
        except (UserpodsError, CommandError) as error:
            bar.clear()
            self._fail(str(error), where, as_json=as_json)
        except DatabaseError as error:
            bar.clear()
            text = _(
                "the database cannot be read or written, so nothing is known of the users and "
                "nothing was deleted: %(error)s"
            )
            self._fail(text % {"error": error}, where, as_json=as_json)
        bar.clear()
        if as_json:
            pods = [{"name": pod.name, "message": pod.message} for pod in unwell]
            said = {**where, "namesakes": others, **report.as_json(), "unwell": pods}
            said |= _urls(user_pks)
            self.write_json(said)
        else:
            if others:
                self.complain(_(_NAMESAKES) % {"ids": ", ".join(others)})
            tell(self, report, unwell, verbosity=options["verbosity"])
        if report.refused:
            sys.exit(EXIT_REFUSED)
        is_behind = options["wait"] and report.waiting and not report.at_next_start
        left = report.not_done or is_behind
        if report.failed or (left and not report.dry_run):
            sys.exit(EXIT_FAILED)

    def _sync(
        self,
        options: dict[str, Any],
        user_pks: list[str] | None,
        deadline: float,
        bar: Progress,
    ) -> tuple[Report, list[Failure]]:
        """Run, wait where asked to; return what came of it, and whose pods do not run."""
        dry_run = options["dry_run"]
        run = partial(
            reconcile,
            prune=not options["no_prune"],
            allow_mass_delete=options["allow_mass_delete"],
            dry_run=dry_run,
            progress=bar,
            # Of a few it costs next to nothing to say; of all it is half as much to read again.
            may_have_restarted=None if user_pks is None else (lambda _pod: True),
        )
        if user_pks is None and not dry_run:
            # First: what is to be stopped is on the rows then, and this sync does it.
            try:
                idle.tick(timezone.now())
            except SettingError as error:
                self.complain(_("No idle pod is stopped: %(error)s") % {"error": error})
        report = self._until_answered(partial(run, user_pks), deadline)
        if dry_run:
            report.failed += missing_namespaces(report)
            if (lost := options["adopt_from"]) is not None:
                # Of what is that installation's it has just been said what would become of it.
                report.failed = [f for f in report.failed if lost not in f.message]
            return report, []
        if options["wait"] and not report.refused:
            self._wait(report, run, user_pks, deadline, bar)
            rollout.tell(report, _rows(user_pks))
        unwell = _unwell(report, user_pks)
        if options["wait"]:
            report.failed += unwell
        tickets.clean_up()
        return report, unwell

    def _adopt(
        self, options: dict[str, Any], user_pks: list[str] | None, *, as_json: bool
    ) -> list[Failure]:
        """Take over another installation's objects, once somebody has seen which; what failed."""
        adoption = adopt.find(options["adopt_from"], user_pks)
        out = self.stderr if as_json else self.stdout
        for pod in adoption.pods:
            kinds = ", ".join(sorted(item.ref.kind.kind for item in pod.objects))
            text = _("Would take over %(pod)s of %(username)s (%(kinds)s)")
            told = {"pod": pod.name, "username": pod.username, "kinds": kinds}
            out.write(text % told, self.style.NOTICE)
        for name, reason in adoption.left:
            text = _("Would leave %(name)s: %(reason)s") % {"name": name, "reason": reason}
            out.write(text, self.style.WARNING)
        out.write(_summary(adoption))
        if options["dry_run"] or not adoption.pods:
            return []
        if not options["no_input"]:
            self._confirm()
        failures = adopt.take_over(adoption)
        text = _("Took over %(count)s pods.") % {"count": len(adoption.pods) - len(failures)}
        out.write(text, self.style.SUCCESS)
        return failures

    def _confirm(self) -> None:
        if not sys.stdin.isatty():
            message = _(
                "taking over has to be confirmed: add --no-input to continue without asking"
            )
            raise CommandError(message, returncode=EXIT_FAILED)
        self.ask(_("Is the database that knew them lost for good? Type 'yes' to continue:"))
        answer = input()
        if answer.strip() != "yes":
            message = _("nothing was taken over")
            raise CommandError(message, returncode=EXIT_FAILED)

    def _until_answered(self, run: Callable[[], Report], deadline: float) -> Report:
        """Run, and again as long as there is time where the cluster did not answer for a moment."""
        while True:
            try:
                return run()
            except ClusterError as error:
                left = deadline - monotonic()
                if not error.transient or left <= 0:
                    raise
                sleep(min(_LOOK_EVERY, left))

    def _wait(
        self,
        report: Report,
        run: Callable[[Collection[str] | None], Report],
        user_pks: list[str] | None,
        deadline: float,
        bar: Progress,
    ) -> None:
        """Look again until everything has arrived, failed for good, or time is up."""
        while not report.refused:
            found = _rows(user_pks).filter(Q(state__in=UNSETTLED) | Q(turn=Turn.UPDATING))
            waiting = {one.user_pk: one for one in _failures(found)}
            pks = {f.user_pk for f in report.failed if f.transient} | waiting.keys()
            due = _rows(user_pks).filter(pk__in=rollout.due(_rows(user_pks)))
            pks.update(due.values_list("owner_pk", flat=True))
            left = deadline - monotonic()
            is_held_up = user_pks is not None and not pks and rollout.waits(_rows(user_pks))
            if not pks and not report.not_done and not is_held_up:
                return
            if left <= 0:
                failed = {failure.user_pk for failure in report.failed}
                report.failed.extend(
                    replace(one, message=one.message or _("not up within the time to wait"))
                    for pk, one in waiting.items()
                    if pk not in failed
                )
                return
            bar("wait", 0, len(pks))
            sleep(min(_LOOK_EVERY, left))
            # What was left undone may be anybody's.
            scope = user_pks if report.not_done or is_held_up else sorted(pks)
            again = self._until_answered(partial(run, scope), deadline)
            report.done.extend(again.done)
            report.usernames |= again.usernames
            known = {failure.user_pk for failure in again.failed} | pks
            report.failed = [f for f in report.failed if f.user_pk not in known] + again.failed
            report.not_done, report.refused = again.not_done, again.refused

    def _fail(self, message: str, where: dict[str, str], *, as_json: bool) -> None:
        if as_json:
            self.write_error(message, **where)
            sys.exit(EXIT_FAILED)
        raise CommandError(message, returncode=EXIT_FAILED)


def _rows(user_pks: list[str] | None) -> QuerySet[UserPod]:
    found = UserPod.objects.using(router.db_for_write(UserPod))
    return found if user_pks is None else found.filter(owner_pk__in=user_pks)


def _unwell(report: Report, user_pks: list[str] | None) -> list[Failure]:
    """Return whose objects are as they should be, but whose pods do not run."""
    known = {failure.user_pk for failure in report.failed}
    failed = _failures(_rows(user_pks).filter(state=State.FAILED))
    return [one for one in failed if one.user_pk not in known]


def _failures(rows: QuerySet[UserPod]) -> list[Failure]:
    """Return what is said of some rows, with the names of their users."""
    username = f"owner__{get_user_model().USERNAME_FIELD}"
    return [
        Failure(pk, name or pk, message, username=str(user or ""))
        for pk, name, message, user in rows.values_list("owner_pk", "name", "message", username)
    ]


def _urls(user_pks: list[str] | None) -> dict[str, dict[str, str]]:
    """Return where pods are found, by their names; nothing where they have no address."""
    if conf.USERPODS_URL is None:
        return {}
    rows = UserPod.objects.exclude(name=None).exclude(wanted=UserPod.Wanted.ABSENT)
    if user_pks is not None:
        rows = rows.filter(owner_pk__in=user_pks)
    found = rows.order_by("name").values_list("name", "slot")
    urls = {name: conf.url_of(name, slot=slot) for name, slot in found.iterator() if name}
    return {"urls": urls}


def _summary(adoption: adopt.Adoption) -> str:
    text = _(
        "Installation %(id)s: %(objects)s objects of %(pods)s pods to take over, %(left)s pods to "
        "leave."
    )
    called = f" ({', '.join(adoption.names)})" if adoption.names else ""
    return text % {
        "id": f"{adoption.identifier}{called}",
        "objects": adoption.objects,
        "pods": len(adoption.pods),
        "left": len(adoption.left),
    }


def _whereabouts() -> dict[str, str]:
    """Return for people which cluster and namespace this is about."""
    namespace = conf.USERPODS_NAMESPACE
    of_each = _("of each user (USERPODS_NAMESPACE is a function)")
    try:
        cluster = get_cluster().whereabouts()
    except ClusterError:
        cluster = _("none")  # the run itself says why, on the rows as well
    return {
        "cluster": cluster,
        "namespace": of_each if callable(namespace) else namespace,
    }


def _user_pks(names: list[str] | None) -> list[str] | None:
    """Return the keys of users by name; of users who are gone, by the name of their row."""
    if names is None:
        return None
    model: Any = get_user_model()
    pks = []
    for name in names:
        users = model._default_manager.using(router.db_for_write(model))  # noqa: SLF001 - Django's documented name
        user = users.filter(**{model.USERNAME_FIELD: name}).first()
        # Of a user who is gone the row is there, by the name of the pod or of the user.
        gone = Q(name=name) | Q(name=naming.name_for(name, prefix=conf.USERPODS_NAME_PREFIX))
        row = None if user else _rows(None).filter(gone).first()
        if user is None and row is None:
            message = _("There is no user %(name)r.") % {"name": name}
            raise CommandError(message, returncode=EXIT_FAILED)
        pks.append(str(user.pk) if user else row.owner_pk if row else "")
    return pks
