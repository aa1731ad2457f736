"""A list of notes with a form, and the page that makes the first account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.forms import modelform_factory
from django.shortcuts import redirect, render

from notes.models import Note

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

NoteForm = modelform_factory(Note, fields=["text"])


def home(request: HttpRequest) -> HttpResponse:
    """The notes; where nobody has an account yet, the way to the first one."""
    if not get_user_model().objects.exists():
        return redirect("first-account")
    return _notes(request)


@login_required
def _notes(request: HttpRequest) -> HttpResponse:
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("home")
    return render(request, "notes/home.html", {"form": form, "notes": Note.objects.all()})


def first_account(request: HttpRequest) -> HttpResponse:
    """Make the first account, which may do everything, and sign it in.

    Whoever comes first may: only the pod's user can come at all.
    """
    if get_user_model().objects.exists():
        return redirect("home")
    form = UserCreationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.is_staff = form.instance.is_superuser = True
        login(request, form.save())
        return redirect("home")
    return render(request, "notes/form.html", {"form": form, "title": "Make your account"})
