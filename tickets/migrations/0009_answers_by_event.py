"""Answers belong to an event and a source: those of before become answers of each event that the source gave
codes to, and of no other."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import migrations, models

from tickets.importing.record import normalised

DECIDING = ("admits", "refuses", "entered", "outside")


def give_events(apps: Any, schema_editor: Any) -> None:
    """Copy each row to the events of its source; what is of none is asked again. The columns of its file are
    not known: those that its answers name stand for them, so an event of several sources is asked again."""
    answers = apps.get_model("tickets", "ImportAnswers")
    codes = apps.get_model("tickets", "TicketCode")
    using = schema_editor.connection.alias
    given = {
        row.key: set(codes.objects.using(using).filter(source=row.key).values_list("event", flat=True))
        for row in answers.objects.using(using).all()
    }
    sources = Counter(event for events in given.values() for event in events)
    for row in list(answers.objects.using(using).all()):
        named = {column for kind in DECIDING for column in row.answers.get(kind) or ()}
        chosen = [row.answers.get("code", ""), *row.answers.get("columns", {}).values()]
        named |= {normalised(column) for column in chosen if column}
        for event in sorted(event for event in given[row.key] if sources[event] == 1):
            answers.objects.using(using).create(
                event=event,
                key=row.key,
                columns=sorted(named),
                answers=row.answers,
                file_name=row.file_name,
                actor=row.actor,
            )
        row.delete()


def read_again(apps: Any, schema_editor: Any) -> None:
    """A preview of before does not know its event and source: its file is read again."""
    imports = apps.get_model("tickets", "TicketImport").objects.using(schema_editor.connection.alias)
    why = "The platform was upgraded: start it again to read the file once more."
    imports.filter(state="preview").update(state="stopped", error=why)
    imports.filter(state="stopped").update(preview={})


class Migration(migrations.Migration):
    dependencies = [("tickets", "0008_shown_differences")]
    operations = [
        migrations.AlterField(
            model_name="importanswers",
            name="key",
            field=models.CharField(help_text="tickets.importing.answers.source_key", max_length=64),
        ),
        migrations.AddField(
            model_name="importanswers",
            name="event",
            field=models.CharField(default="", help_text="tickets.importing.plan.ImportPlan.scope", max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="importanswers",
            name="columns",
            field=models.JSONField(default=list, help_text="Columns of the last file, normalised."),
        ),
        migrations.RunPython(give_events, migrations.RunPython.noop),
        migrations.RunPython(read_again, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="importanswers",
            constraint=models.UniqueConstraint(fields=("event", "key"), name="one_answer_per_event_and_source"),
        ),
    ]
