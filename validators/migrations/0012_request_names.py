"""Renames two fields in the code; their columns keep the name `wish`."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("validators", "0011_place_of_evidence")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("membershipchange", "wish", "request"),
                migrations.AlterField(
                    "membershipchange",
                    "request",
                    models.JSONField(db_column="wish", help_text="membership.ChangeRequest"),
                ),
                migrations.RenameField("managedcluster", "wish", "requested"),
                migrations.AlterField(
                    "managedcluster",
                    "requested",
                    models.CharField(
                        blank=True,
                        choices=[("", "Nothing"), ("start", "Start"), ("stop", "Stop")],
                        db_column="wish",
                        default="",
                        max_length=8,
                    ),
                ),
            ]
        )
    ]
