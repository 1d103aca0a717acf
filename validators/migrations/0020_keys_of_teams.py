"""A key has what its team has, and no fields of its own any more."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("validators", "0019_first_teams")]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="keys",
                to="validators.team",
                help_text="What it may do, and where.",
            ),
        ),
        migrations.RemoveField(model_name="apikey", name="scopes"),
        migrations.RemoveField(model_name="apikey", name="event"),
        migrations.RemoveField(model_name="apikey", name="lists"),
        migrations.RemoveField(model_name="apikey", name="products"),
    ]
