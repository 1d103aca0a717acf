"""Answers about the files of a source are kept; what a gate scans is a code of its ticket, not a digest here."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0006_code_sources")]

    operations = [
        migrations.CreateModel(
            name="ImportAnswers",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key",
                    models.CharField(help_text="tickets.importing.answers.source_key", max_length=64, unique=True),
                ),
                ("answers", models.JSONField(help_text="tickets.importing.answers.Answers")),
                ("file_name", models.CharField(help_text="The last file of this source.", max_length=200)),
                ("actor", models.CharField(max_length=128)),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={"verbose_name_plural": "import answers", "ordering": ["-changed_at"]},
        ),
        migrations.RemoveField(model_name="ticketholder", name="secret_digest"),
        migrations.AlterField(
            model_name="ticketimport",
            name="state",
            field=models.CharField(
                choices=[
                    ("reading", "Reading"),
                    ("asking", "Questions to answer"),
                    ("preview", "To be confirmed"),
                    ("issuing", "Importing"),
                    ("done", "Imported"),
                    ("stopped", "Stopped"),
                    ("refused", "Refused"),
                ],
                default="reading",
                max_length=16,
            ),
        ),
    ]
