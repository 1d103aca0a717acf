"""What a file says otherwise is shown in rows of its own, and confirmed there.

A preview of before has none: its file is read again when the import is started.
"""

import django.db.models.deletion
from django.db import migrations, models


def read_again(apps, schema_editor):
    imports = apps.get_model("tickets", "TicketImport").objects
    why = "The platform was upgraded: start it again to read the file once more."
    imports.filter(state="preview").update(state="stopped", error=why)
    imports.filter(state="stopped").update(preview={})


class Migration(migrations.Migration):
    dependencies = [("tickets", "0007_import_answers")]

    operations = [
        migrations.CreateModel(
            name="ShownDifference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "reading",
                    models.CharField(
                        help_text="Token of the worker that read the file: preview['reading'] of the import.",
                        max_length=32,
                    ),
                ),
                ("kind", models.CharField(help_text="tickets.importing.kinds.SHOWN_KINDS", max_length=16)),
                ("key", models.CharField(help_text="tickets.importing.changes.Change.key", max_length=32)),
                ("row", models.PositiveIntegerField(help_text="Of the file; 0: none.")),
                ("event", models.CharField(max_length=64)),
                ("ticket", models.CharField(max_length=128)),
                ("words", models.TextField()),
                ("chosen", models.BooleanField(default=False)),
                (
                    "done",
                    models.BooleanField(
                        default=False, help_text="The network is as it says; nothing is ordered again."
                    ),
                ),
                (
                    "of",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="shown", to="tickets.ticketimport"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [
                    models.Index(fields=["reading", "kind", "id"], name="shown_by_kind"),
                    models.Index(fields=["reading", "key"], name="shown_by_key"),
                ],
            },
        ),
        migrations.RunPython(read_again, migrations.RunPython.noop, elidable=True),
    ]
